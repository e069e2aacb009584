"""Embed the characters of each word and convolve over them."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

from thinc.api import Model, uniform_init
from thinc.types import Floats1d, Floats2d, Ints1d, Ragged

from ..checks import Size, checked
from .conv import ConvModel
from .conv_table import conv_table

EmbedModel: TypeAlias = Model[Ragged, Floats2d]


@checked("embed_chars")
def embed_chars(nI: Size, nV: Size, convolutions: Sequence[ConvModel]) -> EmbedModel:
    """Look up the vectors of characters and join the maxima of several convolutions over them.

    The result equals that of `chain(conv, pool())` over the vectors of all positions, side by side
    for each convolution. It is computed from the distinct characters instead: see `conv_table`.

    nI (int): Width of a character's vector. Recommended values: 16 to 64.
    nV (int): Rows of the character table.
    convolutions (Sequence[Model[Ragged, Ragged]]): Layers that `conv` returned. Only their
        parameters are used.
    RETURNS (Model[Ragged, Floats2d]): The layer.

    Shapes: rows of the table (nC,) of nW words -> words (nW, sum of the convolutions' nO)
    """
    return Model(
        "embed_chars",
        forward,
        init=init,
        dims={"nI": nI, "nV": nV, "nO": sum(conv.get_dim("nO") for conv in convolutions)},
        params={"E": None},
        layers=list(convolutions),
    )


def forward(
    model: EmbedModel, Xr: Ragged, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Ragged]]:
    """Run every convolution on the distinct characters and join the results."""
    ops: Any = model.ops
    chars, lengths = cast(Ints1d, Xr.dataXd), Xr.lengths
    E: Any = model.get_param("E")
    used, indices = ops.xp.unique(chars, return_inverse=True)
    vectors = E[used]
    results = []
    for conv in model.layers:
        W, b = cast(Floats2d, conv.get_param("W")), cast(Floats1d, conv.get_param("b"))
        results.append(conv_table(ops, vectors, W, b, indices, lengths))
    Y = ops.xp.hstack([Yc for Yc, _ in results])

    def backprop(dY: Floats2d) -> Ragged:
        d_vectors = ops.alloc2f(*vectors.shape, dtype=dY.dtype)
        start = 0
        for conv, (Yc, backprop_conv) in zip(model.layers, results):
            end = start + Yc.shape[1]
            dEc, dW, db = backprop_conv(ops.as_contig(dY[:, start:end]))
            d_vectors += dEc
            conv.inc_grad("W", dW)
            conv.inc_grad("b", db)
            start = end
        dE = ops.alloc2f(*E.shape, dtype=E.dtype)
        dE[used] = d_vectors  # `used` has each row once
        model.inc_grad("E", dE)
        return Ragged(ops.alloc1i(len(chars)), lengths)

    return Y, backprop


def init(model: EmbedModel, X: Ragged | None = None, Y: Floats2d | None = None) -> None:
    """Draw the filters, then the table in the same way as thinc's HashEmbed."""
    for conv in model.layers:
        conv.initialize()
    model.set_param("E", uniform_init(model.ops, (model.get_dim("nV"), model.get_dim("nI"))))

"""Embed characters and read each word with every convolution."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from thinc.api import Model, uniform_init
from thinc.types import Floats2d, Ints1d, Ragged

from .conv_chars import ConvModel

EmbedModel = Model[Ragged, Floats2d]


def embed_chars(nI: int, nV: int, convolutions: Sequence[ConvModel]) -> EmbedModel:
    """Look up the characters' vectors and join what several convolutions make of each word.

    nI (int): Width of a character's vector. Recommended values: 16 to 64.
    nV (int): Rows of the character table.
    convolutions (Sequence[Model[Ragged, Floats2d]]): Layers from the characters' vectors (nC, nI)
        to word vectors (nW, nF).
    RETURNS (Model[Ragged, Floats2d]): The layer.

    Shapes: rows of the table (nC,) of nW words -> words (nW, sum of nF)
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
    """Look up, convolve, join."""
    xp: Any = model.ops.xp
    E = model.get_param("E")
    chars = cast(Ints1d, Xr.dataXd)
    embedded = Ragged(E[chars], Xr.lengths)
    results = [conv(embedded, is_train) for conv in model.layers]
    Y = xp.hstack([Yc for Yc, _ in results])

    def backprop(dY: Floats2d) -> Ragged:
        dX = model.ops.alloc2f(*embedded.dataXd.shape, dtype=dY.dtype)
        start = 0
        for Yc, backprop_conv in results:
            end = start + Yc.shape[1]
            dX += backprop_conv(model.ops.as_contig(dY[:, start:end])).dataXd
            start = end
        dE = model.ops.alloc2f(*E.shape, dtype=E.dtype)
        model.ops.scatter_add(dE, chars, dX)
        model.inc_grad("E", dE)
        return Ragged(model.ops.alloc1i(len(chars)), Xr.lengths)

    return Y, backprop


def init(model: EmbedModel, X: Ragged | None = None, Y: Floats2d | None = None) -> None:
    """Draw the table, row by row as thinc's HashEmbed does, and the filters."""
    for conv in model.layers:
        conv.initialize()
    model.set_param("E", uniform_init(model.ops, (model.get_dim("nV"), model.get_dim("nI"))))

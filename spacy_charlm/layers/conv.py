"""Convolve the characters of each word and keep the strongest response of each filter."""

from collections.abc import Callable
from typing import cast

from thinc.api import Model, glorot_uniform_init
from thinc.types import Floats2d, Ragged

from ..errors import Errors
from .pool import backprop_max_rows, max_rows

ConvModel = Model[Ragged, Floats2d]


def conv_chars(nO: int, nI: int, window: int) -> ConvModel:
    """Convolve over the characters of a word and take the maximum over its positions.

    The window never crosses a word: what lies outside is zero. No activation follows the
    convolution, the maximum is one. Kim et al., "Character-Aware Neural Language Models" (2016),
    without the hyperbolic tangent and with padding, so that short words meet every filter.

    nO (int): Number of filters. Recommended values: 32 to 256.
    nI (int): Width of a character's vector.
    window (int): Characters that a filter sees, an odd number. Recommended values: 3, 5, 7.
    RETURNS (Model[Ragged, Floats2d]): The layer.
    RAISES (ValueError): If the window is even.

    Shapes: characters (nC, nI) of nW words -> words (nW, nO)
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(Errors.E406.format(found=window))
    return Model(
        "conv_chars",
        forward,
        init=init,
        dims={"nO": nO, "nI": nI},
        params={"W": None, "b": None},
        attrs={"window": window},
    )


def forward(
    model: ConvModel, Xr: Ragged, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Ragged]]:
    """Convolve and reduce; the bias is added to the maxima, which comes to the same."""
    nW = model.attrs["window"] // 2
    W = cast(Floats2d, model.get_param("W"))
    lengths = Xr.lengths
    cols = model.ops.seq2col(cast(Floats2d, Xr.dataXd), nW, lengths=lengths)  # (nC, window * nI)
    Y, which = max_rows(model.ops, model.ops.gemm(cols, W, trans2=True), lengths)
    Y = Y + model.get_param("b")

    def backprop(dY: Floats2d) -> Ragged:
        model.inc_grad("b", dY.sum(axis=0))
        dH = backprop_max_rows(model.ops, dY, which, lengths)  # (nC, nO)
        model.inc_grad("W", model.ops.gemm(dH, cols, trans1=True))
        dcols = model.ops.gemm(dH, W)
        return Ragged(model.ops.backprop_seq2col(dcols, nW, lengths=lengths), lengths)

    return Y, backprop


def init(model: ConvModel, X: Ragged | None = None, Y: Floats2d | None = None) -> None:
    """Draw the filters."""
    nO, nI = model.get_dim("nO"), model.get_dim("nI")
    model.set_param("W", glorot_uniform_init(model.ops, (nO, model.attrs["window"] * nI)))
    model.set_param("b", model.ops.alloc1f(nO))

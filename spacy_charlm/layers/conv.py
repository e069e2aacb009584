"""Convolve over each sequence of a ragged array."""

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from thinc.api import Model, glorot_uniform_init
from thinc.types import Floats2d, Ragged

from ..checks import Length, Size, checked
from ..errors import Errors

ConvModel: TypeAlias = Model[Ragged, Ragged]


@checked("conv")
def conv(nO: Size, nI: Size, window: Length) -> ConvModel:
    """Convolve over the positions of each sequence.

    The window never crosses the ends of a sequence: the input is zero beyond them, and the output
    is as long as the input. No activation after the convolution: before `pool` none is needed,
    because the maximum acts as one.

    Kim et al., "Character-Aware Neural Language Models" (2016), without the hyperbolic tangent
    and with padding, so that a short word still meets every filter.

    nO (int): Number of filters. Recommended values: 32 to 256.
    nI (int): Width of the input.
    window (int): Positions that a filter sees, an odd number. Recommended values: 3, 5, 7.
    RETURNS (Model[Ragged, Ragged]): The layer.
    RAISES (ValueError): If the window is even.

    Shapes: positions (nC, nI) of nW sequences -> (nC, nO) of the same sequences
    """
    if window % 2 == 0:
        raise ValueError(Errors.E406.format(found=window))
    return Model(
        "conv",
        forward,
        init=init,
        dims={"nO": nO, "nI": nI},
        params={"W": None, "b": None},
        attrs={"window": window},
    )


def forward(
    model: ConvModel, Xr: Ragged, is_train: bool
) -> tuple[Ragged, Callable[[Ragged], Ragged]]:
    """Multiply the window around each position with the filters."""
    nW = model.attrs["window"] // 2
    W = cast(Floats2d, model.get_param("W"))
    lengths = Xr.lengths
    cols = model.ops.seq2col(cast(Floats2d, Xr.dataXd), nW, lengths=lengths)  # (nC, window * nI)
    Y: Any = model.ops.gemm(cols, W, trans2=True)
    Y += model.get_param("b")

    def backprop(dYr: Ragged) -> Ragged:
        dY = cast(Floats2d, dYr.dataXd)
        model.inc_grad("W", model.ops.gemm(dY, cols, trans1=True))
        model.inc_grad("b", dY.sum(axis=0))
        dcols = model.ops.gemm(dY, W)
        return Ragged(model.ops.backprop_seq2col(dcols, nW, lengths=lengths), lengths)

    return Ragged(Y, lengths), backprop


def init(model: ConvModel, X: Ragged | None = None, Y: Ragged | None = None) -> None:
    """Draw the filters."""
    nO, nI = model.get_dim("nO"), model.get_dim("nI")
    model.set_param("W", glorot_uniform_init(model.ops, (nO, model.attrs["window"] * nI)))
    model.set_param("b", model.ops.alloc1f(nO))

"""Reduce each sequence of a ragged array to its maximum."""

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from thinc.api import Model
from thinc.types import Floats2d, Ragged

PoolModel: TypeAlias = Model[Ragged, Floats2d]


def pool() -> PoolModel:
    """Take the maximum of each column over each sequence; zeros for an empty sequence.

    thinc's `reduce_max` raises an error if a sequence is empty.

    RETURNS (Model[Ragged, Floats2d]): The layer. It has no parameters.

    Shapes: positions (nC, nO) of nW sequences -> (nW, nO)
    """
    return Model("pool", forward)


def forward(
    model: PoolModel, Xr: Ragged, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Ragged]]:
    """Take the maxima and remember their positions."""
    ops: Any = model.ops
    X, lengths = cast(Floats2d, Xr.dataXd), Xr.lengths
    filled = lengths > 0
    Y: Any = ops.alloc2f(len(lengths), X.shape[1], dtype=X.dtype)
    which = None
    if len(X):
        Y[filled], which = ops.reduce_max(X, lengths[filled])

    def backprop(dY: Floats2d) -> Ragged:
        if which is None:
            return Ragged(ops.alloc2f(*X.shape, dtype=dY.dtype), lengths)
        # Each gradient goes to the position of its maximum.
        dX = ops.backprop_reduce_max(ops.as_contig(dY[filled]), which, lengths[filled])
        return Ragged(dX, lengths)

    return Y, backprop

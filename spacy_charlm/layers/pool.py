"""Reduce each sequence of a ragged array to its maximum or its mean."""

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from thinc.api import Model
from thinc.types import Floats2d, Ragged

PoolModel: TypeAlias = Model[Ragged, Floats2d]


def pool(mean: bool = False) -> PoolModel:
    """Take the maximum or the mean of each column over each sequence; zeros for an empty sequence.

    thinc's `reduce_max` raises an error if a sequence is empty, and its `reduce_mean` loses the
    width if all of them are.

    mean (bool): Whether to take the mean.
    RETURNS (Model[Ragged, Floats2d]): The layer. It has no parameters.

    Shapes: positions (nC, nO) of nW sequences -> (nW, nO)
    """
    return Model("pool", forward, attrs={"mean": mean})


def forward(
    model: PoolModel, Xr: Ragged, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Ragged]]:
    """Take the maxima and remember their positions, or take the means."""
    ops: Any = model.ops
    X, lengths = cast(Floats2d, Xr.dataXd), Xr.lengths
    filled = lengths > 0
    Y: Any = ops.alloc2f(len(lengths), X.shape[1], dtype=X.dtype)
    which = None
    if len(X) and model.attrs["mean"]:
        Y[filled] = ops.reduce_mean(X, lengths[filled])
    elif len(X):
        Y[filled], which = ops.reduce_max(X, lengths[filled])

    def backprop(dY: Floats2d) -> Ragged:
        if not len(X):
            return Ragged(ops.alloc2f(*X.shape, dtype=dY.dtype), lengths)
        dYf = ops.as_contig(dY[filled])
        if which is None:
            return Ragged(ops.backprop_reduce_mean(dYf, lengths[filled]), lengths)
        # Each gradient goes to the position of its maximum.
        return Ragged(ops.backprop_reduce_max(dYf, which, lengths[filled]), lengths)

    return Y, backprop

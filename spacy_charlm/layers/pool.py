"""Reduce each sequence of a ragged array to its maximum."""

from collections.abc import Callable
from typing import cast

from thinc.api import Model, Ops
from thinc.types import Floats2d, Ints1d, Ints2d, Ragged


def pool_rows() -> Model[Ragged, Floats2d]:
    """Take the maximum of each column over each sequence; zeros for a sequence of length zero.

    thinc's `reduce_max` raises on an empty sequence.

    RETURNS (Model[Ragged, Floats2d]): The layer. It has no parameters.

    Shapes: positions (nC, nO) of nW sequences -> (nW, nO)
    """
    return Model("pool_rows", forward)


def forward(
    model: Model[Ragged, Floats2d], Xr: Ragged, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Ragged]]:
    """Take the maximum, and remember where it stood."""
    Y, which = max_rows(model.ops, cast(Floats2d, Xr.dataXd), Xr.lengths)

    def backprop(dY: Floats2d) -> Ragged:
        return Ragged(backprop_max_rows(model.ops, dY, which, Xr.lengths), Xr.lengths)

    return Y, backprop


def max_rows(ops: Ops, X: Floats2d, lengths: Ints1d) -> tuple[Floats2d, Ints2d]:
    """Take the maximum over each sequence.

    ops (Ops): The backend.
    X (Floats2d): Positions, (nC, nO).
    lengths (Ints1d): Positions per sequence, int32 (nW,).
    RETURNS (Tuple[Floats2d, Ints2d]): Maxima (nW, nO), and the index within its sequence of each
        maximum, for the sequences that are not empty.
    """
    filled = lengths > 0
    if not len(lengths) or not filled.any():
        return ops.alloc2f(len(lengths), X.shape[1], dtype=X.dtype), ops.alloc2i(0, X.shape[1])
    if filled.all():
        return ops.reduce_max(X, lengths)
    Y = ops.alloc2f(len(lengths), X.shape[1], dtype=X.dtype)
    best, which = ops.reduce_max(X, lengths[filled])
    Y[filled] = best
    return Y, which


def backprop_max_rows(ops: Ops, dY: Floats2d, which: Ints2d, lengths: Ints1d) -> Floats2d:
    """Hand each gradient to the position that won; (nW, nO) -> (nC, nO)."""
    filled = lengths > 0
    if not len(which):
        return ops.alloc2f(0, dY.shape[1], dtype=dY.dtype)
    if not filled.all():
        dY, lengths = dY[filled], lengths[filled]
    return ops.backprop_reduce_max(ops.as_contig(dY), which, lengths)

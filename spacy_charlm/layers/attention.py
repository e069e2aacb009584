"""Reduce each sequence of a ragged array to a mean with learned weights."""

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from thinc.api import Model
from thinc.types import Floats2d, Ragged

from ..checks import Size

AttentionModel: TypeAlias = Model[Ragged, Floats2d]


def attention(nO: Size | None = None) -> AttentionModel:
    """Take a weighted mean of each sequence; zeros for an empty sequence.

    The weights are a softmax over the products of the rows with a learned vector. It starts at
    zero, where the result is the plain mean. After Yang et al., "Hierarchical Attention Networks
    for Document Classification" (2016), without the hidden layer. thinc's `ParametricAttention`
    starts from random weights and raises an error if all sequences are empty.

    nO (Optional[int]): Width of the rows.
    RETURNS (Model[Ragged, Floats2d]): The layer.

    Shapes: rows (nT, nO) of nD sequences -> (nD, nO)
    """
    return Model("attention", forward, init=init, dims={"nO": nO}, params={"Q": None})


def forward(
    model: AttentionModel, Xr: Ragged, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Ragged]]:
    """Compute the weights and sum the weighted rows."""
    ops: Any = model.ops
    Q: Any = model.get_param("Q")
    X = cast(Any, Xr.dataXd)
    filled = Xr.lengths > 0
    lengths = Xr.lengths[filled]
    Y: Any = ops.alloc2f(len(filled), X.shape[1], dtype=X.dtype)
    if len(X):
        weights = ops.softmax_sequences(ops.gemm(X, Q.reshape(-1, 1)), lengths)  # (nT, 1)
        Y[filled] = ops.reduce_sum(X * weights, lengths)

    def backprop(dY: Floats2d) -> Ragged:
        if not len(X):
            return Ragged(ops.alloc2f(*X.shape, dtype=dY.dtype), Xr.lengths)
        dXw = ops.backprop_reduce_sum(ops.as_contig(dY[filled]), lengths)
        dweights = (X * dXw).sum(axis=1, keepdims=True)
        dscores = ops.backprop_softmax_sequences(dweights, weights, lengths)
        model.inc_grad("Q", ops.gemm(X, dscores, trans1=True).ravel())
        return Ragged(dXw * weights + dscores * Q, Xr.lengths)

    return Y, backprop


def init(model: AttentionModel, X: Ragged | None = None, Y: Floats2d | None = None) -> None:
    """Set the learned vector to zero."""
    if X is not None:
        model.set_dim("nO", cast(Any, X.dataXd).shape[1])
    model.set_param("Q", model.ops.alloc1f(model.get_dim("nO")))

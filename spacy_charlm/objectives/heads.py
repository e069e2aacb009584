"""Heads: from context vectors to predicted vectors, or to logits over ids."""

from collections.abc import Callable
from functools import partial
from typing import Any

from thinc.api import Linear, Maxout, Model, chain
from thinc.types import Floats2d, Ints1d

from ..card import apply_weights, is_head, name_damage, read_weights
from ..checks import Size, check_memory, checked
from ..errors import Errors

Head = Model[Floats2d, Floats2d]
# From the width of the prediction and that of the tok2vec to a head.
HeadBuilder = Callable[[int, int], Head]


def create_linear_head_v1() -> HeadBuilder:
    """Create a head of one linear layer.

    The tok2vec has to hold the target linearly, and so do averages of its vectors. Recommended for
    classifying texts.

    RETURNS (Callable[[int, int], Model]): From nO and nI to the head.

    **Shapes** context vectors (nR, nI) -> predictions (nR, nO)
    """
    return Linear


@checked("spacy-charlm.MaxoutHead.v1")
def create_maxout_head_v1(hidden_size: Size = 300, maxout_pieces: Size = 3) -> HeadBuilder:
    """Create a head of a maxout layer, layer normalization and a linear layer.

    hidden_size (int): Width of the hidden layer. Recommended values: 100 to 500.
    maxout_pieces (int): Pieces of the maxout. Recommended value: 3.
    RETURNS (Callable[[int, int], Model]): From nO and nI to the head.
    RAISES (ValueError): If a size is below 1.

    **Shapes** context vectors (nR, nI) -> predictions (nR, nO)
    """
    return partial(_build_maxout_head, hidden_size=hidden_size, maxout_pieces=maxout_pieces)


def _build_maxout_head(nO: int, nI: int, *, hidden_size: int, maxout_pieces: int) -> Head:
    check_memory("spacy-charlm.MaxoutHead.v1", hidden_size=hidden_size * (maxout_pieces * nI + nO))
    return chain(
        Maxout(hidden_size, nI, nP=maxout_pieces, normalize=True),
        Linear(nO, hidden_size),
    )


def load_head(data: bytes, source: str) -> Head:
    """Rebuild a head from its weights, whose layers record its sizes.

    data (bytes): What `Model.to_bytes` of a head returned.
    source (str): Where it comes from, for the error.
    RETURNS (Model[Floats2d, Floats2d]): The head.
    RAISES (ValueError): If these are not the weights of a head.
    """
    weights = read_weights(data, source)
    name = weights["nodes"][0]["name"]
    if not is_head(weights):
        raise ValueError(Errors.E551.format(path=source, reason=f"the layers '{name}'"))
    with name_damage(source, Errors.E551):
        # The arrays tell the sizes, so that a damaged number allocates no memory.
        shapes = {
            node["name"]: params["W"].shape
            for node, params in zip(weights["nodes"], weights["params"])
            if "W" in params
        }
        nO, nI = shapes["linear"]
        build = create_linear_head_v1()
        if "maxout" in shapes:
            hidden_size, maxout_pieces, nI = shapes["maxout"]
            build = create_maxout_head_v1(hidden_size, maxout_pieces)
        head = build(nO, nI).initialize()
        apply_weights(weights, head, source)
    return head


def predict_columns(
    head: Head, X: Floats2d, columns: Ints1d, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Floats2d]]:
    """Run a head, but compute only some columns of its output.

    head (Model[Floats2d, Floats2d]): A head whose last layer is linear.
    X (Floats2d): Context vectors, (nR, nI).
    columns (Ints1d): Distinct columns of the output, (nS,).
    is_train (bool): Whether to train.
    RETURNS (Tuple[Floats2d, Callable]): Predictions (nR, nS), and the backprop to dX.
    """
    *hidden, output = head.layers or [head]
    backprops = []
    H: Any = X
    for layer in hidden:
        H, backprop_layer = layer(H, is_train)
        backprops.append(backprop_layer)
    W, b = output.get_param("W")[columns], output.get_param("b")[columns]
    ops: Any = head.ops
    Y = ops.gemm(H, W, trans2=True) + b

    def backprop(dY: Floats2d) -> Floats2d:
        dW = ops.alloc2f(*output.get_param("W").shape, dtype=dY.dtype)
        db = ops.alloc1f(len(dW), dtype=dY.dtype)
        # The columns are distinct, so that plain assignment loses no gradient.
        dW[columns] = ops.gemm(dY, H, trans1=True)
        db[columns] = dY.sum(axis=0)
        output.inc_grad("W", dW)
        output.inc_grad("b", db)
        dH: Any = ops.gemm(dY, W)
        for backprop_layer in reversed(backprops):
            dH = backprop_layer(dH)
        return dH

    return Y, backprop

"""Bring each dimension to mean zero and variance one, as seen over the batches so far."""

from collections.abc import Callable
from typing import Any

from thinc.api import Model
from thinc.types import Floats2d

EPSILON = 1e-6  # keeps a dimension that never varies from dividing by zero


def standardise(nO: int | None = None, *, memory: int = 100) -> Model[Floats2d, Floats2d]:
    """Subtract the running mean of each dimension and divide by its running deviation.

    The gradient treats both as constants: they follow the training batches by themselves, and
    each batch is standardised by what was seen before it, so that training and prediction agree.
    Pooled vectors of a whole text are nearly alike: what tells texts apart is a small part of
    their length, and a linear layer learns from it far faster once it is set free. After Ioffe,
    "Batch Renormalization" (2017), without the batch's own statistics.

    nO (Optional[int]): Width of input and output.
    memory (int): Batches over which the running statistics reach. Recommended values: 50 to 500.
    RETURNS (Model[Floats2d, Floats2d]): The layer.

    Shapes: (nD, nO) -> (nD, nO)
    """
    return Model(
        "standardise",
        forward,
        init=init,
        dims={"nO": nO, "nI": nO},
        params={"mean": None, "variance": None, "batches": None},
        attrs={"memory": memory},
    )


def forward(
    model: Model[Floats2d, Floats2d], X: Floats2d, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Floats2d]]:
    """Standardise, then let the statistics follow the batch."""
    mean, variance, batches = (model.get_param(name) for name in ("mean", "variance", "batches"))
    xp: Any = model.ops.xp
    deviation = xp.sqrt(variance + EPSILON)
    Y = (X - mean) / deviation
    if is_train and len(X) > 1:
        rate = 1.0 / (float(batches[0]) + 1.0)
        moved = rate * (X.mean(axis=0) - mean)
        spread = ((X - mean) * (X - mean - moved)).mean(axis=0)
        model.set_param("mean", mean + moved)
        model.set_param("variance", variance + rate * (spread - variance))
        seen = min(float(batches[0]) + 1.0, float(model.attrs["memory"]))
        model.set_param("batches", batches * 0 + seen)

    def backprop(dY: Floats2d) -> Floats2d:
        return dY / deviation

    return Y, backprop


def init(
    model: Model[Floats2d, Floats2d], X: Floats2d | None = None, Y: Floats2d | None = None
) -> None:
    """Start as the identity."""
    if X is not None:
        model.set_dim("nO", X.shape[1])
        model.set_dim("nI", X.shape[1])
    nO = model.get_dim("nO")
    model.set_param("mean", model.ops.alloc1f(nO))
    model.set_param("variance", model.ops.alloc1f(nO) + 1)
    model.set_param("batches", model.ops.alloc1f(1))

"""Standardise each dimension to mean zero and variance one over the recent batches."""

from collections.abc import Callable
from typing import Any

from thinc.api import Model
from thinc.types import Floats2d

from ..checks import Size, checked

EPSILON = 1e-6  # avoids a division by zero in a dimension that never varies


@checked("standardise")
def standardise(nO: Size | None = None, *, memory: Size = 100) -> Model[Floats2d, Floats2d]:
    """Subtract the running mean of each dimension and divide by its running standard deviation.

    Each batch is standardised with the statistics of the batches before it, so that training and
    prediction agree; the gradient treats them as constants. Pooled vectors of whole texts are
    nearly equal, and the small differences between them are what a classifier needs. A linear
    layer learns them much faster after standardisation. After Ioffe, "Batch Renormalization"
    (2017), without the statistics of the current batch.

    nO (Optional[int]): Width of input and output.
    memory (int): Batches that the running statistics average over. Recommended values: 50 to 500.
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
    """Standardise the batch, then update the statistics with it."""
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
    """Set the parameters so that the layer is the identity."""
    if X is not None:
        model.set_dim("nO", X.shape[1])
        model.set_dim("nI", X.shape[1])
    nO = model.get_dim("nO")
    model.set_param("mean", model.ops.alloc1f(nO))
    model.set_param("variance", model.ops.alloc1f(nO) + 1)
    model.set_param("batches", model.ops.alloc1f(1))

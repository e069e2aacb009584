"""Turn logits into probabilities, with a scale that calibrates them in prediction."""

from collections.abc import Callable
from typing import Any

from thinc.api import Model
from thinc.types import Floats2d


def probabilities(exclusive: bool) -> Model[Floats2d, Floats2d]:
    """Apply a softmax or a sigmoid whose backprop takes the gradient of a classification loss.

    As in thinc's Softmax, exclusive classes expect the difference between probabilities and truths,
    which is the derivative of the cross-entropy by the logits, and pass it on unchanged. A sigmoid
    multiplies the gradient by its own derivative, as thinc's Logistic does.

    Classifiers that fit their few training texts well are too sure of themselves on others. In
    prediction, and only there, the logits are multiplied by the parameter `scale`. It is 1 until
    `spacy-charlm.calibrate.v1` sets it, and again after a further update. A positive scale never
    changes which class is the most probable one, or which side of 0.5 a probability is on. After
    Guo et al., "On Calibration of Modern Neural Networks" (2017), whose temperature is the inverse
    of the scale.

    exclusive (bool): Whether the classes exclude each other: softmax rather than sigmoid.
    RETURNS (Model[Floats2d, Floats2d]): The layer.

    Shapes: logits (nD, nO) -> probabilities (nD, nO)
    """
    return Model(
        "probabilities",
        forward,
        init=init,
        params={"scale": None},
        attrs={"exclusive": exclusive},
    )


def forward(
    model: Model[Floats2d, Floats2d], X: Floats2d, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Floats2d]]:
    """Scale the logits in prediction, then apply the softmax or the sigmoid."""
    ops: Any = model.ops
    exclusive = model.attrs["exclusive"]
    if is_train:
        # The scale of the last pipeline that was saved would saturate later scores.
        init(model)
    else:
        X = X * model.get_param("scale")
    Y = ops.softmax(X) if exclusive else ops.sigmoid(X)

    def backprop(dY: Floats2d) -> Floats2d:
        return dY if exclusive else dY * ops.dsigmoid(Y)

    return Y, backprop


def init(
    model: Model[Floats2d, Floats2d], X: Floats2d | None = None, Y: Floats2d | None = None
) -> None:
    """Set the scale to 1."""
    model.set_param("scale", model.ops.alloc1f(1) + 1)

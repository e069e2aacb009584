"""Distances between predicted and target vectors, each with the gradient that belongs to it."""

from typing import Any

from thinc.api import get_array_module
from thinc.types import Floats1d, Floats2d

from ..errors import Errors
from ..types import TargetBatch

EPSILON = 1e-12  # keeps the length of a zero vector from dividing by zero


class CosineLoss:
    """One minus the cosine of prediction and target; the lengths of both are free."""

    def __call__(
        self, predicted: Floats2d, targets: TargetBatch, weights: Floats1d
    ) -> tuple[float, Floats2d]:
        """Compute the loss and its gradient: see `types.Loss`."""
        unit = _unit(targets.values)[targets.rows[:, 0]]
        length = _length(predicted)
        cosine = (predicted * unit).sum(axis=1, keepdims=True) / length
        share = _share(weights)
        gradient = (predicted * (cosine / length) - unit) * (share / length)
        return float((share * (1 - cosine)).sum()), gradient


class SquaredErrorLoss:
    """Half the squared distance of prediction and target, summed over the nO dimensions.

    Its gradient is the seed experiment's `(prediction - target) / n`.
    """

    def __call__(
        self, predicted: Floats2d, targets: TargetBatch, weights: Floats1d
    ) -> tuple[float, Floats2d]:
        """Compute the loss and its gradient: see `types.Loss`."""
        difference = predicted - targets.values[targets.rows[:, 0]]
        gradient = difference * _share(weights)
        distance: Any = gradient * difference
        return float(0.5 * distance.sum()), gradient


class ContrastiveLoss:
    """Cross-entropy of the right vector among the distinct target vectors of the batch.

    The scores are cosines divided by a temperature: a softmax that needs no output vocabulary.
    After van den Oord et al., "Representation Learning with Contrastive Predictive Coding"
    (2018); the candidates are the batch's distinct vectors, each of them once. Where a batch is
    spread over processes, they are those of all its parts.

    temperature (float): Divides the cosines. Recommended values: 0.02 to 0.2.
    """

    shares_targets = True

    def __init__(self, temperature: float = 0.05) -> None:
        if not temperature > 0:
            raise ValueError(Errors.E301.format(found=temperature))
        self.temperature = temperature

    def __call__(
        self, predicted: Floats2d, targets: TargetBatch, weights: Floats1d
    ) -> tuple[float, Floats2d]:
        """Compute the loss and its gradient: see `types.Loss`."""
        xp = get_array_module(predicted)
        index = targets.rows[:, 0]
        unit = _unit(targets.values)  # (nU, nO)
        length = _length(predicted)
        direction = predicted / length
        scores = direction @ unit.T
        scores /= self.temperature
        scores -= scores.max(axis=1, keepdims=True)
        rows = xp.arange(len(scores))
        right = scores[rows, index]
        probs = xp.exp(scores, out=scores)
        total = probs.sum(axis=1, keepdims=True)
        share = _share(weights)
        loss = float((share[:, 0] * (xp.log(total[:, 0]) - right)).sum())
        probs *= share / total
        probs[rows, index] -= share[:, 0]
        d_direction = (probs @ unit) / self.temperature
        along = (d_direction * direction).sum(axis=1, keepdims=True)
        return loss, (d_direction - along * direction) / length


def _share(weights: Any) -> Floats2d:
    return (weights / weights.sum()).reshape(-1, 1)


def _length(X: Floats2d) -> Floats2d:
    xp = get_array_module(X)
    return xp.sqrt((X * X).sum(axis=1, keepdims=True) + EPSILON)


def _unit(X: Floats2d) -> Floats2d:
    return X / _length(X)

"""Loss functions for predicted vectors and for logits over ids, each with its gradient."""

from typing import Annotated, Any

import numpy as np
from thinc.api import Ops, get_array_module
from thinc.types import Floats1d, Floats2d, Ints1d

from ..checks import Range, Seed, Size, checked
from ..types import Sample, TargetBatch

EPSILON = 1e-12  # avoids division by zero for a vector of zeros


class CosineLoss:
    """One minus the cosine of prediction and target. The lengths of both vectors are free."""

    kind = "vectors"

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

    Its gradient is `(prediction - target) / n`, as in spacy-pretrain-polyaxon.
    """

    kind = "vectors"

    def __call__(
        self, predicted: Floats2d, targets: TargetBatch, weights: Floats1d
    ) -> tuple[float, Floats2d]:
        """Compute the loss and its gradient: see `types.Loss`."""
        values: Any = targets.values
        difference: Any = predicted - values[targets.rows[:, 0]]
        gradient = difference * _share(weights)
        distance: Any = gradient * difference
        return float(0.5 * distance.sum()), gradient


class ContrastiveLoss:
    """Cross-entropy of the right vector among the distinct target vectors of the batch.

    The scores are cosines divided by a temperature: a softmax that needs no output vocabulary.
    After van den Oord et al., "Representation Learning with Contrastive Predictive Coding" (2018).
    The candidates are the distinct vectors of the batch. If a batch is spread over processes, they
    are those of all its shards.

    temperature (float): Divides the cosines. Recommended values: 0.02 to 0.2.
    RAISES (ValueError): If the temperature is not positive.
    """

    kind = "vectors"
    shares_targets = True

    @checked("spacy-charlm.ContrastiveLoss.v1")
    def __init__(self, temperature: Annotated[float, Range(1e-6, 1e6)] = 0.05) -> None:
        self.temperature = temperature

    def __call__(
        self, predicted: Floats2d, targets: TargetBatch, weights: Floats1d
    ) -> tuple[float, Floats2d]:
        """Compute the loss and its gradient: see `types.Loss`."""
        unit = _unit(targets.values)  # (nU, nO)
        length = _length(predicted)
        direction = predicted / length
        scores = direction @ unit.T
        scores /= self.temperature
        loss, d_scores = _cross_entropy(scores, targets.rows[:, 0], weights)
        d_direction = (d_scores @ unit) / self.temperature
        along = (d_direction * direction).sum(axis=1, keepdims=True)
        return loss, (d_direction - along * direction) / length


class CrossEntropyLoss:
    """Cross-entropy of the right id under a softmax over all ids of the vocabulary.

    The cost of the output layer grows with the vocabulary: for more than some thousand ids use
    `SampledSoftmaxLoss`.
    """

    kind = "ids"

    def __call__(
        self, predicted: Floats2d, targets: TargetBatch, weights: Floats1d
    ) -> tuple[float, Floats2d]:
        """Compute the loss and its gradient with respect to the logits: see `types.Loss`."""
        return _cross_entropy(
            get_array_module(predicted).array(predicted), targets.rows[:, 0], weights
        )

    def sample(self, ops: Ops, ids: Ints1d, nO: int) -> Sample | None:
        """Ask for all ids: see `types.IdLoss`."""
        return None


class SampledSoftmaxLoss(CrossEntropyLoss):
    """Cross-entropy under a softmax over the ids of the batch and a random sample of the others.

    Each sampled id stands for the ids that were not drawn, so that the sum in the denominator is an
    unbiased estimate of that of the full softmax. After Jean et al., "On Using Very Large Target
    Vocabulary for Neural Machine Translation" (2015); the ids of the batch are always candidates.
    Evaluations use the full softmax.

    n_samples (int): Ids that are drawn in addition to those of the batch. Recommended values: 500
        to 5000.
    seed (int): Seed of the generator.
    RAISES (ValueError): If `n_samples` is below 1.
    """

    @checked("spacy-charlm.SampledSoftmaxLoss.v1")
    def __init__(self, n_samples: Size = 2000, seed: Seed = 0) -> None:
        self.n_samples = n_samples
        self.seed = seed
        self._rng = np.random.default_rng(seed)

    def restart(self, *key: int) -> None:
        """Reseed the generator from its seed and a key: see `types.Masking`."""
        self._rng = np.random.default_rng([self.seed, *key])

    def sample(self, ops: Ops, ids: Ints1d, nO: int) -> Sample | None:
        """Draw ids: see `types.IdLoss`. None if there are no more than would be drawn."""
        others = np.delete(np.arange(nO), ops.to_numpy(ids))
        if len(others) <= self.n_samples:
            return None
        drawn = self._rng.choice(others, self.n_samples, replace=False, shuffle=False)
        log_weights: Any = np.zeros(nO, dtype="float32")
        log_weights[drawn] = np.log(len(others) / self.n_samples)
        chosen: Any = np.sort(np.concatenate([ops.to_numpy(ids), drawn]))
        return Sample(ops.asarray1i(chosen), ops.asarray1f(log_weights[chosen]))


def _cross_entropy(scores: Any, index: Any, weights: Any) -> tuple[float, Any]:
    """Weighted mean of the cross-entropy of a softmax. `scores` is overwritten by the gradient."""
    xp = get_array_module(scores)
    scores -= scores.max(axis=1, keepdims=True)
    rows = xp.arange(len(scores))
    right = scores[rows, index]
    probs = xp.exp(scores, out=scores)
    total = probs.sum(axis=1, keepdims=True)
    share = _share(weights)
    loss = float((share[:, 0] * (xp.log(total[:, 0]) - right)).sum())
    probs *= share / total
    probs[rows, index] -= share[:, 0]
    return loss, probs


def _share(weights: Any) -> Any:
    return (weights / weights.sum()).reshape(-1, 1)


def _length(X: Any) -> Any:
    xp = get_array_module(X)
    return xp.sqrt((X * X).sum(axis=1, keepdims=True) + EPSILON)


def _unit(X: Any) -> Any:
    return X / _length(X)

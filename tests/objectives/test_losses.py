import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from spacy_charlm.objectives.losses import (
    ContrastiveLoss,
    CosineLoss,
    CrossEntropyLoss,
    SampledSoftmaxLoss,
    SquaredErrorLoss,
)
from spacy_charlm.types import TargetBatch

LOSSES = [CosineLoss(), SquaredErrorLoss(), ContrastiveLoss(), ContrastiveLoss(temperature=1.0)]
RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(5, 4))
# Rows of the targets, weights: repeated targets, unequal weights, one row, all rows of one target.
BATCHES = {
    "repeated": ([0, 2, 2, 4, 2, 0], [1.0, 0.5, 2.0, 0.1, 1.0, 1.0]),
    "one row": ([3], [0.7]),
    "one target": ([1, 1, 1], [1.0, 2.0, 3.0]),
}


def make_batch(name):
    """Targets as the objective hands them over: only those of the batch's rows."""
    words, weights = BATCHES[name]
    used, rows = np.unique(words, return_inverse=True)
    targets = TargetBatch(VALUES[used], rows.astype("int32").reshape(-1, 1))
    return RNG.normal(size=(len(words), 4)), targets, np.array(weights)


def numeric(loss, predicted, targets, weights, step=1e-6):
    gradient = np.zeros_like(predicted)
    for place in np.ndindex(*predicted.shape):
        moved = predicted.copy()
        moved[place] += step
        above, _ = loss(moved, targets, weights)
        moved[place] -= 2 * step
        below, _ = loss(moved, targets, weights)
        gradient[place] = (above - below) / (2 * step)
    return gradient


@pytest.fixture(params=LOSSES, ids=lambda loss: type(loss).__name__)
def loss(request):
    return request.param


@pytest.mark.parametrize("batch", BATCHES)
def test_losses_derivative_is_the_gradient(loss, batch):
    predicted, targets, weights = make_batch(batch)
    kept = predicted.copy(), targets.values.copy(), weights.copy()
    value, gradient = loss(predicted, targets, weights)
    assert isinstance(value, float) and gradient.shape == predicted.shape
    assert gradient.dtype == np.float64
    assert_allclose(gradient, numeric(loss, predicted, targets, weights), atol=1e-8)
    for old, new in zip(kept, (predicted, targets.values, weights)):
        assert_array_equal(old, new)


def test_losses_take_zero_vectors(loss):
    """A prediction of zeros has no direction: finite loss, finite gradient."""
    predicted, targets, weights = make_batch("repeated")
    predicted[1] = 0
    targets = TargetBatch(targets.values * [[1], [1], [0]], targets.rows)
    value, gradient = loss(predicted, targets, weights)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_losses_keep_float32(loss):
    predicted, targets, weights = make_batch("repeated")
    targets = TargetBatch(targets.values.astype("float32"), targets.rows)
    _, gradient = loss(predicted.astype("float32"), targets, weights.astype("float32"))
    assert gradient.dtype == np.float32


ID_LOSSES = [CrossEntropyLoss(), SampledSoftmaxLoss()]


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("id_loss", ID_LOSSES)
def test_id_losses_derivative_is_the_gradient(id_loss, batch):
    words, weights = BATCHES[batch]
    logits = RNG.normal(size=(len(words), 5))
    targets = TargetBatch(None, np.array(words, dtype="int32").reshape(-1, 1))
    kept = logits.copy()
    value, gradient = id_loss(logits, targets, np.array(weights))
    assert_array_equal(logits, kept)
    assert_allclose(gradient, numeric(id_loss, logits, targets, np.array(weights)), atol=1e-8)
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    right = -logs[np.arange(len(words)), words]
    assert_allclose(value, np.average(right, weights=weights))


def test_sampled_softmax_draws_others_that_stand_for_all(ops):
    loss, ids = SampledSoftmaxLoss(n_samples=8, seed=3), ops.asarray1i([2, 5, 10])
    found = loss.sample(ops, ids, 20)
    drawn = ops.to_numpy(found.ids)
    assert len(np.unique(drawn)) == len(drawn) == 11 and (np.sort(drawn) == drawn).all()
    assert {2, 5, 10} < set(drawn.tolist()) <= set(range(20))
    numbers = np.exp(ops.to_numpy(found.log_weights))
    assert_allclose(numbers[np.isin(drawn, [2, 5, 10])], 1)
    assert_allclose(numbers.sum(), 20, rtol=1e-5)  # each stands for some, together for all
    assert loss.sample(ops, ids, 11) is None


def test_sampled_softmax_draws_the_same_after_a_restart(ops):
    loss, ids = SampledSoftmaxLoss(n_samples=8, seed=3), ops.asarray1i([2, 5, 10])

    def draw(*key):
        loss.restart(*key)
        return loss.sample(ops, ids, 1000).ids.tolist()

    assert draw(4, 1) == draw(4, 1) != draw(4, 2)


def test_sampled_softmax_names_a_wrong_number():
    with pytest.raises(ValueError, match="E560.*found 0"):
        SampledSoftmaxLoss(n_samples=0)


@pytest.mark.parametrize("pointwise", [CosineLoss(), SquaredErrorLoss()])
def test_losses_are_weighted_means_over_rows(pointwise):
    predicted, targets, weights = make_batch("repeated")
    alone = [
        pointwise(
            predicted[i : i + 1], TargetBatch(targets.values, targets.rows[i : i + 1]), weights[:1]
        )[0]
        for i in range(len(predicted))
    ]
    assert_allclose(pointwise(predicted, targets, weights)[0], np.average(alone, weights=weights))


def test_losses_formulas():
    predicted, targets, weights = make_batch("repeated")
    goal = targets.values[targets.rows[:, 0]]
    cosines = (predicted * goal).sum(1)
    cosines /= np.linalg.norm(predicted, axis=1) * np.linalg.norm(goal, axis=1)
    assert_allclose(
        CosineLoss()(predicted, targets, weights)[0], np.average(1 - cosines, 0, weights)
    )
    squared, gradient = SquaredErrorLoss()(predicted, targets, np.ones(6))
    assert_allclose(squared, 0.5 * ((predicted - goal) ** 2).sum(1).mean())
    assert_allclose(gradient, (predicted - goal) / 6)
    # The batch's distinct targets are the candidates: words 0, 2 and 4.
    unit = predicted / np.linalg.norm(predicted, axis=1, keepdims=True)
    scores = unit @ (VALUES / np.linalg.norm(VALUES, axis=1, keepdims=True))[[0, 2, 4]].T / 0.5
    logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    right = -logs[np.arange(6), [0, 1, 1, 2, 1, 0]]
    value, _ = ContrastiveLoss(0.5)(predicted, targets, weights)
    assert_allclose(value, np.average(right, weights=weights))


def test_contrastive_loss_with_one_candidate_is_zero():
    value, gradient = ContrastiveLoss()(*make_batch("one target"))
    assert_allclose(value, 0, atol=1e-12)
    assert_allclose(gradient, 0, atol=1e-12)


def test_contrastive_loss_takes_a_small_temperature():
    value, gradient = ContrastiveLoss(1e-4)(*make_batch("repeated"))
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("temperature", [0, -1, float("nan")])
def test_contrastive_loss_names_a_wrong_temperature(temperature):
    with pytest.raises(ValueError, match=f"E560.*found {temperature}"):
        ContrastiveLoss(temperature)


def test_losses_agree_across_devices(loss, ops):
    if ops.name == "numpy":
        pytest.skip("compares CuPy with NumPy")
    predicted, targets, weights = make_batch("repeated")
    on_device = TargetBatch(ops.asarray2f(VALUES), ops.asarray2i(targets.rows))
    value, gradient = loss(ops.asarray2f(predicted), on_device, ops.asarray1f(weights))
    expected, expected_gradient = loss(predicted, targets, weights)
    assert_allclose(value, expected, atol=1e-4)
    assert_allclose(ops.to_numpy(gradient), expected_gradient, atol=1e-4)

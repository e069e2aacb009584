from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from spacy.training.iob_utils import tags_to_entities
from thinc.api import Ragged, get_array_module

from spacy_charlm.layers.crf import (
    IMPOSSIBLE,
    WEIGHTS,
    TagGroups,
    TagScores,
    compute_loss,
    crf,
    decode,
    find_spans,
    list_tags,
    log_partition,
)

LABELS = ["PER", "LOC"]
TAGS = list_tags(LABELS)
nO = len(TAGS)
LENGTHS = [3, 0, 1, 4, 1, 0]
FILLED = [length for length in LENGTHS if length]


def draw(lengths, seed=0, scale=2.0, dtype="float64", nL=2):
    rng = np.random.default_rng(seed)
    n = 2 * nL + 1
    shapes = [(n,), (n,), (n, n), (2, 2, nL)]
    X = rng.normal(size=(sum(lengths), 4 * nL + 1), scale=scale).astype(dtype)
    weights = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    return TagScores(Ragged(X, np.array(lengths, dtype="int32")), *weights)


def is_valid(first, second):
    """Whether BILUO allows two tags in a row; None stands for the start or the end."""
    if first is None or first[0] in "LOU":
        return second is None or second[0] in "OUB"
    return second is not None and second[0] in "IL" and second[1:] == first[1:]


def list_sequences(n):
    """All valid sequences of columns."""
    for columns in product(range(nO), repeat=n):
        names = [None, *(TAGS[i] for i in columns), None]
        if all(is_valid(a, b) for a, b in zip(names, names[1:])):
            yield columns


def score_sequence(scores, X, columns):
    """The score of a sequence of tags by their names, and not by groups of columns."""
    closed = [tag for tag in TAGS if tag[0] in "LOU"]
    opening = [tag for tag in TAGS if tag[0] in "OUB"]
    names = [TAGS[i] for i in columns]
    total = sum(X[i, column] for i, column in enumerate(columns))
    total += scores.start[opening.index(names[0])] + scores.end[closed.index(names[-1])]
    for a, b in zip(names, names[1:]):
        if a in closed:
            total += scores.outer[closed.index(a), opening.index(b)]
        else:
            total += scores.inner["BI".index(a[0]), "IL".index(b[0]), LABELS.index(a[2:])]
    return total


def split(scores):
    X, lengths = scores.emissions.dataXd, scores.emissions.lengths
    return np.split(X, np.cumsum(lengths)[:-1])


def test_crf_tags_are_those_of_biluo():
    assert len(TAGS) == len(set(TAGS)) == 4 * len(LABELS) + 1
    groups = TagGroups(nO)
    assert TAGS[groups.outside] == "O"
    names = {
        "last": "L",
        "closed": "LOU",
        "opening": "OUB",
        "unit": "U",
        "begin": "B",
        "inside": "I",
    }
    for name, kinds in names.items():
        assert {tag[0] for tag in TAGS[getattr(groups, name)]} == set(kinds)
    assert sum(1 for _ in list_sequences(1)) == 1 + len(LABELS)


def test_crf_partition_and_marginals_of_all_sequences(ops64):
    scores = draw(FILLED)
    logZ, backprop = log_partition(ops64, scores)
    gradient = backprop(np.ones(len(FILLED)))
    found = split(gradient)
    for X, Z, marginals in zip(split(scores), logZ, found, strict=True):
        expected, total = np.zeros_like(X), 0.0
        for columns in list_sequences(len(X)):
            p = np.exp(score_sequence(scores, X, columns) - Z)
            total += p
            for i, column in enumerate(columns):
                expected[i, column] += p
        assert total == pytest.approx(1)
        assert_allclose(marginals, expected, atol=1e-12)


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_crf_decodes_the_best_sequence(ops64, scale):
    for seed in range(5):
        scores = draw(LENGTHS, seed, scale)
        tags = decode(ops64, scores)
        ends = np.cumsum(LENGTHS)
        for X, end in zip(split(scores), ends):
            if len(X):
                found = tuple(tags[end - len(X) : end])
                expected = max(list_sequences(len(X)), key=lambda c: score_sequence(scores, X, c))
                assert found == expected
        names = [TAGS[i] for i in tags]
        spans = [
            (start, end + 1, LABELS.index(name)) for name, start, end in tags_to_entities(names)
        ]
        assert find_spans(tags, nO) == spans


def draw_known(share, seed=0):
    """Tags of valid sequences, some of which are not known."""
    rng = np.random.default_rng(seed)
    tags = []
    for length in LENGTHS:
        sequences = list(list_sequences(length)) if length else [()]
        tags += sequences[rng.integers(len(sequences))]
    return np.where(rng.random(len(tags)) < share, np.array(tags, dtype="int64"), -1)


@pytest.mark.parametrize("weight", [0.0, 0.7])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_crf_loss_of_all_sequences_that_agree(ops64, share, weight):
    scores, tags = draw(LENGTHS), draw_known(share)
    before = [np.copy(part) for part in (scores.emissions.dataXd, *scores[1:], tags)]
    loss, gradient = compute_loss(ops64, scores, tags, weight)
    expected = 0.0
    for X, known in zip(split(scores), np.split(tags, np.cumsum(LENGTHS)[:-1])):
        if not len(X) or (known < 0).all():
            continue
        all_scores, right, right_kinds = [], [], []
        for columns in list_sequences(len(X)):
            score = score_sequence(scores, X, columns)
            all_scores.append(score)
            if all(tag in (-1, column) for tag, column in zip(known, columns)):
                right.append(score)
            if all(tag == -1 or TAGS[tag][0] == TAGS[i][0] for tag, i in zip(known, columns)):
                right_kinds.append(score)
        log_sum = np.logaddexp.reduce
        expected += log_sum(all_scores) - log_sum(right)
        expected += weight * (log_sum(all_scores) - log_sum(right_kinds))
    assert loss == pytest.approx(expected, abs=1e-9) and loss >= 0
    after = (scores.emissions.dataXd, *scores[1:], tags)
    for old, new in zip(before, after):
        assert_array_equal(old, new)
    if not share:
        assert not any(part.any() for part in (gradient.emissions.dataXd, *gradient[1:]))


@pytest.mark.parametrize("weight", [0.0, 0.7])
@pytest.mark.parametrize("share", [0.4, 1.0])
def test_crf_gradient_of_the_loss(ops64, share, weight):
    scores, tags = draw(LENGTHS), draw_known(share)
    _, gradient = compute_loss(ops64, scores, tags, weight)
    pairs = zip((scores.emissions.dataXd, *scores[1:]), (gradient.emissions.dataXd, *gradient[1:]))
    for values, derivative in pairs:
        assert values.shape == derivative.shape and derivative.dtype == np.float64
        assert derivative.any()
        for place in np.ndindex(*values.shape):
            losses = []
            for step in (1e-6, -2e-6):
                values[place] += step
                losses.append(compute_loss(ops64, scores, tags, weight)[0])
            values[place] += 1e-6
            assert_allclose(derivative[place], (losses[0] - losses[1]) / 2e-6, atol=1e-7)


def test_crf_segmentation_is_all_that_one_label_has(ops64):
    scores = draw(LENGTHS, nL=1)
    tags = decode(ops64, draw(LENGTHS, seed=1, nL=1))
    tags[::3] = -1
    loss, gradient = compute_loss(ops64, scores, tags)
    both, gradient_of_both = compute_loss(ops64, scores, tags, 0.7)
    assert loss > 0 and both == pytest.approx(1.7 * loss)
    gradients = gradient, gradient_of_both
    for one, other in zip(*((each.emissions.dataXd, *each[1:]) for each in gradients)):
        assert_allclose(other, 1.7 * one, atol=1e-12)


def test_crf_segmentation_costs_nothing_without_weight(ops64, monkeypatch):
    sizes = []

    def count(ops, scores):
        sizes.append(len(scores.emissions.dataXd))
        return log_partition(ops, scores)

    monkeypatch.setattr("spacy_charlm.layers.crf.log_partition", count)
    for weight in (0.0, 0.5):
        compute_loss(ops64, draw(LENGTHS), draw_known(1.0), weight)
    assert sizes == [2 * sum(LENGTHS), 3 * sum(LENGTHS)]


@pytest.mark.parametrize("weight", [0.0, 0.7])
@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_crf_of_nothing(ops, lengths, weight):
    scores = draw(lengths, dtype="float32")
    scores = TagScores(
        Ragged(ops.asarray(scores.emissions.dataXd), ops.asarray1i(lengths)),
        *(ops.asarray(part) for part in scores[1:]),
    )
    loss, gradient = compute_loss(ops, scores, np.zeros(0, dtype="int64"), weight)
    assert loss == 0 and gradient.emissions.dataXd.shape == (0, nO)
    assert not any(part.any() for part in gradient[1:])
    assert decode(ops, scores).shape == (0,)
    assert find_spans(decode(ops, scores), nO) == []


def to_device(ops, scores):
    lengths = ops.asarray1i(scores.emissions.lengths)
    X = ops.asarray2f(scores.emissions.dataXd)
    return TagScores(Ragged(X, lengths), *(ops.asarray(part, "float32") for part in scores[1:]))


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_crf_in_float32_on_long_texts(ops, ops64, weight):
    """Sums of thousands of scores lose no precision, and different lengths do not mix."""
    lengths = [3000, 1, 0, 2999, 40]
    scores = draw(lengths, scale=5.0)
    tags = decode(ops64, scores)
    tags[::3] = -1
    exact_loss, exact = compute_loss(ops64, scores, tags, weight)
    loss, gradient = compute_loss(ops, to_device(ops, scores), tags, weight)
    assert loss == pytest.approx(exact_loss, rel=1e-3)
    found = [gradient.emissions.dataXd, *gradient[1:]]
    for part, expected in zip(found, [exact.emissions.dataXd, *exact[1:]]):
        assert part.dtype == "float32" and get_array_module(part) is ops.xp
        assert_allclose(ops.to_numpy(part), expected, atol=1e-4 * max(1, abs(expected).max()))
    again = decode(ops, to_device(ops, scores))
    assert (again == decode(ops64, scores)).mean() > 0.999


def test_crf_bias_counts_in_prediction_only(ops):
    model = crf()
    model.ops = ops
    scores = draw(LENGTHS, dtype="float32")
    X = Ragged(ops.asarray2f(scores.emissions.dataXd), ops.asarray1i(LENGTHS))
    model.initialize(X=X)
    model.set_param("bias", ops.alloc1f(1) + 3)
    copy = crf(nO).from_bytes(model.to_bytes())
    expected = scores.emissions.dataXd.copy()
    expected[:, TAGS.index("O")] += 3
    for each in (model, copy):
        assert_allclose(ops.to_numpy(each.predict(X).emissions.dataXd), expected, rtol=1e-6)
    trained, backprop = model.begin_update(X)
    assert_array_equal(ops.to_numpy(trained.emissions.dataXd), scores.emissions.dataXd)
    # After an update the bias no longer fits, and is 0 again.
    predicted = model.predict(X).emissions.dataXd
    assert_array_equal(ops.to_numpy(predicted), scores.emissions.dataXd)
    backprop(trained)
    assert not model.has_grad("bias") and all(model.has_grad(name) for name in WEIGHTS)


def test_crf_forbidden_tags_are_not_decoded(ops64):
    scores = draw([5, 2])
    groups = TagGroups(nO)
    scores.emissions.dataXd[:, groups.opening] += IMPOSSIBLE
    scores.emissions.dataXd[:, groups.outside] -= IMPOSSIBLE
    assert (decode(ops64, scores) == groups.outside).all()


@pytest.mark.parametrize("wrong", [1, 4, 8, 10])
def test_crf_says_what_is_wrong(wrong):
    with pytest.raises(ValueError, match=f"E765.*{wrong}"):
        crf(wrong)

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from thinc.api import NumpyOps

import spacy_charlm.decoding.neighbours as module
from spacy_charlm.decoding.neighbours import Neighbours, best_words

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(50, 6)).astype("float32")
QUERIES = RNG.normal(size=(7, 6)).astype("float32")


def cosines(Q, T):
    Q = Q / np.linalg.norm(Q, axis=1, keepdims=True)
    return Q @ (T / np.linalg.norm(T, axis=1, keepdims=True)).T


@pytest.fixture(params=[1, 8, 1000])
def block(request, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", request.param)
    monkeypatch.setattr(module, "QUERIES", 3)


def to_numpy(ops, found):
    return ops.to_numpy(found.rows), ops.to_numpy(found.scores)


@pytest.mark.parametrize("k", [1, 5, 50, 80])
def test_neighbours_are_the_nearest_by_cosine(ops, block, k):
    expected = cosines(QUERIES, TABLE)
    rows, scores = to_numpy(ops, Neighbours(TABLE, ops).search(QUERIES, k))
    order = np.argsort(-expected, axis=1)[:, :k]
    assert_array_equal(rows, order)  # k is larger than the number of rows
    assert_allclose(scores, np.take_along_axis(expected, order, axis=1), atol=1e-5)


def test_neighbours_correct_for_hubs(ops, block):
    """CSLS is 2 cos(q, r) minus the mean cosine of r with its ten nearest queries."""
    sample = RNG.normal(size=(30, 6)).astype("float32")
    near = np.sort(cosines(TABLE, sample), axis=1)[:, -10:].mean(axis=1)
    expected = 2 * cosines(QUERIES, TABLE) - near
    table = Neighbours(TABLE, ops)
    rows, scores = to_numpy(ops, table.search_csls(QUERIES, 3, table.hubness(sample)))
    order = np.argsort(-expected, axis=1)[:, :3]
    assert_array_equal(rows, order)
    assert_allclose(scores, np.take_along_axis(expected, order, axis=1), atol=1e-5)


@pytest.mark.parametrize("n", [1, 5, len(TABLE)])
def test_a_row_is_not_compared_with_itself(ops, block, n):
    """If the first rows of the table are the typical queries."""
    scores = cosines(TABLE, TABLE[:n])
    scores[np.arange(n), np.arange(n)] = -1.0
    near = np.sort(scores, axis=1)[:, -max(1, min(10, n - 1)) :].mean(axis=1)
    found = Neighbours(TABLE, ops).hubness(TABLE[:n], of_rows=True)
    assert_allclose(ops.to_numpy(found), near, atol=1e-5)


def test_a_hub_loses():
    """A row that is near to every query is first by cosine, but not by CSLS."""
    ops = NumpyOps()
    own = np.eye(12, dtype="float32")
    hub = np.ones((1, 12), dtype="float32")
    queries = own + 0.4 * hub
    table = Neighbours(np.vstack([own, hub]), ops)
    assert (table.search(queries, 1).rows == 12).all()
    assert_array_equal(table.search_csls(queries, 1).rows[:, 0], np.arange(12))
    assert_array_equal(table.search_inverted(queries, 1).rows[:, 0], np.arange(12))


def test_neighbours_by_inverted_softmax(ops, block):
    logits = cosines(QUERIES, TABLE) / 0.1
    expected = logits - np.log(np.exp(logits).sum(axis=0))
    found = Neighbours(TABLE, ops).search_inverted(QUERIES, 4, temperature=0.1)
    rows, scores = to_numpy(ops, found)
    order = np.argsort(-expected, axis=1)[:, :4]
    assert_array_equal(rows, order)
    assert_allclose(scores, np.take_along_axis(expected, order, axis=1), atol=1e-4)


def test_neighbours_rank_a_row(ops, block):
    wanted = RNG.integers(0, 50, 7)
    order = np.argsort(-cosines(QUERIES, TABLE), axis=1)
    expected = [order[i].tolist().index(row) for i, row in enumerate(wanted)]
    assert_array_equal(ops.to_numpy(Neighbours(TABLE, ops).rank(QUERIES, wanted)), expected)


def test_neighbours_rank_agrees_with_search(ops, block):
    """Rows can be equal, for example in a pruned table."""
    table = np.repeat(TABLE[:5], 4, axis=0)
    wanted = np.arange(20)
    neighbours = Neighbours(table, ops)
    queries = QUERIES[:1].repeat(20, axis=0)
    found, _ = to_numpy(ops, neighbours.search(queries[:1], 20))
    ranks = ops.to_numpy(neighbours.rank(queries, wanted))
    assert_array_equal(found[0][ranks], wanted)


def test_neighbours_rank_invalid_queries_last(ops):
    queries = QUERIES[:3].copy()
    queries[1], queries[2, 0] = 0, np.nan
    ranks = ops.to_numpy(Neighbours(TABLE, ops).rank(queries, np.array([0, 0, 0])))
    assert ranks[0] < 50 and ranks[1:].tolist() == [50, 50]


def test_neighbours_are_a_language_model(ops, block):
    """The softmax of the cosines, whose probabilities sum to one."""
    wanted = RNG.integers(0, 50, 7)
    temperatures = [0.02, 0.1, 1.0]
    found = ops.to_numpy(Neighbours(TABLE, ops).log_probability(QUERIES, wanted, temperatures))
    for row, temperature in zip(found, temperatures):
        logits = cosines(QUERIES, TABLE) / temperature
        expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        assert_allclose(row, expected[np.arange(7), wanted], rtol=1e-4, atol=1e-4)
    table, same = Neighbours(TABLE, ops), QUERIES[:1].repeat(50, axis=0)
    every = ops.to_numpy(table.log_probability(same, np.arange(50), [0.1]))
    assert_allclose(np.exp(every).sum(), 1, rtol=1e-4)


def test_neighbours_leave_arrays_and_zeros_alone(ops):
    table, queries = TABLE.copy(), QUERIES.copy()
    table[3] = 0
    kept = table.copy(), queries.copy()
    rows, scores = to_numpy(ops, Neighbours(table, ops).search(queries, 50))
    assert_array_equal(table, kept[0])
    assert_array_equal(queries, kept[1])
    assert (rows[:, -1] == 3).all() and np.isneginf(scores[:, -1]).all()
    words = best_words([f"w{i}" for i in range(50)], module.Found(rows, scores), ops)
    assert all(len(row) == 49 and "w3" not in dict(row) for row in words)


def test_neighbours_prefer_the_earlier_of_equal_rows(ops, block):
    table = np.repeat(TABLE[:2], 5, axis=0)
    rows, _ = to_numpy(ops, Neighbours(table, ops).search(TABLE[:1], 5))
    assert_array_equal(rows, [[0, 1, 2, 3, 4]])


def test_neighbours_of_nothing(ops):
    table = Neighbours(TABLE, ops)
    for found in (
        table.search(QUERIES[:0], 3),
        table.search_csls(QUERIES[:0], 3, table.hubness(QUERIES)),
        table.search_inverted(QUERIES[:0], 3),
    ):
        assert found.rows.shape == (0, 3) and found.scores.shape == (0, 3)
    zero = table.search(np.zeros((1, 6), "float32"), 2)  # no division by zero
    assert np.isfinite(ops.to_numpy(zero.scores)).all()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda ops: Neighbours(TABLE[:0], ops), r"E720.*\(0, 6\)"),
        (lambda ops: Neighbours(np.array([[1.0], [np.nan]]), ops), "E721.*1 rows.*row 1"),
        (lambda ops: Neighbours(TABLE, ops).search(QUERIES[:, :3]), "E722.*width 6.*width 3"),
        (lambda ops: Neighbours(TABLE, ops).search(QUERIES, 0), "E723.*found 0"),
    ],
)
def test_neighbours_name_what_is_wrong(ops, call, message):
    with pytest.raises(ValueError, match=message):
        call(ops)

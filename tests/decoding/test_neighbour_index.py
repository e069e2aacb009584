import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from thinc.api import NumpyOps

import spacy_charlm.decoding.neighbour_index as module
from spacy_charlm.decoding.neighbour_index import NeighbourIndex
from spacy_charlm.decoding.neighbours import Neighbours, best_words

pytest.importorskip("usearch", reason="needs the extra ann")
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(2000, 30)).astype("float32")
QUERIES = RNG.normal(size=(100, 30)).astype("float32")


@pytest.mark.parametrize("dtype", ["f16", "i8"])
def test_index_finds_what_the_exact_search_finds(dtype, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 700)
    expected = Neighbours(TABLE, NumpyOps(use_blis=False)).search(QUERIES, 5)
    before = TABLE.copy(), QUERIES.copy()
    found = NeighbourIndex(TABLE, dtype=dtype).search(QUERIES, 5)
    assert_array_equal((TABLE, QUERIES)[0], before[0])
    assert_array_equal(QUERIES, before[1])
    assert found.rows.shape == found.scores.shape == (100, 5)
    same = found.rows[:, 0] == expected.rows[:, 0]
    assert same.mean() >= (0.95 if dtype == "f16" else 0.9)  # usearch inserts rows in any order
    assert_allclose(found.scores[same, 0], expected.scores[same, 0], atol=0.02)
    assert (np.diff(found.scores) <= 0).all()


def test_index_from_disk_finds_the_same(tmp_path):
    index = NeighbourIndex(TABLE)
    index.to_disk(tmp_path / "words.usearch")
    loaded = NeighbourIndex.from_disk(tmp_path / "words.usearch")
    assert len(loaded) == len(index) == 2000
    for a, b in zip(loaded.search(QUERIES), index.search(QUERIES)):
        assert_array_equal(a, b)


def test_index_goes_to_another_process():
    index = NeighbourIndex(TABLE, effort=100)
    copy = pickle.loads(pickle.dumps(index))
    assert copy._index.expansion_search == 100
    for a, b in zip(copy.search(QUERIES), index.search(QUERIES)):
        assert_array_equal(a, b)


@pytest.mark.parametrize("n_queries", [1, 3])
def test_index_of_equal_rows(n_queries):
    """The search reaches only some of the rows. The others get no word."""
    index = NeighbourIndex(np.ones((3000, 4), dtype="float32"))
    found = index.search(np.ones((n_queries, 4), dtype="float32"), 2000)
    assert found.rows.shape == found.scores.shape == (n_queries, 2000)
    reached = np.isfinite(found.scores)
    assert 0 < reached.sum() < reached.size
    assert_allclose(found.scores[reached], 1, atol=1e-3)
    named = best_words([str(i) for i in range(3000)], found, index.ops)
    for words, these in zip(named, reached):
        assert len({word for word, _ in words}) == len(words) == these.sum()


def test_index_takes_queries_of_any_device(ops):
    index = NeighbourIndex(TABLE)
    expected = index.search(QUERIES)
    for a, b in zip(index.search(ops.asarray2f(QUERIES)), expected):
        assert_array_equal(a, b)


def test_index_never_finds_rows_of_zeros():
    table = TABLE[:20].copy()
    table[3] = 0
    index = NeighbourIndex(table)
    found = index.search(QUERIES, 50)
    assert found.rows.shape == (100, 19) and 3 not in found.rows
    words = [str(i) for i in range(20)]
    assert len(best_words(words, found, index.ops)[0]) == 19
    assert index.search(QUERIES[:0], 5).rows.shape == (0, 5)


@pytest.mark.parametrize(
    "table, expected", [(np.zeros((0, 3)), "E720"), (np.array([[1.0, np.nan]]), "E721")]
)
def test_index_refuses_a_bad_table(table, expected):
    with pytest.raises(ValueError, match=expected):
        NeighbourIndex(table)


def test_index_refuses_bad_queries():
    index = NeighbourIndex(TABLE)
    with pytest.raises(ValueError, match="E722.*30.*4"):
        index.search(np.ones((2, 4)))
    with pytest.raises(ValueError, match="E723"):
        index.search(QUERIES, 0)


@pytest.mark.parametrize("damage", ["missing", "foreign", "cut"])
def test_index_refuses_a_bad_file(damage, tmp_path):
    path = tmp_path / "words.usearch"
    if damage == "foreign":
        path.write_bytes(b"not an index" * 100)
    elif damage == "cut":
        NeighbourIndex(TABLE).to_disk(path)
        path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="E728"):
        NeighbourIndex.from_disk(path)

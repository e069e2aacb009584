import pytest
from numpy.testing import assert_array_equal

from spacy_charlm.targets.ngram_vectors import NgramVectors


def test_ngram_vectors_are_those_of_the_neighbours(ops, table, make_doc):
    target = NgramVectors(table, [-1, 0, 2])
    target.open(None)
    docs = [make_doc("the cat Tom saw"), make_doc(""), make_doc("dog")]
    batch = target(ops, docs)
    assert (target.nO, target.nParts, table.opened) == (3, 3, 1)
    # the cat Tom saw, then dog: neighbours never come from another Doc
    expected = [[-1, 0, -1], [0, 1, 2], [1, -1, -1], [-1, 2, -1], [-1, 4, -1]]
    assert_array_equal(ops.to_numpy(batch.rows), expected)
    assert_array_equal(ops.to_numpy(batch.values), table.values)


def test_ngram_vectors_nest(ops, table, make_doc):
    target = NgramVectors(NgramVectors(table, [0, 1]), [0, 1])
    rows = target(ops, [make_doc("the cat saw")]).rows
    assert target.nParts == 4
    assert_array_equal(ops.to_numpy(rows), [[0, 1, 1, 2], [1, 2, 2, -1], [2, -1, -1, -1]])


@pytest.mark.parametrize("docs", [[], [""], ["", ""]])
def test_ngram_vectors_of_nothing(ops, table, make_doc, docs):
    batch = NgramVectors(table)(ops, [make_doc(text) for text in docs])
    assert batch.rows.shape == (0, 3)


def test_ngram_vectors_describe_themselves(table):
    card = NgramVectors(table, [-1, 1]).describe()
    assert card["target"] == "spacy-charlm.NgramVectors.v1" and card["offsets"] == [-1, 1]
    assert card["name"] == "table"


@pytest.mark.parametrize("offsets", [[], [1, 1]])
def test_ngram_vectors_need_different_offsets(table, offsets):
    with pytest.raises(ValueError, match="charlm E216"):
        NgramVectors(table, offsets)

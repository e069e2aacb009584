import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from spacy.vocab import Vocab

from spacy_charlm.targets.doc_vectors import DocVectors
from spacy_charlm.targets.ngram_vectors import NgramVectors


def test_doc_vectors_are_means(ops, table, make_doc):
    target = DocVectors(table)
    target.open(Vocab())
    docs = [make_doc("Tom Bob"), make_doc("the cat Tom"), make_doc(""), make_doc("dog dog the")]
    batch = target(ops, docs)
    the, cat, _, _, dog = table.values
    expected = [(the + cat) / 2, (dog + dog + the) / 3]
    assert_allclose(ops.to_numpy(batch.values), expected, atol=1e-6)
    # Words without a vector predict the mean as well. A text without vectors has no mean.
    assert_array_equal(ops.to_numpy(batch.rows).ravel(), [-1, -1, 0, 0, 0, 1, 1, 1])
    assert (target.nO, target.nParts, target.describe()["idf_docs"]) == (3, 1, 0)


def test_doc_vectors_weigh_by_idf(ops, table, make_doc):
    texts = ["The cat", "the dog", "THE the dog", "the"]
    target = DocVectors(table, lambda nlp: map(nlp.make_doc, texts))
    target.open(Vocab())
    batch = target(ops, [make_doc("the cat dog saw")])
    _, cat, saw, _, dog = table.values
    # "the" is in all 4 texts and has weight 0; "saw" is in none.
    weights = np.array([math.log(5 / 2), math.log(5 / 3), math.log(5)])
    expected = weights @ np.stack([cat, dog, saw]) / weights.sum()
    assert_allclose(ops.to_numpy(batch.values), [expected], atol=1e-6)
    assert target.describe()["idf_docs"] == 4
    # All weights are zero: no mean and no division by zero.
    assert_array_equal(ops.to_numpy(target(ops, [make_doc("the The")]).rows), [[-1], [-1]])


@pytest.mark.parametrize("docs", [[], [""]])
def test_doc_vectors_of_nothing(ops, table, make_doc, docs):
    batch = DocVectors(table)(ops, [make_doc(text) for text in docs])
    assert batch.rows.shape == (0, 1) and batch.values.shape == (0, 3)


def test_doc_vectors_need_one_vector_per_word(table):
    with pytest.raises(ValueError, match="charlm E219.*found one with 3"):
        DocVectors(NgramVectors(table)).open(Vocab())
    table.kind = "ids"
    with pytest.raises(ValueError, match="charlm E219.*found one with ids"):
        DocVectors(table).open(Vocab())

import numpy as np
import pytest
import spacy
from spacy.vectors import Vectors
from thinc.api import NumpyOps

from spacy_charlm.targets.ngram_sums import NgramSums

ROWS = {
    "good": [1.0, 0.0, 0.0],
    "film": [0.0, 2.0, 0.0],
    "not good": [0.0, 0.0, 3.0],
    "good film": [0.0, 0.0, -2.0],
}


@pytest.fixture
def target():
    nlp = spacy.blank("en")
    keys = [nlp.vocab.strings.add(name) for name in ROWS]
    data = np.array(list(ROWS.values()), dtype="float32")
    nlp.vocab.vectors = Vectors(strings=nlp.vocab.strings, data=data, keys=keys)
    found = NgramSums()
    found.open(nlp.vocab)
    return nlp, found


def look_up(nlp, target, *texts):
    docs = [nlp.make_doc(text) for text in texts]
    batch = target(NumpyOps(), docs)
    assert batch.rows.shape == (sum(map(len, docs)), 1)
    rows = batch.rows[:, 0]
    return [batch.values[row].tolist() if row >= 0 else None for row in rows], batch


def test_ngram_sums_adds_the_word_and_the_bigram_that_ends_at_it(target):
    found, batch = look_up(*target, "Not good film odd good", "", "good good")
    scale = 1 / 2.0  # the mean length of the rows
    expected = [
        None,  # "not" has no vector, and begins the text
        [1.0, 0.0, 3.0],
        [0.0, 2.0, -2.0],
        None,
        [1.0, 0.0, 0.0],
        [1.0, 0.0, 0.0],
        [1.0, 0.0, 0.0],
    ]
    assert found == [row and [scale * x for x in row] for row in expected]
    assert len(batch.values) == 3  # each distinct sum once


def test_ngram_sums_of_nothing(target):
    for texts in ([], [""], ["odd"]):
        found, batch = look_up(*target, *texts)
        assert found == [None] * len("".join(texts)[:1]) and batch.values.shape == (0, 3)


def test_ngram_sums_needs_bigrams():
    nlp = spacy.blank("en")
    keys = [nlp.vocab.strings.add("good")]
    data = np.ones((1, 3), dtype="float32")
    nlp.vocab.vectors = Vectors(strings=nlp.vocab.strings, data=data, keys=keys)
    with pytest.raises(ValueError, match="E221"):
        NgramSums().open(nlp.vocab)

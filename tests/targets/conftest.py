import numpy as np
import pytest
import spacy
from spacy.tokens import Doc

from spacy_charlm.types import TargetBatch

WORDS = ["the", "cat", "saw", "a", "dog"]


class Table:
    """A target with one vector for each of WORDS, and none for other words."""

    kind, unit = "vectors", "token"
    nO, nParts = 3, 1
    values = np.random.default_rng(0).normal(size=(len(WORDS), 3)).astype("float32")

    def __init__(self):
        self.opened = 0

    def open(self, vocab):
        self.opened += 1

    def describe(self):
        return {"target": "table", "name": "table", "width": 3}

    def __call__(self, ops, docs):
        rows = [WORDS.index(t.text) if t.text in WORDS else -1 for doc in docs for t in doc]
        return TargetBatch(
            ops.asarray2f(self.values), ops.asarray2i(np.array(rows, "int32").reshape(-1, 1))
        )


@pytest.fixture
def table():
    return Table()


@pytest.fixture
def make_doc():
    vocab = spacy.blank("en").vocab

    def make(text, **annotations):
        return Doc(vocab, words=text.split(), **annotations)

    return make

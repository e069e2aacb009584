"""Docs with empty, repeated, unseen and non-ASCII words, and a small CharCNN to read them."""

import numpy as np
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab

from spacy_charlm.layers.spelling_hashes import hash_spellings
from spacy_charlm.layers.vector_table import TableRows

WORDS = ["the", "cat", "saw", "The", "naïve", "encyclopaedia", "😀"]
VOCAB = Vocab(strings=WORDS)
VOCAB.vectors = Vectors(
    strings=VOCAB.strings,
    data=np.random.default_rng(3).normal(size=(len(WORDS) - 1, 3)).astype("float32"),
    keys=[VOCAB.strings[word] for word in WORDS[:-1]],
    name="tiny",
)
SMALL = {
    "width": 4,
    "windows": [3, 5],
    "filters": [3, 2],
    "char_width": 3,
    "char_rows": 40,
    "attrs": ["NORM", "SHAPE"],
    "rows": [7, 5],
    "ngrams": [3, 4],
    "ngram_rows": 11,
}


class SampleTable:
    """A table of all words but the last, in place of a VectorTable."""

    width, max_words, fuzzy = 3, 0, False

    def __call__(self):
        rng = np.random.default_rng(4)
        keys = np.sort(hash_spellings(WORDS[:-1]))
        values = rng.integers(-127, 128, size=(len(keys), self.width)).astype("int8")
        scale = rng.uniform(0.01, 0.02, size=len(keys)).astype("float32")
        return TableRows(keys, values, scale, lower=False)


class SampleLexicons:
    """Features of two lists, in place of Lexicons."""

    width, names = 6, ["cities", "names"]

    def __call__(self):
        rows = SampleTable()()
        keys = rows.keys[1:]
        values = np.random.default_rng(5).integers(0, 2, size=(len(keys), self.width))
        return TableRows(keys, values.astype("int8"), np.ones(len(keys), "float32"), lower=True)


def make_doc(*words):
    return Doc(VOCAB, words=words)


DOCS = [
    make_doc("the", "cat", "saw", "the", "cat"),
    make_doc(),
    make_doc("encyclopaedia", "naïve", "The", "unseen"),
    make_doc("😀"),
]

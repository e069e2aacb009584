"""Docs with empty, repeated, unseen and non-ASCII words, and a small CharCNN to read them."""

import numpy as np
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab

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


def make_doc(*words):
    return Doc(VOCAB, words=words)


DOCS = [
    make_doc("the", "cat", "saw", "the", "cat"),
    make_doc(),
    make_doc("encyclopaedia", "naïve", "The", "unseen"),
    make_doc("😀"),
]

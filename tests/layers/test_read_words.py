import unicodedata

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from spacy.attrs import LOWER
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab

from spacy_charlm.architectures.char_cnn import build_char_cnn_v1
from spacy_charlm.layers.characters import END, MASK, START
from spacy_charlm.layers.read_words import VectorsDropout, find_words, read_words, spell_words
from spacy_charlm.types import HIDDEN_CHAR, MaskedDocs
from tests.sample_docs import DOCS, VOCAB, WORDS, make_doc


def read(docs, **settings):
    """The characters of each token, Doc by Doc."""
    batch = read_words(**{"nV": 2**21, **settings}).predict(docs)
    words = np.split(batch.chars, np.cumsum(batch.char_lengths)[:-1])
    tokens = [words[row].tolist() for row in batch.rows]
    ends = np.cumsum(batch.lengths).tolist()
    return [tokens[end - n : end] for end, n in zip(ends, batch.lengths)]


def spell(text):
    return [START, *[4 + ord(char) for char in text], END]


def test_read_words_reads_each_distinct_word_once():
    batch = read_words(nV=1000).predict(DOCS)
    assert len(batch.char_lengths) == len({token.text for doc in DOCS for token in doc})
    assert batch.lengths == [5, 0, 4, 1]


def test_read_words_tells_words_apart_by_their_attributes():
    doc = make_doc("ca", "ca")
    doc[0].norm_ = "can"
    assert len(read_words(attrs=["NORM"]).predict([doc]).char_lengths) == 2
    assert len(read_words().predict([doc]).char_lengths) == 1


@pytest.mark.parametrize("max_chars, text", [(2, "ae"), (3, "abe"), (4, "abde"), (5, "abcde")])
def test_read_words_keeps_head_and_tail(max_chars, text):
    assert read([make_doc("abcde")], max_chars=max_chars) == [[spell(text)]]


def test_read_words_folds_code_points_into_the_table():
    (word,) = read([make_doc("aƿ😀")], nV=30)[0]
    assert word == [START, *[4 + ord(char) % 26 for char in "aƿ😀"], END]


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
def test_read_words_normalises(form):
    composed, combined = (
        unicodedata.normalize("NFC", "naïve"),
        unicodedata.normalize("NFD", "naïve"),
    )
    assert composed != combined
    docs = [make_doc(composed), make_doc(combined)]
    assert read(docs)[0] != read(docs)[1]
    assert read(docs, normalise=form) == [[spell(composed)]] * 2
    ligature = read([make_doc("ﬁn")], normalise=form)
    assert ligature == [[spell("fin" if form == "NFKC" else "ﬁn")]]


def test_read_words_reads_lower_case_too():
    model = read_words(nV=2**21)
    batch = model.predict([make_doc("Ab", "ÀÉ", "İ", "\U00010400")])
    ends = np.cumsum(batch.char_lengths)[:-1]
    words = [np.split(batch.lower_chars, ends)[row].tolist() for row in batch.rows]
    assert words == [spell(text) for text in ("ab", "àé", "İ", "\U00010400")]


WEIRD = {
    "spaces": [" ", "\n\n", "\t", "\u2003"],
    "long": ["x" * 100_000],
    "emoji": ["😀", "👩‍👩‍👧", "🇩🇪"],
    "combining": ["e" + "\u0301" * 50, "\u0301"],
    "right to left": ["שלום", "مرحبا", "\u202eabc"],
    "nul": ["\0", "a\0b"],
    "noncharacters": ["\uffff", "\U0010ffff"],
}


@pytest.mark.parametrize("name", WEIRD)
@pytest.mark.parametrize("normalise", ["none", "NFC", "NFKC"])
def test_read_words_takes_weird_words(name, normalise):
    doc = make_doc(*WEIRD[name])
    small = {"width": 4, "filters": [3, 2], "rows": [7], "ngram_rows": 11}
    model = build_char_cnn_v1(**small, normalise=normalise).initialize(X=DOCS)
    (Y,), backprop = model.begin_update([doc])
    assert Y.shape == (len(doc), 4) and np.isfinite(Y).all()
    assert backprop([Y]) == []
    if normalise == "none":
        expected = [spell(word[:16] + word[16:][-16:]) for word in WEIRD[name]]
        assert read([doc], max_chars=32) == [expected]


def test_read_words_mask_hides_characters_attributes_and_vector():
    hidden = np.array([True, False, True])
    docs = MaskedDocs([make_doc("the", "cat", "saw")], hidden, np.arange(3))
    batch = read_words(attrs=["NORM", "SHAPE"], include_static_vectors=True).predict(docs)
    first, second, third = batch.rows.tolist()
    assert first == third != second and len(batch.char_lengths) == 2
    chars = np.split(batch.chars, np.cumsum(batch.char_lengths)[:-1])
    assert chars[first].tolist() == [START, MASK, END]
    assert len(set(batch.attrs[first].tolist())) == 1
    assert not set(batch.attrs[first].tolist()) & set(batch.attrs[second].tolist())
    assert not batch.vectors[first].any() and batch.vectors[second].any()


def test_read_words_replaced_word_reads_the_other_token():
    doc = make_doc("the", "cat", "saw")
    docs = MaskedDocs([doc], np.zeros(3, bool), np.array([0, 0, 2]))
    layer = read_words(attrs=["NORM"], include_static_vectors=True)
    masked, plain = layer.predict(docs), layer.predict([make_doc("the", "the", "saw")])
    for name in ("chars", "lower_chars", "char_lengths", "attrs", "vectors", "rows"):
        assert_array_equal(getattr(masked, name), getattr(plain, name))
    assert [token.text for token in doc] == ["the", "cat", "saw"]


@pytest.mark.parametrize("rate, share", [(0.0, 0), (0.4, 0.4), (1.0, 1)])
def test_vectors_dropout_hides_whole_vectors(rate, share):
    layer = read_words(include_static_vectors=True)
    docs = [make_doc(*["the", "cat", "saw"] * 1000)]
    for dropout, expected in ((VectorsDropout(rate, seed=0), share), (None, 0)):
        batch = spell_words(layer, find_words(layer, docs, dropout))
        vectors = batch.vectors[batch.rows]
        hidden = ~vectors.any(axis=1)
        assert abs(hidden.mean() - expected) < 0.04
        table = VOCAB.vectors.data[:3]
        assert_array_equal(vectors[~hidden], np.tile(table, (1000, 1))[~hidden])


@pytest.mark.parametrize("attr", ["ORTH", "LOWER"])
@pytest.mark.parametrize("mode", ["default", "floret"])
def test_read_words_reads_static_vectors_as_spacy_does(mode, attr):
    vocab = Vocab(strings=WORDS)
    data = np.random.default_rng(3).normal(size=(7, 3)).astype("float32")
    settings = {"keys": [vocab.strings[word] for word in WORDS]}
    if mode == "floret":
        settings = {"mode": "floret", "minn": 2, "maxn": 3, "hash_count": 2}
    vocab.vectors = Vectors(strings=vocab.strings, data=data, attr=attr, **settings)
    doc = Doc(vocab, words=["The", "cat", "unseen", "the"])
    batch = read_words(include_static_vectors=True).predict([doc])
    assert_allclose(batch.vectors[batch.rows], [token.vector for token in doc])


@pytest.mark.parametrize("attr", ["ORTH", "LOWER"])
@pytest.mark.parametrize("mode", ["default", "floret"])
def test_read_words_reads_static_vectors_of_typos(mode, attr):
    """Of words that no StringStore knows; with a hidden character only by their characters."""
    vocab = Vocab(strings=WORDS, lex_attr_getters={LOWER: str.lower})
    data = np.random.default_rng(3).normal(size=(7, 3)).astype("float32")
    settings = {"keys": [vocab.strings[word] for word in WORDS]}
    if mode == "floret":
        settings = {"mode": "floret", "minn": 2, "maxn": 3, "hash_count": 2}
    vocab.vectors = Vectors(strings=vocab.strings, data=data, attr=attr, **settings)
    doc = Doc(vocab, words=["The", "cat", "saw"])
    known = len(vocab.strings)
    masked = MaskedDocs([doc], np.zeros(3, bool), np.arange(3), {0: "Teh", 1: f"c{HIDDEN_CHAR}t"})
    batch = read_words(include_static_vectors=True).predict(masked)
    assert len(vocab.strings) == known
    found, key = batch.vectors[batch.rows], "Teh" if attr == "ORTH" else "teh"
    expected = vocab.vectors.get_batch([key])[0] if mode == "floret" else np.zeros(3)
    assert_allclose(found[0], expected)
    assert_allclose(found[2], doc[2].vector)
    assert attr == "ORTH" or not found[1].any()

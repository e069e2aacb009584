import numpy as np
import pytest
import spacy
from numpy.testing import assert_array_equal
from spacy.tokens import Doc

from spacy_charlm.layers.characters import END, MASK, N_RESERVED, START, find_rows, get_codes
from spacy_charlm.layers.read_chars import find_tokens, read_chars
from spacy_charlm.layers.read_words import read_words

NLP = spacy.blank("en")
TEXTS = {
    "plain": "The cat can't sleep.",
    "nothing": "",
    "one word": "cat",
    "space at the end": "cat ",
    "spaces": "  two  spaces \n and a tab\t",
    "only spaces": "   ",
    "emoji": "a 😀😀 b 👩‍👩‍👧 🇩🇪!",
    "combining": "e\u0301te\u0301 \u0301",
    "right to left": "שלום مرحبا \u202eabc",
    "beyond": "\U0010ffff \uffff \0",
}
DOCS = [NLP.make_doc(text) for text in TEXTS.values()]


@pytest.fixture(params=[False, True], ids=["plain", "bounds"])
def model(request, ops):
    model = read_chars(500, bounds=request.param)
    model.ops = ops
    return model


def spell(text, nV=500):
    return [N_RESERVED + ord(char) % (nV - N_RESERVED) for char in text]


def test_read_chars_reads_one_row_for_each_code_point(model):
    Yr = model.predict(DOCS)
    chars, ends = model.ops.to_numpy(Yr.dataXd).tolist(), np.cumsum(model.ops.to_numpy(Yr.lengths))
    start = 0
    for text, end in zip(TEXTS.values(), ends.tolist(), strict=True):
        bounded = [START, *spell(text), END] if model.attrs["bounds"] else spell(text)
        assert chars[start:end] == bounded
        start = end
    assert start == len(chars) and Yr.dataXd.dtype == Yr.lengths.dtype == np.int32


def test_read_chars_reads_strings_as_it_reads_docs(model):
    ours, theirs = model.predict(DOCS), model.predict(list(TEXTS.values()))
    assert_array_equal(model.ops.to_numpy(ours.dataXd), model.ops.to_numpy(theirs.dataXd))
    assert_array_equal(model.ops.to_numpy(ours.lengths), model.ops.to_numpy(theirs.lengths))


@pytest.mark.parametrize("name", TEXTS)
def test_read_chars_offsets_are_those_of_spacy(name, model):
    doc = NLP.make_doc(TEXTS[name])
    offsets, first = find_tokens(model, [doc]), int(model.attrs["bounds"])
    assert (offsets.starts - first).tolist() == [token.idx for token in doc]
    assert (offsets.ends - first).tolist() == [token.idx + len(token) for token in doc]
    assert offsets.text_starts.tolist() == [first]
    assert offsets.lengths.tolist() == [len(doc)]


def test_read_chars_offsets_point_at_the_tokens_in_the_batch(model):
    chars = model.ops.to_numpy(model.predict(DOCS).dataXd).tolist()
    offsets = find_tokens(model, DOCS)
    assert offsets.lengths.tolist() == [len(doc) for doc in DOCS]
    tokens = [token for doc in DOCS for token in doc]
    pairs = zip(offsets.starts.tolist(), offsets.ends.tolist(), tokens, strict=True)
    for start, end, token in pairs:
        assert chars[start:end] == spell(token.text)
    text_starts = np.repeat(offsets.text_starts.tolist(), offsets.lengths.tolist())
    within = np.array(offsets.starts.tolist()) - text_starts
    assert within.tolist() == [token.idx for token in tokens]


@pytest.mark.parametrize("docs", [[], [Doc(NLP.vocab)], [Doc(NLP.vocab)] * 2])
def test_read_chars_offsets_of_nothing(docs, model):
    offsets = find_tokens(model, docs)
    assert offsets.starts.shape == offsets.ends.shape == (0,)
    assert offsets.lengths.tolist() == [0] * len(docs)
    assert len(offsets.text_starts) == len(docs)


def test_read_chars_offsets_of_docs_without_spaces_between_words(model):
    doc = Doc(NLP.vocab, words=["can", "'t", "😀", "x"], spaces=[False, True, False, False])
    offsets, first = find_tokens(model, [doc]), int(model.attrs["bounds"])
    assert (offsets.starts - first).tolist() == [0, 3, 6, 7]
    assert len(model.predict([doc]).dataXd) == 8 + 2 * first


@pytest.mark.parametrize("nV", [5, 30, 1000])
def test_read_chars_has_the_rows_of_read_words(nV):
    """A word alone in its text is read in the same way by both readers."""
    for word in ("cat", "naïve", "😀", "\U0010ffff", "ÀÉ"):
        doc = Doc(NLP.vocab, words=[word], spaces=[False])
        words = read_words(nV=nV).predict([doc])
        assert_array_equal(read_chars(nV, bounds=True).predict([doc]).dataXd, words.chars)


def test_find_rows_leaves_the_reserved_rows_alone():
    codes = get_codes([chr(code) for code in range(3000)])
    rows = find_rows(codes, 100)
    assert rows.min() == N_RESERVED and rows.max() == 99
    block = find_rows(codes[500:596], 100)
    assert len(set(block.tolist())) == 96
    hidden = np.arange(3000) % 7 == 0
    masked = find_rows(codes, 100, hidden=hidden)
    assert (masked[hidden] == MASK).all() and (masked[~hidden] == rows[~hidden]).all()


def test_read_chars_needs_rows_beside_the_reserved_ones():
    with pytest.raises(ValueError, match="E403.*found char_rows = 4"):
        read_chars(4)

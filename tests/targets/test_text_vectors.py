import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab

from spacy_charlm.errors import Errors
from spacy_charlm.targets.head_vectors import HeadVectors
from spacy_charlm.targets.static_vectors import MIN_WORDS
from spacy_charlm.targets.text_vectors import TextVectors

ROWS = {"not": [3, 4, 0], "good": [0, 0, 2], "film": [0, 1, 0], "not good": [6, 0, 8]}
ROWS |= {"<unk>": [9, 9, 9], "nil": [0, 0, 0]}


def make_target(**settings):
    vocab = Vocab(strings=list(ROWS))
    data = np.array(list(ROWS.values()), dtype="float32")
    vocab.vectors = Vectors(strings=vocab.strings, data=data, keys=list(ROWS), name="tiny")
    target = TextVectors(**settings)
    target.open(vocab)
    return target


def make_docs(*texts):
    vocab = Vocab()
    return [Doc(vocab, words=text.split("|") if text else []) for text in texts]


@pytest.mark.parametrize(
    "settings, text, ngrams",
    [
        ({}, "not|good|film", ["not", "good", "film", "not good"]),
        ({}, "Not| |GOOD", ["not", "good", "not good"]),
        # Each distinct n-gram counts once.
        ({}, "not|good|not|good|Good|the", ["not", "good", "not good"]),
        ({}, "good|not|film|<unk>|nil", ["not", "good", "film"]),
        ({"max_ngram": 1}, "not|good|film", ["not", "good", "film"]),
        ({"max_ngram": 1, "unknown": ["film"]}, "not|good|film", ["not", "good"]),
        ({}, "good", []),
        ({}, "good|good|Good", []),
        ({"min_ngrams": 1}, "good|good", ["good"]),
        ({"min_ngrams": 4}, "not|good|the", []),
        ({"min_ngrams": 1}, "the|<unk>|nil| ", []),
        ({"min_ngrams": 1}, "", []),
    ],
)
def test_text_vectors_are_means_of_ngrams(ops, settings, text, ngrams):
    target = make_target(**settings)
    docs = make_docs("film|film|good", text, "", text, "good|film")
    batch = target(ops, docs)
    rows = ops.to_numpy(batch.rows)
    assert rows.shape == (5, 1) and rows.dtype == "int32"
    found = [ops.to_numpy(batch.values)[row] if row >= 0 else None for row in rows[:, 0]]
    assert found[2] is None
    # Texts with the same n-grams have one vector: in a contrastive loss it is no negative of both.
    if settings.get("min_ngrams", 0) < 3 and "unknown" not in settings:
        assert rows[0] == rows[4] >= 0
    assert rows[1] == rows[3]
    if not ngrams:
        assert found[1] is None
        return
    assert_allclose(found[1], np.mean([ROWS[ngram] for ngram in ngrams], axis=0), rtol=1e-6)
    assert sorted(set(rows[rows >= 0].tolist())) == list(range(len(batch.values)))


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_text_vectors_of_nothing(ops, texts):
    target = make_target(pooling="idf")
    batch = target(ops, make_docs(*texts))
    assert batch.values.shape == (0, 3)
    assert_array_equal(ops.to_numpy(batch.rows), np.full((len(texts), 1), -1))
    assert target.weigh_tokens(ops, make_docs(*texts)).shape == (0,)


@pytest.mark.parametrize(
    "pooling, expected", [("mean", [1, 1, 1, 1, 1, 1]), ("idf", [5, 2, 4.5, 0, 4.5, 1])]
)
def test_text_vectors_weigh_tokens(ops, pooling, expected):
    """Rows of length 5, 2, 1 and 10 have a mean of 4.5; "nil" and "<unk>" are left out."""
    docs = make_docs("not|good|the| ", "", "nil|film")
    weights = make_target(pooling=pooling).weigh_tokens(ops, docs)
    assert weights.dtype == "float32"
    assert_allclose(ops.to_numpy(weights), expected)


def test_text_vectors_describe_themselves():
    target = make_target(max_ngram=1, pooling="idf")
    card = target.describe()
    assert (target.unit, target.nO, target.nParts) == ("text", 3, 1)
    assert card["target"] == "spacy-charlm.TextVectors.v1" and card["rows"] == len(ROWS)
    assert (card["ngram"], card["min_ngrams"], card["pooling"]) == (1, 2, "idf")


def test_text_vectors_name_what_is_wrong(ops):
    with pytest.raises(ValueError, match="E235.*`pooling`.*'mean' or 'idf'.*'max'"):
        TextVectors(pooling="max")
    with pytest.raises(ValueError, match="E560.*`max_ngram` of .*TextVectors"):
        TextVectors(max_ngram=3)
    with pytest.raises(ValueError, match="E201"):
        TextVectors().open(Vocab())
    vocab = Vocab()
    data = np.ones((20, 3), dtype="float32")
    vocab.vectors = Vectors(strings=vocab.strings, data=data, mode="floret", name="tiny")
    target = TextVectors()
    target.open(vocab)
    assert len(target(ops, make_docs("any|word")).values) == 1
    with pytest.raises(ValueError, match="E222.*'tiny'.*floret"):
        TextVectors(pooling="idf").open(vocab)
    with pytest.raises(ValueError, match="E214.*'not', 'good', 'film'.*'der'"):
        make_target()(ops, make_docs("|".join(["der"] * MIN_WORDS)))
    expected = Errors.E311.format(expected="token", found="text")[:60]
    with pytest.raises(ValueError) as error:
        HeadVectors(TextVectors())
    assert expected in str(error.value)

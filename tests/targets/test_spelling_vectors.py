import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_charlm.targets.spelling_vectors import SpellingVectors

WORDS = ["The", "the", " ", "dog", "\n"]


def test_spelling_vectors_of_similar_spellings_are_similar():
    words = ["definitely", "definately", "table", "a", "🙂", "x" * 500]
    X = SpellingVectors().spell(words)
    assert X.shape == (6, 64) and X.dtype == "float32"
    assert_allclose(np.linalg.norm(X, axis=1), 1, rtol=1e-5)
    cosines = X @ X[0]
    assert cosines[1] > 0.6 > 0.4 > np.abs(cosines[2:]).max()
    assert SpellingVectors(width=8).spell([]).shape == (0, 8)


def test_spelling_vectors_depend_on_the_settings_alone():
    words = ["Zürich", "zürich", "ZÜRICH"]
    X = SpellingVectors(width=16, seed=3).spell(words)
    assert_array_equal(X, SpellingVectors(width=16, seed=3).spell(words))
    assert_array_equal(X[0], X[1])
    assert_array_equal(X[0], X[2])
    assert not np.allclose(X, SpellingVectors(width=16, seed=4).spell(words))
    assert not np.allclose(X, SpellingVectors(width=16, seed=3, ngrams=[2]).spell(words))


def test_spelling_vectors_of_a_batch(ops):
    target = SpellingVectors(width=8)
    vocab = Vocab()
    docs = [Doc(vocab, words=words) for words in (WORDS, [], ["dog", "THE"])]
    batch = target(ops, docs)
    values, rows = ops.to_numpy(batch.values), ops.to_numpy(batch.rows)[:, 0]
    assert values.shape == (2, 8)
    assert_array_equal(rows == -1, [False, False, True, False, True, False, False])
    expected = target.spell(["the", "the", "dog", "dog", "the"])
    assert_allclose(values[rows[rows >= 0]], expected, rtol=1e-6)
    for empty in ([], [Doc(Vocab())]):
        batch = target(ops, empty)
        assert batch.values.shape == (0, 8) and batch.rows.shape == (0, 1)


@pytest.mark.parametrize("settings", [{"width": 0}, {"ngrams": []}, {"ngrams": [0]}])
def test_spelling_vectors_names_a_wrong_setting(settings):
    with pytest.raises(ValueError, match="charlm E"):
        SpellingVectors(**settings)

import numpy as np
import pytest

from spacy_charlm.layers import spelling_hashes
from spacy_charlm.layers.spelling_hashes import hash_spellings, hash_typos

LETTERS = "abeno"


def list_typos(word):
    """Norvig's list of the words that are one edit away."""
    cuts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    return (
        {a + b[1:] for a, b in cuts if b}
        | {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
        | {a + letter + b[1:] for a, b in cuts if b for letter in LETTERS}
        | {a + letter + b for a, b in cuts for letter in LETTERS}
    )


@pytest.mark.parametrize("block", [1, 256])
def test_typos_are_those_of_each_word(block, monkeypatch):
    monkeypatch.setattr(spelling_hashes, "BLOCK", block)
    words = ["bone", "", "naïve", "bo", "aaaa", "b0ne", "abcdefghijklmnopqrstuvwx", "bean", "bone"]
    hashes, owners = hash_typos(words, LETTERS)
    assert hashes.dtype == "uint32" and owners.dtype == "int64"
    assert sorted(set(owners.tolist())) == [0, 2, 4, 6, 7, 8]
    for place in set(owners.tolist()):
        expected = hash_spellings(sorted(list_typos(words[place])))
        assert set(hashes[owners == place].tolist()) == set(expected.tolist())


def test_nothing_has_no_typos():
    for words in ([], [""], ["abc"], ["x" * 25], ["don't"]):
        assert [len(array) for array in hash_typos(words, LETTERS)] == [0, 0]
    assert len(hash_typos(["bone"], "")[0]) == 4 + 3


def test_spellings_do_not_collide():
    rng = np.random.default_rng(0)
    words = {"".join(rng.choice(list("abc"), size=rng.integers(1, 20))) for _ in range(20000)}
    words |= {"\ud800", "naïve", "a" * 100_000, "😀"}
    n = len(set(hash_spellings(sorted(words)).tolist()))
    assert n > len(words) - 3
    assert hash_spellings(["", "b", ""])[[0, 2]].tolist() == [0, 0]
    assert hash_spellings([]).shape == (0,)
    # A word has the same hash in every batch.
    assert hash_spellings(["", "bone", "x"])[1] == hash_spellings(["bone"])[0]

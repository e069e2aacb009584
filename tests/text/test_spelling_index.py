import random
from itertools import combinations

import pytest

from spacy_charlm.text.spelling_index import LONG, LONGEST, SpellingIndex


def find(words, word, n=100, seed=0):
    found = SpellingIndex(words).find(words.index(word), n, random.Random(seed))
    return [words[row] for row in found]


@pytest.mark.parametrize(
    "word, alike, others",
    [
        ("form", ["from", "farm", "forms", "for", "orm"], ["foam s", "fa", "format", "Form"]),
        ("of", ["if", "o", "off", "fo"], ["in", "often"]),
        ("naïve", ["naive", "naïvé"], ["native"]),
        ("x", ["y", "xy"], ["yz"]),
        ("walking", ["walk😀ng", "talkin", "walks in", "wlakign"], ["running", "WALKING"]),
        ("x" * LONGEST, ["x" * (LONGEST - 1), "x" * (LONGEST - 2)], ["x" * (LONGEST + 1)]),
        ("y" * (LONGEST + 1), [], ["y" * LONGEST]),
    ],
)
def test_spelling_index_finds_words_that_are_alike(word, alike, others):
    words = [*others, word, *alike]
    assert sorted(find(words, word)) == sorted(alike)
    for other in alike:
        assert word in find(words, other)


def test_spelling_index_finds_what_all_pairs_have():
    rng = random.Random(0)
    words = list({"".join(rng.choices("abc", k=rng.randint(1, 9))) for _ in range(300)})
    strings = [strip(word, 1 + (len(word) >= LONG)) for word in words]
    index = SpellingIndex(words)
    for row in range(0, len(words), 10):
        expected = [i for i, s in enumerate(strings) if i != row and s & strings[row]]
        assert sorted(index.find(row, len(words), rng)) == expected


def strip(word, n):
    """Delete up to n characters in every way."""
    lengths = range(max(0, len(word) - n), len(word) + 1)
    return {"".join(kept) for length in lengths for kept in combinations(word, length)}


def test_spelling_index_puts_the_fewest_edits_first():
    words = ["negates", "gathers", "negate", "relates", "negated", "engages"]
    assert set(find(words, "negates", 2)) == {"negate", "negated"}
    assert set(find(words, "negates")) == set(words[1:])


def test_spelling_index_chooses_among_equals_by_the_generator():
    words = [f"{letter}at" for letter in "bcfhmprsv"]
    found = [tuple(find(words, "cat", 3, seed)) for seed in range(10)]
    assert found == [tuple(find(words, "cat", 3, seed)) for seed in range(10)]
    assert all(len(set(each)) == 3 for each in found) and len(set(found)) > 5


def test_spelling_index_of_few_words():
    assert find(["word"], "word") == []
    assert find(["word", "words"], "word", 0) == []
    SpellingIndex([])

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose
from spacy.matcher.levenshtein import levenshtein

from spacy_charlm.decoding.spelling_costs import LONGEST, UNKNOWN, SpellingCosts
from spacy_charlm.decoding.word_table import Spellings

# ph is often typed as f, ei and ie are swapped, and a final e is left out; nothing else happens.
WORDS = (
    "phone graph receive believe elephant their weird phrase photo dolphin yield neither".split()
)
MISSPELLINGS = {
    word: sorted(
        {
            word.replace("ph", "f"),
            word.replace("ei", "ie") if "ei" in word else word.replace("ie", "ei"),
            word.removesuffix("e"),
        }
        - {word}
    )
    for word in WORDS
}


@pytest.fixture(scope="module")
def learned():
    return SpellingCosts.learn(MISSPELLINGS)


def score_slowly(costs, typed, word):
    """The same by a loop over all cuts."""
    typed, word = f"\x02{typed.lower()}\x03", f"\x02{word.lower()}\x03"
    D = {(0, 0): 0.0}
    for i, j in product(range(len(typed) + 1), range(len(word) + 1)):
        options = [D[i, j]] if (i, j) in D else []
        for b, a in product(range(min(i, 3) + 1), range(min(j, 3) + 1)):
            pair = word[j - a : j], typed[i - b : i]
            cost = costs.blocks.get(pair, np.inf)
            if a + b == 1 or a == b == 1:
                cost = min(cost, 0.0 if pair[0] == pair[1] else UNKNOWN)
            if a + b and not (b == 0 and a > 1):
                options.append(D[i - b, j - a] + cost)
        D[i, j] = min(options)
    return D[len(typed), len(word)]


def test_spelling_costs_learns_what_people_do(learned):
    cost = dict(zip(WORDS, learned.score("fone", WORDS).tolist()))
    assert min(cost, key=cost.get) == "phone"
    # A digraph that the misspellings never had in this word, at the start and inside.
    candidates = ["phantom", "fandom", "pantom", "random"]
    assert candidates[int(learned.score("fantom", candidates).argmin())] == "phantom"
    one, other = learned.score("recieve", ["receive", "recxxve"])
    assert one < UNKNOWN < other
    assert learned.blocks["ph", "f"] < UNKNOWN
    assert ("f", "ph") not in learned.blocks


def test_spelling_costs_are_those_of_the_cheapest_cut(learned):
    words = [*WORDS, "", "a", "naïve", "Phone", "日本語", "phphph"]
    for costs in (learned, SpellingCosts(), SpellingCosts({})):
        for typed in ("fone", "", "x", "nieve", "日木語", "GRAF", "beleiv"):
            expected = [score_slowly(costs, typed, word) for word in words]
            assert_allclose(costs.score(typed, words), expected, atol=1e-4)


def test_spelling_costs_of_nothing():
    assert SpellingCosts().score("word", []).shape == (0,)
    empty = SpellingCosts.learn({"a": [], "b" * 99: ["c"]})
    assert empty.learned and empty.blocks == {}
    assert empty.score("a", ["a", "b"]).tolist() == [0.0, UNKNOWN]


def test_spelling_costs_prefer_common_slips_without_learning():
    for typed, right, wrong in [
        ("seperate", "separate", "sexerate"),
        ("acommodate", "accommodate", "atcommodate"),
        ("comming", "coming", "comring"),
        ("thier", "their", "thxyr"),
    ]:
        good, bad = SpellingCosts().score(typed, [right, wrong])
        assert good < bad


def test_spelling_costs_round_trip(learned):
    copy = SpellingCosts.from_list([list(row) for row in learned.to_list()])  # as from msgpack
    assert copy.blocks == learned.blocks
    assert SpellingCosts().to_list() is None
    assert SpellingCosts.from_list(None).blocks == SpellingCosts().blocks


def test_spellings_counts_edits():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcé語"), size=n)) for n in rng.integers(0, 12, size=300)]
    words += ["x" * LONGEST, "x" * LONGEST + "y", "ab" * 40]
    spellings = Spellings(words, SpellingCosts())
    for typed in ["", "a", "abc", "éa語c", "zz", "x" * LONGEST, *words[:20]]:
        expected = [levenshtein(typed, word[:LONGEST]) for word in words]
        assert spellings.count_edits(typed).tolist() == expected


def test_spellings_finds_words():
    spellings = Spellings(["the", "Cat", "cart", "separately", ""], SpellingCosts())
    assert set(spellings.find("cat")[0].tolist()) == {1, 2}
    rows, costs = spellings.find("CAT")
    assert rows[costs.argmin()] == 1
    assert spellings.find("seperatly")[0].tolist() == [3]
    for word in ("xxxxxxxxx", "日本語", "x" * 500):
        assert spellings.find(word)[0].tolist() == []
    assert len(Spellings([], SpellingCosts()).find("a")[0]) == 0


def test_spellings_prefers_frequent_words():
    rows, costs = Spellings(["cat", *["word"] * 500, "bat"], SpellingCosts()).find("xat")
    assert rows.tolist() == [0, 501] and costs[0] < costs[1]


def test_spellings_compares_the_best_candidates_of_many(monkeypatch):
    module = "spacy_charlm.decoding.word_table.N_CANDIDATES"
    words = [f"cart{i}" for i in range(1000)] + ["cart"]
    monkeypatch.setattr(module, 10)
    rows, _ = Spellings(words, SpellingCosts()).find("cart")
    assert len(rows) == 10 and 1000 in rows.tolist()

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc
from thinc.api import NumpyOps

from spacy_charlm.decoding.neighbours import Neighbours
from spacy_charlm.evaluation.word_prediction import (
    score_masked_words,
    score_suggestions,
    score_suggestions_in_text,
)
from spacy_charlm.noise.typos import read_misspellings

WORDS = [f"w{i}" for i in range(2000)]
VECTORS = np.random.default_rng(0).normal(size=(2000, 40)).astype("float32")


class Oracle:
    """Knows what is hidden, but for a share of the words."""

    def __init__(self, errors=0.0, noise=0.0):
        self.words = WORDS
        self.rng = np.random.default_rng(1)
        self.errors, self.noise = errors, noise
        self.hidden = 0

    def exact_search(self):
        return Neighbours(VECTORS, NumpyOps(use_blis=False))

    def predict(self, docs):
        self.hidden += int(docs.hidden.sum())
        rows = np.array([int(t.lower_[1:]) % 2000 for doc in docs for t in doc])
        wrong = self.rng.random(len(rows)) < self.errors
        rows[wrong] = self.rng.integers(0, 2000, int(wrong.sum()))
        return VECTORS[rows] + self.noise * self.rng.normal(size=(len(rows), 40)).astype("float32")


@pytest.fixture(scope="module")
def docs():
    rng, vocab = np.random.default_rng(0), spacy.blank("en").vocab
    ranks = [np.minimum(rng.zipf(1.3, size=50), 2400) - 1 for _ in range(200)]
    return [Doc(vocab, words=[f"W{i}" for i in row]) for row in ranks]  # some beyond the table


def get_value(scores, metric):
    return next(score for score in scores if score.metric == metric).mean


def test_masked_words_are_found_by_who_knows_them(docs):
    oracle = Oracle()
    scores = score_masked_words(oracle, docs, rate=0.3, source="oracle")
    bands = ["all", "1 to 100", "101 to 1,000", "1,001 to 10,000"]
    assert list(dict.fromkeys(score.conditions["frequency"] for score in scores)) == bands
    assert {score.source for score in scores} == {"oracle"}
    for score in scores:
        if score.metric in ("p_at_1", "p_at_10", "mrr", "cosine"):
            assert score.mean == pytest.approx(1)
        elif score.metric == "perplexity":
            assert score.mean < 1.01
    no_target = get_value(scores, "no_target")
    assert 0 < no_target < 0.2
    whole, *bands = [score.n_units for score in scores if score.metric == "p_at_1"]
    assert whole == sum(bands)
    # Every second text counts, 30 % of its tokens are hidden.
    assert whole == pytest.approx(oracle.hidden * (1 - no_target) / 2, rel=0.1)
    assert oracle.hidden == pytest.approx(0.3 * 200 * 50, rel=0.05)


def test_masked_words_scores_tell_how_often_and_how_sure(docs):
    """Half of the answers are words drawn from all, with the cosines of the right ones."""
    found = score_masked_words(Oracle(errors=0.5), docs, rate=0.5)
    assert get_value(found, "p_at_1") == pytest.approx(0.5, abs=0.04)
    assert get_value(found, "cosine") == pytest.approx(0.5, abs=0.04)
    # Better than all words alike, and no less than half of the words at random in 2000.
    assert 2000**0.5 < get_value(found, "perplexity") < 2000
    vague = score_masked_words(Oracle(noise=1.0), docs, rate=0.5)
    sure = score_masked_words(Oracle(noise=0.3), docs, rate=0.5)
    assert get_value(sure, "perplexity") < get_value(vague, "perplexity")
    assert get_value(sure, "temperature") <= get_value(vague, "temperature")


def test_masked_words_temperature_is_the_best_of_all(docs, monkeypatch):
    """Fitted on other texts, it loses next to nothing on these."""
    module = "spacy_charlm.evaluation.word_prediction.TEMPERATURES"
    fitted = score_masked_words(Oracle(noise=1.0), docs, rate=0.5)
    for temperature in (0.02, 0.05, 0.1, 0.3):
        monkeypatch.setattr(module, (temperature,))
        other = score_masked_words(Oracle(noise=1.0), docs, rate=0.5)
        assert get_value(fitted, "perplexity") < 1.02 * get_value(other, "perplexity")


@pytest.mark.parametrize("rate, n_docs", [(0.0, 9), (1.5, 9), (0.5, 0), (0.5, 1)])
def test_masked_words_refuse_what_cannot_be_scored(rate, n_docs, docs):
    with pytest.raises(ValueError, match="charlm E729"):
        score_masked_words(Oracle(), docs[:n_docs], rate=rate)


NUMBERED = [f"word{i}" for i in range(1500)]
METRICS = ("p_at_1", "p_at_10", "mrr")


class Speller:
    """Suggests the right word in a place that the word's number tells; of some, not at all."""

    words = NUMBERED

    def __init__(self):
        self.asked = []
        self.vocab = spacy.blank("en").vocab

    def suggest(self, word, k):
        self.asked.append(word)
        number = int(word.removesuffix("x")[4:])
        found = [(f"other{i}", 1.0 - i) for i in range(k)]
        if number % 4 < 3:
            found[[0, 1, 9][number % 4]] = (NUMBERED[number], 1.0)
        return found


@pytest.fixture
def misspellings(tmp_path):
    path = tmp_path / "misspellings.tsv"
    path.write_text("".join(f"{word}x\t{word}\n" for word in NUMBERED) + "word7\tword8\nb\tnone\n")
    return path


def test_suggestions_of_words_that_training_never_misspells(misspellings):
    speller, told = Speller(), []
    scores = score_suggestions(speller, misspellings, lambda share, n: told.append((share, n)))
    rest = read_misspellings(misspellings, held_out=True)
    expected = sorted(f"{word}x" for word in rest if word in NUMBERED)
    assert sorted(speller.asked) == expected and told[-1] == (1.0, len(expected))
    found = {metric: [s for s in scores if s.metric == metric] for metric in METRICS}
    for some in found.values():
        bands = [score.conditions["frequency"] for score in some]
        assert bands == ["all", "1 to 1,000", "1,001 to 10,000"]
        assert some[0].n_units == len(expected) == sum(score.n_units for score in some[1:])
    shares = [sum(int(w[4:-1]) % 4 == i for w in expected) / len(expected) for i in range(4)]
    assert found["p_at_1"][0].mean == pytest.approx(shares[0])
    assert found["p_at_10"][0].mean == pytest.approx(1 - shares[3])
    assert found["mrr"][0].mean == pytest.approx(shares[0] + shares[1] / 2 + shares[2] / 10)


def test_suggestions_of_nothing(tmp_path):
    (tmp_path / "empty.tsv").write_text("")
    assert score_suggestions(Speller(), tmp_path / "empty.tsv") == []


class Reader(Speller):
    """Finds the right word of a token, and none for a word without its text."""

    def suggest(self, word, k):
        self.asked.append(word)
        return [] if isinstance(word, str) else [(word.lower_.removesuffix("x"), 1.0)]


def test_suggestions_in_text(misspellings):
    rest = [word for word in read_misspellings(misspellings, held_out=True) if word in NUMBERED]
    reader = Reader()
    texts = [["a", rest[0].title(), rest[0].upper(), "."] for _ in range(3)]
    texts += [["of", rest[0], rest[1], rest[2]] for _ in range(4)]
    texts += [["nothing", "here"], [rest[3]], []]
    docs = [Doc(reader.vocab, words=words) for words in texts]
    scores = score_suggestions_in_text(reader, docs, misspellings, seed=1)
    tasks = {"misspelled words in text": 1.0, "the same words without their text": 0.0}
    for task, value in tasks.items():
        some = [s for s in scores if s.conditions["task"] == task]
        assert {s.mean for s in some} == {value}
        assert {s.n_units for s in some if s.conditions["frequency"] == "all"} == {7}
    tokens = [token for token in reader.asked if not isinstance(token, str)]
    assert {token.text for token in tokens} >= {f"{rest[1]}x", f"{rest[2]}x"}  # each in its turn
    # Cases are kept, and nothing else in the sentence is misspelled.
    assert all(
        token.text == f"{rest[0]}x".capitalize()
        for token in tokens
        if token.i == 1 and token.nbor(-1).text == "a"
    )
    for token in tokens:
        assert sum(other.text.lower().endswith("x") for other in token.doc) == 1
    again = Reader()
    assert score_suggestions_in_text(again, docs, misspellings, seed=1, limit=2)[0].n_units == 2
    assert [str(word) for word in again.asked] == [str(word) for word in reader.asked[:4]]
    assert score_suggestions_in_text(reader, docs[-3:], misspellings) == []

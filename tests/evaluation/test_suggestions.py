import pytest

from spacy_charlm.evaluation.word_prediction import score_suggestions
from spacy_charlm.noise.typos import TRAINING_SHARE, read_misspellings

WORDS = [f"word{i}" for i in range(1500)]


class Speller:
    """Suggests the right word in a place that the word's number tells; of some, not at all."""

    words = WORDS

    def __init__(self):
        self.asked = []

    def suggest(self, word, k):
        self.asked.append(word)
        number = int(word.removesuffix("x")[4:])
        found = [(f"other{i}", 1.0 - i) for i in range(k)]
        if number % 4 < 3:
            found[[0, 1, 9][number % 4]] = (WORDS[number], 1.0)
        return found


@pytest.fixture
def misspellings(tmp_path):
    path = tmp_path / "misspellings.tsv"
    path.write_text("".join(f"{word}x\t{word}\n" for word in WORDS) + "word7\tword8\nb\tnone\n")
    return path


def test_score_suggestions_of_words_that_no_noise_was_drawn_from(misspellings):
    speller, told = Speller(), []
    scores = score_suggestions(speller, misspellings, lambda share, n: told.append((share, n)))
    rest = read_misspellings(misspellings, share=TRAINING_SHARE, rest=True)
    expected = sorted(f"{word}x" for word in rest if word in WORDS)
    assert sorted(speller.asked) == expected and told[-1] == (1.0, len(expected))
    assert [score.band for score in scores] == ["all", "1 to 1,000", "1,001 to 10,000"]
    assert scores[0].words == len(expected) == sum(score.words for score in scores[1:])
    shares = [sum(int(w[4:-1]) % 4 == i for w in expected) / len(expected) for i in range(4)]
    assert scores[0].p_at_1 == pytest.approx(shares[0])
    assert scores[0].p_at_10 == pytest.approx(1 - shares[3])
    assert scores[0].mrr == pytest.approx(shares[0] + shares[1] / 2 + shares[2] / 10)


def test_score_suggestions_of_nothing(tmp_path):
    (tmp_path / "empty.tsv").write_text("")
    assert score_suggestions(Speller(), tmp_path / "empty.tsv") == []

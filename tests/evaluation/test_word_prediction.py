import numpy as np
import pytest
import spacy
import srsly
from numpy.testing import assert_allclose
from spacy.cli._util import app as spacy_app
from spacy.tokens import Doc
from spacy.util import load_config
from thinc.api import NumpyOps
from typer.testing import CliRunner

from spacy_charlm.cli import app
from spacy_charlm.decoding.neighbours import Neighbours
from spacy_charlm.evaluation.word_prediction import score_masked_words
from spacy_charlm.training.pretrain import BEST, HEADS
from tests.conftest import CONFIGS

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


def test_masked_words_are_found_by_who_knows_them(docs):
    oracle = Oracle()
    found = score_masked_words(oracle, docs, rate=0.3)
    assert [score.band for score in found.scores] == [
        "all",
        "1 to 100",
        "101 to 1,000",
        "1,001 to 10,000",
    ]
    for score in found.scores:
        assert score.p_at_1 == score.p_at_10 == score.mrr == 1
        assert score.cosine == pytest.approx(1) and score.perplexity < 1.01
    assert found.candidates == 2000 and 0 < found.no_target < 0.2
    whole, *bands = found.scores
    assert whole.words == sum(band.words for band in bands)
    # Every other text counts, 30 % of its tokens are hidden.
    assert whole.words == pytest.approx(oracle.hidden * (1 - found.no_target) / 2, rel=0.1)
    assert oracle.hidden == pytest.approx(0.3 * 200 * 50, rel=0.05)


def test_masked_words_scores_tell_how_often_and_how_sure(docs):
    """Half of the answers are words drawn from all, with the cosines of the right ones."""
    found = score_masked_words(Oracle(errors=0.5), docs, rate=0.5)
    assert found.scores[0].p_at_1 == pytest.approx(0.5, abs=0.04)
    assert found.scores[0].cosine == pytest.approx(0.5, abs=0.04)
    # Better than all words alike, and no less than half of the words at random in 2000.
    assert 2000**0.5 < found.scores[0].perplexity < 2000
    vague = score_masked_words(Oracle(noise=1.0), docs, rate=0.5)
    sure = score_masked_words(Oracle(noise=0.3), docs, rate=0.5)
    assert sure.scores[0].perplexity < vague.scores[0].perplexity
    assert sure.temperature <= vague.temperature


def test_masked_words_temperature_is_the_best_of_all(docs, monkeypatch):
    """Fitted on other texts, it loses next to nothing on these."""
    module = "spacy_charlm.evaluation.word_prediction.TEMPERATURES"
    fitted = score_masked_words(Oracle(noise=1.0), docs, rate=0.5)
    for temperature in (0.02, 0.05, 0.1, 0.3):
        monkeypatch.setattr(module, (temperature,))
        other = score_masked_words(Oracle(noise=1.0), docs, rate=0.5)
        assert fitted.scores[0].perplexity < 1.02 * other.scores[0].perplexity


@pytest.mark.parametrize("rate, n_docs", [(0.0, 9), (1.5, 9), (0.5, 0), (0.5, 1)])
def test_masked_words_refuse_what_cannot_be_scored(rate, n_docs, docs):
    with pytest.raises(ValueError, match="charlm E729"):
        score_masked_words(Oracle(), docs[:n_docs], rate=rate)


def run(*arguments):
    return CliRunner().invoke(app, ["words", *map(str, arguments)])


def test_words_cli_scores_an_assembled_pipeline(tiny):
    """From `charlm pretrain` through `spacy assemble`, with configs/words.cfg, to the scores."""
    tiny.run("out", {"pretraining.max_epochs": 1})
    config = load_config(CONFIGS / "words.cfg", interpolate=False)
    config["components"]["tok2vec"] = tiny.config()["components"]["tok2vec"]
    config.to_disk(tiny.folder / "words.cfg")
    paths = {
        "init_weights": tiny.folder / "out" / BEST,
        "head": tiny.folder / "out" / HEADS[BEST],
        "target_vectors": tiny.folder / "vectors.txt",
    }
    arguments = [part for name, path in paths.items() for part in (f"--paths.{name}", str(path))]
    pipeline, output = tiny.folder / "pipeline", tiny.folder / "scores" / "words.json"
    assembled = CliRunner().invoke(
        spacy_app, ["assemble", str(tiny.folder / "words.cfg"), str(pipeline), *arguments]
    )
    assert assembled.exit_code == 0, assembled.output
    nlp = spacy.load(pipeline)
    before = nlp.get_pipe("tok2vec").model.to_bytes()
    nlp.get_pipe("tok2vec").model.from_bytes((tiny.folder / "out" / BEST).read_bytes())
    assert nlp.get_pipe("tok2vec").model.to_bytes() == before

    spelled = tiny.folder / "misspellings.tsv"
    spelled.write_text("".join(f"{word}x\t{word}\n" for word in tiny.WORDS), encoding="utf8")
    options = ["--rate", 0.5, "--misspellings", spelled, "--output", output]
    result = run(pipeline, tiny.folder / "dev.txt", *options)
    assert result.exit_code == 0, result.output
    assert "14 candidates" in result.output and "perplexity" in result.output
    suggestions = srsly.read_json(output)["suggestions"]
    assert suggestions[0]["words"] > 0 and suggestions[0]["p_at_10"] > 0.5
    scores = srsly.read_json(output)["scores"]
    assert scores[0]["band"] == "all" and scores[0]["words"] > 20
    assert 1 <= scores[0]["perplexity"] < 20 and 0 <= scores[0]["p_at_1"] <= 1
    assert_allclose(scores[0]["cosine"], scores[1]["cosine"])  # the table has no second band


def test_words_cli_names_what_is_missing(tmp_path):
    spacy.blank("en").to_disk(tmp_path / "plain")
    (tmp_path / "text.txt").write_text("a cat\n")
    result = run(tmp_path / "plain", tmp_path / "text.txt")
    assert result.exit_code == 1 and "E748" in result.output
    result = run(tmp_path / "none", tmp_path / "text.txt")
    assert result.exit_code == 1 and "none" in result.output

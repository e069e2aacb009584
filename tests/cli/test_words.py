import spacy
import srsly
from numpy.testing import assert_allclose
from spacy.cli._util import app as spacy_app
from spacy.util import load_config
from typer.testing import CliRunner

from spacy_charlm.cli import app
from spacy_charlm.training.pretrain import BEST, HEADS
from tests.conftest import CONFIGS


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
    content = srsly.read_json(output)
    found = {(*s["conditions"].values(), s["metric"]): s for s in content["scores"]}
    suggested = found["suggestions", "all", "p_at_10"]
    assert suggested["n_units"] > 0 and suggested["mean"] > 0.5
    for task in ("misspelled words in text", "the same words without their text"):
        assert found[task, "all", "p_at_1"]["n_units"] > 0
    masked = {metric: s for (task, band, metric), s in found.items() if band == "all"}
    assert content["candidates"] == 14 and masked["cosine"]["n_units"] > 20
    assert 1 <= masked["perplexity"]["mean"] < 20 and 0 <= masked["p_at_1"]["mean"] <= 1
    # The table has no second band.
    first = found["masked words", "1 to 100", "cosine"]
    assert_allclose(masked["cosine"]["mean"], first["mean"])


def test_words_cli_names_what_is_missing(tmp_path):
    spacy.blank("en").to_disk(tmp_path / "plain")
    (tmp_path / "text.txt").write_text("a cat\n")
    result = run(tmp_path / "plain", tmp_path / "text.txt")
    assert result.exit_code == 1 and "E748" in result.output
    result = run(tmp_path / "none", tmp_path / "text.txt")
    assert result.exit_code == 1 and "none" in result.output

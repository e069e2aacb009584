from pathlib import Path

import pytest
from spacy.util import load_config
from typer.testing import CliRunner

from spacy_charlm.cli import app
from spacy_charlm.cli.inspect import MOST_LAYERS, show_differences
from spacy_charlm.evaluation.inspect_weights import WeightsReport
from spacy_charlm.pipeline.find_tok2vec import load_tok2vec

CONFIG = Path(__file__).parents[2] / "configs" / "pretrain" / "cosine.cfg"
ROWS = ["--components.tok2vec.model.embed.ngram_rows", "9"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    config = load_config(CONFIG, overrides={ROWS[0][2:]: 9}, interpolate=True)
    path = tmp_path_factory.mktemp("inspect") / "model-last.bin"
    path.write_bytes(load_tok2vec(config)[1].to_bytes())
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["inspect", *map(str, arguments)])


def test_inspect_prints_the_block(weights):
    result = run(weights)
    assert result.exit_code == 0, result.output
    assert "No card" in result.output and "parameters" in result.output
    assert '[components.tok2vec.model.embed]\n@architectures = "spacy-charlm.CharCNN.v1"' in (
        result.output
    )
    assert "ngram_rows = 9" in result.output


def test_inspect_compares_with_a_config(weights):
    result = run(weights, CONFIG, *ROWS)
    assert result.exit_code == 0, result.output
    assert "model-last.bin fits" in result.output
    assert "equal settings: 21" in result.output.replace("\n", " ")
    assert "config block" not in result.output


def test_inspect_prints_the_verdict_and_the_differences_only(weights):
    result = run(weights, CONFIG)
    assert result.exit_code == 1
    lines = [line for line in result.output.splitlines() if line.strip()]
    assert "model-last.bin does not fit" in lines[0]
    assert "different settings: 1, equal settings: 20" in result.output
    assert "- embed.ngram_rows: weights 9, config 20000" in lines
    assert len(lines) <= 6


def test_inspect_of_unknown_layers_lists_the_first_differences(capsys):
    lines = [f"layer {i} (maxout), nO: weights 8, config 9" for i in range(MOST_LAYERS + 5)]
    show_differences(WeightsReport(1, None, [], "", {}, [], lines), Path("x.bin"), CONFIG)
    printed = capsys.readouterr().out
    assert printed.count("- layer") == MOST_LAYERS and "and 5 more" in printed


def test_inspect_prints_short_lines(weights):
    assert max(map(len, run(weights).output.splitlines())) <= 90  # with the codes of colours


def test_inspect_of_something_else(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"text")
    result = run(tmp_path / "x.bin")
    assert result.exit_code == 1 and "E501" in result.output
    assert run(tmp_path / "none.bin").exit_code == 2


def test_inspect_refuses_an_override_that_nothing_reads(weights):
    result = run(weights, CONFIG, "--nlp.langs", "de")
    assert result.exit_code == 1 and "charlm E663" in result.output and "nlp.lang" in result.output

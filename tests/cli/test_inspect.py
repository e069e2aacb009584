from pathlib import Path

import pytest
from spacy.util import load_config
from typer.testing import CliRunner

from spacy_charlm.cli import app
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
    result = run(weights, CONFIG)
    assert result.exit_code == 1
    assert "nV: weights 9, config 20000" in result.output and "does not fit" in result.output


def test_inspect_of_something_else(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"text")
    result = run(tmp_path / "x.bin")
    assert result.exit_code == 1 and "E501" in result.output
    assert run(tmp_path / "none.bin").exit_code == 2

from pathlib import Path

import pytest
from typer.testing import CliRunner

from spacy_charlm.cli import app
from spacy_charlm.cli.doctor import show_machine
from spacy_charlm.machine import Machine

CONFIG = Path(__file__).parents[2] / "configs" / "train" / "textcat.cfg"


@pytest.fixture
def machine(monkeypatch):
    machine = Machine(python="3.12.0", versions={"numpy": "2.2.0"}, gflops={"NumPy": 30.4})
    monkeypatch.setattr(
        "spacy_charlm.evaluation.doctor.examine_machine", lambda *, measure: machine
    )
    return machine


def run(*arguments):
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)])


def test_doctor_prints_this_machine():
    result = run("--no-measure")
    assert "versions" in result.output and "NumPy's BLAS" in result.output
    assert "GFLOP/s" not in result.output


def test_doctor_is_content(machine):
    result = run("--config", CONFIG)
    assert result.exit_code == 0, result.output
    assert "Nothing to fix" in result.output and "30 GFLOP/s" in result.output


def test_doctor_ends_with_1_at_a_serious_finding(machine):
    result = run("--config", CONFIG, "--initialize.init_tok2vec", "x.bin")
    assert result.exit_code == 1
    assert "E506" in result.output and "1 serious" in result.output


def test_doctor_ends_with_0_at_others(machine):
    result = run("--config", CONFIG, "--training.max_step", "3")
    assert result.exit_code == 0 and "W651" in result.output


def test_doctor_refuses_overrides_without_a_config(machine):
    result = run("--training.max_step", "3")
    assert result.exit_code == 1 and "E644" in result.output


def test_doctor_folds_long_values(capsys):
    machine = Machine(
        python="3.12.0",
        versions={"numpy": "2.2.0"},
        card="NVIDIA H100 80GB HBM3, " * 5,
        threads={f"{name}_NUM_THREADS": "16" for name in ("OMP", "OPENBLAS", "BLIS", "MKL")},
    )
    show_machine(machine)
    printed = capsys.readouterr().out
    assert "MKL_NUM_THREADS=16" in printed.replace("\n", "").replace(" ", "")
    assert max(map(len, printed.splitlines())) <= 90  # with the codes of colours


def test_doctor_names_a_file_that_is_no_config(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"\x80\xff\x00")
    result = run("--config", path)
    assert result.exit_code == 1 and "charlm E662" in result.output
    assert "weights.bin" in result.output.replace("\n", "")

import json

import pytest
from typer.testing import CliRunner

from spacy_charlm.cli import app


def write_log(folder, **values):
    folder.mkdir(parents=True)
    steps = [{"step": i, "words": 100 * i, "loss": 1 / (i + 1), **values} for i in range(5)]
    lines = "".join(json.dumps(step) + "\n" for step in steps)
    (folder / "log.jsonl").write_text(lines, encoding="utf8")
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["plot", *map(str, arguments)])


def test_plot_writes_a_picture(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    result = run(write_log(tmp_path / "a") / "log.jsonl")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "learning_curve.png").read_bytes().startswith(b"\x89PNG")


def test_plot_compares_runs_given_as_folders(tmp_path):
    pytest.importorskip("matplotlib")
    output = tmp_path / "new" / "curves.svg"
    folders = [write_log(tmp_path / name, dev_loss=0.5, best=True) for name in "ab"]
    result = run(*folders, "--output", output)
    assert result.exit_code == 0, result.output
    assert "<svg" in output.read_text(encoding="utf8")


def test_plot_draws_the_log_of_spacy_pretrain(tmp_path):
    pytest.importorskip("matplotlib")
    line = '{"nr_word":466,"loss":10.68,"epoch_loss":10.68,"epoch":0}\n'
    (tmp_path / "log.jsonl").write_text(line, encoding="utf8")
    result = run(tmp_path, "--output", tmp_path / "x.svg")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "x.svg").is_file()


def test_plot_says_what_is_wrong(tmp_path):
    result = run(tmp_path, "--output", tmp_path / "x.png")
    assert result.exit_code == 1 and "E640" in result.output
    result = run(write_log(tmp_path / "a"), "--output", tmp_path / "x.bmp")
    assert result.exit_code == 1 and "E643" in result.output


def test_plot_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    result = run(write_log(tmp_path / "a"), "--output", tmp_path / "x.png")
    assert result.exit_code == 1 and "E601" in result.output and "[plots]" in result.output

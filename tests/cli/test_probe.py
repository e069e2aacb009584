import subprocess
import sys
from pathlib import Path

import srsly
from typer.testing import CliRunner

from spacy_charlm.cli import app

CONFIG = Path(__file__).parents[2] / "configs" / "pretrain" / "cosine.cfg"


def run(tmp_path, *arguments):
    records = [{"text": f"{w} film", "label": w} for w in ("good", "bad") for _ in range(20)]
    srsly.write_jsonl(tmp_path / "train.jsonl", records)
    (tmp_path / "vectors.txt").write_text("good 1 2\nbad 3 1\nfilm 0 1\n", encoding="utf8")
    fixed = [
        "probe",
        str(CONFIG),
        "none",
        "--train",
        str(tmp_path / "train.jsonl"),
    ]
    return CliRunner().invoke(app, [*fixed, *arguments])


def test_probe_prints_table_and_writes_json(tmp_path):
    vectors, output = str(tmp_path / "vectors.txt"), tmp_path / "new" / "scores.json"
    arguments = ["--n-dev", "10", "--n-labels", "15", "--draws", "2", "--output", str(output)]
    result = run(tmp_path, *arguments, "--paths.target_vectors", vectors)
    assert result.exit_code == 0, result.output
    assert "random weights" in result.output and "target vectors.txt" in result.output
    scores = srsly.read_json(output)
    assert scores["weights"] is None
    assert str(tmp_path) not in output.read_text(encoding="utf8")
    target = next(s for s in scores["scores"] if s["source"] == "target vectors.txt")
    assert target["n_units"] == 10 and target["conditions"]["labels"] == 15
    assert target["metric"] == "accuracy" and target["values"] == [1.0, 1.0]
    assert target["mean"] == 1.0 and target["deviation"] == 0.0 and target["n_seeds"] == 2


def test_probe_says_what_is_wrong(tmp_path):
    result = run(tmp_path, "--n-dev", "10")
    assert result.exit_code == 1
    assert "E617" in result.output and "--n-labels" in result.output
    result = run(tmp_path, "--n-dev", "10", "--output", str(tmp_path / "scores.txt"))
    assert result.exit_code == 1 and "E643" in result.output


def test_probe_stopped_by_the_user(tmp_path, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("spacy_charlm.evaluation.probe.probe", stop)
    result = run(tmp_path, "--n-dev", "10")
    assert result.exit_code == 130 and "Stopped" in result.output


def test_cli_imports_nothing_heavy():
    code = (
        "import sys, spacy_charlm.cli; heavy = [name for name in sys.modules if "
        "name.split('.')[0] == 'sklearn' or name == 'spacy_charlm.evaluation.probe']; "
        "sys.exit(', '.join(heavy) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr

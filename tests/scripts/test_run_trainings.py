import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "run_trainings.py"
if not SCRIPT.is_file():
    pytest.skip("scripts/ is not beside tests/", allow_module_level=True)


@pytest.fixture
def fake_spacy(tmp_path, monkeypatch):
    """A module `spacy` that writes what it was asked, and fails for a config named bad.cfg."""
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "spacy.py").write_text(
        "import pathlib, sys\n"
        "out = pathlib.Path(sys.argv[sys.argv.index('--output') + 1])\n"
        "print('arguments', *sys.argv)\n"
        "if sys.argv[2].endswith('bad.cfg'):\n"
        "    sys.exit('the reason')\n"
        "(out / 'model-last').mkdir()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))
    for name in ("good.cfg", "bad.cfg"):
        (tmp_path / name).write_text("[paths]\n")
    return tmp_path


def run(folder, *args):
    command = [sys.executable, str(SCRIPT), str(folder / "out"), *args]
    return subprocess.run(command, capture_output=True, encoding="utf8", timeout=60)


def test_run_trainings_skips_what_is_done(fake_spacy):
    args = ("--seeds", "0,1", "--run", f"a/b/c {fake_spacy}/good.cfg --training.max_steps 3")
    result = run(fake_spacy, *args)
    assert result.returncode == 0, result.stdout + result.stderr
    logs = [fake_spacy / "out" / "a/b/c" / f"seed-{n}" / "log.txt" for n in (0, 1)]
    for seed, log in enumerate(logs):
        assert f"--training.max_steps 3 --system.seed {seed}" in log.read_text()
    times = [log.stat().st_mtime_ns for log in logs]
    assert "2 of 2 runs are done already" in run(fake_spacy, *args).stdout
    assert [log.stat().st_mtime_ns for log in logs] == times
    # a file that the run reads has changed
    (fake_spacy / "good.cfg").write_text("[paths]\ntrain = null\n")
    assert "done already" not in run(fake_spacy, *args).stdout
    assert [log.stat().st_mtime_ns for log in logs] != times


def test_run_trainings_shows_why_it_failed(fake_spacy):
    result = run(
        fake_spacy, "--run", f"a {fake_spacy}/bad.cfg", "--run", f"b {fake_spacy}/good.cfg"
    )
    assert result.returncode == 1
    assert "the reason" in result.stdout
    assert not (fake_spacy / "out" / "a" / "seed-0" / "settings.json").exists()

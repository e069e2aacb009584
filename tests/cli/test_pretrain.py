import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from spacy_charlm.cli import app
from spacy_charlm.training.checkpoint import find_checkpoints

pytest.importorskip("matplotlib", reason="needs the extra plots")


def run(arguments):
    return CliRunner().invoke(app, arguments)


def test_pretrain_cli_trains_resumes_and_goes_on_from_weights(tiny):
    output = tiny.folder / "output"
    stopped = run(tiny.arguments(output, "--charlm.max_steps", "6"))
    assert stopped.exit_code == 0, stopped.output
    names = {path.name for path in output.iterdir()}
    weights = {f"{part}-{which}.bin" for part in ("model", "head") for which in ("best", "last")}
    assert names == weights | {"log.jsonl", "checkpoints", "curve.png"}
    assert "P@10" in stopped.output and "updates" in stopped.output

    again = run(tiny.arguments(output))
    assert again.exit_code == 1 and "charlm E525" in again.output

    resumed = run(tiny.arguments(output, "--resume"))
    assert resumed.exit_code == 0, resumed.output
    assert (output / "model-last.bin").read_bytes() == tiny.whole()["last"]

    other = tiny.folder / "other"
    begun = run(tiny.arguments(other, "--init", output / "model-best.bin"))
    assert begun.exit_code == 0, begun.output
    assert (other / "model-last.bin").read_bytes() != tiny.whole()["last"]


def test_pretrain_cli_dry_run_writes_nothing(tiny):
    output = tiny.folder / "output"
    result = run(tiny.arguments(output, "--dry-run"))
    assert result.exit_code == 0, result.output
    for name in ("texts", "words in a pass", "time to train", "words/s", "memory"):
        assert name in result.output
    assert not output.exists()


@pytest.mark.parametrize(
    "more, message",
    [
        (["--resume"], "charlm E522"),
        (["--init", "missing.bin"], "charlm E502"),
        (["--paths.raw_text", "missing.txt"], "charlm E102"),
        (["--paths.target_vectors", "missing.txt"], "charlm E202"),
        (["--charlm.max_step", "3"], "charlm E663"),
        (["--paths.rawtext", "x"], "charlm E663"),
        (["--pretraining.optimizer.learn_rates", "1"], "learn_rates"),
        (["--gpu-id", "99"], "charlm E664"),
    ],
)
def test_pretrain_cli_says_what_is_wrong(more, message, tiny):
    output = tiny.folder / "output"
    arguments = tiny.arguments(output)
    for name in more[::2]:
        if name in arguments:
            place = arguments.index(name)
            del arguments[place : place + 2]
    result = run([*arguments, *more])
    assert result.exit_code == 1
    assert message in result.output
    assert not find_checkpoints(output / "checkpoints")


def test_pretrain_cli_stops_by_a_signal_and_says_how_to_resume(tiny):
    output = tiny.folder / "output"
    arguments = tiny.arguments(output, "--pretraining.max_epochs", "1000")
    command = [sys.executable, "-m", "spacy", "charlm", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        deadline = time.monotonic() + 60
        while not (output / "model-last.bin").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130, printed.decode()
    assert b"--resume" in printed
    assert find_checkpoints(output / "checkpoints")


@pytest.mark.parametrize("more", [("--workers", "0"), ("--prefetch", "-3"), ("--gpu-id", "-2")])
def test_pretrain_cli_names_a_number_out_of_range(more, tiny):
    result = run(tiny.arguments(tiny.folder / "output", *more))
    assert result.exit_code == 2 and more[0] in result.output

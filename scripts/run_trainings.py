r"""Run several trainings side by side, once per seed: spacy train, pretrain or charlm pretrain.

Each run is given as one option, "NAME CONFIG [OVERRIDES]", and goes to OUTPUT/NAME/seed-N with

log.txt        what spaCy printed
curve.jsonl    scores by step (`train` only)
settings.json  the command and a digest of every file that it reads, written when the run ended well

A run whose settings.json still fits is skipped, so a killed program continues where it was. If one
run fails, the others are stopped and the end of its log is shown. Every process computes on one
thread, so that two of them share two cores.

    python scripts/run_trainings.py training --seeds 0,1,2 \
        --run "ner/plain configs/train/ner.cfg --paths.train train.spacy --paths.dev dev.spacy"
"""

import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from wasabi import msg

LOGGER = ["--training.logger.@loggers", "spacy.ConsoleLogger.v3"]
LOGGER += ["--training.logger.progress_bar", "null", "--training.logger.output_file"]
THREADS = ("OMP", "OPENBLAS", "BLIS", "MKL", "VECLIB", "NUMEXPR")
TAIL_LINES = 25


class Command(str, Enum):
    """The spaCy command to run."""

    train = "train"
    pretrain = "pretrain"
    charlm_pretrain = "charlm pretrain"


@dataclass
class Run:
    """One training: its folder and what is run."""

    name: str
    folder: Path
    command: Command
    args: list[str]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What decides the result: the command, its arguments and the files that they name."""
        files = {arg: _digest(Path(arg)) for arg in self.args if Path(arg).exists()}
        return {"command": self.command.value, "args": self.args, "files": files}

    @property
    def is_done(self) -> bool:
        """Whether the folder holds the result of exactly this run."""
        path = self.folder / "settings.json"
        if not path.is_file() or not any(self.folder.glob("model-last*")):
            return False
        return json.loads(path.read_text(encoding="utf8")) == self.settings


def main(
    output: Annotated[Path, typer.Argument(help="Folder of all runs")],
    run: Annotated[list[str], typer.Option(help='"NAME CONFIG [OVERRIDES]", once per run')],
    seeds: Annotated[str, typer.Option(help="Seeds, separated by commas")] = "0",
    command: Annotated[Command, typer.Option(help="spaCy command")] = Command.train,
    overrides: Annotated[str, typer.Option(help="Overrides for all runs")] = "",
    jobs: Annotated[int, typer.Option(help="Runs at a time")] = 2,
    gpu_id: Annotated[int, typer.Option(help="GPU, or -1 for CPU")] = -1,
) -> None:
    """Run what is not done yet."""
    runs = []
    # every config with the first seed first: a broken one shows early
    for seed in (int(seed) for seed in seeds.split(",")):
        for text in run:
            name, config, *own = shlex.split(text)
            args = [config, *shlex.split(overrides), *own, "--system.seed", str(seed)]
            args += ["--gpu-id", str(gpu_id)]
            folder = output / name / f"seed-{seed}"
            runs.append(Run(f"{name} (seed {seed})", folder, command, args))
    waiting = [run for run in runs if not run.is_done]
    if len(waiting) < len(runs):
        msg.info(f"{len(runs) - len(waiting)} of {len(runs)} runs are done already")
    run_all(waiting, jobs)
    msg.good(f"{len(runs)} runs in {output}")


def run_all(waiting: list[Run], jobs: int) -> None:
    """Keep so many processes busy until every run has ended; stop all if one fails.

    waiting (list[Run]): What to run.
    jobs (int): Processes at a time.
    """
    # a plain SIGTERM would leave the processes behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    total, start = len(waiting), time.time()
    queue, active = list(waiting), {}
    try:
        while queue or active:
            while queue and len(active) < jobs:
                run = queue.pop(0)
                active[run.name] = (run, time.time(), *_start(run))
            time.sleep(0.2)
            for name, (run, began, process, log) in list(active.items()):
                if process.poll() is None:
                    continue
                log.close()
                del active[name]
                if process.returncode != 0:
                    _fail(run, process.returncode)
                settings = json.dumps(run.settings, indent=2)
                (run.folder / "settings.json").write_text(settings + "\n", encoding="utf8")
                done = total - len(queue) - len(active)
                left = (time.time() - start) / done * (total - done)
                seconds = time.time() - began
                msg.text(f"{done:>3}/{total}  {seconds:5.0f} s  {left:5.0f} s left  {name}")
    finally:
        for _, _, process, log in active.values():
            process.terminate()
            process.wait()
            log.close()


def _start(run: Run) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """Start one run in an empty folder."""
    run.settings  # noqa: B018  (digested before an input can change)
    if run.folder.exists():
        shutil.rmtree(run.folder)
    run.folder.mkdir(parents=True)
    args = [sys.executable, "-m", "spacy", *run.command.value.split(), run.args[0]]
    if run.command is Command.train:
        args += ["--output", str(run.folder), *LOGGER, str(run.folder / "curve.jsonl")]
    else:
        args += [str(run.folder)]
    env = {**os.environ, **{f"{name}_NUM_THREADS": "1" for name in THREADS}}
    log = (run.folder / "log.txt").open("wb")
    process = subprocess.Popen(
        [*args, *run.args[1:]], stdout=log, stderr=subprocess.STDOUT, env=env
    )
    return process, log


def _fail(run: Run, code: int) -> None:
    """Show the end of the log and leave; the caller stops the other runs."""
    path = run.folder / "log.txt"
    lines = path.read_text(encoding="utf8", errors="replace").splitlines()
    msg.fail(f"{run.name} ended with exit code {code}; the end of {path}:")
    print("\n".join(lines[-TAIL_LINES:]))
    sys.exit(1)


def _digest(path: Path) -> str:
    """Digest a file, or the files of a folder in order."""
    digest = hashlib.sha256()
    files: Iterable[Path] = [path] if path.is_file() else sorted(path.rglob("*"))
    for file in files:
        if file.is_file():
            digest.update(file.name.encode("utf8"))
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    typer.run(main)

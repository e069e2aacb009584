"""Evaluate the pipelines that `run_trainings.py` left under TRAINING with `spacy evaluate`.

Each run folder gets metrics.json: the scores, what was evaluated, and a digest of run and data. A
run whose digest still fits is skipped. Every process computes on one thread.
"""

import hashlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated, Any

import srsly
import typer
from wasabi import msg

THREADS = ("OMP", "OPENBLAS", "BLIS", "MKL", "VECLIB", "NUMEXPR")
TAIL_LINES = 25


def main(
    training: Annotated[Path, typer.Argument(help="Folder of the runs", exists=True)],
    data: Annotated[Path, typer.Argument(help="Docs with annotations, .spacy", exists=True)],
    model: Annotated[str, typer.Option(help="model-best or model-last")] = "model-best",
    gold_preproc: Annotated[bool, typer.Option(help="Keep the tokens of the data")] = False,
    jobs: Annotated[int, typer.Option(help="Evaluations at a time")] = 2,
    gpu_id: Annotated[int, typer.Option(help="GPU, or -1 for CPU")] = -1,
) -> None:
    """Evaluate what is not done yet."""
    options = ["--gpu-id", str(gpu_id), *(["--gold-preproc"] if gold_preproc else [])]
    runs = [path.parent for path in sorted(training.rglob("seed-*/settings.json"))]
    if not runs:
        msg.fail(f"No finished run in {training}", exits=1)
    data_digest = hashlib.sha256(data.read_bytes()).hexdigest()
    digests = {run: make_digest(run, [model, data_digest, *options[2:]]) for run in runs}
    waiting = [run for run in runs if not is_done(run, digests[run])]
    if len(waiting) < len(runs):
        msg.info(f"{len(runs) - len(waiting)} of {len(runs)} runs are evaluated already")
    start = time.time()
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(evaluate, run / model, data, options): run for run in waiting}
        for done, future in enumerate(as_completed(futures), 1):
            run = futures[future]
            try:
                scores = future.result()
            except RuntimeError as error:
                pool.shutdown(cancel_futures=True)
                msg.fail(f"Evaluation of {run / model} failed:", str(error), exits=1)
            metrics = {"model": model, "data": data.name, "digest": digests[run], "scores": scores}
            srsly.write_json(run / "metrics.json", metrics)
            left = (time.time() - start) / done * (len(waiting) - done)
            msg.text(f"{done:>3}/{len(waiting)}  {left:5.0f} s left  {run.relative_to(training)}")
    msg.good(f"{len(runs)} runs evaluated on {data}")


def evaluate(model: Path, data: Path, options: list[str]) -> dict[str, Any]:
    """Run `spacy evaluate` in a process of its own.

    model (Path): The pipeline.
    data (Path): The .spacy file.
    options (list[str]): More arguments.
    RETURNS (dict[str, Any]): The scores of all components.
    RAISES (RuntimeError): If the command fails; the message is the end of its output.
    """
    output = model.parent / "scores.json"
    # without --per-component, spaCy leaves out the accuracy of textcat
    command = [sys.executable, "-m", "spacy", "evaluate", str(model), str(data)]
    command += ["--output", str(output), "--per-component", *options]
    env = {**os.environ, **{f"{name}_NUM_THREADS": "1" for name in THREADS}}
    result = subprocess.run(command, env=env, capture_output=True, text=True)
    if result.returncode != 0:
        lines = (result.stdout + result.stderr).splitlines()
        raise RuntimeError("\n".join(lines[-TAIL_LINES:]))
    scores: dict[str, Any] = {}
    for component in srsly.read_json(output).values():
        if isinstance(component, dict):
            scores.update(component)
    output.unlink()
    return scores


def make_digest(run: Path, parts: list[str]) -> str:
    """Digest what decides the scores: the settings of the run, the data and the options."""
    text = "\n".join([(run / "settings.json").read_text(encoding="utf8"), *parts])
    return hashlib.sha256(text.encode("utf8")).hexdigest()[:16]


def is_done(run: Path, digest: str) -> bool:
    """Tell whether the folder holds these very scores."""
    path = run / "metrics.json"
    return path.is_file() and srsly.read_json(path)["digest"] == digest


if __name__ == "__main__":
    typer.run(main)

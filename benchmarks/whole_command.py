"""`charlm pretrain` compared with `spacy pretrain` and spaCy's own parts, from text to weights.

python benchmarks/whole_command.py --text imdb/unlabelled.jsonl.gz --vectors VECTORS

Whole commands are timed from start to exit. They run in turn, each in a process of its own. Both
sides have the encoder, head, batches, optimizer and target vectors of configs/pretrain/cosine.cfg.
VECTORS is a folder of spaCy vectors, because `spacy pretrain` reads no other format.
"""

import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import spacy
import srsly
import typer
from models import EMBEDS, OBJECTIVES
from spacy.util import load_config
from wasabi import msg

from spacy_charlm.machine import describe_machine
from spacy_charlm.text.text_corpus import TextCorpus

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "configs" / "pretrain" / "cosine.cfg"
RESULTS = ROOT / "benchmarks" / "results" / "whole_command.jsonl"
SPACY = "spacy pretrain: MultiHashEmbed + PretrainVectors"


def main(
    text: Annotated[Path, typer.Option(help="Raw text")],
    vectors: Annotated[Path, typer.Option(help="Folder of spaCy vectors")],
    texts: Annotated[int, typer.Option(help="Number of texts")] = 1500,
    turns: Annotated[int, typer.Option(help="Runs of each command")] = 7,
    gpu_id: Annotated[int, typer.Option(help="GPU ID or -1 for CPU")] = -1,
) -> None:
    """Measure, print a table, and append lines to a file in benchmarks/results."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw, words = write_texts(text, texts, folder / "raw.jsonl")
        theirs = write_configs(folder)
        target = ["--paths.target_vectors", str(vectors.resolve())]
        ours = ["charlm", "pretrain", str(CONFIG)]
        variants: dict[str, tuple[list[str], int | None]] = {
            f"{SPACY}, as it ships": (
                ["pretrain", str(theirs["ships"]), "--paths.vectors", target[1]],
                None,
            ),
            f"{SPACY}, with use_blas": (
                ["pretrain", str(theirs["blas"]), "--paths.vectors", target[1]],
                None,
            ),
            "charlm pretrain": ([*ours, *target], None),
            "charlm pretrain --prefetch 1": ([*ours, *target, "--prefetch", "1"], None),
            "charlm pretrain --workers 2": ([*ours, *target, "--workers", "2"], 1),
        }
        if gpu_id >= 0:  # neither BLAS nor a second worker on one GPU
            variants = {
                name: variant
                for name, variant in variants.items()
                if "use_blas" not in name and "workers" not in name
            }
        more = ["--paths.raw_text", str(raw), "--gpu-id", str(gpu_id)]
        speeds: dict[str, list[float]] = {name: [] for name in variants}
        for turn in range(turns):
            for name, (command, threads) in variants.items():
                seconds = run([*command, *more], folder, threads)
                speeds[name].append(words / seconds)
                msg.text(f"turn {turn + 1}, {name}: {seconds:.1f} s")
    base = np.array(speeds[f"{SPACY}, as it ships"])
    rows, lines = [], []
    for name, found in speeds.items():
        ratios = np.array(found) / base
        spread = f"{np.median(ratios):.2f} ({ratios.min():.2f}-{ratios.max():.2f})"
        rows.append((name, f"{np.median(found):,.0f}", spread))
        lines.append({"command": name, "words_per_second": found, "ratios": ratios.tolist()})
    msg.table(rows, header=("command", "words/s", "ratio"), divider=True, aligns=("l", "r", "r"))
    RESULTS.parent.mkdir(exist_ok=True)
    facts = {**describe_machine(), "words": words}
    srsly.write_jsonl(RESULTS, [{**line, **facts} for line in lines], append=True)


def write_texts(source: Path, n_texts: int, path: Path) -> tuple[Path, int]:
    """Write the first texts of a corpus as JSON lines; return the path and the number of words."""
    docs = list(islice(TextCorpus(source)(spacy.blank("en")), n_texts))
    srsly.write_jsonl(path, [{"text": doc.text} for doc in docs])
    return path, sum(map(len, docs))


def write_configs(folder: Path) -> dict[str, Path]:
    """Write the configs of spaCy's side, with the BLIS of thinc and with NumPy's BLAS."""
    paths = {"blas": folder / "blas.cfg", "ships": folder / "ships.cfg"}
    config = load_config(CONFIG, interpolate=False)
    embed = {**EMBEDS["MultiHashEmbed"], "rows": [10_000, 1_000, 2_500, 2_500]}
    config["components"]["tok2vec"]["model"]["embed"] = embed
    config["pretraining"]["objective"] = OBJECTIVES["PretrainVectors"]
    config.to_disk(paths["blas"])
    config["nlp"]["before_creation"] = None
    config.to_disk(paths["ships"])
    return paths


def run(command: list[str], folder: Path, threads: int | None) -> float:
    """Run a command of spaCy; return the time in seconds."""
    environ = dict(os.environ)
    environ.pop("OPENBLAS_NUM_THREADS", None)
    if threads is not None:
        environ["OPENBLAS_NUM_THREADS"] = str(threads)
    # The output folder is the argument after the config.
    position = 1 + next(i for i, word in enumerate(command) if word.endswith(".cfg"))
    with tempfile.TemporaryDirectory(dir=folder) as output:
        given = [*command[:position], output, *command[position:]]
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "spacy", *given],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            raise RuntimeError(f"{' '.join(given)} failed:\n{done.stdout[-3000:]}")
    return seconds


if __name__ == "__main__":
    typer.run(main)

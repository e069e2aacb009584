r"""From raw .jsonl to weights: `spacy pretrain` with spaCy's own parts beside `charlm pretrain`.

python benchmarks/whole_command.py --text imdb/unlabelled.jsonl.gz --vectors VECTORS

Whole commands, from start to exit, each in a process of its own, in turn. The encoder, head,
batches, optimizer and target vectors are those of configs/pretrain/cosine.cfg on either side.
VECTORS is a folder of spaCy vectors, since `spacy pretrain` reads no other.
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
from wasabi import msg

from spacy_charlm.evaluation.paired_timing import describe_machine
from spacy_charlm.text.text_corpus import create_text_corpus_v1

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "configs" / "pretrain" / "cosine.cfg"
RESULTS = ROOT / "benchmarks" / "results" / "whole_command.jsonl"
SPACY = "spacy pretrain: MultiHashEmbed + PretrainVectors"


def main(
    text: Annotated[Path, typer.Option(help="Raw text")],
    vectors: Annotated[Path, typer.Option(help="Folder of spaCy vectors")],
    texts: Annotated[int, typer.Option(help="Texts to train on")] = 1500,
    turns: Annotated[int, typer.Option(help="Runs of each command")] = 7,
    gpu_id: Annotated[int, typer.Option(help="GPU ID or -1 for CPU")] = -1,
) -> None:
    """Measure, print a table, and add lines to benchmarks/results."""
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
        if gpu_id >= 0:  # one card: no BLAS, no second worker
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
    """Write the first texts of a corpus as JSON lines, and count their words."""
    docs = list(islice(create_text_corpus_v1(source)(spacy.blank("en")), n_texts))
    srsly.write_jsonl(path, [{"text": doc.text} for doc in docs])
    return path, sum(map(len, docs))


def write_configs(folder: Path) -> dict[str, Path]:
    """Write the config of spaCy's side, with thinc's own BLIS and with NumPy's BLAS."""
    blas = folder / "pretrain_vectors.cfg"
    scripts = ROOT / "scripts"
    swapped = folder / "swapped"
    for command in (
        [scripts / "swap_embed.py", swapped, "--rows", "10000,1000,2500,2500", CONFIG],
        [scripts / "swap_objective.py", swapped / "pretrain" / CONFIG.name, blas],
    ):
        subprocess.run([sys.executable, *map(str, command)], check=True, stdout=subprocess.DEVNULL)
    config = spacy.util.load_config(blas, interpolate=False)
    config["nlp"]["before_creation"] = None
    ships = folder / "ships.cfg"
    config.to_disk(ships)
    return {"blas": blas, "ships": ships}


def run(command: list[str], folder: Path, threads: int | None) -> float:
    """Run a command of `spacy` and return its seconds."""
    environ = dict(os.environ)
    environ.pop("OPENBLAS_NUM_THREADS", None)
    if threads is not None:
        environ["OPENBLAS_NUM_THREADS"] = str(threads)
    # The output folder is the argument behind the config.
    place = 1 + next(i for i, word in enumerate(command) if word.endswith(".cfg"))
    with tempfile.TemporaryDirectory(dir=folder) as output:
        given = [*command[:place], output, *command[place:]]
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

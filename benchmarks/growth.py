"""Growth of time and memory with the corpus, the words, the batch and the target table.

OPENBLAS_NUM_THREADS=1 python benchmarks/growth.py

1. Resident memory and words/s after a hundredth, a tenth and all of a corpus in which every third
   word is new, with `charlm pretrain` and with the loop of `spacy pretrain`.
2. Words/s of an update for words of 1 to 1,000 characters.
3. Words/s and memory of an update for batches of 300 to 10,000 words.
4. Words/s and memory for target tables of 20,000 to 1,000,000 rows.

Each row is measured in a process of its own. The model is that of configs/pretrain/cosine.cfg, but
small in 1, where only the texts matter.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import srsly
import typer
from spacy.training.pretrain import make_update
from spacy.util import load_config
from wasabi import msg

from spacy_charlm.machine import describe_machine, resident_megabytes
from spacy_charlm.training.worker import Worker

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "configs" / "pretrain" / "cosine.cfg"
RESULTS = ROOT / "benchmarks" / "results" / "growth.jsonl"
SMALL = {
    "components.tok2vec.model.embed.width": 8,
    "components.tok2vec.model.embed.windows": [3],
    "components.tok2vec.model.embed.filters": [4],
    "components.tok2vec.model.embed.rows": [100],
    "components.tok2vec.model.encode.depth": 1,
}
COMMON = [f"w{i}" for i in range(200)]


def main(
    words: Annotated[int, typer.Option(help="Words of the corpus")] = 10_000_000,
    steps: Annotated[int, typer.Option(help="Updates of a row, in 2 to 4")] = 12,
) -> None:
    """Measure, print four tables, and append lines to a file in benchmarks/results."""
    show("corpus", measure_corpus, [(words, how) for how in LOOPS])
    show("length of words", measure_words, [(n, steps) for n in (1, 5, 10, 100, 1000)])
    show("words in a batch", measure_batches, [(n, steps) for n in (300, 1000, 3000, 10000)])
    show("rows of the target", measure_rows, [(n, steps) for n in (20_000, 200_000, 1_000_000)])


def show(title: str, measure: Callable[..., dict[str, Any]], cases: list[tuple[Any, ...]]) -> None:
    """Run each case in a process of its own, print a table, and append lines to the results."""
    rows = []
    for case in cases:
        with get_context("spawn").Pool(1) as pool:
            rows.append(pool.apply(measure, case))
        msg.text(f"{title}: {rows[-1]}")
    header = list(rows[0])
    cells = [[f"{v:,.0f}" if isinstance(v, float | int) else v for v in r.values()] for r in rows]
    msg.divider(title)
    msg.table(cells, header=header, divider=True, aligns=["r"] * len(header))
    RESULTS.parent.mkdir(exist_ok=True)
    facts = {"question": title, **describe_machine()}
    srsly.write_jsonl(RESULTS, [{**facts, **row} for row in rows], append=True)


def make_worker(
    folder: Path,
    lines: Iterator[str],
    n_rows: int = 1000,
    *,
    linear_head: bool = False,
    **overrides: Any,
) -> Worker:
    """Write a corpus and random target vectors, and build a worker for them."""
    with (folder / "raw.txt").open("w", encoding="utf8") as file_:
        file_.writelines(f"{line}\n" for line in lines)
    rng = np.random.default_rng(0)
    with (folder / "vectors.txt").open("w", encoding="utf8") as file_:
        for i in range(n_rows):
            values = " ".join(f"{x:.2f}" for x in rng.standard_normal(16))
            file_.write(f"w{i} {values}\n")
    paths = {"raw_text": folder / "raw.txt", "target_vectors": folder / "vectors.txt"}
    given = {f"paths.{name}": str(path) for name, path in paths.items()}
    config = load_config(CONFIG, overrides={**given, **overrides}, interpolate=False)
    if linear_head:
        head = {"@architectures": "spacy-charlm.LinearHead.v1"}
        config["pretraining"]["objective"]["head"] = head
    return Worker(config)


def new_words(n_words: int) -> Iterator[str]:
    """Yield lines of a hundred words, of which every third is new."""
    for line in range(n_words // 100):
        yield " ".join(f"n{line}x{i}" if i % 3 == 0 else COMMON[i] for i in range(100))


def run_charlm(worker: Worker) -> Iterator[int]:
    """Train for one pass as `charlm pretrain` does; yield the number of words of each update."""
    step = 0
    worker.start_pass(0, 0)
    while (n_steps := worker.next_round()) >= 0:
        for i in range(n_steps):
            yield worker.step(step, i).words
            step += 1


def run_spacy(worker: Worker) -> Iterator[int]:
    """Train the same model for one pass as `spacy pretrain` does."""
    for batch in worker.batcher(worker.corpus(worker.nlp)):
        make_update(worker.model, batch, worker.optimizer, worker.model.attrs["loss"])
        yield sum(map(len, batch))


LOOPS = {"charlm pretrain": run_charlm, "spacy pretrain": run_spacy}


def measure_corpus(n_words: int, how: str) -> dict[str, Any]:
    """Measure memory in the course of a pass with new words; medians, because it fluctuates."""
    with tempfile.TemporaryDirectory() as folder:
        worker = make_worker(Path(folder), new_words(n_words), linear_head=True, **SMALL)
        words, megabytes, start = [0], [resident_megabytes()], time.perf_counter()
        for new in LOOPS[how](worker):
            words.append(words[-1] + new)
            megabytes.append(resident_megabytes())
        speed = words[-1] / (time.perf_counter() - start)
        row = {"how": how, "words": words[-1], "words/s": speed}
        for part in (100, 10, 1):
            last = np.array(words) / n_words * part
            row[f"MB at 1/{part}"] = float(
                np.median(np.array(megabytes)[(last > 0.8) & (last <= 1)])
            )
        return row


def run_steps(worker: Worker, steps: int) -> dict[str, float]:
    """Measure words per second and memory of some updates."""
    worker.start_pass(0, 0)
    worker.next_round()
    worker.step(0, 0)
    start = time.perf_counter()
    words = sum(worker.step(step, step).words for step in range(1, steps + 1))
    return {"words/s": words / (time.perf_counter() - start), "MB": resident_megabytes()}


def measure_words(length: int, steps: int) -> dict[str, Any]:
    """Measure the speed for words of one length."""
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    table = ["".join(rng.choice(letters, length)) for _ in range(3000)]
    lines = (" ".join(["w1", *rng.choice(table, 99)]) for _ in range(40 * (steps + 2)))
    with tempfile.TemporaryDirectory() as folder:
        worker = make_worker(Path(folder), lines, **{"charlm.block_size": 10**9})
        return {"characters": length, **run_steps(worker, steps)}


def measure_batches(size: int, steps: int) -> dict[str, Any]:
    """Measure the speed for batches of one size."""
    overrides = {"pretraining.batcher.size": size, "charlm.block_size": 10**9}
    with tempfile.TemporaryDirectory() as folder:
        worker = make_worker(Path(folder), new_words(size * (steps + 3)), **overrides)
        return {"words in a batch": size, **run_steps(worker, steps)}


def measure_rows(n_rows: int, steps: int) -> dict[str, Any]:
    """Measure the speed for a table of so many target vectors."""
    with tempfile.TemporaryDirectory() as folder:
        worker = make_worker(
            Path(folder), new_words(4000 * (steps + 2)), n_rows, **{"charlm.block_size": 10**9}
        )
        return {"rows": n_rows, **run_steps(worker, steps)}


if __name__ == "__main__":
    typer.run(main)

r"""Speed of several workers: measured with two, extrapolated to more.

OPENBLAS_NUM_THREADS=1 python benchmarks/workers.py --text imdb/unlabelled.jsonl.gz \
    --vectors glove.imdb.100d.txt.gz

1. Two independent processes compared with one: the most that cores, caches and memory allow.
2. Two workers that share each step through Ray's object store, compared with one; the share of the
   time in which not even the slowest worker computes; the same with weights averaged every 8 steps.
3. An estimate from the measured bytes and seconds of a step: 8, 64 and 512 workers on one machine
   each, with 1 and 10 Gbit/s between them.

Each worker has one thread. All variants run in turn, several times, and the ratios are computed
within a turn.
"""

import time
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import srsly
import typer
from spacy.util import load_config
from wasabi import msg

from spacy_charlm.machine import describe_machine
from spacy_charlm.training.crew import Crew
from spacy_charlm.training.worker import Worker

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "configs" / "pretrain" / "cosine.cfg"
RESULTS = ROOT / "benchmarks" / "results" / "workers.jsonl"
WARM_UP = 3
GIGABIT = 1e9 / 8  # bytes per second


def main(
    text: Annotated[Path, typer.Option(help="Raw text")],
    vectors: Annotated[Path, typer.Option(help="Target vectors")],
    steps: Annotated[int, typer.Option(help="Steps of each run")] = 30,
    turns: Annotated[int, typer.Option(help="Runs of each variant")] = 3,
) -> None:
    """Measure, print two tables, and append a line to a file in benchmarks/results."""
    config = load_config(
        CONFIG,
        overrides={
            "paths.raw_text": str(text.resolve()),
            "paths.target_vectors": str(vectors.resolve()),
            "corpora.pretrain.limit": 4000,
        },
        interpolate=False,
    )
    variants = {
        "one process": lambda: measure_processes(config, 1, steps),
        "two processes apart": lambda: measure_processes(config, 2, steps),
        "crew of 1": lambda: measure_crew(config, 1, steps, 1),
        "crew of 2": lambda: measure_crew(config, 2, steps, 1),
        "crew of 2, average_every = 8": lambda: measure_crew(config, 2, steps, 8),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    for turn in range(turns):
        for name, measure in variants.items():
            found[name].append(measure())
            msg.text(f"turn {turn + 1}, {name}: {found[name][-1]['words_per_second']:,.0f} words/s")
    alone = np.array([run["words_per_second"] for run in found["one process"]])
    rows, lines = [], {}
    for name, runs in found.items():
        speed = np.array([run["words_per_second"] for run in runs])
        ratios = speed / alone
        idle = float(np.median([run["communication"] for run in runs]))
        lines[name] = {
            "words_per_second": float(np.median(speed)),
            "ratio": [float(f(ratios)) for f in (np.min, np.median, np.max)],
            "communication": idle,
        }
        spread = f"{np.median(ratios):.2f} ({ratios.min():.2f}-{ratios.max():.2f})"
        rows.append((name, f"{np.median(speed):,.0f}", spread, f"{idle:.0%}"))
    msg.table(
        rows,
        header=("", "words/s", "over one process", "not computing"),
        divider=True,
        aligns=("l", "r", "r", "r"),
    )
    size, seconds, words = (
        found["crew of 1"][0][key] for key in ("bytes", "seconds_per_step", "words_per_step")
    )
    paper = extrapolate(size, seconds, words)
    msg.text(f"A step: {words:,.0f} words and {seconds:.3f} s a worker, {size / 1e6:.1f} MB")
    msg.table(
        paper,
        header=("workers", "1 Gbit/s", "10 Gbit/s", "1 Gbit/s, ring", "10 Gbit/s, ring"),
        divider=True,
        aligns=("r",) * 5,
    )
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf8") as file_:
        line = {**describe_machine(), "steps": steps, "variants": lines, "bytes_per_step": size}
        file_.write(srsly.json_dumps(line) + "\n")


def run_steps(worker: Any, steps: int) -> tuple[float, int]:
    """Train for some steps after a warm-up; return their seconds and words."""
    step = words = 0
    start = 0.0
    worker.start_pass(0, 0)
    while step < steps + WARM_UP:
        for i in range(worker.next_round()):
            if step == WARM_UP:
                start, words = time.perf_counter(), 0
            if step < steps + WARM_UP:
                words += worker.step(step, i).words
            step += 1
    return time.perf_counter() - start, words


def run_apart(config: Any, steps: int, speeds: Any) -> None:
    """Train in a process of its own and report the speed."""
    seconds, words = run_steps(Worker(config), steps)
    speeds.put(words / seconds)


def measure_processes(config: Any, n: int, steps: int) -> dict[str, float]:
    """Measure words per second of independent processes, in total."""
    context = get_context("spawn")
    speeds = context.Queue()
    processes = [context.Process(target=run_apart, args=(config, steps, speeds)) for _ in range(n)]
    for process in processes:
        process.start()
    total = sum(speeds.get() for _ in processes)
    for process in processes:
        process.join()
    return {"words_per_second": total, "communication": 0.0}


def measure_crew(config: Any, n: int, steps: int, average_every: int) -> dict[str, float]:
    """Measure words per second of workers that share each step."""
    config = config.copy()
    config["charlm"]["average_every"] = average_every
    crew = Crew(config, n_workers=n)
    seconds, words = run_steps(crew, steps)
    arrays = crew.snapshot().arrays
    size = sum(array.nbytes for name, array in arrays.items() if name[0].isdigit())
    share = crew.communication
    crew.close()
    return {
        "words_per_second": words / seconds,
        "communication": share,
        "seconds_per_step": seconds / steps,
        "words_per_step": words / steps,
        "bytes": size,
    }


def extrapolate(size: float, seconds: float, words: float) -> list[tuple[str, ...]]:
    """Estimate words per second with more workers, each of which fetches all others' gradients.

    A ring, as in NCCL, moves about twice the gradients for any number of workers.
    """
    rows = []
    for n in (1, 8, 64, 512):
        cells = []
        for moved in (size * (n - 1), 2 * size * (n - 1) / n):
            for gigabits in (1, 10):
                step = seconds + moved / (gigabits * GIGABIT)
                cells.append(f"{n * words / step:,.0f}")
        rows.append((str(n), *cells))
    return rows


if __name__ == "__main__":
    typer.run(main)

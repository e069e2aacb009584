"""Two things timed in turn, A B A B, and what the figures depend on."""

import datetime
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from thinc.api import CupyOps, Ops, get_current_ops

PACKAGES = ("spacy-charlm", "spacy", "thinc", "numpy")


@dataclass(frozen=True)
class Ratio:
    """Words per second of A over those of B, pair by pair.

    question (str): What both of them do.
    A (str): Name of the one.
    B (str): Name of the other.
    A_speed (float): Median words per second.
    B_speed (float): Median words per second.
    ratios (List[float]): One for each pair.
    cpu_ratio (float): The same for the seconds of the processor, all threads together.
    """

    question: str
    A: str
    B: str
    A_speed: float
    B_speed: float
    ratios: list[float]
    cpu_ratio: float

    @property
    def median(self) -> float:
        """The median of the pairs."""
        return float(np.median(self.ratios))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({min(self.ratios):.2f}-{max(self.ratios):.2f})"

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, JSON-like."""
        return {
            "question": self.question,
            "A": self.A,
            "B": self.B,
            "A_words_per_second": round(self.A_speed),
            "B_words_per_second": round(self.B_speed),
            "median": round(self.median, 3),
            "ratios": [round(ratio, 3) for ratio in self.ratios],
            "cpu_ratio": round(self.cpu_ratio, 3),
        }


def compare(
    question: str,
    A: tuple[str, Callable[[Any], Any]],
    B: tuple[str, Callable[[Any], Any]],
    batches: Sequence[Any],
    *,
    words: int,
    pairs: int,
) -> Ratio:
    """Time A and B in turn, after one run of each that does not count.

    question (str): What both of them do.
    A (Tuple[str, Callable]): Name, and what is called with each batch.
    B (Tuple[str, Callable]): The same.
    batches (Sequence): The batches of one run.
    words (int): Their tokens.
    pairs (int): Runs of each.
    RETURNS (Ratio): The speeds and their ratios.
    """
    times: dict[int, list[float]] = {0: [], 1: []}
    cpu = [0.0, 0.0]
    for i in range(pairs + 1):
        for side, (_, run) in enumerate((A, B)):
            start, start_cpu = time.perf_counter(), time.process_time()
            for batch in batches:
                run(batch)
            wait_for_gpu()
            if i:
                times[side].append(time.perf_counter() - start)
                cpu[side] += time.process_time() - start_cpu
    return Ratio(
        question,
        A[0],
        B[0],
        words / float(np.median(times[0])),
        words / float(np.median(times[1])),
        [b / a for a, b in zip(times[0], times[1])],
        cpu[1] / max(cpu[0], 1e-9),
    )


def wait_for_gpu() -> None:
    """Wait until the GPU has done what it was asked for; without one return at once."""
    if isinstance(get_current_ops(), CupyOps):
        import cupy

        cupy.cuda.get_current_stream().synchronize()


def measure_gemm(ops: Ops, nT: int, nI: int = 288, nO: int = 288) -> float:
    """Measure a float32 matrix product of the encoder's size: the best of several runs.

    ops (Ops): Whose product.
    nT (int): Rows.
    nI (int): Width of the input, window times width of the encoder.
    nO (int): Width of the output, pieces times width.
    RETURNS (float): GFLOP/s.
    """
    X: Any = ops.alloc2f(nT, nI) + 1
    W: Any = ops.alloc2f(nO, nI) + 1
    times = []
    for _ in range(20):
        start = time.perf_counter()
        ops.gemm(X, W, trans2=True)
        wait_for_gpu()
        times.append(time.perf_counter() - start)
    return 2 * nT * nI * nO / min(times) / 1e9


def describe_machine() -> dict[str, Any]:
    """Tell what the figures depend on."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf8").splitlines()
        cpu = next((x.split(": ")[1] for x in lines if x.startswith("model name")), cpu)
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": os.environ.get("OPENBLAS_NUM_THREADS", "all"),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def describe_card() -> str:
    """Name the GPU in use and its memory."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return f"{properties['name'].decode()}, {properties['totalGlobalMem'] / 2**30:.0f} GiB"

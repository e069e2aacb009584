"""What every benchmark needs: pairs timed in turn, and what the figures depend on."""

import datetime
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from spacy.tokens import Doc
from thinc.api import NumpyOps
from wasabi import msg

Run = Callable[[list[Doc]], Any]


def compare(
    question: str,
    name_A: str,
    A: Run,
    name_B: str,
    B: Run,
    groups: list[list[Doc]],
    pairs: int,
    words: int,
) -> dict[str, Any]:
    """Time A and B in turn, after one run of each that does not count."""
    times: dict[str, list[float]] = {"A": [], "B": []}
    seconds: dict[str, float] = {"A": 0.0, "B": 0.0}  # of the processor, all threads together
    for i in range(pairs + 1):
        for side, run in (("A", A), ("B", B)):
            start, start_cpu = time.perf_counter(), time.process_time()
            for docs in groups:
                run(docs)
            if i:
                times[side].append(time.perf_counter() - start)
                seconds[side] += time.process_time() - start_cpu
    ratios = np.array(times["B"]) / np.array(times["A"])
    cpu_ratio = seconds["B"] / seconds["A"]
    msg.text(f"{question}: {name_A} / {name_B} {np.median(ratios):.2f}, CPU time {cpu_ratio:.2f}")
    return {
        "question": question,
        "A": name_A,
        "B": name_B,
        "A_words_per_second": words / float(np.median(times["A"])),
        "B_words_per_second": words / float(np.median(times["B"])),
        "ratio": {
            "min": float(ratios.min()),
            "median": float(np.median(ratios)),
            "max": float(ratios.max()),
        },
        "cpu_time_ratio": round(cpu_ratio, 3),
        "ratios": [round(float(ratio), 3) for ratio in ratios],
    }


def measure_gemm(ops: NumpyOps, nT: int) -> float:
    """Measure a matrix product of the encoder's size, in GFLOP/s: the best of several runs."""
    nI, nO = 3 * 96, 3 * 96  # window * width, pieces * width
    X, W = ops.alloc2f(nT, nI) + 1, ops.alloc2f(nO, nI) + 1
    times = []
    for _ in range(20):
        start = time.perf_counter()
        ops.gemm(X, W, trans2=True)
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
        "versions": {name: version(name) for name in ("spacy-charlm", "spacy", "thinc", "numpy")},
    }

"""Time two functions in turn, A B A B."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spacy_charlm.machine import wait_for_gpu


@dataclass(frozen=True)
class Ratio:
    """Words per second of A divided by those of B.

    question (str): What both of them do.
    A (str): Name of A.
    B (str): Name of B.
    A_speed (float): Median words per second of A.
    B_speed (float): Median words per second of B.
    ratios (List[float]): The ratio of each pair of runs.
    cpu_ratio (float): The same ratio for CPU time, summed over threads and runs.
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
        """Median over the pairs."""
        return float(np.median(self.ratios))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({min(self.ratios):.2f}-{max(self.ratios):.2f})"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields and the median, ready for JSON."""
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


def time_pairs(
    question: str,
    A: tuple[str, Callable[[Any], Any]],
    B: tuple[str, Callable[[Any], Any]],
    batches: Sequence[Any],
    *,
    words: int,
    pairs: int,
) -> Ratio:
    """Time A and B in turn, after a warm-up run of each.

    question (str): What both of them do.
    A (Tuple[str, Callable]): Name, and the function that is called with each batch.
    B (Tuple[str, Callable]): The same.
    batches (Sequence): The batches of one run.
    words (int): Number of tokens in the batches.
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

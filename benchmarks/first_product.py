"""Speed of NumPy's matrix products with one thread, before and after the product of `use_blas`.

OMP_NUM_THREADS=1 python benchmarks/first_product.py

Each measurement is a process of its own. The product has the shape of an encoder's layer.
"""

import os
import statistics
import subprocess
import sys
import time

import numpy as np
from spacy.language import Language

from spacy_charlm.machine import use_blas

N_PROCESSES = 5
N_WORDS, WIDTH = 20_000, 288


def measure() -> float:
    """Measure products in 1e9 operations per second."""
    rng = np.random.default_rng(0)
    X = rng.random((N_WORDS, WIDTH), dtype="float32")
    W = rng.random((WIDTH, WIDTH), dtype="float32")
    times = []
    for _ in range(5):
        start = time.perf_counter()
        X.dot(W.T)
        times.append(time.perf_counter() - start)
    return 2 * X.size * WIDTH / statistics.median(times) / 1e9


if __name__ == "__main__":
    if sys.argv[1:] == ["child"]:
        before = measure()
        use_blas(Language)
        print(before, measure())
    else:
        ratios = []
        for _ in range(N_PROCESSES):
            command = [sys.executable, __file__, "child"]
            env = {**os.environ, "OMP_NUM_THREADS": "1"}
            output = subprocess.run(command, env=env, capture_output=True, check=True, text=True)
            before, after = map(float, output.stdout.split())
            ratios.append(after / before)
            print(f"{before:.1f} GFLOP/s before, {after:.1f} after: {after / before:.2f} times")
        print(f"median: {statistics.median(ratios):.2f} times")

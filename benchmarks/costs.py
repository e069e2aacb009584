"""Costs of a part alone: arithmetic, share of the speed of the machine, memory."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
import spacy
from models import (
    build_embed,
    build_pipeline,
    build_update,
    make_backends,
    pipe_texts,
    train_embed,
)
from spacy.tokens import Doc
from thinc.api import NumpyOps, get_current_ops, set_current_ops

from spacy_charlm.machine import (
    measure_product,
    peak_megabytes,
    resident_megabytes,
    wait_for_gpu,
)

LARGE = 2000  # rows and columns of the product that shows the speed of the machine
N_REPEATS = 20
# Question, embed layer, and objective or component; see `_build`.
CASES = (
    ("embed, training", "CharCNN", ""),
    ("embed, training", "MultiHashEmbed", ""),
    ("embed, training", "CharacterEmbed", ""),
    ("pretraining update", "CharCNN", "LMAO"),
    ("pretraining update", "MultiHashEmbed", "PretrainVectors"),
    ("pretraining update", "MultiHashEmbed", "PretrainCharacters"),
    ("textcat, nlp.pipe", "CharCNN", "textcat"),
    ("textcat, nlp.pipe", "MultiHashEmbed", "textcat"),
    ("ner, nlp.pipe", "CharCNN", "ner"),
    ("ner, nlp.pipe", "MultiHashEmbed", "ner"),
)


@dataclass(frozen=True)
class Cost:
    """The costs of a part, measured in a process of its own, with NumPy's BLAS or on a GPU.

    question (str): What the part does.
    name (str): Name of the part.
    words_per_second (float): Median of twenty runs after a warm-up run.
    flops_per_word (float): Floating-point operations of its matrix products.
    share (float): These operations per second, divided by the speed of one large float32 product.
    peak (float): Peak memory above that before the part was built, MB.
    growth (float): Memory that twenty more runs over the same texts add, MB.
    """

    question: str
    name: str
    words_per_second: float
    flops_per_word: float
    share: float
    peak: float
    growth: float

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)


class CountingOps(NumpyOps):
    """NumpyOps that count the operations of matrix products."""

    flops = 0.0

    def gemm(
        self, x: Any, y: Any, out: Any = None, trans1: bool = False, trans2: bool = False
    ) -> Any:
        """Multiply, and count two operations per product of two numbers."""
        rows, inner = x.shape[::-1] if trans1 else x.shape
        self.flops += 2.0 * rows * inner * (y.shape[0] if trans2 else y.shape[1])
        return super().gemm(x, y, out=out, trans1=trans1, trans2=trans2)


def measure_costs(
    batches: Sequence[list[Doc]], show: Callable[[Cost], None], *, gpu: bool = False
) -> list[Cost]:
    """Measure all CASES, each in a process of its own.

    batches (Sequence[List[Doc]]): The texts.
    show (Callable[[Cost], None]): Called with each result.
    gpu (bool): Whether to run on the GPU; then its memory is measured.
    RETURNS (List[Cost]): The results.
    """
    texts = [[doc.text for doc in batch if len(doc)] for batch in batches]
    costs = []
    for case in CASES:
        with get_context("spawn").Pool(1) as pool:
            costs.append(pool.apply(measure_cost, (*case, texts, gpu)))
        show(costs[-1])
    return costs


def measure_cost(
    question: str, embed: str, part: str, texts: list[list[str]], gpu: bool = False
) -> Cost:
    """Measure one of CASES in this process, which should be a new one."""
    ops = next(iter(make_backends(gpu=gpu).values()))
    set_current_ops(ops)
    nlp = spacy.blank("en")
    batches = [[nlp.make_doc(text) for text in batch] for batch in texts]
    words = sum(len(doc) for batch in batches for doc in batch)
    before = _megabytes(gpu)
    run = _build(question, embed, part, batches)
    _run_all(run, batches)
    held = _megabytes(gpu)
    times = []
    for _ in range(N_REPEATS):
        start = time.perf_counter()
        _run_all(run, batches)
        times.append(time.perf_counter() - start)
    speed = words / float(np.median(times))
    growth = _megabytes(gpu) - held
    # The kernel counts pages late: the peak that it reports may be below an earlier value.
    peak = max(_megabytes(gpu) if gpu else peak_megabytes(), before) - before
    # Counted last, because the allocator keeps the memory that this takes.
    flops = count_flops(question, embed, part, batches) / words
    limit = measure_product(ops, LARGE, LARGE, LARGE) * 1e9
    name = f"{embed} + {part}" if question == "pretraining update" else embed
    return Cost(question, name, speed, flops, flops * speed / limit, peak, growth)


def count_flops(question: str, embed: str, part: str, batches: Sequence[list[Doc]]) -> float:
    """Count the floating-point operations of the matrix products in a run over the batches.

    They are counted in a second run, with full caches, as for the speed.
    """
    before = get_current_ops()
    ops = CountingOps(use_blis=False)
    set_current_ops(ops)
    try:
        run = _build(question, embed, part, batches)
        _run_all(run, batches)
        ops.flops = 0.0
        _run_all(run, batches)
    finally:
        set_current_ops(before)
    return ops.flops


def _build(
    question: str, embed: str, part: str, batches: Sequence[list[Doc]]
) -> Callable[[list[Doc]], None]:
    docs = [doc for batch in batches for doc in batch]
    if question == "embed, training":
        return train_embed(build_embed(embed, batches[0]))
    if question == "pretraining update":
        return build_update(embed, part, docs)
    pipe = pipe_texts(build_pipeline(part, embed, docs[:20]))
    return lambda batch: pipe([doc.text for doc in batch])


def _run_all(run: Callable[[list[Doc]], None], batches: Sequence[list[Doc]]) -> None:
    for batch in batches:
        run(batch)
    wait_for_gpu()


def _megabytes(gpu: bool) -> float:
    if not gpu:
        return resident_megabytes()
    import cupy

    return cupy.get_default_memory_pool().total_bytes() / 1e6  # the pool keeps freed memory

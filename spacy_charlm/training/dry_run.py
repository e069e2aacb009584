"""What a pretraining would be: all parts built, some updates made, nothing written."""

import time
from typing import Any

from ..errors import Errors
from .memory import resident_megabytes
from .show_progress import clock

N_UPDATES = 5


def dry_run(worker: Any) -> list[tuple[str, str]]:
    """Check config, texts, vectors and weights, and measure some updates.

    worker (Worker): Who would compute. Its weights are changed.
    RETURNS (List[Tuple[str, str]]): Names and values: texts, words, updates, time, memory.
    RAISES (ValueError): What `pretrain` would raise.
    """
    start = time.monotonic()
    scan = worker.scan()
    scanned = time.monotonic() - start
    worker.start_pass(0, 0)
    n_steps = worker.next_round()
    if n_steps < 1:
        raise ValueError(Errors.E527)
    measured = words = 0.0
    for i in range(min(n_steps, N_UPDATES + 1)):
        start = time.monotonic()
        result = worker.step(i, i)
        if i or n_steps == 1:  # the first one builds tables
            measured += time.monotonic() - start
            words += result.words
    lines = [("words/s", f"{words / measured:,.0f}")]
    if scan is not None:
        rounds = max(1.0, scan.characters / (worker.settings.block_size * worker.n_parts))
        total = rounds * worker.round_words
        steps = rounds * n_steps * worker.max_epochs
        lines = [
            ("texts", f"{scan.texts:,}"),
            ("blank", f"{scan.blank:,}"),
            ("characters", f"{scan.characters:,}"),
            ("words in a pass, about", f"{total:,.0f}"),
            ("passes", f"{worker.max_epochs:,}"),
            ("updates, about", f"{steps:,.0f}"),
            ("time to read the texts", clock(scanned)),
            ("time to train, about", clock(total * worker.max_epochs * measured / words)),
            *lines,
        ]
    scores = worker.evaluate()
    if "dev_masked" in scores:
        lines.append(("words behind masks in the development texts", f"{scores['dev_masked']:,}"))
    lines.append(("memory, MB", f"{resident_megabytes():,.0f}"))
    return lines

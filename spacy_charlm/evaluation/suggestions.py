"""Is the word that was meant among those that a pipeline suggests for a misspelled one?"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..noise.misspellings import TRAINING_SHARE, read_misspellings
from ..pipeline.lmfao import CharlmLMFAO
from .rank_scores import RankScore, score_ranks
from .word_scores import pair_misspellings

K = 10


def score_suggestions(
    component: CharlmLMFAO, path: Path, show: Callable[[float, int], None] = lambda share, n: None
) -> list[RankScore]:
    """Score real misspellings, of the words that no noise is drawn from in training.

    component (CharlmLMFAO): The pipeline's component.
    path (Path): Misspelling TAB correct word.
    show (Callable[[float, int], None]): Told the share of the words that are done, and how many.
    RETURNS (List[RankScore]): All words, then those of each band that has some.
    """
    typed = read_misspellings(path, share=TRAINING_SHARE, rest=True)
    pairs = pair_misspellings(component.words, typed)
    ranks = np.full(len(pairs), np.inf)
    for i, (word, row) in enumerate(pairs):
        found = [suggested for suggested, _ in component.suggest(word, K)]
        if component.words[row] in found:
            ranks[i] = found.index(component.words[row])
        show((i + 1) / len(pairs), i + 1)
    rows = np.array([row for _, row in pairs], dtype="int64")
    return [score for score, _ in score_ranks(ranks, rows, len(component.words))]

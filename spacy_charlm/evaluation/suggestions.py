"""Is the word that was meant among those that a pipeline suggests for a misspelled one?"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..noise.misspellings import TRAINING_SHARE, read_misspellings
from ..pipeline.lmfao import CharlmLMFAO
from .word_scores import BANDS, pair_misspellings

K = 10


@dataclass(frozen=True)
class SuggestionScore:
    """How often the word that was meant is suggested.

    band (str): Places of the words that were meant in the table, which has frequent words first.
    words (int): Misspelled words.
    p_at_1 (float): Share of them for which it is the first suggestion.
    p_at_10 (float): Share of them for which it is among the first ten.
    mrr (float): Mean of one over its place among them; 0 where it is not.
    """

    band: str
    words: int
    p_at_1: float
    p_at_10: float
    mrr: float


def score_suggestions(
    component: CharlmLMFAO, path: Path, show: Callable[[float, int], None] = lambda share, n: None
) -> list[SuggestionScore]:
    """Score real misspellings, of the words that no noise is drawn from in training.

    component (CharlmLMFAO): The pipeline's component.
    path (Path): Misspelling TAB correct word.
    show (Callable[[float, int], None]): Told the share of the words that are done, and how many.
    RETURNS (List[SuggestionScore]): All words, then those of each band that has some.
    """
    typed = read_misspellings(path, share=TRAINING_SHARE, rest=True)
    pairs = pair_misspellings(component.words, typed)
    places = np.zeros(len(pairs))  # one over the place of the right word
    for i, (word, row) in enumerate(pairs):
        found = [suggested for suggested, _ in component.suggest(word, K)]
        if component.words[row] in found:
            places[i] = 1 / (1 + found.index(component.words[row]))
        show((i + 1) / len(pairs), i + 1)
    rows = np.array([row for _, row in pairs], dtype="int64")
    scores = []
    for start, end in ((0, None), *BANDS):
        stop = len(component.words) if end is None else end
        chosen = places[(rows >= start) & (rows < stop)]
        if len(chosen):
            name = "all" if (start, end) == (0, None) else f"{start + 1:,} to {stop:,}"
            scores.append(
                SuggestionScore(
                    name,
                    len(chosen),
                    float((chosen == 1).mean()),
                    float((chosen > 0).mean()),
                    float(chosen.mean()),
                )
            )
    return scores

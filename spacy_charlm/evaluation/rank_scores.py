"""Scores of what was ranked: how near the front is the right word?"""

from dataclasses import dataclass

import numpy as np

# Places of the right words in a table that has frequent words first: from, up to (None: its end).
Bands = tuple[tuple[int, int | None], ...]
BANDS: Bands = ((0, 1_000), (1_000, 10_000), (10_000, None))


@dataclass(frozen=True)
class RankScore:
    """How near the front the right words are.

    band (str): Places of the right words in the table, which has frequent words first.
    words (int): Words that were looked for.
    p_at_1 (float): Share of them for which the right word is the first.
    p_at_10 (float): Share of them for which it is among the first ten.
    mrr (float): Mean of one over its place; 0 where it is nowhere.
    """

    band: str
    words: int
    p_at_1: float
    p_at_10: float
    mrr: float


def score_ranks(
    ranks: np.ndarray, rows: np.ndarray, n_rows: int, bands: Bands = BANDS
) -> list[tuple[RankScore, np.ndarray]]:
    """Score ranks, by the frequency of the words that were right.

    ranks (ndarray): Words before the right one, (nW,); infinity where it was not found.
    rows (ndarray): The right word's row in the table, (nW,).
    n_rows (int): Words of the table.
    bands (Bands): Places in the table to score apart.
    RETURNS (List[Tuple[RankScore, ndarray]]): All words, then those of each band that has some;
        with each score the words that it is of, bool (nW,).
    """
    scores = []
    for start, end in ((0, None), *bands):
        stop = n_rows if end is None else end
        chosen = (rows >= start) & (rows < stop)
        if chosen.any():
            r = ranks[chosen]
            score = RankScore(
                "all" if (start, end) == (0, None) else f"{start + 1:,} to {stop:,}",
                len(r),
                float((r < 1).mean()),
                float((r < 10).mean()),
                float((1 / (1 + r)).mean()),
            )
            scores.append((score, chosen))
    return scores

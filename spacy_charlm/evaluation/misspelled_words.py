"""Is the word that was meant the nearest one to what was typed?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..decoding.neighbours import Neighbours, normalise

BANDS = ((0, 1_000), (1_000, 10_000), (10_000, None))  # places of the correct word in the table

# From words to vectors (nW, nO).
Reader = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class SpellingScore:
    """How near misspelled words are to the words that were meant.

    band (str): Places of the correct words in the table, which has frequent words first.
    words (int): Misspellings.
    p_at_1 (float): Share of them whose nearest word is the correct one.
    p_at_10 (float): Share of them with the correct word among the ten nearest.
    mrr (float): Mean of one over the place of the correct word.
    cosine (float): Mean cosine with the correct word's vector.
    """

    band: str
    words: int
    p_at_1: float
    p_at_10: float
    mrr: float
    cosine: float


def score_misspellings(
    read: Reader,
    words: Sequence[str],
    neighbours: Neighbours,
    misspellings: Mapping[str, Sequence[str]],
) -> list[SpellingScore]:
    """Score misspelled words, those that are words of the table themselves left out.

    read (Callable): From words to vectors.
    words (Sequence[str]): The table's words, the frequent ones first.
    neighbours (Neighbours): The table.
    misspellings (Mapping[str, Sequence[str]]): What people write for each correct word.
    RETURNS (List[SpellingScore]): All words, then each band of BANDS that has some.
    """
    place = {word: i for i, word in enumerate(words)}
    pairs = [
        (typed, place[word])
        for word, found in misspellings.items()
        if word in place
        for typed in dict.fromkeys(found)
        if typed not in place and typed.lower() not in place
    ]
    if not pairs:
        return []
    vectors: Any = read([typed for typed, _ in pairs])
    rows = np.array([row for _, row in pairs])
    to_numpy = neighbours.ops.to_numpy
    ranks = to_numpy(neighbours.rank(vectors, rows))
    own = to_numpy(neighbours.vectors(rows))
    cosines = (to_numpy(normalise(neighbours.ops, neighbours.ops.asarray2f(vectors))) * own).sum(1)
    scores = []
    for start, end in ((0, None), *BANDS):
        chosen = (rows >= start) & (rows < (len(words) if end is None else end))
        if chosen.any():
            name = (
                f"{start + 1:,} to {len(words) if end is None else end:,}"
                if (start, end) != (0, None)
                else "all"
            )
            r, c = ranks[chosen], cosines[chosen]
            scores.append(
                SpellingScore(
                    name,
                    int(chosen.sum()),
                    float((r < 1).mean()),
                    float((r < 10).mean()),
                    float((1 / (1 + r)).mean()),
                    float(c.mean()),
                )
            )
    return scores

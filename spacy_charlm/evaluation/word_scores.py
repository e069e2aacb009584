"""Is the word that was meant the nearest one to what was read?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..decoding.neighbours import Neighbours, normalise
from .word_reader import Reader

BANDS = ((0, 1_000), (1_000, 10_000), (10_000, None))  # places of the correct word in the table

# What is read, and the row of the word that is meant.
Pairs = Sequence[tuple[str, int]]


@dataclass(frozen=True)
class WordScore:
    """How near words as they are read are to the words that were meant.

    band (str): Places of the correct words in the table, which has frequent words first.
    words (int): Words that were read.
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


def pair_misspellings(words: Sequence[str], misspellings: Mapping[str, Sequence[str]]) -> Pairs:
    """Pair misspellings with the words that were meant.

    words (Sequence[str]): The table's words.
    misspellings (Mapping[str, Sequence[str]]): What people write for each correct word.
    RETURNS (Sequence[Tuple[str, int]]): Those of words of the table, without those that are words
        of the table themselves.
    """
    place = {word: i for i, word in enumerate(words)}
    return [
        (typed, place[word])
        for word, found in misspellings.items()
        if word in place
        for typed in dict.fromkeys(found)
        if typed not in place and typed.lower() not in place
    ]


def score_words(read: Reader, neighbours: Neighbours, pairs: Pairs) -> list[WordScore]:
    """Score what is read by how near it is to what is meant.

    read (Callable): From words to vectors like those of the table.
    neighbours (Neighbours): The table.
    pairs (Sequence[Tuple[str, int]]): What is read, and the row of the word that is meant.
    RETURNS (List[WordScore]): All words, then each band of BANDS that has some.
    """
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
        chosen = (rows >= start) & (rows < (len(neighbours) if end is None else end))
        if chosen.any():
            name = (
                f"{start + 1:,} to {len(neighbours) if end is None else end:,}"
                if (start, end) != (0, None)
                else "all"
            )
            r, c = ranks[chosen], cosines[chosen]
            scores.append(
                WordScore(
                    name,
                    int(chosen.sum()),
                    float((r < 1).mean()),
                    float((r < 10).mean()),
                    float((1 / (1 + r)).mean()),
                    float(c.mean()),
                )
            )
    return scores

"""Scores of what was ranked: how near the front is the right word?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..decoding.neighbours import Neighbours, normalise

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


# From words to vectors, float32 (nW, nO).
Reader = Callable[[Sequence[str]], np.ndarray]
# What is read, and the row of the word that is meant.
Pairs = Sequence[tuple[str, int]]


@dataclass(frozen=True)
class WordScore(RankScore):
    """How near words as they are read are to the words that were meant.

    cosine (float): Mean cosine with the correct word's vector.
    """

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
    return [
        WordScore(**asdict(score), cosine=float(cosines[chosen].mean()))
        for score, chosen in score_ranks(ranks, rows, len(neighbours))
    ]

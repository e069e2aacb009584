"""Is the word that was meant the nearest one to what was read?"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..decoding.neighbours import Neighbours, normalise
from .rank_scores import RankScore, score_ranks
from .word_reader import Reader

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

"""Scores of a search for words: how near the front of the list is the right word?"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..decoding.neighbours import Neighbours, normalise
from ..types import Score

# Rows of the right words in a table that has frequent words first: from, up to (None: its end).
Bands = tuple[tuple[int, int | None], ...]
BANDS: Bands = ((0, 1_000), (1_000, 10_000), (10_000, None))
ALL = "all"

# From words to vectors, float32 (nW, nO).
WordEmbedder = Callable[[Sequence[str]], np.ndarray]
# Words as they are written, each with the row of the word that is meant.
Pairs = Sequence[tuple[str, int]]
# From the ranks of some words, and which words these are, to more values: the name, the value.
MoreMetrics = Callable[[np.ndarray], Mapping[str, float]]


def score_ranks(
    source: str,
    ranks: np.ndarray,
    rows: np.ndarray,
    n_rows: int,
    *,
    task: str,
    bands: Bands = BANDS,
    more: MoreMetrics = lambda chosen: {},
) -> list[Score]:
    """Score ranks, in total and by the frequency of the right words.

    source (str): What was scored.
    ranks (ndarray): Number of words before the right one, (nW,); infinity if it was not found.
    rows (ndarray): Row of the right word in the table, (nW,).
    n_rows (int): Number of words in the table.
    task (str): Name of the kind of words, such as "held-out words".
    bands (Bands): Parts of the table that are scored separately.
    more (Callable[[ndarray], Mapping[str, float]]): Computes more metrics of the words that a
        bool array (nW,) selects.
    RETURNS (List[Score]): For all words, then for each band that has some: P@1 (share of words
        whose right word is the first), P@10 (among the first ten), MRR (mean of 1 / (1 + rank)),
        and the metrics of `more`.
    """
    scores = []
    for start, end in ((0, None), *bands):
        stop = n_rows if end is None else end
        chosen = (rows >= start) & (rows < stop)
        if chosen.any():
            r = ranks[chosen]
            band = ALL if (start, end) == (0, None) else f"{start + 1:,} to {stop:,}"
            metrics = {
                "p_at_1": float((r < 1).mean()),
                "p_at_10": float((r < 10).mean()),
                "mrr": float((1 / (1 + r)).mean()),
                **more(chosen),
            }
            scores += [
                Score(source, metric, (value,), len(r), "words", {"task": task, "frequency": band})
                for metric, value in metrics.items()
            ]
    return scores


def score_words(
    source: str, embed: WordEmbedder, neighbours: Neighbours, pairs: Pairs, *, task: str
) -> list[Score]:
    """Score how near the vectors of written words are to those of the words that were meant.

    source (str): What was scored.
    embed (Callable[[Sequence[str]], ndarray]): From words to vectors like those of the table.
    neighbours (Neighbours): The table.
    pairs (Sequence[Tuple[str, int]]): Words as written, and the row of the word that is meant.
    task (str): Name of the kind of words.
    RETURNS (List[Score]): As from `score_ranks`, with the mean cosine between the vector of the
        written word and that of the right one.
    """
    if not pairs:
        return []
    vectors: Any = embed([typed for typed, _ in pairs])
    rows = np.array([row for _, row in pairs])
    to_numpy = neighbours.ops.to_numpy
    ranks = to_numpy(neighbours.rank(vectors, rows))
    own = to_numpy(neighbours.vectors(rows))
    cosines = (to_numpy(normalise(neighbours.ops, neighbours.ops.asarray2f(vectors))) * own).sum(1)
    return score_ranks(
        source,
        ranks,
        rows,
        len(neighbours),
        task=task,
        more=lambda chosen: {"cosine": float(cosines[chosen].mean())},
    )


def pair_misspellings(words: Sequence[str], misspellings: Mapping[str, Sequence[str]]) -> Pairs:
    """Pair misspellings with the rows of the words that were meant.

    words (Sequence[str]): The words of the table.
    misspellings (Mapping[str, Sequence[str]]): What people write, for each correct word.
    RETURNS (Sequence[Tuple[str, int]]): Those whose correct word is in the table, without
        misspellings that are words of the table themselves.
    """
    row_of = {word: i for i, word in enumerate(words)}
    return [
        (typed, row_of[word])
        for word, found in misspellings.items()
        if word in row_of
        for typed in dict.fromkeys(found)
        if typed not in row_of and typed.lower() not in row_of
    ]

"""Words and bigrams are learned together with one vector per text, whose n-grams they are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from thinc.api import Ops

from .ngrams import Bags, NgramVocab
from .sphere import Pairs, Table, contrast

TEXTS = 64  # per update
DRAWN = 500  # negatives per update
NEGATIVES = 5  # weight of the negatives per pair
SCALE = 6.0  # factor on the cosine
STEP = 2.0  # size of the first step
POWER = 0.75  # of an n-gram's frequency, for the probability that it is a negative
# A longer text is represented by a sample of its n-grams, other ones in each pass. This bounds the
# memory of an update.
MAX_NGRAMS = 4_000


@dataclass
class DocumentTrainer:
    """Learns to tell the n-grams of a text from random ones by the cosine with the text's vector.

    Texts are bags of distinct n-grams.

    vocab (NgramVocab): The n-grams.
    bags (Bags): The n-grams of each text.
    ngrams (Table): The vectors of the n-grams.
    texts (Table): The vectors of the texts.
    seed (int): Seed of the order and of the negatives.
    """

    vocab: NgramVocab
    bags: Bags
    ngrams: Table
    texts: Table
    seed: int

    def __post_init__(self) -> None:
        """Sum up the probabilities of the negatives."""
        self._n_texts = len(self.bags.starts) - 1
        self._chances = sum_chances(self.vocab.counts)
        self._order = (-1, np.zeros(0, dtype="int64"))

    @property
    def n_updates(self) -> int:
        """Number of updates of a pass over the texts."""
        return -(-self._n_texts // TEXTS)

    def update(self, ops: Ops, epoch: int, number: int, share: float) -> tuple[float, float]:
        """Make one update.

        ops (Ops): The backend.
        epoch (int): Number of the pass, from 0.
        number (int): Number of the update in this pass, from 0.
        share (float): Factor on the size of the step: from 1 at the start down to 0.
        RETURNS (Tuple[float, float]): Sum of the loss over the pairs, and their weight.
        """
        if self._order[0] != epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(self._n_texts)
            self._order = (epoch, order)
        texts = self._order[1][number * TEXTS : (number + 1) * TEXTS]
        rng = np.random.default_rng([self.seed, epoch, number])
        starts = self.bags.starts
        parts = [_sample(self.bags.rows[starts[i] : starts[i + 1]], rng) for i in texts]
        rows = np.repeat(np.arange(len(texts)), [len(part) for part in parts])
        if not len(rows):
            return 0.0, 0.0
        columns = np.concatenate(parts)
        used, pairs = draw_negatives(
            ops, rng, self._chances, rows, columns, np.ones(len(rows), dtype="float32")
        )
        X, update_texts = self.texts.gather(ops, texts)
        Y, update_ngrams = self.ngrams.gather(ops, used)
        loss, dX, dY = contrast(X, Y, pairs, negatives=NEGATIVES, scale=SCALE)
        update_texts(dX, share * STEP)
        update_ngrams(dY, share * STEP)
        return loss, float(len(rows))


def sum_chances(counts: np.ndarray) -> np.ndarray:
    """Sum up the probabilities that each n-gram is drawn as a negative, float64 (nV,)."""
    chances = np.cumsum(counts.astype("float64") ** POWER)
    return chances / chances[-1]


def draw_negatives(
    ops: Ops,
    rng: np.random.Generator,
    chances: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    weights: np.ndarray,
) -> tuple[np.ndarray, Pairs]:
    """Draw the negatives of an update, and number the columns that it needs.

    ops (Ops): The backend.
    rng (Generator): The generator.
    chances (ndarray): Summed probabilities, from `sum_chances`.
    rows (ndarray): Row of each pair that occurs.
    columns (ndarray): Its column in the whole table.
    weights (ndarray): Its weight.
    RETURNS (Tuple[ndarray, Pairs]): The columns of the table that are needed, ascending, and the
        pairs, whose columns are places among them.
    """
    drawn = np.searchsorted(chances, rng.random(DRAWN), side="right").clip(max=len(chances) - 1)
    used, places = np.unique(np.concatenate([columns, drawn]), return_inverse=True)
    negatives, n_drawn = np.unique(places[len(columns) :], return_counts=True)
    xp: Any = ops.xp
    floats: Any = weights
    times: Any = n_drawn.astype("float32")
    pairs = Pairs(
        xp.asarray(rows),
        xp.asarray(places[: len(columns)]),
        ops.asarray1f(floats),
        xp.asarray(negatives),
        ops.asarray1f(times),
    )
    return used, pairs


def _sample(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if len(rows) <= MAX_NGRAMS:
        return rows
    return rng.choice(rows, MAX_NGRAMS, replace=False, shuffle=False)

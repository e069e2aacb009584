"""Words and bigrams are learned together with one vector per text, whose n-grams they are."""

from dataclasses import dataclass

import numpy as np
from thinc.api import Ops

from .ngrams import Bags, NgramVocab
from .sphere import Table, learn_pairs, sum_chances

TEXTS = 64  # per update
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
        weights = np.ones(len(rows), dtype="float32")
        pairs = rows, np.concatenate(parts), weights
        loss = learn_pairs(ops, rng, self._chances, pairs, self.texts, texts, self.ngrams, share)
        return loss, float(len(rows))


def _sample(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if len(rows) <= MAX_NGRAMS:
        return rows
    return rng.choice(rows, MAX_NGRAMS, replace=False, shuffle=False)

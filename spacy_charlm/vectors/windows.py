"""Words are learned from the words around them: skip-gram on the sphere."""

from dataclasses import dataclass

import numpy as np
from thinc.api import Ops

from .sphere import Table, learn_pairs, sum_chances
from .tokens import TokenFile

TOKENS = 1_024  # per update
WINDOW = 5  # words on each side; the nearest count most
SAMPLE = 1e-3  # words that are more frequent than this are partly left out, as in word2vec


@dataclass
class WindowTrainer:
    """Learns to tell the neighbours of a word from random words.

    Skip-gram with negative sampling (Mikolov et al., "Distributed Representations of Words and
    Phrases and their Compositionality", 2013), but the logit is a cosine times a factor, as in Meng
    et al., "Spherical Text Embedding" (2019). A neighbour counts as often as word2vec's windows of
    random size contain it. Words without a vector are left out before windows are formed.

    tokens (TokenFile): The texts.
    row_of (ndarray): Row of each word's vector, -1 if it has none, int32 (words,).
    words (Table): The vectors of the words.
    contexts (Table): Their vectors as neighbours.
    seed (int): Seed of the order, of the words that are left out, and of the negatives.
    """

    tokens: TokenFile
    row_of: np.ndarray
    words: Table
    contexts: Table
    seed: int

    def __post_init__(self) -> None:
        """Count the words."""
        counts = np.zeros(int(self.row_of.max()) + 1, dtype="int64")
        for first, end in self.tokens.blocks():
            start, stop = self.tokens.starts[first], self.tokens.starts[end]
            rows = self.row_of[self.tokens.ids[start:stop]]
            counts += np.bincount(rows[rows >= 0], minlength=len(counts))
        self._chances = sum_chances(counts)
        ratio = SAMPLE * counts.sum() / np.maximum(counts, 1)
        self._kept = np.minimum(1.0, np.sqrt(ratio) + ratio)  # share of each word that is kept
        self._order = (-1, np.zeros(0, dtype="int64"), np.zeros(0, dtype="int64"))

    @property
    def n_updates(self) -> int:
        """Number of updates of a pass over the texts."""
        return -(-len(self.tokens.ids) // TOKENS)

    def update(self, ops: Ops, epoch: int, number: int, share: float) -> tuple[float, float]:
        """Make one update: see `DocumentTrainer.update`."""
        if self._order[0] != epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.tokens.n_texts)
            lengths = np.diff(self.tokens.starts)[order]
            self._order = (epoch, order, np.concatenate([[0], np.cumsum(lengths)]))
        rng = np.random.default_rng([self.seed, epoch, number])
        ids, text_of = self._read(number * TOKENS, (number + 1) * TOKENS)
        rows = self.row_of[ids]
        kept = (rows >= 0) & (rng.random(len(rows)) < self._kept[rows])
        centers, columns, weights = count_neighbours(rows[kept], text_of[kept])
        if not len(centers):
            return 0.0, 0.0
        words, places = np.unique(centers, return_inverse=True)
        pairs = places, columns, weights
        loss = learn_pairs(ops, rng, self._chances, pairs, self.words, words, self.contexts, share)
        return loss, float(weights.sum())

    def _read(self, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Read tokens of the shuffled texts: their words, and the text of each."""
        _, order, ends = self._order
        first = int(np.searchsorted(ends, start, side="right")) - 1
        last = int(np.searchsorted(ends, min(end, int(ends[-1])), side="left"))
        parts, texts = [], []
        for place in range(first, last):
            text = order[place]
            begin = self.tokens.starts[text] + max(start - ends[place], 0)
            stop = min(self.tokens.starts[text] + end - ends[place], self.tokens.starts[text + 1])
            parts.append(self.tokens.ids[begin:stop])
            texts.append(np.full(stop - begin, place))
        return np.concatenate(parts), np.concatenate(texts)


def count_neighbours(
    rows: np.ndarray, text_of: np.ndarray, window: int = WINDOW
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count how often each word has each other word in its window.

    rows (ndarray): The words, (nT,).
    text_of (ndarray): The text of each, (nT,). No window crosses the end of a text.
    window (int): Words on each side. A neighbour at distance d counts (window - d + 1) / window.
    RETURNS (Tuple[ndarray, ndarray, ndarray]): Word and neighbour of each distinct pair, and how
        much it counts, float32 (nP,).
    """
    rows = rows.astype("int64")
    n = int(rows.max(initial=0)) + 1
    codes, weights = [], []
    for distance in range(1, min(window, len(rows) - 1) + 1):
        left, right = rows[:-distance], rows[distance:]
        same = text_of[:-distance] == text_of[distance:]
        codes += [(left * n + right)[same], (right * n + left)[same]]
        weights += [np.full(2 * int(same.sum()), (window - distance + 1) / window)]
    if not codes:
        return np.zeros(0, "int64"), np.zeros(0, "int64"), np.zeros(0, "float32")
    found, place = np.unique(np.concatenate(codes), return_inverse=True)
    counts = np.bincount(place, np.concatenate(weights), len(found)).astype("float32")
    return found // n, found % n, counts

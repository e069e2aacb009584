"""The words of a table that are nearest to what pretrained weights read."""

from collections.abc import Collection, Sequence
from pathlib import Path

from thinc.api import NumpyOps

from ..decoding.neighbours import Neighbours, best_words
from ..decoding.word_table import Scored
from ..errors import Errors
from ..noise.misspellings import TRAINING_SHARE, read_misspellings
from ..targets.read_vectors import read_table
from .word_reader import Reader, WordReader, load_alone, read_alone
from .word_scores import WordScore, pair_misspellings, score_words


class WordNeighbours:
    """A table, and a linear read-out from a tok2vec to it.

    weights (Path): What `spacy pretrain` or `charlm pretrain` wrote.
    vectors (Path): The table: GloVe text, or a folder of spaCy vectors.
    held_out (Collection[str]): Words that the read-out is not fitted on.
    n_fit (int): Words that it is fitted on at most, the table's first ones.
    lang (str): Language of the words.
    RAISES (ValueError): If one of the files is missing or damaged, or no word is left to fit on.
    """

    def __init__(
        self,
        weights: Path,
        vectors: Path,
        *,
        held_out: Collection[str] = (),
        n_fit: int = 20_000,
        lang: str = "en",
    ) -> None:
        self.words, self._values = read_table(vectors)
        left_out = set(held_out)
        self._fit = [row for row, word in enumerate(self.words) if word not in left_out][:n_fit]
        if not self._fit or n_fit < 1:
            raise ValueError(Errors.E730.format(n_fit=n_fit, words=len(self.words)))
        self._held_out = [(word, row) for row, word in enumerate(self.words) if word in left_out]
        self._read = self.read_out(read_alone(*load_alone(weights, lang)))
        self._table = Neighbours(self._values, NumpyOps(use_blis=False))

    @property
    def n_fit(self) -> int:
        """Words that the read-out is fitted on."""
        return len(self._fit)

    def read_out(self, read: Reader) -> WordReader:
        """Fit a read-out from other vectors of the words."""
        return WordReader(read, [self.words[row] for row in self._fit], self._values[self._fit])

    def find(self, words: Sequence[str], k: int, *, csls: bool = False) -> list[Scored]:
        """Find the nearest words of the table.

        words (Sequence[str]): Any words.
        k (int): How many for each.
        csls (bool): Whether to correct for everybody's neighbours.
        RETURNS (List[List[Tuple[str, float]]]): Words and scores, the best first.
        """
        queries = self._read(words)
        if csls:
            hubness = self._table.hubness(self._values[self._fit])
            found = self._table.search_csls(queries, k, hubness)
        else:
            found = self._table.search(queries, k)
        return best_words(self.words, found, self._table.ops)

    def score_misspellings(self, path: Path, other: Reader | None = None) -> list[WordScore]:
        """Score real misspellings, of the words that no noise is drawn from in training.

        path (Path): Misspelling TAB correct word.
        other (Optional[Callable]): Vectors to score instead, in their own table.
        RETURNS (List[WordScore]): All words, then those of each band.
        """
        typed = read_misspellings(path, share=TRAINING_SHARE, rest=True)
        pairs = pair_misspellings(self.words, typed)
        if other is None:
            return score_words(self._read, self._table, pairs)
        return score_words(other, Neighbours(other(self.words), self._table.ops), pairs)

    def score_held_out(self, other: Reader | None = None) -> list[WordScore]:
        """Score the words that the read-out was not fitted on by their own vectors.

        other (Optional[Callable]): Vectors to score instead, read out into the same table.
        RETURNS (List[WordScore]): All words, then those of each band.
        """
        read = self._read if other is None else self.read_out(other)
        return score_words(read, self._table, self._held_out)

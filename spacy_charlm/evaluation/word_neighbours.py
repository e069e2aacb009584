"""The words of a table that are nearest to what pretrained weights read."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.tokens import Doc
from spacy.util import load_model_from_config
from spacy.vectors import Mode
from thinc.api import NumpyOps

from ..decoding.neighbours import Neighbours, best_words
from ..decoding.word_table import Scored
from ..errors import Errors
from ..noise.typos import TRAINING_SHARE, read_misspellings
from ..targets.read_vectors import read_table, read_vectors_folder
from ..training.load_weights import load_into
from ..types import Tok2Vec
from .inspect_weights import inspect_weights
from .rank_scores import Reader, WordScore, pair_misspellings, score_words

BATCH = 1_000  # words that are read at a time
RIDGE = 1e-3  # of the mean square of the inputs: enough to invert, too little to matter


class WordReader:
    """Predict a table's vectors of words from other vectors of them, by linear least squares.

    The read-out is fitted on words of the table, each read alone: it needs neither the head of the
    pretraining nor its masks, works with any spaCy tok2vec, and is the same for all that are
    compared.

    read (Callable[[Sequence[str]], ndarray]): The other vectors, (nW, nI).
    words (Sequence[str]): Words to fit on, nW of them.
    values (Floats2d): Their vectors, (nW, nO).
    """

    def __init__(self, read: Reader, words: Sequence[str], values: np.ndarray) -> None:
        self._read = read
        X = self._add_bias(words)
        squares = X.T @ X
        squares[np.diag_indices(len(squares))] += RIDGE * np.trace(squares) / len(squares)
        self._W = np.linalg.solve(squares, X.T @ values.astype("float64"))

    def __call__(self, words: Sequence[str]) -> np.ndarray:
        """Predict the vectors of words, float32 (nW, nO)."""
        return (self._add_bias(words) @ self._W).astype("float32")

    def _add_bias(self, words: Sequence[str]) -> np.ndarray:
        X = self._read(words).astype("float64")
        return np.hstack([X, np.ones((len(X), 1))])


def read_alone(tok2vec: Tok2Vec, vocab: Any) -> Reader:
    """Read words one by one with a tok2vec.

    tok2vec (Model[List[Doc], List[Floats2d]]): What reads the words.
    vocab (Vocab): Of its pipeline.
    RETURNS (Callable[[Sequence[str]], ndarray]): From words to float32 vectors (nW, nO).
    """

    def read(words: Sequence[str]) -> np.ndarray:
        parts = [np.zeros((0, tok2vec.get_dim("nO")), dtype="float32")]
        for start in range(0, len(words), BATCH):
            docs = [Doc(vocab, words=[word]) for word in words[start : start + BATCH]]
            parts += [tok2vec.ops.to_numpy(row) for row in tok2vec.predict(docs)]
        return np.concatenate(parts)

    return read


def load_alone(path: Path, lang: str = "en") -> tuple[Tok2Vec, Any]:
    """Build the tok2vec that a weights file describes, and load it.

    path (Path): What `spacy pretrain` or `charlm pretrain` wrote.
    lang (str): Language of the words, whose rules give their attributes.
    RETURNS (Tuple[Model, Vocab]): The tok2vec and its vocab.
    RAISES (ValueError): If the file does not say enough to build it.
    """
    report = inspect_weights(path)
    if "@architectures" not in report.block:
        found = "; ".join(report.notes) or "layers that are not known"
        raise ValueError(Errors.E724.format(path=path, found=found))
    config = spacy.blank(lang).config.copy()
    config["nlp"]["pipeline"] = ["tok2vec"]
    config["components"] = {"tok2vec": {"factory": "tok2vec", "model": report.block}}
    nlp = load_model_from_config(config, auto_fill=True)
    nlp.initialize()
    pipe: Any = nlp.get_pipe("tok2vec")
    load_into(pipe.model, path)
    return pipe.model, nlp.vocab


def read_floret(path: Path) -> Reader:
    """Read floret vectors, which have one for any word.

    path (Path): A folder of spaCy vectors in floret mode.
    RETURNS (Callable[[Sequence[str]], ndarray]): From words to float32 vectors (nW, nO).
    RAISES (ValueError): If the folder has no such vectors.
    """
    vectors = read_vectors_folder(path)
    if vectors.mode != Mode.floret:
        raise ValueError(Errors.E726.format(path=path, found=vectors.mode))

    def read(words: Sequence[str]) -> np.ndarray:
        for word in words:
            vectors.strings.add(word)
        return np.asarray(vectors.get_batch(list(words)), dtype="float32")

    return read


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

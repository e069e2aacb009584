"""The words of a table that are nearest to any word, for the weights of any pretraining."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from spacy.vectors import Mode
from thinc.api import NumpyOps

from ..decoding.neighbours import Neighbours, best_words, normalise
from ..decoding.word_table import Scored
from ..errors import Errors
from ..layers.embed_words import get_embed, has_chars, read_chars_alone
from ..noise.typos import read_misspellings
from ..pipeline.find_tok2vec import get_tok2vec
from ..targets.read_vectors import read_table, read_vectors_folder
from ..targets.spelling_vectors import SpellingVectors
from ..types import Score
from .inspect_weights import load_pretrained
from .rank_scores import WordEmbedder, pair_misspellings, score_words
from .text_vectors import read_words_alone

MISSPELLED, HELD_OUT = "misspelled words", "held-out words"
NUMPY = NumpyOps(use_blis=False)
RIDGE = 1e-3  # of the mean square of the inputs: enough to invert, too little to matter


class RidgeReadout:
    """A ridge regression from other vectors of words to the vectors of a table.

    It is fitted on words of the table, each read alone. It needs neither the head of the
    pretraining nor its masks, works with any spaCy tok2vec, and treats all that are compared
    alike.

    embed (Callable[[Sequence[str]], ndarray]): Computes the other vectors, (nW, nI).
    words (Sequence[str]): The nW words to fit on.
    values (Floats2d): Their vectors in the table, (nW, nO).
    """

    def __init__(self, embed: WordEmbedder, words: Sequence[str], values: np.ndarray) -> None:
        self._embed = embed
        X = self._add_bias(words)
        squares = X.T @ X
        squares[np.diag_indices(len(squares))] += RIDGE * np.trace(squares) / len(squares)
        self._W = np.linalg.solve(squares, X.T @ values.astype("float64"))

    def __call__(self, words: Sequence[str]) -> np.ndarray:
        """Predict the vectors of words, float32 (nW, nO)."""
        return (self._add_bias(words) @ self._W).astype("float32")

    def _add_bias(self, words: Sequence[str]) -> np.ndarray:
        X = self._embed(words).astype("float64")
        return np.hstack([X, np.ones((len(X), 1))])


class WordNeighbours:
    """Finds words in a table by what a pretrained tok2vec computes for any word.

    weights (Path): Weights from `spacy pretrain` or `charlm pretrain`.
    vectors (Path): The table: GloVe text, or a folder of spaCy vectors.
    held_out (Collection[str]): Words that the readout is not fitted on.
    n_fit (int): Most words that it is fitted on, from the beginning of the table.
    lang (str): Language of the words.
    spelling (float): Weight of the spelling, beside 1 for the vectors of the table. If it is not 0,
        every word of the table gets its vector of `SpellingVectors` in addition, which the readout
        then predicts as well.
    chars (bool): Whether to compare what the convolutions of a CharCNN compute from the characters
        of a word with the same for the words of the table, without a readout.
    RAISES (ValueError): If a file is missing or damaged, or no word is left to fit on.
    """

    def __init__(
        self,
        weights: Path,
        vectors: Path,
        *,
        held_out: Collection[str] = (),
        n_fit: int = 20_000,
        lang: str = "en",
        spelling: float = 0.0,
        chars: bool = False,
    ) -> None:
        self.words, self._values = read_table(vectors)
        if spelling:
            parts = normalise(NUMPY, self._values), spelling * SpellingVectors().spell(self.words)
            self._values = np.hstack(parts)
        left_out = set(held_out)
        self._fit = [row for row, word in enumerate(self.words) if word not in left_out][:n_fit]
        if not self._fit or n_fit < 1:
            raise ValueError(Errors.E730.format(n_fit=n_fit, words=len(self.words)))
        self._held_out = [(word, row) for row, word in enumerate(self.words) if word in left_out]
        self.source = weights.name
        nlp = load_pretrained(weights, lang)
        layer = get_tok2vec(nlp)
        if chars:
            embed = get_embed(layer)
            if not has_chars(embed):
                raise ValueError(Errors.E731.format(path=weights, found=embed.name))
            layer = read_chars_alone(embed)
        self._embed = read_words_alone(layer, nlp.vocab)
        self._readout: WordEmbedder
        if chars:
            self._readout, self._values = self._embed, self._embed(self.words)
        else:
            self._readout = self.fit_readout(self._embed)
        self._table = Neighbours(self._values, NUMPY)

    @property
    def n_fit(self) -> int:
        """Number of words that the readout is fitted on."""
        return len(self._fit)

    def fit_readout(self, embed: WordEmbedder) -> RidgeReadout:
        """Fit a readout from other vectors of the words."""
        return RidgeReadout(embed, [self.words[row] for row in self._fit], self._values[self._fit])

    def find(self, words: Sequence[str], k: int = 5, *, csls: bool = False) -> list[Scored]:
        """Find the nearest words of the table.

        words (Sequence[str]): Any words.
        k (int): Number of neighbours per word.
        csls (bool): Whether to correct the cosines for hubs, which are near to everything.
        RETURNS (List[List[Tuple[str, float]]]): Words and scores, the best first.
        RAISES (ValueError): If a word is empty.
        """
        for word in words:
            if not word.strip():
                raise ValueError(Errors.E665.format(found=word))
        queries = self._readout(words)
        if csls:
            hubness = self._table.hubness(self._values[self._fit])
            found = self._table.search_csls(queries, k, hubness)
        else:
            found = self._table.search(queries, k)
        return best_words(self.words, found, self._table.ops)

    def score_misspellings(self, path: Path, floret: Path | None = None) -> list[Score]:
        """Score real misspellings of words that training never draws typos from.

        They are scored twice: by the readout, among the vectors of the table, and by the tok2vec's
        own vectors, among its vectors of the same words. Without a readout there is one score.

        path (Path): Lines with a misspelling, TAB, the correct word.
        floret (Optional[Path]): Folder of floret vectors to score as well, by their own vectors.
        RETURNS (List[Score]): See `score_words`.
        """
        typed = read_misspellings(path, held_out=True)
        pairs = pair_misspellings(self.words, typed)
        scores = score_words(self.source, self._readout, self._table, pairs, task=MISSPELLED)
        own: dict[str, WordEmbedder] = {}
        if self._readout is not self._embed:
            own[f"{self.source}, own vectors"] = self._embed
        if floret is not None:
            own[str(floret)] = read_floret(floret)
        for source, embed in own.items():
            table = Neighbours(embed(self.words), self._table.ops)
            scores += score_words(source, embed, table, pairs, task=MISSPELLED)
        return scores

    def score_held_out(self, floret: Path | None = None) -> list[Score]:
        """Score the held-out words by their own vectors in the table.

        floret (Optional[Path]): Folder of floret vectors to score as well, with a readout of their
            own into the same table.
        RETURNS (List[Score]): See `score_words`.
        """
        readouts = {self.source: self._readout}
        if floret is not None:
            readouts[str(floret)] = self.fit_readout(read_floret(floret))
        return [
            score
            for source, readout in readouts.items()
            for score in score_words(source, readout, self._table, self._held_out, task=HELD_OUT)
        ]


def read_floret(path: Path) -> WordEmbedder:
    """Read floret vectors, which have one for any word.

    path (Path): A folder of spaCy vectors in floret mode.
    RETURNS (Callable[[Sequence[str]], ndarray]): From words to float32 vectors (nW, nO).
    RAISES (ValueError): If the folder has no such vectors.
    """
    vectors = read_vectors_folder(path)
    if vectors.mode != Mode.floret:
        raise ValueError(Errors.E726.format(path=path, found=vectors.mode))

    def embed(words: Sequence[str]) -> np.ndarray:
        for word in words:
            vectors.strings.add(word)
        return np.asarray(vectors.get_batch(list(words)), dtype="float32")

    return embed

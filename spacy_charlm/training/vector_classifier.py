"""A text classifier that reads the vectors of words and bigrams: mean, logistic regression."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from spacy.tokens import Doc
from spacy.util import minibatch
from spacy.vocab import Vocab
from thinc.api import NumpyOps

from ..errors import Errors
from ..layers.word_hashes import hash_bigrams, hash_words
from ..targets.text_vectors import TextVectors
from .calibrate import read_truths
from .fit_regression import choose_strength, fit_logistic_regression, has_two_classes

BATCH = 200  # texts at a time


class VectorClassifier:
    """Classify texts by the mean of the vectors of their distinct words and bigrams.

    The means are standardised; the rest is a logistic regression with L2 regularisation.

    vectors (Path): Vectors of words, or of words and bigrams: see `StaticVectors`.
    exclusive (bool): Whether a text has exactly one label.
    """

    def __init__(self, vectors: Path, *, exclusive: bool) -> None:
        self.target = TextVectors(vectors, min_ngrams=1)
        self.target.open(Vocab())
        self.exclusive = exclusive
        self.labels: list[str] = []

    def fit(
        self, docs: Sequence[Doc], source: Path | str, labels: Sequence[str] = (), seed: int = 0
    ) -> float:
        """Fit the regression on labelled texts.

        docs (Sequence[Doc]): Texts with categories. Those without are skipped.
        source (Path | str): Where they come from, for the error.
        labels (Sequence[str]): The categories; those of the texts if there are none.
        seed (int): Seed of the cross-validation.
        RETURNS (float): C, the inverse strength of the regularisation, as chosen.
        RAISES (ValueError): If no label is true of some texts and false of others.
        """
        self.labels = list(labels) or sorted({label for doc in docs for label in doc.cats})
        X, truths = self._read(docs)
        if not has_two_classes(truths):
            counts = {name: int((truths[:, i] == 1).sum()) for i, name in enumerate(self.labels)}
            raise ValueError(Errors.E510.format(path=source, n=len(docs), found=counts or "none"))
        self.mean, self.deviation = X.mean(axis=0), X.std(axis=0) + 1e-8
        X = (X - self.mean) / self.deviation
        C = choose_strength(X, truths, self.exclusive, seed)
        self.W, self.b = fit_logistic_regression(X, truths, self.exclusive, C)
        return C

    def score(self, docs: Sequence[Doc], path: Path) -> float:
        """Score the labels of texts.

        docs (Sequence[Doc]): Texts with categories, others than those of `fit`.
        path (Path): Their file, for the error.
        RETURNS (float): Accuracy between 0 and 1; with several labels, that of the single labels.
        RAISES (ValueError): If the texts have none of the labels.
        """
        X, truths = self._read(docs)
        known = np.isfinite(truths)
        if not known.any():
            raise ValueError(Errors.E573.format(path=path, expected=self.labels, found="none"))
        right = self._decide(X) == truths
        return float(right.all(axis=1).mean() if self.exclusive else right[known].mean())

    def label(self, docs: Sequence[Doc]) -> list[dict[str, float] | None]:
        """Label texts.

        docs (Sequence[Doc]): The texts.
        RETURNS (List[Optional[Dict[str, float]]]): 1.0 or 0.0 for each label; None for a text
            without a vector.
        """
        X, has_vector = self._embed(docs)
        truths = self._decide(X)
        return [
            dict(zip(self.labels, row, strict=True)) if known else None
            for row, known in zip(truths.tolist(), has_vector, strict=True)
        ]

    def weigh_ngrams(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Compute what each word and bigram of the table adds to the logits of a text.

        The mean of the n-grams' logits is the logit of their mean, so that a text can be classified
        without the vectors.

        RETURNS (Tuple[ndarray, ndarray, ndarray, int]): What `set_ngram_weights` takes: hashes of
            the n-grams, their weights, the biases, and the attribute of a token that is hashed.
        RAISES (ValueError): If the vectors have no row per word, as in floret mode.
        """
        words, bigrams, attr = self.target.list_ngrams()
        keys = np.concatenate([hash_words(words[0]), hash_bigrams(*bigrams[:2])])
        ops = NumpyOps()
        V = ops.to_numpy(self.target.gather(ops, np.concatenate([words[1], bigrams[2]])))
        W = self.W / self.deviation
        return keys, W @ V.T, self.b - W @ self.mean, attr

    def _read(self, docs: Sequence[Doc]) -> tuple[np.ndarray, np.ndarray]:
        """Vectors (n, nO) and truths (n, nL) of the texts that have both."""
        X, has_vector = self._embed(docs)
        truths = read_truths([doc.cats for doc in docs], self.labels, self.exclusive)
        rows = has_vector & np.isfinite(truths).any(axis=1)
        return X[rows], truths[rows]

    def _embed(self, docs: Sequence[Doc]) -> tuple[np.ndarray, np.ndarray]:
        """Vectors (n, nO), and which texts have one, bool (n,)."""
        ops = NumpyOps()
        X = np.zeros((len(docs), self.target.nO), dtype="float32")
        has_vector = np.zeros(len(docs), dtype=bool)
        start = 0
        for batch in minibatch(docs, BATCH):
            found = self.target(ops, batch)
            part = slice(start, start + len(batch))
            start += len(batch)
            rows: Any = found.rows
            has_vector[part] = rows[:, 0] >= 0
            values: Any = found.values
            X[part][has_vector[part]] = values[rows[has_vector[part], 0]]
        return X, has_vector

    def _decide(self, X: np.ndarray) -> np.ndarray:
        """Choose labels: 1 or 0, float64 (n, nL)."""
        logits = (X - self.mean) / self.deviation @ self.W.T + self.b
        if self.exclusive:
            return np.eye(len(self.labels))[logits.argmax(axis=1)]
        return (logits > 0).astype("float64")

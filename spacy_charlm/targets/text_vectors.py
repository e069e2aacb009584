"""The mean vector of a whole text, as the target of the average of its tokens."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Ops
from thinc.types import Floats1d

from ..checks import Size, checked
from ..errors import Errors
from ..types import TargetBatch
from .read_vectors import UNKNOWN
from .static_vectors import NgramSize, StaticVectors, find_space
from .target_tables import RowTable

POOLINGS = ("mean", "idf")


class TextVectors(StaticVectors):
    """Predict the mean of the vectors of a text's n-grams from the average of the tok2vec's output.

    The unit is a text, that is, a Doc: if the corpus splits texts into chunks, each chunk counts by
    itself. The objective averages the vectors that the tok2vec gives the tokens of the masked text,
    and its head predicts one vector from this average. (`DocVectors` asks each token for the vector
    of the text instead.)

    Each distinct n-gram of a text counts once, however often it occurs, because vectors trained on
    documents treat a text as the set of its n-grams. Words that share a row of the table, such as
    those that differ only in case, are one n-gram. The length of a row is its weight in the mean.

    path (Optional[Path]): The table of vectors: see `StaticVectors`.
    max_ngram (int): 1 for words, 2 for words and bigrams. The key of a bigram is its two words with
        a space between them; white space between the two is skipped. 2 is recommended, also for a
        table without bigrams. In floret mode only words are looked up.
    min_ngrams (int): Distinct n-grams with a vector that a text needs to have a target. 2 is
        recommended: a single word is no text.
    pooling (str): How the tokens of a text are weighted in the average. "mean" weights all alike.
        "idf" weights them by the length of the row of their word, which is the inverse document
        frequency in tables that `charlm vectors train` has written. A word without a row gets the
        mean length of the table's rows: most words of a table are rare, and so is this one. White
        space gets no weight.
    unknown (List[str]): Rows of the table that do not belong to a word, such as "<unk>".
    RAISES (ValueError): If a setting is out of range.
    """

    unit = "text"

    @checked("spacy-charlm.TextVectors.v1")
    def __init__(
        self,
        path: Path | None = None,
        max_ngram: NgramSize = 2,
        min_ngrams: Size = 2,
        pooling: str = "mean",
        unknown: list[str] = UNKNOWN,
    ) -> None:
        if pooling not in POOLINGS:
            expected = " or ".join(map(repr, POOLINGS))
            raise ValueError(Errors.E235.format(name="pooling", expected=expected, found=pooling))
        super().__init__(path, unknown, ngram=max_ngram)
        self.max_ngram = max_ngram
        self.min_ngrams = min_ngrams
        self.pooling = pooling
        self._idf: Any = None  # by row; the last one is that of words without a row

    def open(self, vocab: Vocab) -> None:
        """Read the vectors and check them; they need no bigrams.

        vocab (Vocab): The pipeline's vocab, whose vectors are used if there is no path.
        RAISES (ValueError): If the vectors are missing or damaged, or have no row per word, whose
            length could be a weight.
        """
        self.read(vocab)
        if self.pooling == "mean":
            return
        if not isinstance(self._table, RowTable):
            raise ValueError(Errors.E222.format(**self._card))
        lengths: Any = self._table.lengths
        used = lengths[sorted(set(self._table.key2row.values()))]
        self._idf = numpy.append(lengths, used.mean() if len(used) else 1.0).astype("float32")

    def describe(self) -> dict[str, Any]:
        """Return the description of the table and the settings, for the card."""
        return {**super().describe(), "min_ngrams": self.min_ngrams, "pooling": self.pooling}

    def __call__(self, ops: Ops, docs: Sequence[Doc]) -> TargetBatch:
        """Compute the targets of a batch: see `types.Target`.

        ops (Ops): The backend on which the targets are needed.
        docs (Sequence[Doc]): The batch. Its Docs need not share the vocab of `open`.
        RETURNS (TargetBatch): The mean of each distinct set of n-grams, and the row of each text.
        RAISES (ValueError): If none of the first 1,000 words of the corpus has a vector.

        **Shapes** nD docs -> values (nU, nO), nU <= nD, rows (nD, 1)
        """
        doc_of = numpy.repeat(numpy.arange(len(docs)), [len(doc) for doc in docs])
        found = self.find_rows(ops, docs, self.max_ngram)
        # One number for a text and a row; each text's rows are sorted and stand side by side.
        n_rows = max(int(rows.max(initial=0)) for rows in found) + 1
        numbers = numpy.unique(
            numpy.concatenate([doc_of[rows >= 0] * n_rows + rows[rows >= 0] for rows in found])
        )
        ends = numpy.searchsorted(numbers, numpy.arange(1, len(docs) + 1) * n_rows)
        ngrams = numbers % n_rows
        known: dict[bytes, int] = {}
        texts: list[Any] = []  # the rows of each distinct set
        row_of: Any = numpy.full((len(docs), 1), -1, dtype="int32")
        for i, rows in enumerate(numpy.split(ngrams, ends[:-1]) if len(docs) else []):
            if len(rows) >= self.min_ngrams:
                row_of[i] = known.setdefault(rows.tobytes(), len(known))
                if len(known) > len(texts):
                    texts.append(rows)
        if not texts:
            return TargetBatch(ops.alloc2f(0, self.nO), ops.asarray2i(row_of))
        X = self.gather(ops, numpy.concatenate(texts))
        means = ops.reduce_mean(X, ops.asarray1i([len(rows) for rows in texts]))
        return TargetBatch(means, ops.asarray2i(row_of))

    def weigh_tokens(self, ops: Ops, docs: Sequence[Doc]) -> Floats1d:
        """Weigh the tokens of texts for the average from which the text is predicted.

        ops (Ops): The backend on which the weights are needed.
        docs (Sequence[Doc]): The batch.
        RETURNS (Floats1d): Weights, not negative, float32 (nT,). The objective divides them by
            their sum over the text.
        """
        weights: Any = numpy.ones(sum(map(len, docs)), dtype="float32")
        if self.pooling == "idf" and len(weights):
            words, _ = self.find_rows(ops, docs, 1)
            weights = self._idf[words] * ~find_space(docs)
        return ops.asarray1f(weights)

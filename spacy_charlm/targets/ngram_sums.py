"""The vectors of each word and of the bigram that ends at it, added up."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Ops

from ..checks import Size, checked
from ..types import TargetBatch
from .read_vectors import UNKNOWN
from .static_vectors import StaticVectors


class NgramSums(StaticVectors):
    """Predict the sum of the vectors of a word and of the bigram that ends at it.

    The average of these sums over a text is what the text's words and bigrams say together, so that
    the average of the tok2vec's vectors learns it, too. One vector per token holds both: a word and
    a bigram as two targets would compete for the width of the tok2vec.

    The length of a row of the table is its weight in the sum. Sums are scaled so that rows have the
    length 1 on average. A token has no target if the table has neither its word nor its bigram.

    path (Optional[Path]): The table of vectors, with bigrams, such as `charlm vectors train
        --ngrams 2` writes: see `StaticVectors`.
    unknown (List[str]): Rows of the table that do not belong to a word, such as "<unk>".
    width (Optional[int]): The width that the vectors must have; None for any width.
    """

    @checked("spacy-charlm.NgramSums.v1")
    def __init__(
        self, path: Path | None = None, unknown: list[str] = UNKNOWN, width: Size | None = None
    ) -> None:
        super().__init__(path, unknown, width, ngram=2)
        self._scale = 1.0

    def open(self, vocab: Vocab) -> None:
        """Read the vectors and check them: see `StaticVectors.open`."""
        super().open(vocab)
        lengths: Any = self._table.lengths  # type: ignore[union-attr]
        self._scale = 1.0 / float(lengths[lengths > 0].mean())

    def __call__(self, ops: Ops, docs: Sequence[Doc]) -> TargetBatch:
        """Compute the targets of a batch: see `types.Target`.

        **Shapes** docs of nT tokens -> values (nU, nO), rows (nT, 1)
        """
        words, bigrams = self.find_rows(ops, docs, 2)
        # The rows of a token as one number; 0 for neither.
        n_rows = int(bigrams.max(initial=-1)) + 2
        pairs, place = numpy.unique((words + 1) * n_rows + bigrams + 1, return_inverse=True)
        first, second = numpy.divmod(pairs, n_rows)
        row_of = place.astype("int32")
        if len(pairs) and not pairs[0]:
            first, second, row_of = first[1:], second[1:], row_of - 1
        values: Any = ops.alloc2f(len(first), self.nO)
        for rows in (first - 1, second - 1):
            has = numpy.flatnonzero(rows >= 0)
            ids: Any = has.astype("int32")
            places: Any = ops.asarray1i(ids)
            values[places] += self.gather(ops, rows[has])
        column: Any = row_of.reshape(-1, 1)
        return TargetBatch(values * self._scale, ops.asarray2i(column))

"""The mean vector of the whole text, at each token."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy
import spacy
from spacy.attrs import LOWER
from spacy.language import Language
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Ops

from ..errors import Errors
from ..text.text_corpus import read_docs
from ..types import Target, TargetBatch

Corpus = Callable[[Language], Iterable[Doc]]


class DocVectors:
    """Predict the mean of the words' vectors over the text, so that the encoder learns its subject.

    After "more difficult objectives" of spacy-pretrain-polyaxon. A text is a Doc: of one that the
    corpus has split each piece has a mean of its own.

    target (Target): Where the words' vectors come from; one part per token.
    idf_corpus (Optional[Callable]): A reader of [corpora], such as `spacy-charlm.TextCorpus.v1`:
        words are weighted by their inverse document frequency in its texts, in lower case. None
        for equal weights.
    """

    def __init__(self, target: Any, idf_corpus: Any = None) -> None:
        self.target: Target = target
        self.idf_corpus: Corpus | None = idf_corpus
        self._idf: dict[int, float] = {}
        self._n_docs = 0

    def open(self, vocab: Vocab) -> None:
        """Open the target of the words, and count in how many texts each word is.

        RAISES (ValueError): If the words' target has several parts.
        """
        self.target.open(vocab)
        if self.target.nParts != 1:
            raise ValueError(Errors.E219.format(found=self.target.nParts))
        if self.idf_corpus is None:
            return
        counts: Counter[int] = Counter()
        self._n_docs = 0
        for doc in read_docs(spacy.blank(vocab.lang or "xx"), self.idf_corpus):
            counts.update(numpy.unique(doc.to_array([LOWER])).tolist())
            self._n_docs += 1
        self._idf = {word: math.log((1 + self._n_docs) / (1 + n)) for word, n in counts.items()}

    @property
    def nO(self) -> int:
        """Width of one target vector; valid after `open`."""
        return self.target.nO

    @property
    def nParts(self) -> int:
        """Number of target vectors per token: 1."""
        return 1

    def describe(self) -> dict[str, Any]:
        """Tell which vectors these are, for the card."""
        return {
            **self.target.describe(),
            "target": "spacy-charlm.DocVectors.v1",
            "idf_docs": self._n_docs,
        }

    def __call__(self, ops: Ops, docs: Sequence[Doc]) -> TargetBatch:
        """Compute the targets of a batch: see `types.Target`.

        **Shapes** docs of nT tokens -> values (nU, nO), nU <= nD, rows (nT, 1)
        """
        xp: Any = ops.xp
        batch = self.target(ops, docs)
        lengths = [len(doc) for doc in docs]
        doc_of = xp.asarray(numpy.repeat(numpy.arange(len(docs)), lengths))
        words = xp.flatnonzero(batch.rows[:, 0] >= 0)
        weights: Any = ops.asarray1f(self._weigh(docs))[words]
        total = ops.alloc1f(len(docs))
        ops.scatter_add(total, doc_of[words], weights)
        sums = ops.alloc2f(len(docs), self.nO)
        values: Any = batch.values
        rows = batch.rows[words, 0]
        ops.scatter_add(sums, doc_of[words], values[rows] * weights.reshape(-1, 1))
        # A text all of whose words have no weight has no mean.
        full = xp.flatnonzero(total > 0)
        place = xp.full(len(docs), -1, dtype="int32")
        place[full] = xp.arange(len(full), dtype="int32")
        means = sums[full] / total[full].reshape(-1, 1)
        return TargetBatch(means, place[doc_of].reshape(-1, 1))

    def _weigh(self, docs: Sequence[Doc]) -> Any:
        if self.idf_corpus is None:
            return numpy.ones(sum(map(len, docs)), dtype="float32")
        unseen = math.log(1 + self._n_docs)
        words: list[Any] = []
        for doc in docs:
            words.extend(doc.to_array([LOWER]).reshape(-1).tolist())
        return numpy.array([self._idf.get(word, unseen) for word in words], dtype="float32")

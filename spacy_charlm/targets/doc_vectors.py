"""The mean vector of the whole text, as the target of each of its tokens."""

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

from ..checks import CorpusBlock, TargetBlock, checked
from ..errors import Errors
from ..text.text_corpus import read_docs
from ..types import TargetBatch
from .wrapped_target import WrappedTarget


class DocVectors(WrappedTarget):
    """Predict the mean over the word vectors of the text, so that the tok2vec learns its topic.

    Follows the "more difficult objectives" of spacy-pretrain-polyaxon. A text is a Doc: if the
    corpus splits a text into chunks, each chunk has its own mean.

    target (Target): The target of the words: one vector per token.
    idf_corpus (Optional[Callable]): A reader of [corpora], such as `spacy-charlm.TextCorpus.v1`.
        Words are weighted by their inverse document frequency in its texts, in lower case. None
        for equal weights.
    """

    @checked("spacy-charlm.DocVectors.v1")
    def __init__(self, target: TargetBlock, idf_corpus: CorpusBlock | None = None) -> None:
        super().__init__(target)
        self.idf_corpus: Callable[[Language], Iterable[Doc]] | None = idf_corpus
        self._idf: dict[int, float] = {}
        self._n_docs = 0

    def open(self, vocab: Vocab) -> None:
        """Open the target of the words and count in how many texts each word occurs.

        RAISES (ValueError): If that target predicts ids, or several vectors per token.
        """
        if self.kind != "vectors":
            raise ValueError(Errors.E219.format(found=self.kind))
        super().open(vocab)
        if self.nParts != 1:
            raise ValueError(Errors.E219.format(found=f"{self.nParts} vectors"))
        if self.idf_corpus is None:
            return
        counts: Counter[int] = Counter()
        self._n_docs = 0
        for doc in read_docs(spacy.blank(vocab.lang or "xx"), self.idf_corpus):
            counts.update(numpy.unique(doc.to_array([LOWER])).tolist())
            self._n_docs += 1
        self._idf = {word: math.log((1 + self._n_docs) / (1 + n)) for word, n in counts.items()}

    def describe(self) -> dict[str, Any]:
        """Return the description of the words' target and the number of counted texts."""
        return {**super().describe(), "idf_docs": self._n_docs}

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
        X = values[batch.rows[words, 0]]
        ops.scatter_add(sums, doc_of[words], X * weights.reshape(-1, 1))
        # A text has no mean if the weights of all its words are zero.
        weighted = xp.flatnonzero(total > 0)
        row_of = xp.full(len(docs), -1, dtype="int32")
        row_of[weighted] = xp.arange(len(weighted), dtype="int32")
        means = sums[weighted] / total[weighted].reshape(-1, 1)
        return TargetBatch(means, row_of[doc_of].reshape(-1, 1))

    def _weigh(self, docs: Sequence[Doc]) -> Any:
        """Return the weight of each token, float32 (nT,)."""
        if self.idf_corpus is None:
            return numpy.ones(sum(map(len, docs)), dtype="float32")
        unseen = math.log(1 + self._n_docs)
        words: list[Any] = []
        for doc in docs:
            words.extend(doc.to_array([LOWER]).reshape(-1).tolist())
        return numpy.array([self._idf.get(word, unseen) for word in words], dtype="float32")

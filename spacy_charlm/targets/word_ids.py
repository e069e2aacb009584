"""The ids of words in the vocabulary of a corpus, as in other language models."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import spacy
from spacy.attrs import LOWER, ORTH
from spacy.language import Language
from spacy.strings import get_string_id
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Ops

from ..checks import CorpusBlock, Size, checked
from ..errors import Errors
from ..text.text_corpus import read_docs
from ..types import TargetBatch


class WordIds:
    """Predict the id of each word among the most frequent words of a corpus.

    This target needs no vectors, but an output layer with one row per word. It serves as the
    comparison for targets that are vectors. Words outside the vocabulary and white space have no
    target.

    corpus (Callable[[Language], Iterable[Doc]]): A reader of [corpora], such as
        `spacy-charlm.TextCorpus.v1`. The words of its texts are counted, as the default tokenizer
        of the language splits them. A sample is enough: counting takes about 0.5 KB of memory per
        distinct word.
    max_words (int): Maximum number of words in the vocabulary. Recommended values: 5000 to 50000.
    min_count (int): Minimum number of occurrences of a word. Recommended values: 2 to 10.
    lower (bool): Whether words that differ only in case share an id.
    RAISES (ValueError): If a setting is out of range.
    """

    kind = "ids"
    unit = "token"
    nParts = 1

    @checked("spacy-charlm.WordIds.v1")
    def __init__(
        self,
        corpus: CorpusBlock,
        max_words: Size = 20000,
        min_count: Size = 3,
        lower: bool = False,
    ) -> None:
        self.corpus: Callable[[Language], Iterable[Doc]] = corpus
        self.max_words = max_words
        self.min_count = min_count
        self.lower = lower
        self.words: list[str] = []  # by id, the most frequent first; filled by `open`
        self._attr: int = LOWER if lower else ORTH
        self._ids: dict[int, int] = {}

    def open(self, vocab: Vocab) -> None:
        """Count the words of the corpus.

        vocab (Vocab): The vocab of the pipeline. The tokenizer is that of its language.
        RAISES (ValueError): If no word is frequent enough.
        """
        counts: Counter[str] = Counter()
        for doc in read_docs(spacy.blank(vocab.lang or "xx"), self.corpus):
            # The Docs of a reader may have a vocab of their own.
            strings = doc.vocab.strings
            keys: Any = doc.to_array(self._attr).reshape(-1)
            counts.update([strings[key] for key in keys.tolist()])
        frequent = {word: n for word, n in counts.items() if n >= self.min_count and word}
        # Words of equal frequency are sorted, so that the ids depend on nothing but the texts.
        ranked = sorted(frequent, key=lambda word: (-frequent[word], word))
        self.words = [word for word in ranked if not word.isspace()][: self.max_words]
        if not self.words:
            n_words = counts.total()
            raise ValueError(Errors.E220.format(min_count=self.min_count, found=n_words))
        self._ids = {get_string_id(word): i for i, word in enumerate(self.words)}

    @property
    def nO(self) -> int:
        """Number of ids; valid after `open`."""
        return self.describe()["width"]

    def describe(self) -> dict[str, Any]:
        """Return number and digest of the words, for the card."""
        if not self.words:
            raise ValueError(Errors.E215)
        text = "\0".join(self.words).encode("utf8", "surrogatepass")
        return {
            "target": "spacy-charlm.WordIds.v1",
            "name": "word ids",
            "width": len(self.words),
            "lower": self.lower,
            "digest": hashlib.blake2b(text, digest_size=8).hexdigest(),
        }

    def __call__(self, ops: Ops, docs: Sequence[Doc]) -> TargetBatch:
        """Look up the ids of a batch: see `types.Target`.

        **Shapes** docs of nT tokens -> rows (nT, 1)
        """
        if not self.words:
            raise ValueError(Errors.E215)
        columns = [np.zeros(0, dtype="uint64")]
        columns += [doc.to_array(self._attr).reshape(-1) for doc in docs]
        keys, inverse = np.unique(np.concatenate(columns), return_inverse=True)
        ids = np.array([self._ids.get(key, -1) for key in keys.tolist()], dtype="int32")
        rows: Any = ids[inverse].reshape(-1, 1)
        return TargetBatch(None, ops.asarray2i(rows))

"""The spelling of words as vectors: words that are spelled alike have vectors that are alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from spacy.attrs import ORTH
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import NumpyOps, Ops

from ..checks import Length, Seed, Size, checked
from ..decoding.neighbours import normalise
from ..errors import Errors
from ..layers.characters import add_bounds, find_rows, get_codes
from ..layers.embed_ngrams import find_ngrams
from ..types import TargetBatch

# Rows of the tables of characters and of n-grams; more would not tell more spellings apart.
CHAR_ROWS, NGRAM_ROWS = 1000, 8192
NUMPY = NumpyOps(use_blis=False)


class SpellingVectors:
    """Predict how each word is spelled: the sum of the vectors of its character n-grams.

    The vectors of the n-grams are drawn once and never trained, so that no file is needed: a random
    projection keeps the angles between the counts of n-grams. With typos in the input, the tok2vec
    learns to read the correct spelling. As a part of `spacy-charlm.MultiLMAO.v1` beside the
    vectors of words, it keeps misspelled and unknown words near to words that are spelled alike.

    After Bojanowski et al., "Enriching Word Vectors with Subword Information" (2017), with vectors
    as in Johnson and Lindenstrauss, "Extensions of Lipschitz mappings into a Hilbert space" (1984).

    White space has no target. Upper case is ignored.

    width (int): Width of the vectors. Recommended values: 64 to 128.
    ngrams (List[int]): Characters per n-gram. The start and the end of a word count as characters.
        Recommended value: [1, 2, 3].
    seed (int): Seed of the vectors of the n-grams.
    RAISES (ValueError): If a setting is out of range, or there is no size.
    """

    kind = "vectors"
    unit = "token"
    nParts = 1

    @checked("spacy-charlm.SpellingVectors.v1")
    def __init__(
        self,
        width: Size = 64,
        ngrams: list[Length] = [1, 2, 3],  # noqa: B006
        seed: Seed = 0,
    ) -> None:
        if not ngrams:
            raise ValueError(Errors.E225.format(found=ngrams))
        self.width = width
        self.ngrams = list(ngrams)
        self.seed = seed
        rng = np.random.default_rng(seed)
        self._E = rng.standard_normal((NGRAM_ROWS, width), dtype="float32")

    def open(self, vocab: Vocab) -> None:
        """Do nothing: there is no file."""

    @property
    def nO(self) -> int:
        """Width of the vectors."""
        return self.width

    def describe(self) -> dict[str, Any]:
        """Return the settings, for the card."""
        return {
            "target": "spacy-charlm.SpellingVectors.v1",
            "name": "spelling",
            "width": self.width,
            "ngrams": self.ngrams,
            "seed": self.seed,
        }

    def __call__(self, ops: Ops, docs: Sequence[Doc]) -> TargetBatch:
        """Compute the targets of a batch: see `types.Target`.

        **Shapes** docs of nT tokens -> values (nU, nO), rows (nT, 1)
        """
        columns = [np.zeros(0, dtype="uint64")]
        columns += [doc.to_array(ORTH).reshape(-1) for doc in docs]
        keys, inverse = np.unique(np.concatenate(columns), return_inverse=True)
        places: dict[str, int] = {}  # of words in lower case
        rows = []
        for key in keys.tolist():
            word = docs[0].vocab.strings[key].lower()
            rows.append(-1 if word.isspace() else places.setdefault(word, len(places)))
        found: Any = np.array(rows, dtype="int32")[inverse].reshape(-1, 1)
        values: Any = self.spell(list(places))
        return TargetBatch(ops.asarray2f(values), ops.asarray2i(found))

    def spell(self, words: Sequence[str]) -> np.ndarray:
        """Compute the vectors of nW words, each of length 1, float32 (nW, width)."""
        lengths: Any = np.array([len(word) for word in words], dtype="int32")
        codes = find_rows(get_codes(words), CHAR_ROWS, lower=True)
        chars: Any = add_bounds(codes, lengths)
        rows, counts = find_ngrams(NUMPY, chars, lengths + 2, self.ngrams, NGRAM_ROWS)
        Y: Any = sum(NUMPY.reduce_sum(self._E[column], counts) for column in rows.T)
        return normalise(NUMPY, Y)

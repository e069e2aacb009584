"""A table of words and their vectors, with a search for words that can be saved and loaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import srsly
from spacy.matcher.levenshtein import levenshtein
from thinc.api import NumpyOps, Ops
from thinc.util import to_numpy

from ..errors import Errors
from ..files import replace_whole
from .neighbour_index import NeighbourIndex
from .neighbours import Neighbours, best_words, normalise

MAX_EDITS = 0.5  # edits per character, above which two spellings are different words
# Costs that are subtracted from the cosine, tuned on misspellings that no evaluation uses.
EDIT_COST = 4.0  # of a word that differs in every character
RANK_COST = 0.1  # of a word at ten times the row: the table has frequent words first
WORDS, VECTORS, INDEX, HUBNESS = "words.msg", "vectors.npy", "words.usearch", "hubness.npy"
DTYPES = ("f16", "i8")
NUMPY = NumpyOps()
N_TYPICAL = 20_000  # most frequent words, the typical queries of CSLS

# Words and their scores, best first.
Scored = list[tuple[str, float]]


class Spellings:
    """A search for words by their spelling.

    words (Sequence[str]): The words of a table, most frequent first.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._lower = [word.lower() for word in words]
        self._lengths = np.array([len(word) for word in self._lower], dtype="int64")

    def find(self, word: str) -> tuple[np.ndarray, np.ndarray]:
        """Find the words that are few edits away from a word, regardless of case.

        Levenshtein, "Binary codes capable of correcting deletions, insertions, and reversals"
        (1966), with spaCy's own function.

        word (str): Any word.
        RETURNS (Tuple[ndarray, ndarray]): The rows of the words, int64 (n,), and the costs of their
            spelling and row, float64 (n,).
        """
        typed = word.lower()
        most = max(1, int(MAX_EDITS * len(typed)))
        rows = np.flatnonzero(abs(self._lengths - len(typed)) <= most)
        edits = np.array([levenshtein(typed, self._lower[row], most) for row in rows.tolist()])
        near = edits <= most
        rows, edits = rows[near], edits[near]
        return rows, EDIT_COST * edits / max(1, len(typed)) + RANK_COST * np.log10(rows + 1)


class WordTable:
    """A table of words that finds the words nearest to a vector. Empty until `fill`.

    csls (bool): Whether to correct for words that are near to all vectors, see
        `Neighbours.search_csls`.
    approximate (bool): Whether to search with `NeighbourIndex`, which is mapped from disk.
    dtype (str): Type of the numbers in that index, one of DTYPES.
    """

    def __init__(
        self, *, csls: bool = False, approximate: bool = False, dtype: str = "f16"
    ) -> None:
        self._csls = csls
        self._approximate = approximate
        self._dtype = dtype
        self.fill([], np.zeros((0, 0)))

    def fill(self, words: list[str], values: Any) -> "WordTable":
        """Replace the words and vectors.

        words (List[str]): The word of each row, most frequent first.
        values (Floats2d): Their vectors, (nV, nO), stored as float16.
        RETURNS (WordTable): The table itself.
        RAISES (ValueError): If there is not one row per word.
        """
        values = np.asarray(values, dtype="float16")
        if values.ndim != 2 or len(words) != len(values):
            raise ValueError(Errors.E720.format(found=f"{values.shape} for {len(words)} words"))
        self.words = words
        self.values = values
        self._index: Any = None  # created by the first search
        self._hubness: Any = None
        self._spellings: Spellings | None = None
        return self

    def search(self, vectors: Any, k: int, ops: Ops) -> list[Scored]:
        """Find the nearest words.

        vectors (Floats2d): Queries, (nQ, nO).
        k (int): Words per query.
        ops (Ops): The backend of the exact search.
        RETURNS (List[List[Tuple[str, float]]]): Words and scores per query, best first.
        """
        index = self._get_index(ops)
        if self._csls:
            found = index.search_csls(vectors, k, self._hubness)
        else:
            found = index.search(vectors, k)
        return best_words(self.words, found, index.ops)

    def suggest(self, word: str, vector: Any, k: int, ops: Ops) -> Scored:
        """Suggest corrections of a misspelled word.

        word (str): The misspelled word.
        vector (Floats2d): The vector that was predicted for it, (1, nO).
        k (int): Maximum number of words.
        ops (Ops): The backend of the search by vector, which runs if no word has a similar
            spelling.
        RETURNS (List[Tuple[str, float]]): Words and scores, best first. A score is the cosine minus
            the costs of `Spellings`.
        """
        if self._spellings is None:
            self._spellings = Spellings(self.words)
        rows, cost = self._spellings.find(word)
        if not len(rows):
            return self.search(vector, k, ops)[0]
        near = normalise(NUMPY, self.values[rows].astype("float32"))
        scores = near @ normalise(NUMPY, to_numpy(vector))[0] - cost
        best = np.argsort(-scores, kind="stable")[:k]
        return [(self.words[rows[i]], float(scores[i])) for i in best.tolist()]

    def to_bytes(self) -> bytes:
        """Save words and vectors."""
        shape, data = list(self.values.shape), self.values.tobytes()
        return srsly.msgpack_dumps({"words": self.words, "shape": shape, "data": data})

    def from_bytes(self, data: bytes) -> "WordTable":
        """Load words and vectors."""
        content = srsly.msgpack_loads(data)
        values = np.frombuffer(content["data"], dtype="float16").reshape(content["shape"])
        return self.fill(content["words"], values)

    def to_disk(self, folder: Path) -> None:
        """Save words, vectors and the index, if there is one, to a folder."""
        srsly.write_msgpack(folder / WORDS, self.words)
        # This may be the folder that the vectors are mapped from.
        with replace_whole(folder / VECTORS) as part, part.open("wb") as file_:
            np.save(file_, self.values)
        if self._approximate and len(self.words):
            with replace_whole(folder / INDEX) as part:
                self._get_index(NUMPY).to_disk(part)
        else:
            (folder / INDEX).unlink(missing_ok=True)  # it may belong to an older table
        if self._csls and len(self.words):
            self._get_index(NUMPY)
            np.save(folder / HUBNESS, to_numpy(self._hubness))

    def from_disk(self, folder: Path) -> "WordTable":
        """Load words, vectors and index; vectors and index are mapped into memory."""
        values = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
        self.fill(srsly.read_msgpack(folder / WORDS), values)
        if self._csls and (folder / HUBNESS).exists():
            self._hubness = np.load(folder / HUBNESS, allow_pickle=False)
        if self._approximate and (folder / INDEX).exists():
            self._index = NeighbourIndex.from_disk(folder / INDEX)
        return self

    def _get_index(self, ops: Ops) -> Any:
        if self._index is None and self._approximate:
            self._index = NeighbourIndex(self.values, dtype=self._dtype)
        elif self._index is None:
            self._index = Neighbours(self.values, ops)
            if self._csls and self._hubness is None:
                self._hubness = self._index.hubness(self.values[:N_TYPICAL], of_rows=True)
            elif self._csls:
                self._hubness = ops.asarray1f(self._hubness)
        return self._index

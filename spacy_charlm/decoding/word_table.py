"""Words with their vectors, and the search among them that a pipeline saves and loads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import srsly
from spacy.matcher.levenshtein import levenshtein
from thinc.api import NumpyOps, Ops
from thinc.util import to_numpy

from ..files import replace_whole
from .neighbours import Neighbours, best_words, normalise

MOST_EDITS = 0.5  # edits for each character of the word: one that is further away is another word
# What the two take from the cosine: chosen on misspellings that no score uses.
EDIT_COST = 4.0  # of a word that differs in every character
PLACE_COST = 0.1  # for each ten times further down in the table, which has frequent words first


class Spellings:
    """Finds words by their letters, where the letters are what is known of a word.

    words (Sequence[str]): The table's words, the frequent ones first.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._lower = [word.lower() for word in words]
        self._lengths = np.array([len(word) for word in self._lower], dtype="int64")

    def find(self, word: str) -> tuple[np.ndarray, np.ndarray]:
        """Find the words that become the given one by few edits, upper and lower case alike.

        Levenshtein, "Binary codes capable of correcting deletions, insertions, and reversals"
        (1966), by spaCy's own function.

        word (str): Any word.
        RETURNS (Tuple[ndarray, ndarray]): Their rows, int64 (nN,), and what their spelling and
            their place in the table cost, float64 (nN,).
        """
        typed = word.lower()
        most = max(1, int(MOST_EDITS * len(typed)))
        rows = np.flatnonzero(abs(self._lengths - len(typed)) <= most)
        edits = np.array([levenshtein(typed, self._lower[row], most) for row in rows.tolist()])
        near = edits <= most
        rows, edits = rows[near], edits[near]
        return rows, EDIT_COST * edits / max(1, len(typed)) + PLACE_COST * np.log10(rows + 1)


WORDS, VECTORS, INDEX = "words.msg", "vectors.npy", "words.usearch"
HUBNESS = "hubness.npy"
DTYPES = ("f16", "i8")
NUMPY = NumpyOps()
N_TYPICAL = 20_000  # frequent words, as typical queries of CSLS

# Words and their scores, the best first.
Scored = list[tuple[str, float]]


class WordTable:
    """The words nearest to a vector, by the kind of search that was asked for.

    words (List[str]): The word of each row, the frequent ones first.
    values (Floats2d): Their vectors, (nV, nO), kept as float16.
    csls (bool): Whether to correct for words that are near to everything.
    approximate (bool): Whether to search by `NeighbourIndex`, which is mapped from disk.
    dtype (str): How that keeps the vectors, one of DTYPES.
    """

    def __init__(
        self,
        words: list[str],
        values: Any,
        *,
        csls: bool = False,
        approximate: bool = False,
        dtype: str = "f16",
    ) -> None:
        self.words = words
        self.values = np.asarray(values, dtype="float16")
        self._csls = csls
        self._approximate = approximate
        self._dtype = dtype
        self._rows: Any = None  # made when it is first needed
        self._hubness: Any = None
        self._spellings: Spellings | None = None

    def search(self, vectors: Any, k: int, ops: Ops) -> list[Scored]:
        """Find the nearest words.

        vectors (Floats2d): Queries, (nQ, nO).
        k (int): Words for each.
        ops (Ops): The backend of the exact search.
        RETURNS (List[List[Tuple[str, float]]]): Words and scores, the best first.
        """
        rows = self._find_rows(ops)
        if self._csls:
            found = rows.search_csls(vectors, k, self._hubness)
        else:
            found = rows.search(vectors, k)
        return best_words(self.words, found, rows.ops)

    def suggest(self, word: str, vector: Any, k: int, ops: Ops) -> Scored:
        """Find the words that a misspelled one may be meant to be.

        word (str): As it is written.
        vector (Floats2d): What was predicted for it, (1, nO).
        k (int): Words at most.
        ops (Ops): The backend of the search by vector, where no word is spelled alike.
        RETURNS (List[Tuple[str, float]]): Words with their cosines, from which the edits have been
            taken: see `Spellings`. The best first.
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
        self.words = content["words"]
        self.values = np.frombuffer(content["data"], dtype="float16").reshape(content["shape"])
        self._rows = self._spellings = self._hubness = None
        return self

    def to_disk(self, folder: Path) -> None:
        """Save words, vectors and the index, if there is one, as files of a folder."""
        srsly.write_msgpack(folder / WORDS, self.words)
        # The folder may be the one that they are mapped from.
        with replace_whole(folder / VECTORS) as part, part.open("wb") as file_:
            np.save(file_, self.values)
        if self._approximate and len(self.words):
            with replace_whole(folder / INDEX) as part:
                self._find_rows(None).to_disk(part)
        else:
            (folder / INDEX).unlink(missing_ok=True)  # that of another table
        if self._csls and len(self.words):
            self._find_rows(NUMPY)
            np.save(folder / HUBNESS, to_numpy(self._hubness))

    def from_disk(self, folder: Path) -> "WordTable":
        """Load them; vectors and index are mapped into memory."""
        self.words = srsly.read_msgpack(folder / WORDS)
        self.values = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
        self._rows = self._spellings = self._hubness = None
        if self._csls and (folder / HUBNESS).exists():
            self._hubness = np.load(folder / HUBNESS, allow_pickle=False)
        if self._approximate and (folder / INDEX).exists():
            from .neighbour_index import NeighbourIndex

            self._rows = NeighbourIndex.from_disk(folder / INDEX)
        return self

    def _find_rows(self, ops: Any) -> Any:
        if self._rows is None and self._approximate:
            from .neighbour_index import NeighbourIndex

            self._rows = NeighbourIndex(self.values, dtype=self._dtype)
        elif self._rows is None:
            self._rows = Neighbours(self.values, ops)
            if self._csls and self._hubness is None:
                self._hubness = self._rows.hubness(self.values[:N_TYPICAL], of_rows=True)
            elif self._csls:
                self._hubness = ops.asarray1f(self._hubness)
        return self._rows

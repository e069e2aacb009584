"""A table of words and their vectors, with a search for words that can be saved and loaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import srsly
from thinc.api import NumpyOps, Ops
from thinc.util import to_numpy

from ..errors import Errors
from ..files import replace_whole
from .neighbour_index import NeighbourIndex
from .neighbours import Neighbours, best_words, normalise
from .spelling_costs import LONGEST, SpellingCosts

MAX_EDITS = 0.75  # edits per character of the longer word; more make it a different word
RANK_SHARE = 0.04  # edits per character that a word e times less frequent has to save
N_CANDIDATES = 200  # words whose spelling is compared in detail
FIRST_RANKS = 10  # rows that are about equally frequent
# Weights of the cosines, compared with costs that are negative log-probabilities. They were tuned
# on misspellings that no evaluation uses.
OWN_WEIGHT = 4.0  # of the vector that was predicted for the misspelled word
CONTEXT_WEIGHT = 8.0  # of the vector that was predicted from the context alone
WORDS, VECTORS, INDEX, HUBNESS = "words.msg", "vectors.npy", "words.usearch", "hubness.npy"
SPELLING = "spelling.msg"
DTYPES = ("f16", "i8")
NUMPY = NumpyOps()
N_TYPICAL = 20_000  # most frequent words, the typical queries of CSLS

# Words and their scores, best first.
Scored = list[tuple[str, float]]


class Spellings:
    """A search for words by their spelling, regardless of case.

    Few edits of any kind choose the candidates: Levenshtein, "Binary codes capable of correcting
    deletions, insertions, and reversals" (1966). They are counted for all words at once, with one
    bit per character: Myers, "A Fast Bit-Vector Algorithm for Approximate String Matching Based on
    Dynamic Programming" (1999). The costs of the candidates decide.

    words (Sequence[str]): The words of a table, most frequent first.
    costs (SpellingCosts): The costs of edits.
    """

    def __init__(self, words: Sequence[str], costs: SpellingCosts) -> None:
        self._costs = costs
        self._lower = [word.lower()[:LONGEST] for word in words]
        self._lengths = np.array([len(word) for word in self._lower], dtype="int32")
        self._last = (self._lengths - 1).clip(min=0).astype("uint32")
        # The probability of a word is about that of its row, by Zipf's law.
        self._rank_costs = np.log(np.arange(len(words)) + FIRST_RANKS).astype("float32")
        # The words that have a character, and the places where they have it, as bits.
        self._masks: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        chars = np.array(self._lower, dtype=f"U{LONGEST}").view("uint32")
        rows, places = np.nonzero(chars.reshape(len(words), LONGEST))
        codes = chars[chars > 0].astype("int64")
        keys, which = np.unique(codes * len(words) + rows, return_inverse=True)
        bits = np.bincount(which, weights=2.0**places).astype("uint32")
        codes, rows = np.divmod(keys, len(words)) if len(keys) else (keys, keys)
        known, starts = np.unique(codes, return_index=True)
        for code, some, mask in zip(
            known.tolist(), np.split(rows, starts[1:]), np.split(bits, starts[1:])
        ):
            self._masks[chr(code)] = some, mask

    def find(self, word: str) -> tuple[np.ndarray, np.ndarray]:
        """Find the words that a word may be a misspelling of.

        word (str): Any word. Its first 32 characters count.
        RETURNS (Tuple[ndarray, ndarray]): The rows of the words, int64 (n,), and the costs of their
            spelling and row, float32 (n,).
        """
        typed = word.lower()[:LONGEST]
        share = self.count_edits(typed) / np.maximum(self._lengths, max(1, len(typed)))
        rows = np.flatnonzero(share <= MAX_EDITS)
        if len(rows) > N_CANDIDATES:
            worth = share[rows] + RANK_SHARE * self._rank_costs[rows]
            rows = np.sort(rows[np.argpartition(worth, N_CANDIDATES)[:N_CANDIDATES]])
        costs = self._costs.score(typed, [self._lower[row] for row in rows.tolist()])
        return rows, costs + self._rank_costs[rows]

    def count_edits(self, typed: str) -> np.ndarray:
        """Count the edits between a word in lower case and each word of the table, int32 (nV,)."""
        one = np.uint32(1)
        # Whether a row of the matrix of distances goes up (more) or down (less) at each character.
        more = np.full(len(self._lower), ~np.uint32(0))
        less = np.zeros_like(more)
        edits = self._lengths.copy()
        for char in typed:
            same = np.zeros_like(more)
            if char in self._masks:
                rows, mask = self._masks[char]
                same[rows] = mask
            right = (((same & more) + more) ^ more) | same
            up, down = less | ~(right | more), more & right
            edits += (up >> self._last & one).astype("int32")
            edits -= (down >> self._last & one).astype("int32")
            up, down = up << one | one, down << one
            same |= less
            more, less = down | ~(same | up), up & same
        return np.where(self._lengths, edits, len(typed))


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
        self._costs = SpellingCosts()
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

    def set_costs(self, costs: SpellingCosts) -> None:
        """Replace the costs of edits."""
        self._costs = costs
        self._spellings = None

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

    def suggest(
        self, word: str, vector: Any, k: int, ops: Ops, context: Any | None = None
    ) -> Scored:
        """Suggest corrections of a misspelled word.

        word (str): The misspelled word.
        vector (Floats2d): The vector that was predicted for it, (1, nO).
        k (int): Maximum number of words.
        ops (Ops): The backend of the search by vector, which runs if no word has a similar
            spelling.
        context (Optional[Floats2d]): The vector that was predicted without seeing it, (1, nO).
        RETURNS (List[Tuple[str, float]]): Words and scores, best first. A score is the weighted sum
            of the cosines minus the costs of `Spellings`.
        """
        if self._spellings is None:
            self._spellings = Spellings(self.words, self._costs)
        rows, cost = self._spellings.find(word)
        if not len(rows):
            return self.search(vector, k, ops)[0]
        near = normalise(NUMPY, self.values[rows].astype("float32"))
        scores = OWN_WEIGHT * (near @ normalise(NUMPY, to_numpy(vector))[0]) - cost
        if context is not None:
            scores += CONTEXT_WEIGHT * (near @ normalise(NUMPY, to_numpy(context))[0])
        best = np.argsort(-scores, kind="stable")[:k]
        return [(self.words[rows[i]], float(scores[i])) for i in best.tolist()]

    def to_bytes(self) -> bytes:
        """Save words, vectors and costs."""
        return srsly.msgpack_dumps(
            {
                "words": self.words,
                "shape": list(self.values.shape),
                "data": self.values.tobytes(),
                "spelling": self._costs.to_list(),
            }
        )

    def from_bytes(self, data: bytes) -> "WordTable":
        """Load words, vectors and costs."""
        content = srsly.msgpack_loads(data)
        values = np.frombuffer(content["data"], dtype="float16").reshape(content["shape"])
        self.set_costs(SpellingCosts.from_list(content.get("spelling")))
        return self.fill(content["words"], values)

    def to_disk(self, folder: Path) -> None:
        """Save words, vectors, costs and the index, if there is one, to a folder."""
        srsly.write_msgpack(folder / WORDS, self.words)
        srsly.write_msgpack(folder / SPELLING, self._costs.to_list())
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
        """Load words, vectors, costs and index; vectors and index are mapped into memory."""
        spelling = folder / SPELLING  # pipelines of older versions have none
        costs = srsly.read_msgpack(spelling) if spelling.exists() else None
        self.set_costs(SpellingCosts.from_list(costs))
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

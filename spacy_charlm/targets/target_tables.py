"""From the hash of a word to its vector: by row, or from the word's n-grams."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from spacy.strings import StringStore, get_string_id
from spacy.vectors import Vectors
from thinc.api import Ops
from thinc.types import Floats2d, Ints1d

# Words whose row is remembered; beyond that the memory starts anew.
MAX_WORDS = 100_000
# Memory of the n-gram table for vectors already computed, in bytes.
MAX_BYTES = 128 * 1024 * 1024
# Letters whose n-grams are averaged in one call, which bounds its memory.
MAX_LETTERS = 4096
# A longer run of characters is no word: its n-grams say nothing, and they would fill the memory.
MAX_WORD_LENGTH = 1000


class VectorTable(Protocol):
    """Where words find their vectors. A row is valid until the next call of `find`."""

    def find(self, ops: Ops, keys: list[int], stores: Sequence[StringStore]) -> list[int]:
        """Give each key its row, -1 where the word has no vector."""

    def gather(self, ops: Ops, rows: Ints1d) -> Floats2d:
        """Copy the vectors of some rows to a new array on the device of `ops`."""


class WordTable:
    """One row per word.

    key2row (Dict[int, int]): The row of each word's hash, without the words that have no target.
    values (Floats2d): The vectors, (nV, nO) float32; never written to.
    lower (bool): Whether a word that is missing is looked up in lower case.
    """

    def __init__(self, key2row: dict[int, int], values: Floats2d, *, lower: bool) -> None:
        self.key2row = key2row
        self.lower = lower
        self._tables: dict[tuple[str, int], Floats2d] = {}
        self._values = values
        self._rows: dict[int, int] = {}

    def find(self, ops: Ops, keys: list[int], stores: Sequence[StringStore]) -> list[int]:
        """Give each key its row, -1 where the word has no vector.

        ops (Ops): Not used: rows are the same on each device.
        keys (List[int]): Hashes of words, each once.
        stores (Sequence[StringStore]): Where their texts are.
        RETURNS (List[int]): A row of the table or -1 for each key.
        """
        if len(self._rows) > MAX_WORDS:
            self._rows.clear()
        known = self._rows
        rows: list[Any] = list(map(known.get, keys))
        if None in rows:
            for i, key in enumerate(keys):
                if rows[i] is None:
                    rows[i] = known[key] = self._find_row(key, get_text(key, stores))
        return rows

    def gather(self, ops: Ops, rows: Ints1d) -> Floats2d:
        """Copy the vectors of some rows to a new array on the device of `ops`.

        ops (Ops): The backend; the table moves to its device once.
        rows (Ints1d): Rows of the table, none of them negative.
        RETURNS (Floats2d): The vectors, (len(rows), nO).
        """
        device = (ops.name, ops.device_id)
        if device not in self._tables:
            self._tables[device] = ops.asarray2f(self._values)
        table: Any = self._tables[device]
        return table.take(ops.asarray1i(rows), axis=0)

    def _find_row(self, key: int, text: str) -> int:
        if not text or text.isspace():
            return -1
        row = self.key2row.get(key)
        if row is None and self.lower:
            row = self.key2row.get(get_string_id(text.lower()))
        return -1 if row is None else row


class NgramTable:
    """Floret: the vector of any word is the mean over its n-grams' rows.

    A vector costs some 20 microseconds, so those already computed are kept in a bounded array.

    vectors (Vectors): A spaCy table in floret mode; never written to.
    unknown (Iterable[str]): Words without a target.
    """

    def __init__(self, vectors: Vectors, unknown: Iterable[str]) -> None:
        self._vectors = vectors
        self._unknown = frozenset(unknown)
        self._nO = int(vectors.shape[1])
        self._slots: dict[int, int] = {}
        self._filled = 0
        self._capacity = max(1, MAX_BYTES // (4 * self._nO))
        self._cache: Floats2d | None = None
        self._device: tuple[str, int] | None = None

    def find(self, ops: Ops, keys: list[int], stores: Sequence[StringStore]) -> list[int]:
        """Give each key the row of its vector among those computed, -1 where it has none.

        ops (Ops): The backend on whose device the vectors are kept.
        keys (List[int]): Hashes of words, each once.
        stores (Sequence[StringStore]): Where their texts are.
        RETURNS (List[int]): A row that `gather` knows until the next call, or -1, for each key.
        """
        device = (ops.name, ops.device_id)
        new = [key for key in keys if key not in self._slots]
        if device != self._device or len(self._slots) + len(new) > self._capacity:
            new = keys
            self._slots.clear()
            self._filled = 0
        if self._cache is None or device != self._device or len(new) > self._capacity:
            self._capacity = max(self._capacity, len(new))
            self._cache = ops.alloc2f(self._capacity, self._nO)
            self._device = device
        self._add(ops, self._cache, new, stores)
        return [self._slots[key] for key in keys]

    def gather(self, ops: Ops, rows: Ints1d) -> Floats2d:
        """Copy the vectors of some rows to a new array on the device of `ops`.

        ops (Ops): The backend that `find` was called with.
        rows (Ints1d): Rows that `find` gave, none of them negative.
        RETURNS (Floats2d): The vectors, (len(rows), nO).
        """
        if self._cache is None:
            return ops.alloc2f(0, self._nO)
        cache: Any = self._cache
        return cache.take(ops.asarray1i(rows), axis=0)

    def _add(
        self, ops: Ops, cache: Floats2d, keys: list[int], stores: Sequence[StringStore]
    ) -> None:
        pending: list[tuple[int, str]] = []
        letters = 0
        for key in keys:
            text = get_text(key, stores)
            no_word = not text or text.isspace() or text in self._unknown
            if no_word or len(text) > MAX_WORD_LENGTH:
                self._slots[key] = -1
                continue
            pending.append((key, text))
            letters += len(text)
            if letters > MAX_LETTERS:
                self._compute(ops, cache, pending)
                pending, letters = [], 0
        if pending:
            self._compute(ops, cache, pending)

    def _compute(self, ops: Ops, cache: Floats2d, words: list[tuple[int, str]]) -> None:
        vectors = ops.asarray2f(self._vectors.get_batch([text for _, text in words]))
        # A word whose n-grams were never trained has a vector of zeros.
        filled = ops.to_numpy(vectors.any(axis=1))
        start = self._filled
        cache[start : start + len(words)] = vectors
        self._filled += len(words)
        for i, (key, _) in enumerate(words):
            self._slots[key] = start + i if filled[i] else -1


def get_text(key: int, stores: Sequence[StringStore]) -> str:
    """Find the text of a hash in the first store that has it.

    key (int): The hash of a word.
    stores (Sequence[StringStore]): The string stores of a batch's Docs, usually one.
    RETURNS (str): The text; empty for the hash 0.
    """
    for store in stores:
        try:
            return store[key]
        except KeyError:
            continue
    return ""

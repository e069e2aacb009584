"""Tables that give the vector of a word: one row per word, or the mean of its n-grams."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy
from spacy.strings import StringStore, get_string_id
from spacy.vectors import Vectors
from thinc.api import NumpyOps, Ops
from thinc.types import Floats1d, Floats2d, Ints1d

MAX_WORDS = 100_000  # words whose row is cached; the cache is then emptied
MAX_BYTES = 128 * 1024 * 1024  # size of the cache of SubwordTable
MAX_LETTERS = 4096  # letters whose n-grams are averaged in one call, to bound its memory
# A longer run of characters is not a word. Its n-grams mean nothing and would fill the memory.
MAX_WORD_LENGTH = 1000


class TargetTable(Protocol):
    """A table of target vectors. A row is valid until the next call of `find`."""

    def find(self, ops: Ops, keys: list[int], stores: Sequence[StringStore]) -> list[int]:
        """Find the row of each key, -1 if the word has no vector.

        ops (Ops): The backend on which the vectors are needed.
        keys (List[int]): Distinct hashes of words.
        stores (Sequence[StringStore]): String stores with the texts of the words.
        RETURNS (List[int]): One row, or -1, per key.
        """

    def gather(self, ops: Ops, rows: Ints1d) -> Floats2d:
        """Copy the vectors of some rows to a new array on the device of `ops`.

        ops (Ops): The backend that `find` was called with.
        rows (Ints1d): Rows that `find` returned, none of them negative.
        RETURNS (Floats2d): The vectors, (len(rows), nO).
        """


class RowTable:
    """A table with one row per word, see `TargetTable`. It moves to each device once.

    key2row (Dict[int, int]): The row of each word's hash, without words that have no target.
    values (Floats2d): The vectors, float32 (nV, nO); never written to.
    lower (bool): Whether a missing word is looked up in lower case.
    """

    def __init__(self, key2row: dict[int, int], values: Floats2d, *, lower: bool) -> None:
        self.key2row = key2row
        self.lower = lower
        self._tables: dict[tuple[str, int], Floats2d] = {}
        self._values = values
        self._rows: dict[int, int] = {}

    def find(self, ops: Ops, keys: list[int], stores: Sequence[StringStore]) -> list[int]:
        """Find the row of each key, -1 if the word has no vector."""
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
        """Copy the vectors of some rows to a new array on the device of `ops`."""
        device = (ops.name, ops.device_id)
        if device not in self._tables:
            self._tables[device] = ops.asarray2f(self._values)
        table: Any = self._tables[device]
        return table.take(ops.asarray1i(rows), axis=0)

    @property
    def lengths(self) -> Floats1d:
        """Length of each row, (nV,)."""
        values: Any = self._values
        return numpy.sqrt(numpy.einsum("ij,ij->i", values, values))

    def _find_row(self, key: int, text: str) -> int:
        if not text or text.isspace():
            return -1
        row = self.key2row.get(key)
        if row is None and self.lower:
            row = self.key2row.get(get_string_id(text.lower()))
        return -1 if row is None else row


class BigramTable:
    """The rows of the keys that are two words with a space between them, such as "not good".

    A pair of words is one number, and numbers are searched in a sorted array, so that no text of a
    bigram is put together.

    rows (Mapping[str, int]): The row of each such key.
    lower (bool): As in `RowTable`.
    """

    def __init__(self, rows: Mapping[str, int], *, lower: bool) -> None:
        pairs = [key.split(" ") for key in rows]
        ids = {word: i for i, word in enumerate({word: 0 for pair in pairs for word in pair})}
        self._n_words = len(ids)
        # A table of words whose rows are their numbers. It has no vectors.
        key2row = {get_string_id(word): i for word, i in ids.items()}
        self._words = RowTable(key2row, NumpyOps().alloc2f(0, 0), lower=lower)
        numbers = [ids[first] * self._n_words + ids[second] for first, second in pairs]
        self._numbers, order = numpy.unique(numpy.array(numbers, "int64"), return_index=True)
        self._rows = numpy.array(list(rows.values()), "int64")[order]

    def __len__(self) -> int:
        """Return the number of bigrams."""
        return len(self._numbers)

    def list_bigrams(self) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
        """List spaCy's hashes of the first and second words, uint64 (n,), and the rows."""
        hashes = numpy.array(list(self._words.key2row), dtype="uint64")  # in the order of the ids
        first, second = numpy.divmod(self._numbers, max(self._n_words, 1))
        return hashes[first], hashes[second], self._rows

    def find_words(self, ops: Ops, keys: list[int], stores: Sequence[StringStore]) -> numpy.ndarray:
        """Number each word that occurs in a bigram; -1 for the others. See `TargetTable.find`."""
        return numpy.array(self._words.find(ops, keys, stores), "int64")

    def find(self, first: numpy.ndarray, second: numpy.ndarray) -> numpy.ndarray:
        """Find the rows of bigrams.

        first (ndarray): The number of the first word of each, from `find_words`, int64 (n,).
        second (ndarray): That of the second word.
        RETURNS (ndarray): Rows, int64 (n,); -1 if the table lacks the bigram.
        """
        numbers = numpy.where((first >= 0) & (second >= 0), first * self._n_words + second, -1)
        places = numpy.searchsorted(self._numbers, numbers)
        places[places == len(self._numbers)] = 0
        return numpy.where(self._numbers[places] == numbers, self._rows[places], -1)


def is_bigram(key: str) -> bool:
    """Whether a key is two words with one space between them."""
    return key.count(" ") == 1 and all(key.split(" "))


class SubwordTable:
    """A table in floret mode: the vector of any word is the mean over its n-grams' rows.

    Computing a vector takes about 20 microseconds, so vectors are cached in an array of bounded
    size. See `TargetTable`; the rows are those of the cache.

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
        """Find the row of each key, -1 if the word has no vector."""
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
        """Copy the vectors of some rows to a new array on the device of `ops`."""
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
            is_word = text and not text.isspace() and len(text) <= MAX_WORD_LENGTH
            if not is_word or text in self._unknown:
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
        # The vector of a word is zero if none of its n-grams was trained.
        filled = ops.to_numpy(vectors.any(axis=1))
        start = self._filled
        cache[start : start + len(words)] = vectors
        self._filled += len(words)
        for i, (key, _) in enumerate(words):
            self._slots[key] = start + i if filled[i] else -1


def get_text(key: int, stores: Sequence[StringStore]) -> str:
    """Return the text of a hash from the first store that has it, or "" if none has it.

    key (int): The hash of a word.
    stores (Sequence[StringStore]): The string stores of a batch's Docs, usually one.
    """
    for store in stores:
        try:
            return store[key]
        except KeyError:
            continue
    return ""

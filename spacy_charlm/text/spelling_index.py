"""Find the words of a list that are spelled alike."""

import random
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

LONG = 7  # characters: two may be deleted from words of that length, one from shorter words
LONGEST = 24  # characters: longer words, such as addresses, have too many pairs to delete
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # of the hashes: any large odd number


class SpellingIndex:
    """An index of words by their spelling.

    Two words are alike if they become equal when at most one character of each is deleted, or at
    most two of a word with seven characters or more. Words that differ in one typo are therefore
    alike: "form", "from", "farm" and "forms". Words that differ in case alone are one word here,
    and words of more than 24 characters have none that are alike.

    After Garbe, "1000x Faster Spelling Correction algorithm" (SymSpell, 2012), with hashes instead
    of strings.

    words (Sequence[str]): Distinct words.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        chars = _read_chars(words)
        rows: list[Any] = []
        buckets: list[Any] = []
        n_buckets = 0  # a bucket has the words that have one string in common
        # Strings of different lengths are never equal: one length at a time needs less memory.
        for length in range(LONGEST + 1):
            nearest, hashes = _hash_strings(chars, length)
            _, string, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
            shared = sizes > 1  # most strings belong to one word alone
            numbers = np.cumsum(shared) - 1 + n_buckets
            kept = shared[string]
            rows.append(nearest[kept])
            buckets.append(numbers[string[kept]].astype("int32"))
            n_buckets += int(shared.sum())
        row, bucket = np.concatenate(rows), np.concatenate(buckets)
        self._buckets = _Groups(row, bucket, len(words))
        self._rows = _Groups(bucket, row, n_buckets)

    def find(self, row: int, n: int, rng: random.Random) -> list[int]:
        """Find the words that are most alike.

        row (int): The place of a word in the list.
        n (int): Maximum number of words.
        rng (random.Random): The generator that chooses among words that are equally alike.
        RETURNS (List[int]): The places of the words, best first. There may be none.
        """
        # The fewer edits between two words, the more strings they have in common.
        counts = Counter(other for b in self._buckets[row] for other in self._rows[b])
        word = self._words[row].lower()
        alike = [other for other in counts if self._words[other].lower() != word]
        rng.shuffle(alike)
        return sorted(alike, key=lambda other: -counts[other])[:n]


class _Groups:
    """Values by their key, (n,) values in two arrays.

    keys (Ints1d): The key of each value, int32 (n,).
    values (Ints1d): The values, int32 (n,).
    n_keys (int): Number of keys, some of which may have no value.
    """

    def __init__(self, keys: Any, values: Any, n_keys: int) -> None:
        order = np.argsort(keys, kind="stable")
        self._values = values[order]
        self._starts = np.searchsorted(keys[order], np.arange(n_keys + 1))

    def __getitem__(self, key: int) -> list[int]:
        values: list[int] = self._values[self._starts[key] : self._starts[key + 1]].tolist()
        return values


def _read_chars(words: Sequence[str]) -> dict[int, tuple[Any, Any]]:
    """Read the rows, int32 (nW,), and code points, (nW, nC), of the words of each length."""
    lengths = np.array([len(word) for word in words], dtype="int64")
    found = {}
    for length in range(1, LONGEST + 1):
        rows = np.flatnonzero(lengths == length)
        array = np.array([words[row] for row in rows.tolist()], dtype=f"U{length}")
        found[length] = rows.astype("int32"), array.view("uint32").reshape(-1, length)
    return found


def _hash_strings(chars: dict[int, tuple[Any, Any]], length: int) -> tuple[Any, Any]:
    """Hash the strings of one length that deletions leave of words: rows and hashes, (n,)."""
    all_rows: list[Any] = [np.zeros(0, dtype="int32")]
    all_hashes: list[Any] = [np.zeros(0, dtype="uint64")]
    for n_deleted in range(3):
        rows, table = chars.get(length + n_deleted, ([], None))
        if not len(rows) or (n_deleted == 2 and length + n_deleted < LONG):
            continue
        for deleted in combinations(range(length + n_deleted), n_deleted):
            hashes: Any = np.zeros(len(rows), dtype="uint64")
            for column in np.delete(table, deleted, axis=1).T:
                hashes = hashes * MULTIPLIER + column
            all_rows.append(rows)
            all_hashes.append(hashes)
    return np.concatenate(all_rows), np.concatenate(all_hashes)

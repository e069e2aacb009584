"""Hashes of words and bigrams in 32 bits, and the search in a table of hashes."""

from typing import Any

import numpy as np

# The multipliers of splitmix64's finaliser, which mix the bits of a hash.
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def hash_words(words: np.ndarray) -> np.ndarray:
    """Hash words to 32 bits.

    words (ndarray): spaCy's hashes of words, uint64 (n,).
    RETURNS (ndarray): uint32 (n,).
    """
    return (words ^ (words >> np.uint64(32))).astype("uint32")


def hash_bigrams(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Hash bigrams to 32 bits.

    first (ndarray): spaCy's hashes of their first words, uint64 (n,).
    second (ndarray): Those of their second words.
    RETURNS (ndarray): uint32 (n,).
    """
    return hash_words(first * FIRST + second * SECOND)


def split_hashes(hashes: np.ndarray) -> np.ndarray:
    """Split hashes into halves, for a parameter: `Model.to_gpu` makes float32 of all parameters.

    hashes (ndarray): uint32 (n,).
    RETURNS (ndarray): uint16 (n, 2).
    """
    return np.stack([hashes >> 16, hashes & 0xFFFF], axis=1).astype("uint16")


def join_hashes(halves: Any) -> Any:
    """Undo `split_hashes`, whatever type the halves have become: uint32 (n,)."""
    halves = halves.astype("uint32")
    return halves[:, 0] << 16 | halves[:, 1]


def find_hashes(ops: Any, table: Any, hashes: Any) -> tuple[Any, Any]:
    """Find hashes in a table.

    ops (Ops): The backend that both arrays belong to.
    table (ndarray): Sorted hashes, uint32 (nK,), at least one.
    hashes (ndarray): uint32 (n,).
    RETURNS (Tuple[ndarray, ndarray]): The place of each hash in the table, int64 (n,), and whether
        it is there, bool (n,).
    """
    places = ops.xp.searchsorted(table, hashes)
    places[places == len(table)] = 0
    return places, table[places] == hashes

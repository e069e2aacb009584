"""Hashes of the spelling of words, and of every word that is one typo away from them."""

from collections.abc import Iterator, Sequence

import numpy as np

from .characters import get_codes
from .word_hashes import FIRST

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # of the code points: any large odd number
SHORTEST, LONGEST = 4, 24  # letters: shorter words are one typo away from too many others
BLOCK = 256  # words whose typos are hashed at a time: arrays of 3 MB for 24 letters of 64


def hash_spellings(words: Sequence[str]) -> np.ndarray:
    """Hash words to 32 bits.

    The hash of a word follows from those of its parts, which makes that of a typo cheap. spaCy's
    hash of a string does not.

    words (Sequence[str]): The nW words.
    RETURNS (ndarray): uint32 (nW,); 0 for an empty word.
    """
    lengths = np.array([len(word) for word in words], dtype="int64")
    ends = np.cumsum(lengths)
    from_end = np.repeat(ends, lengths) - np.arange(lengths.sum()) - 1
    terms = get_codes(words) * _list_powers(int(lengths.max(initial=0)))[from_end]
    totals = np.concatenate([np.zeros(1, dtype="uint64"), np.cumsum(terms)])
    return _mix(totals[ends] - totals[ends - lengths])


def hash_typos(words: Sequence[str], letters: str) -> tuple[np.ndarray, np.ndarray]:
    """Hash all words that are one typo away from the given ones.

    A typo is a letter that is left out, added, replaced, or swapped with the next one. Only words
    of 4 to 24 characters, all of them letters, have typos here.

    words (Sequence[str]): The words.
    letters (str): Letters that may be added, or replace another one.
    RETURNS (Tuple[ndarray, ndarray]): The hash of each typo, as `hash_spellings` computes it,
        uint32 (nT,), and the place of its word in `words`, int64 (nT,). The order is undefined,
        and a typo may occur twice.
    """
    by_length: dict[int, list[int]] = {}
    for place, word in enumerate(words):
        if SHORTEST <= len(word) <= LONGEST and word.isalpha():
            by_length.setdefault(len(word), []).append(place)
    alphabet = get_codes([letters]).astype("uint64")
    hashes: list[np.ndarray] = [np.zeros(0, dtype="uint32")]
    owners: list[np.ndarray] = [np.zeros(0, dtype="int64")]
    for length, places in by_length.items():
        for start in range(0, len(places), BLOCK):
            some = places[start : start + BLOCK]
            codes = get_codes([words[place] for place in some]).reshape(-1, length)
            for typos in _hash_block(codes.astype("uint64"), alphabet):
                hashes.append(_mix(typos).ravel())
                owners.append(np.repeat(some, typos[0].size))
    return np.concatenate(hashes), np.concatenate(owners)


def _hash_block(codes: np.ndarray, alphabet: np.ndarray) -> Iterator[np.ndarray]:
    """Hash the typos of nW words of one length, (nW, n) or (nW, n, nL) for nL letters.

    codes (ndarray): Code points, uint64 (nW, nC).
    """
    n = codes.shape[1]
    powers = _list_powers(n + 2)
    head = np.zeros((len(codes), n + 1), dtype="uint64")  # of the letters before each place
    for i in range(n):
        head[:, i + 1] = head[:, i] * MULTIPLIER + codes[:, i]
    places = np.arange(n + 1)
    tail = head[:, -1:] - head * powers[n - places]  # of the letters from each place on

    def replace(stretch: int, by: int) -> tuple[np.ndarray, np.ndarray]:
        """Hash words with `by` places in place of `stretch` letters, wherever these stand.

        The places are empty. Each hash lacks the letters in them, times the second array.
        """
        start = places[: n + 1 - stretch]
        rest = n - start - stretch
        return head[:, start] * powers[by + rest] + tail[:, start + stretch], powers[rest]

    left_out, _ = replace(1, by=0)
    yield left_out
    swapped, shift = replace(2, by=2)
    yield swapped + (codes[:, 1:] * MULTIPLIER + codes[:, :-1]) * shift
    for stretch in (0, 1):  # added, replaced
        typos, shift = replace(stretch, by=1)
        yield typos[..., None] + shift[:, None] * alphabet


def _list_powers(n: int) -> np.ndarray:
    """List the powers of the multiplier from 0 to n, modulo 2^64, uint64 (n + 1,)."""
    factors = np.full(n + 1, MULTIPLIER, dtype="uint64")
    factors[0] = 1
    return np.cumprod(factors)


def _mix(hashes: np.ndarray) -> np.ndarray:
    """Make 32 bits of 64, all of which count."""
    return ((hashes ^ (hashes >> np.uint64(32))) * FIRST >> np.uint64(32)).astype("uint32")

"""Edits of one character, made in many words at once, over an array of their characters."""

import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from thinc.types import Ints2d

N_CODES = 0x250  # Latin with its extensions; characters beyond are left as they are
# Rows of letters, each shifted to the right of the one above it by as many keys.
KEYBOARDS = {
    "qwerty": (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75)),
    "qwertz": (("qwertzuiopü", 0.0), ("asdfghjklöä", 0.25), ("yxcvbnm", 0.75)),
    "azerty": (("azertyuiop", 0.0), ("qsdfghjklm", 0.25), ("wxcvbn", 0.75)),
}
# Letters of other scripts that look the same.
LOOKALIKES = str.maketrans("aceiopxyABCEHIKMOPTX", "асеіорхуАВСЕНІКМОРТХ")
ACCENTS = ("\u0300", "\u0301", "\u0302", "\u0303", "\u0308")


@cache
def neighbour_keys(keyboard: str) -> Ints2d:
    """Make the table of keys that touch a key, in its case.

    keyboard (str): One of KEYBOARDS.
    RETURNS (Ints2d): Code points, int32 (N_CODES, most neighbours); -1 where there are no more.
    """
    places = {
        letter: (row, shift + column)
        for row, (letters, shift) in enumerate(KEYBOARDS[keyboard])
        for column, letter in enumerate(letters)
    }
    found: dict[str, list[str]] = {}
    for one, (row, x) in places.items():
        for other, (other_row, other_x) in places.items():
            if one != other and abs(row - other_row) <= 1 and abs(x - other_x) <= 1:
                found.setdefault(one, []).append(other)
                found.setdefault(one.upper(), []).append(other.upper())
    return _table(found)


@cache
def other_case() -> Ints2d:
    """Make the table of the same letters in the other case, int32 (N_CODES, 1)."""
    found = {}
    for letter in map(chr, range(N_CODES)):
        other = letter.swapcase()
        if other != letter and len(other) == 1:
            found[letter] = [other]
    return _table(found)


@cache
def lookalikes() -> Ints2d:
    """Make the table of letters of other scripts that look the same, int32 (N_CODES, 1)."""
    return _table({chr(code): [chr(other)] for code, other in LOOKALIKES.items()})


@cache
def accents() -> Ints2d:
    """Make the table of the same letter with an accent, int32 (N_CODES, most accents)."""
    found: dict[str, list[str]] = {}
    for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ":
        composed = (unicodedata.normalize("NFC", letter + accent) for accent in ACCENTS)
        found[letter] = [one for one in composed if len(one) == 1]
    return _table({letter: others for letter, others in found.items() if others})


def _table(found: dict[str, list[str]]) -> Ints2d:
    table = np.full((N_CODES, max(map(len, found.values()))), -1, dtype="int32")
    for letter, others in found.items():
        if ord(letter) < N_CODES:
            table[ord(letter), : len(others)] = [ord(other) for other in others]
    return table  # type: ignore[return-value]


Characters = Any  # code points, uint32 (nW, length), 0 behind a word's end
SPACE = ord(" ")  # nothing up to it is edited: spaces within a word, and what is behind its end


class Kind(NamedTuple):
    """A kind of edit.

    may (Callable): Tells at which characters it can be made, bool (nW, length), from the
        characters and the name of a keyboard.
    apply (Callable): Makes it: takes the characters, the place in each word (nW,), the keyboard
        and a Generator, and gives the characters of the edited words.
    first (int): The first character that it changes, counted from the place.
    last (int): The last one.
    """

    may: Callable[[Characters, str], np.ndarray]
    apply: Callable[[Characters, np.ndarray, str, np.random.Generator], Characters]
    first: int = 0
    last: int = 0


def find_places(
    kind: Kind, X: Characters, keyboard: str, *, keep_first: bool, keep_last: bool
) -> np.ndarray:
    """Tell at which characters of each word an edit may be made, bool (nW, length)."""
    may = kind.may(X, keyboard)
    places = np.arange(X.shape[1])
    if keep_first:
        may = may & (places + kind.first > 0)
    if keep_last:
        may = may & (places + kind.last < (X > 0).sum(axis=1, keepdims=True) - 1)
    return may


def to_characters(words: Sequence[str]) -> Characters:
    """Write words as code points, uint32 (nW, length + 1), 0 behind the end of each."""
    width = max(map(len, words)) + 1
    return np.array(words, dtype=f"<U{width}").view("<u4").reshape(len(words), width)


def to_words(X: Characters) -> list[str]:
    """Read words from code points."""
    X = np.ascontiguousarray(X, dtype="<u4")
    return X.view(f"<U{X.shape[1]}")[:, 0].tolist()


def _replace(table: Callable[[str], Any]) -> Kind:
    """Put one of the table's characters in the place of another."""
    return Kind(
        may=lambda X, keyboard: _has_options(table(keyboard), X),
        apply=lambda X, place, keyboard, rng: _put(X, place, _draw(table(keyboard), X, place, rng)),
    )


def _insert() -> Kind:
    """Touch a neighbouring key, too, right after the one that was meant."""
    return Kind(
        may=lambda X, keyboard: _has_options(neighbour_keys(keyboard), X),
        apply=lambda X, place, keyboard, rng: _widen(
            X, place, _draw(neighbour_keys(keyboard), X, place, rng)
        ),
        first=1,
    )


def _repeat() -> Kind:
    """Write a character twice."""
    return Kind(
        may=lambda X, keyboard: X > SPACE,
        apply=lambda X, place, keyboard, rng: _widen(X, place, X[np.arange(len(X)), place]),
        first=1,
    )


def _drop() -> Kind:
    """Leave a character out; one is left."""

    def apply(
        X: Characters, place: np.ndarray, keyboard: str, rng: np.random.Generator
    ) -> Characters:
        at = np.arange(X.shape[1] - 1)
        return np.where(at < place.reshape(-1, 1), X[:, :-1], X[:, 1:])

    return Kind(
        lambda X, keyboard: (X > SPACE) & ((X > SPACE).sum(axis=1, keepdims=True) > 1), apply
    )


def _swap() -> Kind:
    """Exchange a character with the next one, if they differ."""

    def may(X: Characters, keyboard: str) -> np.ndarray:
        found = np.zeros(X.shape, dtype=bool)
        one, next_one = X[:, :-1], X[:, 1:]
        found[:, :-1] = (one > SPACE) & (next_one > SPACE) & (one != next_one)
        return found

    def apply(
        X: Characters, place: np.ndarray, keyboard: str, rng: np.random.Generator
    ) -> Characters:
        rows = np.arange(len(X))
        X = X.copy()
        X[rows, place], X[rows, place + 1] = X[rows, place + 1], X[rows, place]
        return X

    return Kind(may, apply, last=1)


def _has_options(table: Any, X: Characters) -> np.ndarray:
    """Whether a table has other characters for each."""
    return (X < N_CODES) & (table[np.minimum(X, N_CODES - 1), 0] >= 0)


def _draw(table: Any, X: Characters, place: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw one of the table's characters for that at the place of each word, (nW,)."""
    rows = table[X[np.arange(len(X)), place]]
    pick = (rng.random(len(rows)) * (rows >= 0).sum(axis=1)).astype("int64")
    return rows[np.arange(len(rows)), pick]


def _put(X: Characters, place: np.ndarray, characters: np.ndarray) -> Characters:
    X = X.copy()
    X[np.arange(len(X)), place] = characters
    return X


def _widen(X: Characters, place: np.ndarray, characters: np.ndarray) -> Characters:
    """Put a character behind a place."""
    wide = np.concatenate([X, np.zeros((len(X), 1), dtype=X.dtype)], axis=1)
    at = np.arange(wide.shape[1])
    shifted = np.concatenate([X[:, :1], X], axis=1)
    wide = np.where(at <= place.reshape(-1, 1), wide, shifted)
    wide[np.arange(len(X)), place + 1] = characters
    return wide


KINDS: dict[str, Kind] = {
    "key": _replace(neighbour_keys),
    "swap": _swap(),
    "drop": _drop(),
    "insert": _insert(),
    "repeat": _repeat(),
    "case": _replace(lambda keyboard: other_case()),
    "lookalike": _replace(lambda keyboard: lookalikes()),
    "accent": _replace(lambda keyboard: accents()),
}

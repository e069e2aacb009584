"""Edits of one character, made in many words at once on an array of their code points."""

import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from thinc.types import Ints2d

N_CODES = 0x250  # Latin and its extensions; tables have no options for characters beyond
# Rows of letters, each shifted to the right of the row above by a number of keys.
KEYBOARDS = {
    "qwerty": (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75)),
    "qwertz": (("qwertzuiopü", 0.0), ("asdfghjklöä", 0.25), ("yxcvbnm", 0.75)),
    "azerty": (("azertyuiop", 0.0), ("qsdfghjklm", 0.25), ("wxcvbn", 0.75)),
}
# Latin letters, and the letters of other scripts that look the same.
LOOKALIKES = str.maketrans("aceiopxyABCEHIKMOPTX", "асеіорхуАВСЕНІКМОРТХ")
ACCENTS = ("\u0300", "\u0301", "\u0302", "\u0303", "\u0308")

Characters = Any  # code points of words, uint32 (nW, length), 0 after the end of a word
Offsets = np.ndarray  # one character of each word, by its index in the word, int64 (nW,)
SPACE = ord(" ")  # code points up to it are never edited: spaces, and 0 after the end of a word


@cache
def neighbour_keys(keyboard: str) -> Ints2d:
    """Make the table of the keys that touch a key, in the case of the letter.

    keyboard (str): One of KEYBOARDS.
    RETURNS (Ints2d): Code points, int32 (N_CODES, most neighbours), filled up with -1.
    """
    positions = {
        letter: (row, shift + column)
        for row, (letters, shift) in enumerate(KEYBOARDS[keyboard])
        for column, letter in enumerate(letters)
    }
    options: dict[str, list[str]] = {}
    for letter, (row, x) in positions.items():
        for other, (other_row, other_x) in positions.items():
            if letter != other and abs(row - other_row) <= 1 and abs(x - other_x) <= 1:
                options.setdefault(letter, []).append(other)
                options.setdefault(letter.upper(), []).append(other.upper())
    return _make_table(options)


@cache
def other_case() -> Ints2d:
    """Make the table of the same letters in the other case, int32 (N_CODES, 1)."""
    pairs = ((letter, letter.swapcase()) for letter in map(chr, range(N_CODES)))
    return _make_table({a: [b] for a, b in pairs if a != b and len(b) == 1})


@cache
def lookalikes() -> Ints2d:
    """Make the table of letters of other scripts that look the same, int32 (N_CODES, 1)."""
    return _make_table({chr(code): [chr(other)] for code, other in LOOKALIKES.items()})


@cache
def accents() -> Ints2d:
    """Make the table of the same letter with an accent, int32 (N_CODES, most accents)."""
    options: dict[str, list[str]] = {}
    for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ":
        composed = (unicodedata.normalize("NFC", letter + accent) for accent in ACCENTS)
        options[letter] = [character for character in composed if len(character) == 1]
    return _make_table(options)


def _make_table(options: dict[str, list[str]]) -> Ints2d:
    table = np.full((N_CODES, max(map(len, options.values()))), -1, dtype="int32")
    for letter, others in options.items():
        if ord(letter) < N_CODES:
            table[ord(letter), : len(others)] = [ord(other) for other in others]
    return table  # type: ignore[return-value]


class Kind(NamedTuple):
    """A kind of edit.

    find (Callable): Finds the characters that can be edited: takes the characters of the words and
        the name of a keyboard, and returns bool (nW, length).
    apply (Callable): Edits each word at one of these characters: takes the characters, the offset
        in each word, the keyboard and a Generator, and returns the characters of the edited words.
    first (int): The first character that the edit changes, relative to the offset.
    last (int): The last character that the edit changes, relative to the offset.
    """

    find: Callable[[Characters, str], np.ndarray]
    apply: Callable[[Characters, Offsets, str, np.random.Generator], Characters]
    first: int = 0
    last: int = 0


def find_editable(
    kind: Kind, X: Characters, keyboard: str, *, keep_first: bool, keep_last: bool
) -> np.ndarray:
    """Find the characters of each word that can be edited, bool (nW, length)."""
    editable = kind.find(X, keyboard)
    columns = np.arange(X.shape[1])
    if keep_first:
        editable = editable & (columns + kind.first > 0)
    if keep_last:
        editable = editable & (columns + kind.last < (X > 0).sum(axis=1, keepdims=True) - 1)
    return editable


def to_characters(words: Sequence[str]) -> Characters:
    """Convert words to code points, uint32 (nW, length + 1), filled up with 0."""
    width = max(map(len, words)) + 1
    return np.array(words, dtype=f"<U{width}").view("<u4").reshape(len(words), width)


def to_words(X: Characters) -> list[str]:
    """Convert code points to words."""
    X = np.ascontiguousarray(X, dtype="<u4")
    return X.view(f"<U{X.shape[1]}")[:, 0].tolist()


def _replace(get_table: Callable[[str], Any]) -> Kind:
    """Replace a character by one of its options in a table."""

    def apply(X: Characters, at: Offsets, keyboard: str, rng: np.random.Generator) -> Characters:
        X = X.copy()
        X[np.arange(len(X)), at] = _draw(get_table(keyboard), X, at, rng)
        return X

    return Kind(lambda X, keyboard: _has_options(get_table(keyboard), X), apply)


def _drop(X: Characters, at: Offsets, keyboard: str, rng: np.random.Generator) -> Characters:
    columns = np.arange(X.shape[1] - 1)
    return np.where(columns < at.reshape(-1, 1), X[:, :-1], X[:, 1:])


def _find_droppable(X: Characters, keyboard: str) -> np.ndarray:
    return (X > SPACE) & ((X > SPACE).sum(axis=1, keepdims=True) > 1)  # one character remains


def _swap(X: Characters, at: Offsets, keyboard: str, rng: np.random.Generator) -> Characters:
    rows = np.arange(len(X))
    X = X.copy()
    X[rows, at], X[rows, at + 1] = X[rows, at + 1], X[rows, at]
    return X


def _find_swappable(X: Characters, keyboard: str) -> np.ndarray:
    editable = np.zeros(X.shape, dtype=bool)
    left, right = X[:, :-1], X[:, 1:]
    editable[:, :-1] = (left > SPACE) & (right > SPACE) & (left != right)
    return editable


def _insert(X: Characters, at: Offsets, characters: np.ndarray) -> Characters:
    """Insert a character after the offset in each word."""
    columns = np.arange(X.shape[1] + 1)
    padded = np.concatenate([X, np.zeros((len(X), 1), dtype=X.dtype)], axis=1)
    shifted = np.concatenate([X[:, :1], X], axis=1)
    longer = np.where(columns <= at.reshape(-1, 1), padded, shifted)
    longer[np.arange(len(X)), at + 1] = characters
    return longer


def _has_options(table: Any, X: Characters) -> np.ndarray:
    """Find the characters that have options in a table."""
    return (X < N_CODES) & (table[np.minimum(X, N_CODES - 1), 0] >= 0)


def _draw(table: Any, X: Characters, at: Offsets, rng: np.random.Generator) -> np.ndarray:
    """Draw one of the options of the character at the offset of each word, (nW,)."""
    rows = table[X[np.arange(len(X)), at]]
    columns = (rng.random(len(rows)) * (rows >= 0).sum(axis=1)).astype("int64")
    return rows[np.arange(len(rows)), columns]


KINDS: dict[str, Kind] = {
    "key": _replace(neighbour_keys),
    "swap": Kind(_find_swappable, _swap, last=1),
    "drop": Kind(_find_droppable, _drop),
    # A finger touches a neighbouring key as well, right after the intended one.
    "insert": Kind(
        lambda X, keyboard: _has_options(neighbour_keys(keyboard), X),
        lambda X, at, keyboard, rng: _insert(X, at, _draw(neighbour_keys(keyboard), X, at, rng)),
        first=1,
    ),
    "repeat": Kind(
        lambda X, keyboard: X > SPACE,
        lambda X, at, keyboard, rng: _insert(X, at, X[np.arange(len(X)), at]),
        first=1,
    ),
    "case": _replace(lambda keyboard: other_case()),
    "lookalike": _replace(lambda keyboard: lookalikes()),
    "accent": _replace(lambda keyboard: accents()),
}

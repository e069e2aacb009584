"""Typos in many words at once, over an array of their characters.

After Belinkov and Bisk, "Synthetic and Natural Noise Both Break Neural Machine Translation" (2018):
neighbouring keys, swaps and natural misspellings, and some more kinds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import Errors
from .spaces import SPACE_KINDS
from .tables import KEYBOARDS, N_CODES, accents, lookalikes, neighbour_keys, other_case

MAX_LENGTH = 64  # longer words, such as addresses, are never edited
NATURAL = "natural"
COMMON_KINDS = ("key", "swap", "drop", "insert", "repeat")

Characters = Any  # code points, uint32 (nW, length), 0 behind a word's end
# Where an edit may be made, bool (nW, length), and the words with the edit at one place of each.
Edit = tuple[np.ndarray, Callable[[Characters, np.ndarray, np.random.Generator], Characters]]


class Typos:
    """Make typos: one edit in a share of the words.

    The share is kept exactly in expectation, over the words that can take the edit: a word of one
    character cannot lose it, a word without letters has no neighbouring keys.

    rate (float): Share of the words with an edit, from 0 to 1.
    kinds (Sequence[str]): Names of KINDS, "natural", or SPACE_KINDS; each word draws one of them.
        Those of spaces change the text and not a word: see `change_spaces`.
    keyboard (str): qwerty, qwertz or azerty.
    keep_first (bool): Whether the first character of a word stays.
    keep_last (bool): Whether the last character of a word stays.
    misspellings (Optional[Mapping[str, Sequence[str]]]): For "natural": what people write for a
        word, in lower case. Words without an entry are left alone.
    RAISES (ValueError): If a setting is out of range.
    """

    def __init__(
        self,
        rate: float = 0.2,
        kinds: Sequence[str] = COMMON_KINDS,
        *,
        keyboard: str = "qwerty",
        keep_first: bool = False,
        keep_last: bool = False,
        misspellings: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        known = [*KINDS, *SPACE_KINDS, *([NATURAL] if misspellings else [])]
        if not 0 <= rate <= 1:
            raise ValueError(Errors.E700.format(found=rate))
        if not kinds or not set(kinds) <= set(known):
            raise ValueError(Errors.E701.format(expected=", ".join(known), found=list(kinds)))
        if keyboard not in KEYBOARDS:
            raise ValueError(Errors.E702.format(expected=", ".join(KEYBOARDS), found=keyboard))
        self.rate = rate
        self.kinds = list(kinds)
        self.keyboard = keyboard
        self.keep_first = keep_first
        self.keep_last = keep_last
        self.misspellings = misspellings or {}

    def __call__(self, words: Sequence[str], rng: np.random.Generator) -> list[str]:
        """Make typos.

        words (Sequence[str]): The words, nW of them.
        rng (Generator): Where chance comes from.
        RETURNS (List[str]): As many words, some of them with an edit.
        """
        found = list(words)
        kinds = rng.integers(0, len(self.kinds), len(found))
        for number, kind in enumerate(self.kinds):
            chosen = np.flatnonzero(kinds == number)
            if kind == NATURAL:
                self._misspell(found, chosen, rng)
            elif kind in KINDS:
                self._edit(kind, found, chosen, rng)
        return found

    @property
    def edits_spaces(self) -> bool:
        """Whether some of the kinds are those of spaces."""
        return not set(self.kinds).isdisjoint(SPACE_KINDS)

    def _edit(
        self, kind: str, words: list[str], chosen: np.ndarray, rng: np.random.Generator
    ) -> None:
        fits = [0 < len(words[i]) <= MAX_LENGTH and "\0" not in words[i] for i in chosen]
        chosen = chosen[np.array(fits, dtype=bool)]
        if not len(chosen):
            return
        X = to_characters([words[i] for i in chosen])
        lengths = (X > 0).sum(axis=1)
        may, apply = KINDS[kind](X, lengths, self.keyboard)
        places = np.arange(X.shape[1])
        if self.keep_first:
            may &= places > 0
        if self.keep_last:
            # A swap moves the character behind its place, too.
            may &= places < (lengths - 1 - (kind == "swap")).reshape(-1, 1)
        drawn = may.any(axis=1) & (rng.random(len(X)) < self.rate)
        X, may = X[drawn], may[drawn]
        if not len(X):
            return
        place = np.where(may, rng.random(may.shape), -1.0).argmax(axis=1)
        for i, word in zip(chosen[drawn].tolist(), to_words(apply(X, place, rng))):
            words[i] = word

    def _misspell(self, words: list[str], chosen: np.ndarray, rng: np.random.Generator) -> None:
        for i, roll in zip(chosen.tolist(), rng.random((len(chosen), 2)).tolist()):
            options = self.misspellings.get(words[i].lower())
            if options and roll[0] < self.rate:
                word = options[int(roll[1] * len(options))]
                words[i] = word.capitalize() if words[i][:1].isupper() else word


def to_characters(words: Sequence[str]) -> Characters:
    """Write words as code points, uint32 (nW, length + 1), 0 behind the end of each."""
    width = max(map(len, words)) + 1
    return np.array(words, dtype=f"<U{width}").view("<u4").reshape(len(words), width)


def to_words(X: Characters) -> list[str]:
    """Read words from code points."""
    X = np.ascontiguousarray(X, dtype="<u4")
    return X.view(f"<U{X.shape[1]}")[:, 0].tolist()


def _replace(table: Any) -> Callable[[Characters, np.ndarray, str], Edit]:
    """Make the edit that puts one of the table's characters in the place of another."""

    def edit(X: Characters, lengths: np.ndarray, keyboard: str) -> Edit:
        options = table(keyboard)
        may = (X < N_CODES) & (options[np.minimum(X, N_CODES - 1), 0] >= 0)
        return may, lambda X, place, rng: _put(X, place, _draw(options, X, place, rng))

    return edit


def _insert(X: Characters, lengths: np.ndarray, keyboard: str) -> Edit:
    """Touch a neighbouring key, too."""
    options = neighbour_keys(keyboard)
    may = (X < N_CODES) & (options[np.minimum(X, N_CODES - 1), 0] >= 0)
    return may, lambda X, place, rng: _widen(X, place, _draw(options, X, place, rng))


def _repeat(X: Characters, lengths: np.ndarray, keyboard: str) -> Edit:
    """Write a character twice."""
    return X > 0, lambda X, place, rng: _widen(X, place, X[np.arange(len(X)), place])


def _drop(X: Characters, lengths: np.ndarray, keyboard: str) -> Edit:
    """Leave a character out; one is left."""

    def apply(X: Characters, place: np.ndarray, rng: np.random.Generator) -> Characters:
        at = np.arange(X.shape[1] - 1)
        return np.where(at < place.reshape(-1, 1), X[:, :-1], X[:, 1:])

    return (X > 0) & (lengths > 1).reshape(-1, 1), apply


def _swap(X: Characters, lengths: np.ndarray, keyboard: str) -> Edit:
    """Exchange a character with the next one, if they differ."""
    may = np.zeros(X.shape, dtype=bool)
    may[:, :-1] = (X[:, 1:] > 0) & (X[:, 1:] != X[:, :-1])

    def apply(X: Characters, place: np.ndarray, rng: np.random.Generator) -> Characters:
        rows = np.arange(len(X))
        X = X.copy()
        X[rows, place], X[rows, place + 1] = X[rows, place + 1], X[rows, place]
        return X

    return may, apply


def _draw(options: Any, X: Characters, place: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows = options[X[np.arange(len(X)), place]]
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


KINDS: dict[str, Callable[[Characters, np.ndarray, str], Edit]] = {
    "key": _replace(neighbour_keys),
    "swap": _swap,
    "drop": _drop,
    "insert": _insert,
    "repeat": _repeat,
    "case": _replace(lambda keyboard: other_case()),
    "lookalike": _replace(lambda keyboard: lookalikes()),
    "accent": _replace(lambda keyboard: accents()),
}

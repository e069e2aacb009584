"""Typos in many words at once.

After Belinkov and Bisk, "Synthetic and Natural Noise Both Break Neural Machine Translation" (2018):
neighbouring keys, swaps and natural misspellings, and some more kinds.
"""

import random
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import Errors
from .edits import KEYBOARDS, KINDS, Characters, find_places, to_characters, to_words

TRAINING_SHARE = 0.8  # of the correct words; the rest is for scores


def read_misspellings(
    path: Path, *, share: float = 1.0, rest: bool = False, seed: int = 0
) -> dict[str, list[str]]:
    """Read misspellings, one a line: misspelling, tab, correct word.

    path (Path): The file, such as the Birkbeck corpus (Mitton).
    share (float): Share of the correct words that are taken. 0.8 recommended for training.
    rest (bool): Whether the other words are wanted, such as for scores.
    seed (int): Seed of the division.
    RETURNS (Dict[str, List[str]]): For each correct word, in lower case, what people write.
    RAISES (ValueError): If a line has another form.
    """
    found: dict[str, list[str]] = {}
    with Path(path).open(encoding="utf8") as file_:
        for number, line in enumerate(file_, start=1):
            parts = line.rstrip("\n").split("\t")
            if len(parts) != 2 or not all(parts):
                text = line.rstrip("\n")
                raise ValueError(Errors.E703.format(path=path, line=number, found=text))
            # A token cannot become two words or none.
            if not any(part.isspace() or " " in part for part in parts):
                found.setdefault(parts[1].lower(), []).append(parts[0])
    words = sorted(found)
    random.Random(seed).shuffle(words)
    cut = round(share * len(words))
    return {word: found[word] for word in (words[cut:] if rest else words[:cut])}


MAX_LENGTH = 64  # longer words, such as addresses, are never edited
NATURAL = "natural"
MISSING, EXTRA = "missing_space", "extra_space"
SPACE_KINDS = (MISSING, EXTRA)
COMMON_KINDS = ("key", "swap", "drop", "insert", "repeat")
UNITS = ("word", "character")


class Typos:
    """Make typos: edits in a share of the words, or of their characters.

    The share is kept exactly in expectation, over the words that can take an edit. What has neither
    letter nor digit is no word, and each word draws among the kinds that it can take: a word of one
    character cannot lose it, one in Cyrillic has no neighbouring keys.

    rate (float): Edits per unit, from 0 to 1.
    kinds (Sequence[str]): Names of KINDS, "natural", or SPACE_KINDS.
    per (str): The unit: "word", of which none has more than one edit, or "character", where the
        edits of a word are a draw from a binomial distribution.
    keyboard (str): qwerty, qwertz or azerty.
    keep_first (bool): Whether the first character of a word stays.
    keep_last (bool): Whether the last character of a word stays.
    misspellings (Optional[Mapping[str, Sequence[str]]]): For "natural": what people write for a
        word, in lower case. Words without an entry cannot take it.
    RAISES (ValueError): If a setting is out of range.
    """

    def __init__(
        self,
        rate: float = 0.2,
        kinds: Sequence[str] = COMMON_KINDS,
        *,
        per: str = "word",
        keyboard: str = "qwerty",
        keep_first: bool = False,
        keep_last: bool = False,
        misspellings: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        known = [*KINDS, *SPACE_KINDS, *([NATURAL] if misspellings else [])]
        if not kinds or not set(kinds) <= set(known):
            raise ValueError(Errors.E701.format(expected=", ".join(known), found=list(kinds)))
        if keyboard not in KEYBOARDS:
            raise ValueError(Errors.E702.format(expected=", ".join(KEYBOARDS), found=keyboard))
        if per not in UNITS:
            raise ValueError(Errors.E705.format(expected=" or ".join(UNITS), found=per))
        self.rate = check_rate(rate)
        self.kinds = list(kinds)
        self.per = per
        self.keyboard = keyboard
        self.keep_first = keep_first
        self.keep_last = keep_last
        self.misspellings = misspellings or {}

    def at(self, rate: float) -> "Typos":
        """Give the same at another rate."""
        other = copy(self)
        other.rate = check_rate(rate)
        return other

    def __call__(self, words: Sequence[str], rng: np.random.Generator) -> list[str]:
        """Make typos within words.

        words (Sequence[str]): The words, nW of them.
        rng (Generator): Where chance comes from.
        RETURNS (List[str]): As many words, some of them edited.
        """
        return self.edit(words, None, rng)[0]

    def edit(
        self, words: Sequence[str], spaces: Sequence[bool] | None, rng: np.random.Generator
    ) -> tuple[list[str], list[bool]]:
        """Make typos in a text.

        words (Sequence[str]): The words, nW of them.
        spaces (Optional[Sequence[bool]]): Whether a space follows each of them; with None spaces
            are not edited.
        rng (Generator): Where chance comes from.
        RETURNS (Tuple[List[str], List[bool]]): As many words and spaces; no spaces where none were
            given. A word with a space too many has it in its text.
        """
        words = list(words)
        changed = None if spaces is None else list(spaces)
        edits = self._count_edits(words, rng)
        while len(left := np.flatnonzero(edits)):
            self._edit_once(words, changed, left, rng)
            edits[left] -= 1
        return words, changed or []

    def _count_edits(self, words: list[str], rng: np.random.Generator) -> np.ndarray:
        """Draw how often each word is to be edited, (nW,)."""
        if self.per == "word":
            edits = (rng.random(len(words)) < self.rate).astype("int64")
        else:
            edits = rng.binomial(np.array([len(word) for word in words], dtype="int64"), self.rate)
        for i in np.flatnonzero(edits).tolist():
            if not is_word(words[i]):
                edits[i] = 0
        return edits

    def _edit_once(
        self,
        words: list[str],
        spaces: list[bool] | None,
        chosen: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        """Make one edit in each of the chosen words, by one of the kinds that fit it."""
        numbers = chosen.tolist()
        some = [words[i] for i in numbers]
        X = to_characters(some)
        places = {kind: self._find_places(kind, X) for kind in self.kinds if kind in KINDS}
        behind = [-1] * len(numbers)
        if spaces is not None and MISSING in self.kinds:
            behind = [_find_space(words, spaces, i) for i in numbers]
        fits: dict[str, Any] = {kind: may.any(axis=1) for kind, may in places.items()}
        if NATURAL in self.kinds:
            fits[NATURAL] = [bool(self._spellings(word)) for word in some]
        fits[MISSING] = [place >= 0 for place in behind]
        fits[EXTRA] = [spaces is not None and len(word) > 1 and " " not in word for word in some]
        table = np.array([fits[kind] for kind in self.kinds], dtype=bool)
        drawn = np.where(table, rng.random(table.shape), -1.0).argmax(axis=0)
        for number, kind in enumerate(self.kinds):
            rows = np.flatnonzero(table[number] & (drawn == number)).tolist()
            if kind == MISSING and spaces is not None:
                for row in rows:
                    spaces[behind[row]] = False
            elif rows:
                own = [some[row] for row in rows]
                may = places[kind][rows] if kind in KINDS else None
                for row, word in zip(rows, self._rewrite(kind, own, X[rows], may, rng)):
                    words[numbers[row]] = word

    def _rewrite(
        self,
        kind: str,
        words: list[str],
        X: Characters,
        may: np.ndarray | None,
        rng: np.random.Generator,
    ) -> list[str]:
        """Make an edit of one kind in words that can all take it; X are their characters."""
        if may is not None:
            place = np.where(may, rng.random(may.shape), -1.0).argmax(axis=1)
            return to_words(KINDS[kind].apply(X, place, self.keyboard, rng))
        rolls = rng.random(len(words)).tolist()
        if kind == EXTRA:
            return [_part(word, roll) for word, roll in zip(words, rolls)]
        options = [self._spellings(word) for word in words]
        return [found[int(roll * len(found))] for found, roll in zip(options, rolls)]

    def _find_places(self, kind: str, X: Characters) -> np.ndarray:
        return find_places(
            KINDS[kind], X, self.keyboard, keep_first=self.keep_first, keep_last=self.keep_last
        )

    def _spellings(self, word: str) -> list[str]:
        """What people write for a word, in its case."""
        found = []
        for option in self.misspellings.get(word.lower(), ()):
            if len(word) > 1 and word.isupper():
                option = option.upper()
            elif word[:1].isupper():
                option = option[:1].upper() + option[1:]
            first, last = option[:1] == word[:1], option[-1:] == word[-1:]
            keeps = (first or not self.keep_first) and (last or not self.keep_last)
            if keeps and option.lower() != word.lower():
                found.append(option)
        return found


def default_kinds(misspellings: object) -> list[str]:
    """Name the kinds that are made where none are named: natural ones need misspellings."""
    return [*COMMON_KINDS, *([NATURAL] if misspellings is not None else [])]


def is_word(text: str) -> bool:
    """Whether a token is a word, of letters or digits, that typos can be made in."""
    return 0 < len(text) <= MAX_LENGTH and "\0" not in text and any(map(str.isalnum, text))


def check_rate(rate: float) -> float:
    """Refuse a rate that is no share."""
    if not 0 <= rate <= 1:
        raise ValueError(Errors.E700.format(found=rate))
    return rate


def _part(word: str, roll: float) -> str:
    """Put a space into a word."""
    at = 1 + int(roll * (len(word) - 1))
    return f"{word[:at]} {word[at:]}"


def _find_space(words: list[str], spaces: list[bool], i: int) -> int:
    """Find the token that the space behind a word follows: the word, or its punctuation; or -1."""
    while not spaces[i]:
        i += 1
        if i == len(words) or is_word(words[i]) or words[i].isspace():
            return -1
    return i

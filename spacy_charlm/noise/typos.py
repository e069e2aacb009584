"""Typos in many words at once.

The kinds are neighbouring keys, swaps and real misspellings as in Belinkov and Bisk, "Synthetic and
Natural Noise Both Break Neural Machine Translation" (2018), and some more.
"""

import random
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np

from ..checks import Block, Share, checked
from ..errors import Errors
from .edits import KEYBOARDS, KINDS, Characters, find_editable, to_characters, to_words

TRAINING_SHARE = 0.8  # of the correct words; the remaining ones are held out for scores
MAX_LENGTH = 64  # longer words, such as addresses, are never edited
NATURAL = "natural"
MISSING, EXTRA = "missing_space", "extra_space"
SPACE_KINDS = (MISSING, EXTRA)
COMMON_KINDS = ("key", "swap", "drop", "insert", "repeat")
UNITS = ("word", "character")

TyposBlock: TypeAlias = Annotated["Typos", Block('@misc = "spacy-charlm.Typos.v1"', ("edit", "at"))]


def read_misspellings(path: Path, *, held_out: bool = False) -> dict[str, list[str]]:
    """Read real misspellings of 80 % of the correct words in a file, or of the remaining words.

    path (Path): A file with one misspelling per line: misspelling, tab, correct word. An example is
        the Birkbeck corpus (Mitton).
    held_out (bool): Whether to read the remaining 20 %, which are held out from training.
    RETURNS (Dict[str, List[str]]): The misspellings of each correct word, which is in lower case.
    RAISES (FileNotFoundError): If there is no such file.
    RAISES (ValueError): If a line has another format.
    """
    misspellings: dict[str, list[str]] = {}
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise FileNotFoundError(Errors.E552.format(path=path, found=found))
    with path.open("rb") as file_:
        for number, raw in enumerate(file_, start=1):
            parts = _split_line(raw)
            if len(parts) != 2 or not all(parts):
                found = raw.rstrip(b"\r\n").decode("utf8", errors="backslashreplace")
                raise ValueError(Errors.E703.format(path=path, line=number, found=found))
            # A token cannot become two words or none.
            if not any(part.isspace() or " " in part for part in parts):
                misspellings.setdefault(parts[1].lower(), []).append(parts[0])
    words = sorted(misspellings)
    random.Random(0).shuffle(words)
    cut = round(TRAINING_SHARE * len(words))
    return {word: misspellings[word] for word in (words[cut:] if held_out else words[:cut])}


def _split_line(raw: bytes) -> list[str]:
    """Split a line at tabs; a line that is not UTF-8 has no parts."""
    try:
        return raw.decode("utf8").rstrip("\r\n").split("\t")
    except UnicodeDecodeError:
        return []


class Typos:
    """Typos in a share of the words, or of their characters.

    The expected share is exact over all words that can take one of the kinds: each word draws among
    the kinds that it can take. A word of one character cannot lose it, and a Cyrillic one has no
    neighbouring keys. Tokens without letters and digits are not words.

    The constructor reads no file. The misspellings are read at their first use.

    rate (float): Edits per unit, from 0 to 1. Recommended values: 0.1 to 0.3 per word.
    kinds (Optional[List[str]]): Kinds within words: key (a neighbouring key), swap, drop, insert,
        repeat, case, lookalike, accent, natural (a real misspelling). Kinds of spaces:
        missing_space, extra_space. None for the first five, and natural if there are misspellings.
    per (str): The unit of the rate: "word" for at most one edit per word, or "character" for a
        binomial number of edits per word.
    keyboard (str): The layout for key and insert: qwerty, qwertz or azerty.
    keep_first (bool): Whether the first character of a word never changes.
    keep_last (bool): Whether the last character of a word never changes.
    misspellings (Optional[Path]): For natural: a file of misspelling, tab, correct word. Words that
        are not in it cannot take this kind.
    held_out (bool): Whether to use the 20 % of the correct words that are held out for scores,
        instead of the 80 % for training.
    RAISES (ValueError): If a setting is out of range.
    """

    @checked("spacy-charlm.Typos.v1")
    def __init__(
        self,
        rate: Share = 0.2,
        kinds: Sequence[str] | None = None,
        *,
        per: str = "word",
        keyboard: str = "qwerty",
        keep_first: bool = False,
        keep_last: bool = False,
        misspellings: Path | None = None,
        held_out: bool = False,
    ) -> None:
        natural = [] if misspellings is None else [NATURAL]
        kinds = [*COMMON_KINDS, *natural] if kinds is None else list(kinds)
        known = [*KINDS, *SPACE_KINDS, *natural]
        if not kinds or not set(kinds) <= set(known):
            raise ValueError(Errors.E701.format(expected=", ".join(known), found=kinds))
        if keyboard not in KEYBOARDS:
            raise ValueError(Errors.E702.format(expected=", ".join(KEYBOARDS), found=keyboard))
        if per not in UNITS:
            raise ValueError(Errors.E705.format(expected=" or ".join(UNITS), found=per))
        self.rate = rate
        self.kinds = kinds
        self.per = per
        self.keyboard = keyboard
        self.keep_first = keep_first
        self.keep_last = keep_last
        self.path = misspellings
        self.held_out = held_out
        self._misspellings: dict[str, list[str]] | None = None

    def load(self) -> None:
        """Read the file of misspellings, if there is one that has not been read yet.

        RAISES (ValueError): If the file is damaged, or has no words for the kind "natural".
        """
        if self.path is not None and self._misspellings is None:
            self._misspellings = read_misspellings(self.path, held_out=self.held_out)
            if not self._misspellings and NATURAL in self.kinds:
                raise ValueError(Errors.E708.format(path=self.path))

    def at(self, rate: float) -> "Typos":
        """Make a copy with another rate. It shares the misspellings."""
        self.load()
        other = copy(self)
        other.rate = check_rate(rate)
        return other

    def __call__(self, words: Sequence[str], rng: np.random.Generator) -> list[str]:
        """Make typos within words.

        words (Sequence[str]): The nW words.
        rng (Generator): The generator.
        RETURNS (List[str]): The nW words, some of them edited.
        """
        return self.edit(words, None, rng)[0]

    def edit(
        self, words: Sequence[str], spaces: Sequence[bool] | None, rng: np.random.Generator
    ) -> tuple[list[str], list[bool]]:
        """Make typos in a text.

        words (Sequence[str]): The nW words.
        spaces (Optional[Sequence[bool]]): Whether a space follows each word. None leaves spaces
            alone.
        rng (Generator): The generator.
        RETURNS (Tuple[List[str], List[bool]]): The nW words, and whether a space follows each of
            them; no spaces if none were given. An extra space is part of its word.
        """
        self.load()
        words = list(words)
        new_spaces = None if spaces is None else list(spaces)
        n_edits = self._draw_edits(words, rng)
        while len(chosen := np.flatnonzero(n_edits)):
            self._edit_once(words, new_spaces, chosen, rng)
            n_edits[chosen] -= 1
        return words, new_spaces or []

    def _draw_edits(self, words: list[str], rng: np.random.Generator) -> np.ndarray:
        """Draw the number of edits of each word, (nW,)."""
        if self.per == "word":
            n_edits = (rng.random(len(words)) < self.rate).astype("int64")
        else:
            lengths = np.array([len(word) for word in words], dtype="int64")
            n_edits = rng.binomial(lengths, self.rate)
        for i in np.flatnonzero(n_edits).tolist():
            if not is_word(words[i]):
                n_edits[i] = 0
        return n_edits

    def _edit_once(
        self,
        words: list[str],
        spaces: list[bool] | None,
        chosen: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        """Make one edit in each of the chosen words, of a kind that the word can take."""
        indices = chosen.tolist()
        old = [words[i] for i in indices]
        X = to_characters(old)
        editable = {kind: self._find_editable(kind, X) for kind in self.kinds if kind in KINDS}
        spellings = [self._find_spellings(word) if NATURAL in self.kinds else [] for word in old]
        gaps = [-1] * len(old)
        if spaces is not None and MISSING in self.kinds:
            gaps = [_find_space(words, spaces, i) for i in indices]
        fits: dict[str, Any] = {kind: rows.any(axis=1) for kind, rows in editable.items()}
        fits[NATURAL] = [bool(options) for options in spellings]
        fits[MISSING] = [gap >= 0 for gap in gaps]
        fits[EXTRA] = [spaces is not None and len(word) > 1 and " " not in word for word in old]
        table = np.array([fits[kind] for kind in self.kinds], dtype=bool)  # (kinds, chosen words)
        drawn = np.where(table, rng.random(table.shape), -1.0).argmax(axis=0)
        for number, kind in enumerate(self.kinds):
            rows = np.flatnonzero(table[number] & (drawn == number)).tolist()
            if not rows:
                continue
            if kind == MISSING and spaces is not None:
                for row in rows:
                    spaces[gaps[row]] = False
                continue
            if kind in KINDS:
                can_edit = editable[kind][rows]
                at = np.where(can_edit, rng.random(can_edit.shape), -1.0).argmax(axis=1)
                new = to_words(KINDS[kind].apply(X[rows], at, self.keyboard, rng))
            else:
                rolls = rng.random(len(rows)).tolist()
                if kind == EXTRA:
                    new = [_add_space(old[row], roll) for row, roll in zip(rows, rolls)]
                else:
                    options = [spellings[row] for row in rows]
                    new = [some[int(roll * len(some))] for some, roll in zip(options, rolls)]
            for row, word in zip(rows, new):
                words[indices[row]] = word

    def _find_editable(self, kind: str, X: Characters) -> np.ndarray:
        return find_editable(
            KINDS[kind], X, self.keyboard, keep_first=self.keep_first, keep_last=self.keep_last
        )

    def _find_spellings(self, word: str) -> list[str]:
        """Find the misspellings of a word, in its case."""
        found = []
        for option in (self._misspellings or {}).get(word.lower(), ()):
            option = match_case(option, word)
            first, last = option[:1] == word[:1], option[-1:] == word[-1:]
            keeps = (first or not self.keep_first) and (last or not self.keep_last)
            if keeps and option.lower() != word.lower():
                found.append(option)
        return found


def is_word(text: str) -> bool:
    """Check whether a token is a word that can get a typo: it has letters or digits."""
    return 0 < len(text) <= MAX_LENGTH and "\0" not in text and any(map(str.isalnum, text))


def match_case(typed: str, word: str) -> str:
    """Write a misspelling in capitals, or with a capital first, if the word is written so."""
    if len(word) > 1 and word.isupper():
        return typed.upper()
    return typed[:1].upper() + typed[1:] if word[:1].isupper() else typed


def check_rate(rate: float) -> float:
    """Return a rate if it is between 0 and 1.

    RAISES (ValueError): If it is not.
    """
    if not 0 <= rate <= 1:
        raise ValueError(Errors.E700.format(found=rate))
    return rate


def _add_space(word: str, roll: float) -> str:
    at = 1 + int(roll * (len(word) - 1))
    return f"{word[:at]} {word[at:]}"


def _find_space(words: list[str], spaces: list[bool], i: int) -> int:
    """Find the token before the space after a word: the word, or its punctuation; -1 if none."""
    while not spaces[i]:
        i += 1
        if i == len(words) or is_word(words[i]) or words[i].isspace():
            return -1
    return i

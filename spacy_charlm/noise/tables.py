"""What a character may become: neighbouring keys, other case, lookalikes, accents."""

import unicodedata
from functools import cache

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

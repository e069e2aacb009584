"""Map code points to rows of the character table, for words and for whole texts.

A character is one Unicode code point; an emoji is one character, whatever its encoding. The first
rows of the table are reserved. All other rows are shared by every code point: none is out of
vocabulary, and no two of nV - 4 consecutive code points have the same row.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np

from ..errors import Errors

PADDING, START, END, MASK = range(4)
N_RESERVED = 4
BMP = 0x10000  # code points of the Basic Multilingual Plane: the letters of living languages


def check_table(nV: int) -> None:
    """Raise a ValueError if a character table of nV rows has only reserved rows."""
    if nV <= N_RESERVED:
        least = N_RESERVED + 1
        raise ValueError(Errors.E403.format(name="char_rows", least=least, found=nV, good=1000))


def get_codes(texts: Sequence[str]) -> np.ndarray:
    """Return the code points of texts, one text after the other, uint32 (nC,)."""
    return np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")


def find_rows(
    codes: np.ndarray, nV: int, *, hidden: np.ndarray | None = None, lower: bool = False
) -> np.ndarray:
    """Map code points to rows of the character table.

    codes (ndarray): Code points, uint32 (nC,).
    nV (int): Rows of the table, the reserved ones included. A code point has the row
        4 + (code point modulo (nV - 4)).
    hidden (Optional[ndarray]): Characters to replace by the row of the mask, bool (nC,).
    lower (bool): Whether to map each character to its lower case first. A character whose lower
        case has several characters stays as it is, so that the number of characters is the same.
    RETURNS (ndarray): Rows, int32 (nC,).
    """
    if lower:
        codes = np.where(codes < BMP, _lower_codes()[np.minimum(codes, BMP - 1)], codes)
    rows = (N_RESERVED + codes % (nV - N_RESERVED)).astype("int32")
    if hidden is not None:
        rows[hidden] = MASK
    return rows


def add_bounds(rows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Put the start row before each sequence and the end row after it.

    rows (ndarray): Rows of the table, sequence after sequence, int32 (nC,).
    lengths (ndarray): Characters per sequence, int (nW,).
    RETURNS (ndarray): The longer sequences, int32 (nC + 2 * nW,).
    """
    ends = np.cumsum(lengths + 2)
    starts = ends - lengths - 2
    bounded = np.empty(len(rows) + 2 * len(lengths), dtype="int32")
    inside = np.ones(len(bounded), dtype=bool)
    inside[starts] = inside[ends - 1] = False
    bounded[starts], bounded[ends - 1] = START, END
    bounded[inside] = rows
    return bounded


@cache
def _lower_codes() -> np.ndarray:
    """Return the code point of each character's lower case, uint32 (BMP,)."""
    lower = [chr(code).lower() for code in range(BMP)]
    return np.array([ord(char) if len(char) == 1 else i for i, char in enumerate(lower)], "uint32")

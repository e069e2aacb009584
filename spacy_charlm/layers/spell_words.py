"""Spell words in rows of the character table."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..types import HIDDEN_CHAR

PADDING, WORD_START, WORD_END, MASK = range(4)
N_RESERVED = 4
PLANE = 0x10000  # code points of the first plane, which has the letters of living languages


@dataclass(frozen=True)
class Spelling:
    """Words in rows of the character table: see `CharBatch`.

    chars (ndarray): int32 (nC,), word after word, each with its start and end.
    lower_chars (ndarray): The same in lower case.
    lengths (ndarray): Characters per word, int32 (nW,).
    """

    chars: np.ndarray
    lower_chars: np.ndarray
    lengths: np.ndarray


def spell_words(
    texts: Sequence[str],
    masked: np.ndarray,
    respelled: np.ndarray,
    *,
    rows: int,
    max_chars: int,
) -> Spelling:
    """Spell words.

    texts (Sequence[str]): The words; what stands for a masked one is not read.
    masked (ndarray): Words behind a mask, bool (nW,).
    respelled (ndarray): Words in which `HIDDEN_CHAR` is a hidden character, bool (nW,).
    rows (int): Rows of the character table.
    max_chars (int): Characters read per word: half of them its first, half its last.
    RETURNS (Spelling): Their rows.
    """
    head, tail = max_chars - max_chars // 2, max_chars // 2
    seen = [
        "\0" if is_masked else text if len(text) <= max_chars else text[:head] + text[-tail:]
        for text, is_masked in zip(texts, masked.tolist())
    ]
    inner = np.array([len(text) for text in seen], dtype="int32")
    codes = np.frombuffer("".join(seen).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    hidden = np.repeat(respelled, inner) & (codes == ord(HIDDEN_CHAR))
    hidden |= np.repeat(masked, inner)
    ends = np.cumsum(inner + 2)
    starts = ends - inner - 2
    is_inner = np.ones(len(codes) + 2 * len(seen), dtype=bool)
    is_inner[starts] = is_inner[ends - 1] = False

    def find_rows(codes: np.ndarray) -> np.ndarray:
        chars = np.empty(len(is_inner), dtype="int32")
        chars[starts], chars[ends - 1] = WORD_START, WORD_END
        chars[is_inner] = np.where(hidden, MASK, N_RESERVED + codes % (rows - N_RESERVED))
        return chars

    lower = np.where(codes < PLANE, _lower_codes()[np.minimum(codes, PLANE - 1)], codes)
    return Spelling(find_rows(codes), find_rows(lower), inner + 2)


@lru_cache
def _lower_codes() -> np.ndarray:
    """The code point of each character's lower case, where that is one character."""
    lower = [chr(code).lower() for code in range(PLANE)]
    return np.array([ord(char) if len(char) == 1 else i for i, char in enumerate(lower)], "uint32")

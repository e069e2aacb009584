"""Characters that are not seen: single ones and runs."""

from collections.abc import Sequence

import numpy as np

from ..errors import Errors
from ..types import HIDDEN_CHAR
from .typos import MAX_LENGTH


class HiddenChars:
    """Hide a run of characters in a share of the words.

    rate (float): Share of the words, from 0 to 1. A word of one character has nothing to hide.
    max_run (int): Most characters of a run; its length is drawn evenly from 1 on. At least one
        character of a word stays.
    RAISES (ValueError): If a setting is out of range.
    """

    def __init__(self, rate: float = 0.2, max_run: int = 3) -> None:
        if not 0 <= rate <= 1:
            raise ValueError(Errors.E700.format(found=rate))
        if max_run < 1:
            raise ValueError(Errors.E704.format(found=max_run))
        self.rate = rate
        self.max_run = max_run

    def __call__(self, words: Sequence[str], rng: np.random.Generator) -> list[str]:
        """Hide characters.

        words (Sequence[str]): The words, nW of them.
        rng (Generator): Where chance comes from.
        RETURNS (List[str]): As many words, as long as before.
        """
        found = list(words)
        for i in np.flatnonzero(rng.random(len(found)) < self.rate).tolist():
            size = len(found[i])
            run_roll, place_roll = rng.random(2).tolist()
            if 1 < size <= MAX_LENGTH:
                run = min(1 + int(run_roll * self.max_run), size - 1)
                start = int(place_roll * (size - run + 1))
                found[i] = found[i][:start] + HIDDEN_CHAR * run + found[i][start + run :]
        return found

"""Hidden characters: single ones and runs."""

from collections.abc import Sequence

import numpy as np

from ..checks import Share, Size, checked
from ..types import HIDDEN_CHAR
from .typos import MAX_LENGTH


class HiddenChars:
    """Hide a run of characters in a share of the words.

    rate (float): Share of the words, from 0 to 1. Words of one character are left alone.
    max_run (int): Most characters of a run. The length of a run is drawn evenly from 1 on; at least
        one character of each word stays visible.
    RAISES (ValueError): If a setting is out of range.
    """

    @checked("HiddenChars")
    def __init__(self, rate: Share = 0.2, max_run: Size = 3) -> None:
        self.rate = rate
        self.max_run = max_run

    def __call__(self, words: Sequence[str], rng: np.random.Generator) -> list[str]:
        """Hide characters.

        words (Sequence[str]): The nW words.
        rng (Generator): The generator.
        RETURNS (List[str]): The nW words. Their lengths do not change.
        """
        hidden = list(words)
        for i in np.flatnonzero(rng.random(len(hidden)) < self.rate).tolist():
            word, size = hidden[i], len(hidden[i])
            run_roll, start_roll = rng.random(2).tolist()
            if 1 < size <= MAX_LENGTH:
                run = min(1 + int(run_roll * self.max_run), size - 1)
                start = int(start_roll * (size - run + 1))
                hidden[i] = word[:start] + HIDDEN_CHAR * run + word[start + run :]
        return hidden

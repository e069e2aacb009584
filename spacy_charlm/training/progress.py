"""How far a long run is: a bar in a terminal, now and then a line elsewhere."""

import sys
import time

from tqdm import tqdm
from wasabi import msg

SECONDS_PER_LINE = 20.0
SECONDS_PER_BAR = 0.1
BAR = "{desc}: {percentage:3.0f}%|{bar}| {postfix}"


class ShowProgress:
    """Show what share is done, words, words per second and the time left.

    what (str): What is being done, the beginning of each line.
    done (float): The share that an earlier run has done.
    words (int): The words that it has read.
    """

    def __init__(self, what: str, done: float = 0.0, words: int = 0) -> None:
        self.what = what
        self.done = self._done_before = done
        self.words = self._words_before = words
        self._start = self._last_line = time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            self._bar = tqdm(total=1.0, initial=done, desc=what, leave=False, bar_format=BAR)

    def update(self, done: float, words: int, note: str = "") -> None:
        """Say how far the work is.

        done (float): Share of the work, from 0 to 1.
        words (int): Tokens of that share.
        note (str): Something to add to the line, such as the loss.
        """
        self.done, self.words = min(done, 1.0), words
        now = time.monotonic()
        if now - self._last_line < (SECONDS_PER_LINE if self._bar is None else SECONDS_PER_BAR):
            return
        self._last_line = now
        if self._bar is None:
            msg.text(f"{self.what}: {self.done:.1%}, {self._line(note)}")
        else:
            self._bar.n = self.done
            self._bar.set_postfix_str(self._line(note))

    def close(self, *, done: bool) -> None:
        """Take the bar away and, if the work is done, say what it came to."""
        if self._bar is not None:
            self._bar.close()
        if done:
            msg.text(f"{self.what}: {self._words()}, {clock(time.monotonic() - self._start)}")

    def words_per_second(self) -> float:
        """Speed since the beginning of this run."""
        seconds = max(time.monotonic() - self._start, 1e-9)
        return (self.words - self._words_before) / seconds

    def _line(self, note: str) -> str:
        share = self.done - self._done_before
        left = "?"
        if share > 0:
            left = clock((time.monotonic() - self._start) * (1 - self.done) / share)
        return ", ".join(filter(None, [self._words(), f"{left} left", note]))

    def _words(self) -> str:
        return f"{self.words:,} words, {self.words_per_second():,.0f} words/s"


def clock(seconds: float) -> str:
    """Write seconds as minutes and seconds, or as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

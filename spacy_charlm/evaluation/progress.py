"""How far a long run is: a bar in a terminal, now and then a line elsewhere."""

import sys
import time

from tqdm import tqdm
from wasabi import msg

SECONDS_PER_LINE = 20.0


class Progress:
    """Show texts, words, words per second and the time left.

    what (str): What is being done, the beginning of each line.
    n_texts (int): Texts in all.
    """

    def __init__(self, what: str, n_texts: int) -> None:
        self.what = what
        self.n_texts = n_texts
        self.texts = 0
        self.words = 0
        self._start = self._last_line = time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            self._bar = tqdm(total=n_texts, desc=what, unit=" texts", leave=False)

    def update(self, texts: int, words: int) -> None:
        """Count what was done since the last call.

        texts (int): Texts.
        words (int): Their tokens.
        """
        self.texts += texts
        self.words += words
        if self._bar is not None:
            self._bar.set_postfix_str(self._words(), refresh=False)
            self._bar.update(texts)
        elif time.monotonic() - self._last_line > SECONDS_PER_LINE and self.texts:
            self._last_line = time.monotonic()
            left = (self._last_line - self._start) * (self.n_texts - self.texts) / self.texts
            msg.text(f"{self.what}: {self._texts()}, {self._words()}, {_clock(left)} left")

    def close(self, *, done: bool) -> None:
        """Take the bar away and, if the work is done, say what it came to."""
        if self._bar is not None:
            self._bar.close()
        if done:
            took = _clock(time.monotonic() - self._start)
            msg.text(f"{self.what}: {self.texts:,} texts, {self._words()}, {took}")

    def _texts(self) -> str:
        return f"{self.texts:,} of {self.n_texts:,} texts"

    def _words(self) -> str:
        seconds = max(time.monotonic() - self._start, 1e-9)
        return f"{self.words:,} words, {self.words / seconds:,.0f} words/s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"

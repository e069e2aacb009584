"""Progress of a long run: a bar in a terminal or notebook, an occasional line elsewhere."""

import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from wasabi import msg

SECONDS_PER_LINE = 20.0
SECONDS_PER_BAR = 0.1
BAR = "{desc}: {percentage:3.0f}%|{bar}| "


class ProgressBar:
    """Shows the share that is done, words, words per second and the time left.

    title (str): What is being done: the beginning of each line.
    done (float): Share that an earlier run has done.
    words (int): Words that the earlier run has processed.
    """

    def __init__(self, title: str, done: float = 0.0, words: int = 0) -> None:
        self.title = title
        self.done = self._done_at_start = done
        self.words = self._words_at_start = words
        self._start = self._last_line = time.monotonic()
        self._bar = None
        if sys.stderr.isatty() or _in_notebook():
            with warnings.catch_warnings():
                # tqdm warns if ipywidgets is missing, and then draws the bar as text.
                warnings.simplefilter("ignore")
                from tqdm.auto import tqdm
            self._bar = tqdm(total=1.0, initial=done, desc=title, leave=False, bar_format=BAR)

    def update(self, done: float, words: int, note: str = "") -> None:
        """Report progress.

        done (float): Share of the work, from 0 to 1.
        words (int): Tokens processed so far.
        note (str): Text to append, such as the loss.
        """
        self.done, self.words = min(done, 1.0), words
        now = time.monotonic()
        if now - self._last_line < (SECONDS_PER_LINE if self._bar is None else SECONDS_PER_BAR):
            return
        self._last_line = now
        share = self.done - self._done_at_start
        left = clock((now - self._start) * (1 - self.done) / share) if share > 0 else "?"
        line = ", ".join(filter(None, [self._describe_words(), f"{left} left", note]))
        if self._bar is None:
            msg.text(f"{self.title}: {self.done:.1%}, {line}")
        else:
            self._bar.n = self.done
            # The postfix of tqdm begins with a comma, and its width is not fixed.
            self._bar.bar_format = BAR + line.replace("{", "{{").replace("}", "}}")
            self._bar.refresh()

    def close(self, *, done: bool) -> None:
        """Remove the bar. If the work is done, print words and time."""
        if self._bar is not None:
            self._bar.close()
        if done:
            took = clock(time.monotonic() - self._start)
            msg.text(f"{self.title}: {self._describe_words()}, {took}")

    def _describe_words(self) -> str:
        seconds = max(time.monotonic() - self._start, 1e-9)
        speed = (self.words - self._words_at_start) / seconds
        return f"{self.words:,} words, {speed:,.0f} words/s"


@contextmanager
def above_bar() -> Iterator[None]:
    """Print lines above the bar that is drawn, if there is one, instead of behind its end."""
    tqdm = sys.modules.get("tqdm")
    if tqdm is None:
        yield
        return
    with tqdm.tqdm.external_write_mode():
        yield


def clock(seconds: float) -> str:
    """Format seconds as minutes and seconds, or as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _in_notebook() -> bool:
    """Whether the code runs in a Jupyter kernel, which has always imported IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config

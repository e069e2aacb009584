"""The progress bar of a command."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from wasabi import msg


@contextmanager
def show_progress(title: str, stopped: str | None = None) -> Iterator[Callable[..., None]]:
    """Show a progress bar, and close it however the work ends.

    title (str): What is being done.
    stopped (Optional[str]): What to print after Ctrl-C, which then ends the command with code 130;
        None leaves the interrupt to others.
    YIELDS (Callable[[float, int], None]): Shows the share that is done and the number of words.
    """
    from ..training.progress import ProgressBar

    bar = ProgressBar(title)
    complete = False
    try:
        yield bar.update
        complete = True
    except KeyboardInterrupt:
        if stopped is None:
            raise
        msg.warn(stopped)
        raise typer.Exit(130) from None
    finally:
        bar.close(done=complete)

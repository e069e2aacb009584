"""Ctrl-C, and the signal that ends a preempted machine, as a wish to stop soon."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wasabi import msg


@contextmanager
def catch_signals() -> Iterator[list[int]]:
    """Collect Ctrl-C and the signal that ends a preempted machine; a second Ctrl-C raises.

    YIELDS (List[int]): The signals that have come.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught  # only the main thread is told of signals
        return

    def note(number: int, frame: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)
        msg.warn("Stopping after this update; once more stops at once, without saving.")

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, note) for number in numbers]
    try:
        yield caught
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)

"""What a check of `charlm doctor` gives."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from thinc.api import Config

from .machine import Machine


@dataclass(frozen=True)
class Finding:
    """A trouble and what to do.

    text (str): The message, from `Errors`.
    serious (bool): Whether something does not work, rather than being slow or lossy.
    """

    text: str
    serious: bool = False


# A check gets the machine and the interpolated config, which is empty where none was given.
Check: TypeAlias = Callable[[Machine, Config], Iterable[Finding]]

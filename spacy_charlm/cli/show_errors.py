"""What a command says where it cannot go on."""

from collections.abc import Iterator
from contextlib import contextmanager

from wasabi import msg


@contextmanager
def show_errors(title: str) -> Iterator[None]:
    """End a command with a message in place of a traceback where its user can mend what is wrong.

    That is where the error is one of ours, or the system's about a file. Any other is a defect,
    and keeps its traceback. To be used as a decorator, too.

    title (str): What cannot be done.
    """
    try:
        yield
    except (ValueError, OSError, ImportError) as err:
        if "[charlm " not in str(err) and not isinstance(err, (OSError, UnicodeDecodeError)):
            raise
        msg.fail(title, str(err), exits=1)

"""What a command prints if it cannot go on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from click import NoSuchOption
from wasabi import msg

CODE = re.compile(r"\[(charlm )?[EW]\d+\]")


@contextmanager
def show_errors(title: str) -> Iterator[None]:
    """End a command with a message instead of a traceback if the user can fix the problem.

    This is the case for errors with a code, of this package or of spaCy, and for errors of the
    system about a file. All other errors are bugs and keep their traceback. Can be used as a
    decorator.

    title (str): What cannot be done.
    """
    try:
        yield
    except NoSuchOption as err:  # of spaCy, from another click than that of typer
        raise typer.BadParameter(err.format_message()) from err
    except (ValueError, OSError, ImportError) as err:
        if not CODE.search(str(err)) and not isinstance(err, (OSError, UnicodeDecodeError)):
            raise
        msg.fail(title, str(err), exits=1)

"""Files that are whole or not there: written beside their place, synced, renamed."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import Errors

PART = ".part"  # what a file is called until it is whole


def write_whole(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file so that a kill at any moment leaves the old one or the new one.

    path (Path): The file, replaced where there is one.
    chunks (Iterable[bytes | memoryview]): Its bytes.
    RAISES (OSError): If the disk is full or the folder cannot be written; the old file stays.
    """
    with replace_whole(path) as part, part.open("wb") as file_:
        for chunk in chunks:
            file_.write(chunk)


@contextmanager
def replace_whole(path: Path) -> Iterator[Path]:
    """Replace a file by what is written to another one, which gets its name at the end.

    Whoever has mapped the old file into memory keeps it.

    path (Path): The file.
    YIELDS (Path): Where to write.
    RAISES (OSError): If the disk is full or the folder cannot be written; the old file stays.
    """
    part = path.with_name(path.name + PART)
    try:
        yield part
        with part.open("rb+") as file_:
            os.fsync(file_.fileno())
        os.replace(part, path)
        _sync_folder(path.parent)
    except OSError as err:
        with suppress(OSError):
            part.unlink()
        raise OSError(Errors.E520.format(path=path, reason=err)) from err


def make_folder(path: Path) -> None:
    """Make a folder that can be written to, before hours are spent on what goes there.

    path (Path): The folder.
    RAISES (OSError): If it cannot be made, or nothing can be written into it.
    """
    probe = path / f"writable{PART}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as err:
        raise OSError(Errors.E520.format(path=path, reason=err)) from err


def _sync_folder(folder: Path) -> None:
    # Windows has no folders that can be opened, and syncs the name with the file.
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

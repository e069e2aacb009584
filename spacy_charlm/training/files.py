"""Files that are whole or not there: written beside their place, synced, renamed."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..errors import Errors

PART = ".part"  # what a file is called until it is whole


def write_whole(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file so that a kill at any moment leaves the old one or the new one.

    path (Path): The file, replaced where there is one.
    chunks (Iterable[bytes | memoryview]): Its bytes.
    RAISES (OSError): If the disk is full or the folder cannot be written; the old file stays.
    """
    part = path.with_name(path.name + PART)
    try:
        with part.open("wb") as file_:
            for chunk in chunks:
                file_.write(chunk)
            file_.flush()
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

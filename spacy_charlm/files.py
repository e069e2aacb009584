"""Write files atomically: to a temporary file in the same folder, synced and then renamed."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import Errors

PART = ".part"  # suffix of a file that is not yet complete


def write_whole(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file. If the process is killed, either the old or the new content is there.

    path (Path): The file. An existing one is replaced.
    chunks (Iterable[bytes | memoryview]): Its content.
    RAISES (OSError): If the disk is full or the folder cannot be written to; the old file stays.
    """
    with replace_whole(path) as part, part.open("wb") as file_:
        for chunk in chunks:
            file_.write(chunk)


@contextmanager
def replace_whole(path: Path) -> Iterator[Path]:
    """Write to a temporary file, which replaces a file at the end.

    Processes that have mapped the old file into memory keep the old content.

    path (Path): The file.
    YIELDS (Path): The temporary file.
    RAISES (OSError): If the disk is full or the folder cannot be written to; the old file stays.
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
    """Create a folder and check that it can be written to, before hours of work depend on it.

    path (Path): The folder.
    RAISES (OSError): If it cannot be created or written to.
    """
    probe = path / f"writable{PART}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as err:
        raise OSError(Errors.E520.format(path=path, reason=err)) from err


def name_paths(paths: Sequence[Path]) -> list[str]:
    """Name paths by their last parts, with as many parts as distinguish them all.

    paths (Sequence[Path]): The paths, at least one.
    RETURNS (List[str]): One name each. Equal paths get equal names.
    """
    parts = [path.parts for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(some[-depth:]) for some in parts]
        if len(set(names)) == len(set(parts)):
            break
    return names


def _sync_folder(folder: Path) -> None:
    # Windows cannot open folders, and syncs the name together with the file.
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

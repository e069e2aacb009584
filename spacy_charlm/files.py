"""Files: written atomically, folders locked for one process, digests of what a config names."""

import errno
import hashlib
import os
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

from wasabi import msg

from .errors import Errors

PART = ".part"  # suffix of a file that is not yet complete
LOCK = ".lock"  # name of the file that locks a folder
# A byte that no text of the lock file reaches: on Windows, nobody can read what is locked.
LOCKED_BYTE = 1 << 30
MAX_TRIES = 100  # to lock a folder whose lock file comes and goes
MAX_PATH = 1000  # characters; a longer string of a config is no path
_locked: set[Path] = set()  # folders that this process has locked


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
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
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


def remove_parts(folder: Path, names: Iterable[str]) -> None:
    """Remove what killed processes have left of files. Only for the owner of a locked folder.

    folder (Path): The folder; it may be missing.
    names (Iterable[str]): Names of the files, or patterns such as "step-*.safetensors".
    """
    for name in names:
        for part in folder.glob(f"{name}.*{PART}"):
            part.unlink()


@contextmanager
def lock_folder(path: Path) -> Iterator[None]:
    """Keep other processes out of a folder. If the process ends in any way, the lock is released.

    The processes that this one starts do not inherit the lock.

    path (Path): The folder; it is created.
    YIELDS (None): While the folder is locked.
    RAISES (ValueError): If it is locked already; the error names the process.
    RAISES (OSError): If the folder cannot be created or written to.
    """
    make_folder(path)
    folder = path.resolve()
    file_ = _open_lock(path) if folder not in _locked else None
    if file_ is None:
        found = ""
        with suppress(OSError):  # it may have ended in the meantime
            found = (path / LOCK).read_text(encoding="utf8").strip()
        raise ValueError(Errors.E531.format(path=path, found=found or "one that just began"))
    _locked.add(folder)
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        file_.truncate(0)
        file_.write(f"process {os.getpid()} on {socket.gethostname()}, since {since}\n")
        file_.flush()
        yield
    finally:
        _locked.discard(folder)
        with suppress(OSError):  # Windows cannot remove an open file
            (path / LOCK).unlink()
        file_.close()


def _open_lock(folder: Path) -> IO[str] | None:
    """Open and lock the lock file of a folder; return None if another process has locked it."""
    for _ in range(MAX_TRIES):
        file_ = (folder / LOCK).open("a+", encoding="utf8")
        try:
            _lock_file(file_)
        except OSError as err:
            if err.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                file_.close()
                return None
            msg.warn(Errors.W523.format(path=folder, reason=err))
        # The holder before may have removed the file between the two calls.
        with suppress(OSError):
            if os.path.samestat(os.fstat(file_.fileno()), (folder / LOCK).stat()):
                return file_
        file_.close()
    return None


def _lock_file(file_: IO[str]) -> None:
    if os.name == "nt":
        import msvcrt

        windows: Any = msvcrt  # mypy checks the names of one platform
        file_.seek(LOCKED_BYTE)
        windows.locking(file_.fileno(), windows.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.lockf(file_, fcntl.LOCK_EX | fcntl.LOCK_NB)


def make_folder(path: Path) -> None:
    """Create a folder and check that it can be written to, before hours of work depend on it.

    path (Path): The folder.
    RAISES (OSError): If it cannot be created or written to.
    """
    probe = path / f"writable.{os.getpid()}{PART}"
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


def find_files(config: dict[str, Any]) -> dict[str, Path]:
    """Find the files and folders that a config names, except those of settings called `cache`.

    The folder of a cache grows while it is used, and other settings decide what it holds.

    config (Dict[str, Any]): Interpolated config. A value is taken for a path if [paths] has it, or
        if it contains a slash or backslash: a folder may have the name of a component.
    RETURNS (Dict[str, Path]): Dotted name of the setting -> path, for those that exist.
    """
    named = {value for value in config.get("paths", {}).values() if isinstance(value, str)}
    return {
        dotted: Path(value)
        for dotted, value in flatten(config)
        if isinstance(value, str)
        and 0 < len(value) < MAX_PATH
        and dotted.rpartition(".")[2] != "cache"
        and (value in named or "/" in value or "\\" in value)
        and Path(value).exists()
    }


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Iterate over the leaves of nested dictionaries.

    value (Any): A dictionary, such as a config.
    prefix (str): Its dotted name.
    YIELDS (Tuple[str, Any]): Dotted name and value of each leaf.
    """
    if isinstance(value, dict):
        for name, part in value.items():
            yield from flatten(part, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, value


def digest(path: Path | None) -> str:
    """Digest a file, or the files of a folder with their names; "" for None.

    path (Optional[Path]): The file or folder. If it is missing, it counts as an empty folder.
    RETURNS (str): 16 hexadecimal digits.
    """
    if path is None:
        return ""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    stats = [file.stat() for file in files]
    return _digest_files(
        tuple(
            (str(file), file.relative_to(path).as_posix(), stat.st_mtime_ns, stat.st_size)
            for file, stat in zip(files, stats)
        )
    )


@cache  # many runs read the same large files
def _digest_files(stamps: tuple[tuple[str, str, int, int], ...]) -> str:
    found = hashlib.sha256()
    for path, name, _, size in stamps:
        found.update(f"{name}\0{size}\0".encode("utf8", "surrogateescape"))
        with Path(path).open("rb") as file_:
            while block := file_.read(1 << 20):
                found.update(block)
    return found.hexdigest()[:16]


def _sync_folder(folder: Path) -> None:
    # Windows cannot open folders, and syncs the name together with the file.
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

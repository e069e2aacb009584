"""Vectors of texts on disk: appended, memory-mapped, never rewritten.

Each process appends to a pair of files of its own, so that any number of them may write:

*.data    vectors, row after row
*.index   one record per text: its key, where its rows begin, how many there are, their checksum

Rows are written before their record, so a process that is killed leaves at most rows without a
record, or a part of a record, and both are passed over.
"""

import json
import os
import struct
import uuid
import weakref
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from spacy.util import logger

from ..errors import Errors

KEY_SIZE = 16
RECORD = struct.Struct(f"<{KEY_SIZE}sQII")  # key, first row, rows, crc32 of them
META = "cache.json"


class VectorCache:
    """Vectors of texts by key.

    folder (Path): Where the files are; made where it is missing.
    facts (Dict[str, Any]): What the vectors are, such as model and layer. A folder of others is an
        error.
    dtype (str): float16 or float32.
    max_bytes (int): Once the files are as large as this, nothing is added.
    RAISES (ValueError): If the folder holds vectors of something else.
    """

    def __init__(
        self,
        folder: Path,
        facts: dict[str, Any],
        *,
        dtype: str = "float16",
        max_bytes: int = 20 * 10**9,
    ) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.damaged = 0
        # More than one of a text that two processes have added, or that was damaged.
        self._places: dict[bytes, list[tuple[Path, int, int, int]]] = {}
        self._maps: dict[Path, np.ndarray] = {}
        self._files: tuple[Any, Any] | None = None
        self._told = False
        folder.mkdir(parents=True, exist_ok=True)
        self._facts = self._check_facts({**facts, "dtype": dtype})
        self.nO = int(self._facts["nO"])
        self._dtype = np.dtype(self._facts["dtype"])
        for path in sorted(folder.glob("*.index")):
            self._read_index(path)
        self._written = sum(path.stat().st_size for path in folder.glob("*.data"))

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def get(self, key: bytes) -> np.ndarray | None:
        """Read the rows of a text, float16 or float32 (n, nO).

        key (bytes): Its key.
        RETURNS (Optional[ndarray]): The rows; None where there are none, or they are damaged.
        """
        places = self._places.get(key, [])
        while places:
            path, start, n_rows, checksum = places[-1]
            rows = self._map(path, start + n_rows)[start : start + n_rows]
            if len(rows) == n_rows and zlib.crc32(rows.tobytes()) == checksum:
                return rows
            self.damaged += 1
            if self.damaged == 1:
                logger.warning(Errors.W230.format(path=path))
            places.pop()
        self._places.pop(key, None)
        return None

    def has_room(self) -> bool:
        """Whether more may be added; the first time that it may not, a warning says so."""
        if self._written < self.max_bytes:
            return True
        if not self._told:
            self._told = True
            logger.warning(Errors.W231.format(path=self.folder, size=self.max_bytes / 1e9))
        return False

    def add(self, key: bytes, rows: np.ndarray) -> None:
        """Append the rows of a text.

        key (bytes): Its key, 16 bytes.
        rows (ndarray): Its rows, (n, nO).
        """
        if key in self._places or not self.has_room():
            return
        data, index = self._files or self._start_files()
        path = Path(data.name)
        rows = np.ascontiguousarray(rows, dtype=self._dtype)
        start = data.tell() // (self.nO * self._dtype.itemsize)
        data.write(rows.tobytes())
        data.flush()
        record = (start, len(rows), zlib.crc32(rows.tobytes()))
        index.write(RECORD.pack(key, *record))
        index.flush()
        self._places[key] = [(path, *record)]
        self._written += rows.nbytes

    def close(self) -> None:
        """Close the files that are written to."""
        if self._files is not None:
            self._finalizer()
        self._files = None

    def _start_files(self) -> tuple[Any, Any]:
        name = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        # Open for as long as the cache lives.
        data = (self.folder / f"{name}.data").open("ab")
        index = (self.folder / f"{name}.index").open("ab")
        self._finalizer = weakref.finalize(self, _close, data, index)
        self._files = (data, index)
        return self._files

    def _read_index(self, path: Path) -> None:
        records = path.read_bytes()
        data = path.with_suffix(".data")
        row_size = self.nO * self._dtype.itemsize
        n_rows = data.stat().st_size // row_size if data.exists() else 0
        whole = len(records) // RECORD.size * RECORD.size
        for key, start, n, checksum in RECORD.iter_unpack(records[:whole]):
            if start + n <= n_rows:
                self._places.setdefault(key, []).append((data, start, n, checksum))

    def _map(self, path: Path, n_rows: int) -> np.ndarray:
        """Map a file into memory, anew where it has grown."""
        found = self._maps.get(path)
        if found is None or len(found) < n_rows:
            size = path.stat().st_size // (self.nO * self._dtype.itemsize)
            if not size:
                return np.zeros((0, self.nO), dtype=self._dtype)
            shape = (size, self.nO)
            found = self._maps[path] = np.memmap(path, dtype=self._dtype, mode="r", shape=shape)
        return found

    def _check_facts(self, facts: dict[str, Any]) -> dict[str, Any]:
        path = self.folder / META
        if not path.exists():
            part = path.with_name(f"{META}.{os.getpid()}")
            part.write_text(json.dumps(facts), encoding="utf8")
            part.replace(path)  # whole or not at all, whoever is first
        try:
            found = json.loads(path.read_text(encoding="utf8"))
        except ValueError as err:
            raise ValueError(Errors.E233.format(path=path, found=err)) from err
        # A fact that is not known here, as a model's digest without its folder, fits any.
        differ = [k for k, v in facts.items() if v is not None and found.get(k) not in (v, None)]
        if differ:
            lines = "; ".join(
                f"{key} {found.get(key)!r} in place of {facts[key]!r}" for key in differ
            )
            raise ValueError(Errors.E234.format(path=self.folder, found=lines))
        return found


def _close(*files: Any) -> None:
    for file in files:
        file.close()


def read_facts(folder: Path) -> dict[str, Any] | None:
    """Read what the vectors of a folder are; None where there is no cache.

    folder (Path): The folder.
    RETURNS (Optional[Dict[str, Any]]): The facts.
    """
    path = folder / META
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf8"))
    except ValueError as err:
        raise ValueError(Errors.E233.format(path=path, found=err)) from err

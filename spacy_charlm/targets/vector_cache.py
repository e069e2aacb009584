"""Vectors of texts on disk: append-only and memory-mapped.

Each process appends to its own pair of files, so that any number of processes can write:

*.data    vectors, row after row
*.index   one record per text: its key, first row, number of rows and their checksum

The rows of a text are written before its record. A process that is killed leaves at most rows
without a record, or an incomplete record. Both are ignored.
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

from ..card import name_damage
from ..errors import Errors

KEY_SIZE = 16
RECORD = struct.Struct(f"<{KEY_SIZE}sQII")  # key, first row, number of rows, their CRC-32
META = "cache.json"


class VectorCache:
    """A cache on disk of the vectors of texts, by key.

    folder (Path): Folder of the files; created if it does not exist.
    facts (Dict[str, Any]): Where the vectors come from, such as model and layer, and their width
        `nO`.
    dtype (str): "float16" or "float32".
    max_bytes (int): Size of the files above which nothing is added.
    RAISES (ValueError): If the folder has vectors with other facts, or is damaged.
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
        # A text has several records if two processes added it, or if one was damaged.
        self._records: dict[bytes, list[tuple[Path, int, int, int]]] = {}
        self._maps: dict[Path, np.ndarray] = {}
        self._files: tuple[Any, Any] | None = None
        self._warned = False
        folder.mkdir(parents=True, exist_ok=True)
        self._facts = self._check_facts({**facts, "dtype": dtype})
        self.nO = int(self._facts["nO"])
        self._dtype = np.dtype(self._facts["dtype"])
        for path in sorted(folder.glob("*.index")):
            self._read_index(path)
        self._written = sum(path.stat().st_size for path in folder.glob("*.data"))

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, key: bytes) -> bool:
        return key in self._records

    def get(self, key: bytes) -> np.ndarray | None:
        """Read the rows of a text.

        key (bytes): The key of the text.
        RETURNS (Optional[ndarray]): The rows, float16 or float32 (nT, nO); None if there are none,
            or if they are damaged.
        """
        records = self._records.get(key, [])
        while records:
            path, start, n_rows, checksum = records[-1]
            rows = self._map(path, start + n_rows)[start : start + n_rows]
            if len(rows) == n_rows and zlib.crc32(rows.tobytes()) == checksum:
                return rows
            self.damaged += 1
            if self.damaged == 1:
                logger.warning(Errors.W230.format(path=path))
            records.pop()
        self._records.pop(key, None)
        return None

    def has_room(self) -> bool:
        """Return whether more can be added. Warns once if not."""
        if self._written < self.max_bytes:
            return True
        if not self._warned:
            self._warned = True
            logger.warning(Errors.W231.format(path=self.folder, size=self.max_bytes / 1e9))
        return False

    def add(self, key: bytes, rows: np.ndarray) -> None:
        """Append the rows of a text, unless it is there or the cache is full.

        key (bytes): The key of the text, 16 bytes.
        rows (ndarray): The rows, (nT, nO).
        """
        if key in self or not self.has_room():
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
        self._records[key] = [(path, *record)]
        self._written += rows.nbytes

    def close(self) -> None:
        """Close the files that this process writes."""
        if self._files is not None:
            self._finalizer()
        self._files = None

    def _start_files(self) -> tuple[Any, Any]:
        name = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        # The files stay open as long as the cache exists.
        data = (self.folder / f"{name}.data").open("ab")
        index = (self.folder / f"{name}.index").open("ab")
        self._finalizer = weakref.finalize(self, _close, data, index)
        self._files = (data, index)
        return self._files

    def _read_index(self, path: Path) -> None:
        content = path.read_bytes()
        data = path.with_suffix(".data")
        row_size = self.nO * self._dtype.itemsize
        n_rows = data.stat().st_size // row_size if data.exists() else 0
        complete = len(content) // RECORD.size * RECORD.size
        for key, start, n, checksum in RECORD.iter_unpack(content[:complete]):
            if start + n <= n_rows:
                self._records.setdefault(key, []).append((data, start, n, checksum))

    def _map(self, path: Path, n_rows: int) -> np.ndarray:
        """Map a file into memory, again if it has grown."""
        mapped = self._maps.get(path)
        if mapped is None or len(mapped) < n_rows:
            size = path.stat().st_size // (self.nO * self._dtype.itemsize)
            if not size:
                return np.zeros((0, self.nO), dtype=self._dtype)
            shape = (size, self.nO)
            mapped = self._maps[path] = np.memmap(path, dtype=self._dtype, mode="r", shape=shape)
        return mapped

    def _check_facts(self, facts: dict[str, Any]) -> dict[str, Any]:
        path = self.folder / META
        if not path.exists():
            part = path.with_name(f"{META}.{os.getpid()}")
            part.write_text(json.dumps(facts), encoding="utf8")
            part.replace(path)  # atomic, because several processes may start at once
        found = read_facts(self.folder) or {}
        # An unknown fact, such as the digest of a model whose folder is missing, fits any value.
        differences = "; ".join(
            f"{key} {found[key]!r} in place of {value!r}"
            for key, value in facts.items()
            if value is not None and found.get(key) not in (value, None)
        )
        if differences:
            raise ValueError(Errors.E234.format(path=self.folder, found=differences))
        return found


def _close(*files: Any) -> None:
    for file in files:
        file.close()


def read_facts(folder: Path) -> dict[str, Any] | None:
    """Read the facts about the vectors in a folder.

    folder (Path): The folder.
    RETURNS (Optional[Dict[str, Any]]): The facts; None if the folder is not a cache.
    RAISES (ValueError): If the file is damaged.
    """
    path = folder / META
    if not path.exists():
        return None
    with name_damage(str(path), Errors.E233):
        facts = json.loads(path.read_text(encoding="utf8"))
        nO, dtype = facts["nO"], facts["dtype"]
        if type(nO) is not int or nO < 1 or dtype not in ("float16", "float32"):
            raise ValueError(f"nO = {nO!r}, dtype = {dtype!r}")
    return facts

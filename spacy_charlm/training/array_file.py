"""Arrays and JSON in one file, checked as a whole before anything of it is believed.

Magic, length of the header, SHA-256 of all that follows, header (JSON: settings, and the name, type
and shape of each array), the arrays one after the other. No pickle: reading executes nothing.
"""

import hashlib
import json
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import Errors
from ..files import write_whole

MAGIC = b"charlm1\n"
TYPES = ("<f4", "<f8", "<i4", "<i8")
START = struct.Struct("<8sQ32s")  # magic, bytes of the header, digest
CHUNK = 1 << 20


@dataclass(frozen=True)
class ArrayFile:
    """What a file holds.

    settings (Dict[str, Any]): JSON-like values.
    arrays (Dict[str, ndarray]): Arrays of float32, float64, int32 or int64 by name.
    """

    settings: dict[str, Any]
    arrays: dict[str, np.ndarray]


def write_arrays(path: Path, content: ArrayFile) -> None:
    """Write a file as a whole: see `files.write_whole`.

    path (Path): The file, replaced where there is one.
    content (ArrayFile): What it shall hold.
    RAISES (OSError): If it cannot be written; a file that was there stays as it is.
    """
    arrays = {
        name: np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        for name, array in content.arrays.items()
    }
    layout = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    header = json.dumps({"settings": content.settings, "arrays": layout}).encode("utf8")
    chunks = [header, *(array.tobytes() for array in arrays.values())]
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    write_whole(path, [START.pack(MAGIC, len(header), digest.digest()), *chunks])


def read_arrays(path: Path) -> ArrayFile:
    """Read a file that `write_arrays` wrote.

    path (Path): The file.
    RETURNS (ArrayFile): What it holds.
    RAISES (ValueError): If it is another file, cut short or damaged. The digest and all sizes are
        compared with the file before memory is taken for them.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file_:
            start = file_.read(START.size)
            if len(start) < START.size or not start.startswith(MAGIC):
                raise ValueError("it does not begin like one")
            _, header_size, expected = START.unpack(start)
            if START.size + header_size > size:
                raise ValueError("it is cut short")
            digest = hashlib.sha256()
            while chunk := file_.read(CHUNK):
                digest.update(chunk)
            if digest.digest() != expected:
                raise ValueError("its digest is not that of its content: cut short or damaged")
            file_.seek(START.size)
            header = json.loads(file_.read(header_size))
            settings = header["settings"]
            if not isinstance(settings, dict):
                raise ValueError(f"its settings are of type {type(settings).__name__}")
            layout = [(str(name), kind, tuple(shape)) for name, kind, shape in header["arrays"]]
            _check_sizes(layout, size - START.size - header_size)
            arrays = {
                name: np.frombuffer(bytearray(file_.read(_n_bytes(kind, shape))), kind).reshape(
                    shape
                )
                for name, kind, shape in layout
            }
    except OSError as err:
        raise ValueError(Errors.E521.format(path=path, reason=err)) from err
    except (ValueError, KeyError, TypeError, RecursionError) as err:
        raise ValueError(Errors.E521.format(path=path, reason=err)) from err
    return ArrayFile(settings, arrays)


def _check_sizes(layout: list[tuple[str, str, tuple[int, ...]]], size: int) -> None:
    for name, kind, shape in layout:
        if kind not in TYPES or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError(f"the array '{name}' is of type {kind} and shape {shape}")
    expected = sum(_n_bytes(kind, shape) for _, kind, shape in layout)
    if expected != size:
        raise ValueError(f"it promises {expected:,} bytes of arrays and has {size:,}")


def _n_bytes(kind: str, shape: tuple[int, ...]) -> int:
    return prod(shape) * int(kind[-1])

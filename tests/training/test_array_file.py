import hashlib
import json
import random

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from spacy_charlm.training import checkpoint
from spacy_charlm.training.checkpoint import MAGIC, START, ArrayFile, read_arrays, write_arrays

ARRAYS = {
    "a": np.arange(6, dtype="float32").reshape(2, 3),
    "b": np.array([2**40, -1]),
    "empty": np.zeros((0, 4), dtype="float64"),
    "scalar": np.array(3, dtype="int32"),
    "big": np.arange(3, dtype=">f4"),
    "strided": np.arange(12, dtype="float32").reshape(3, 4).T[::2],
}


@pytest.fixture
def path(tmp_path):
    write_arrays(tmp_path / "x.ckpt", ArrayFile({"kind": "test", "n": [1, None, "ä"]}, ARRAYS))
    return tmp_path / "x.ckpt"


def pack(header, body=b""):
    """Make a file with a correct digest and any content."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return START.pack(MAGIC, len(header), hashlib.sha256(header + body).digest()) + header + body


def test_array_file_round_trip(path):
    content = read_arrays(path)
    assert content.settings == {"kind": "test", "n": [1, None, "ä"]}
    assert list(content.arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert_array_equal(content.arrays[name], array)
        assert content.arrays[name].dtype == array.dtype.newbyteorder("<")
        content.arrays[name][...] = 0  # writable, as parameters must be
    assert_array_equal(read_arrays(path).arrays["a"], ARRAYS["a"])


def test_array_file_finds_any_damage(path):
    """1,000 damaged files: each one raises our error with its name."""
    data, rng = path.read_bytes(), random.Random(0)
    for i in range(1_000):
        damaged = bytearray(data)
        if i % 4 == 0:
            damaged = damaged[: rng.randrange(len(data))]
        elif i % 4 == 1:
            damaged += rng.randbytes(rng.randrange(1, 9))
        elif i % 4 == 2:  # sizes of the header and of the arrays
            damaged[rng.randrange(START.size + 200)] = rng.randrange(256)
        if i % 4 == 3 or bytes(damaged) == data:
            damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"charlm E521.*x\.ckpt"):
            read_arrays(path)


HUGE = 10**30
HEADERS = [
    b"",
    b"{",
    b"\xff\xfe",
    b"[" * 100_000,
    b"1" * 10_000,
    5,
    [],
    {},
    {"arrays": []},
    {"arrays": [], "settings": 5},
    {"arrays": [], "settings": None},
    {"settings": {}},
    {"settings": {}, "arrays": 5},
    {"settings": {}, "arrays": [5]},
    {"settings": {}, "arrays": ["a"]},
    {"settings": {}, "arrays": [["a", "<f4"]]},
    *(
        {"settings": {}, "arrays": [["a", *layout]]}
        for layout in (
            ("<f4", [3]),
            ("<f4", [2**62]),
            ("<f4", [HUGE]),
            ("<f4", [0, HUGE]),
            ("<f4", [2**62, 0]),
            ("<f4", [-2]),
            ("<f4", [-1, -2]),
            ("<f4", [1.5]),
            ("<f4", ["2"]),
            ("<f4", [[2]]),
            ("<f8", [1] * 100),
            ("<f4", "2"),
            ("<f4", 2),
            ("<f4", None),
            ("|O", [1]),
            ("|S8", [1]),
            ("<f16", [1]),
            ("f4", [2]),
            (4, [2]),
            (["<f4"], [2]),
        )
    ),
]


@pytest.mark.parametrize("body", [b"", bytes(8)], ids=["empty", "8 bytes"])
@pytest.mark.parametrize("header", HEADERS, ids=lambda header: str(header)[:60])
def test_array_file_checks_sizes_though_the_digest_is_right(tmp_path, header, body):
    path = tmp_path / "x.ckpt"
    path.write_bytes(pack(header, body))
    with pytest.raises(ValueError, match=r"charlm E521.*x\.ckpt"):
        read_arrays(path)


def test_array_file_takes_no_memory_for_a_size_that_is_not_there(path, monkeypatch):
    """A header size of 2**63 bytes is rejected before anything is read."""
    read = []
    monkeypatch.setattr(checkpoint.json, "loads", lambda data: read.append(data))
    data = bytearray(path.read_bytes())
    START.pack_into(data, 0, MAGIC, 2**63, bytes(32))
    path.write_bytes(data)
    with pytest.raises(ValueError, match="E521.*cut short"):
        read_arrays(path)
    assert not read


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x80\x04\x95", b"charlm1\n", MAGIC * 20])
def test_array_file_of_something_else(tmp_path, data):
    (tmp_path / "x.ckpt").write_bytes(data)
    with pytest.raises(ValueError, match="charlm E521"):
        read_arrays(tmp_path / "x.ckpt")


def test_array_file_that_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / "none.ckpt"):
        with pytest.raises(ValueError, match="charlm E521"):
            read_arrays(path)

import json
import random
import struct

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from safetensors.numpy import load_file, save

from spacy_charlm.training.checkpoint import ArrayFile, read_arrays, write_arrays

ARRAYS = {
    "a": np.arange(6, dtype="float32").reshape(2, 3),
    "b": np.array([2**40, -1]),
    "empty": np.zeros((0, 4), dtype="float64"),
    "scalar": np.array(3, dtype="int32"),
    "big": np.arange(3, dtype=">f4"),
    "strided": np.arange(12, dtype="float32").reshape(3, 4).T[::2],
}
NAME = "x.safetensors"


@pytest.fixture
def path(tmp_path):
    write_arrays(tmp_path / NAME, ArrayFile({"kind": "test", "n": [1, None, "ä"]}, ARRAYS))
    return tmp_path / NAME


def test_array_file_round_trip(path):
    content = read_arrays(path)
    assert content.settings == {"kind": "test", "n": [1, None, "ä"]}
    assert content.arrays.keys() == ARRAYS.keys()
    others = load_file(path)  # any program that reads safetensors can read it
    for name, array in ARRAYS.items():
        assert_array_equal(content.arrays[name], array)
        assert_array_equal(others[name], array)
        assert content.arrays[name].dtype == array.dtype.newbyteorder("<")


@pytest.mark.parametrize("n_files", [300, pytest.param(40_000, marks=pytest.mark.slow)])
def test_array_file_finds_any_damage(n_files, path):
    """Each of the damaged files raises our error with its name."""
    data, rng = path.read_bytes(), random.Random(0)
    for i in range(n_files):
        damaged = bytearray(data)
        if i % 4 == 0:
            damaged = damaged[: rng.randrange(len(data))]
        elif i % 4 == 1:
            damaged += rng.randbytes(rng.randrange(1, 9))
        elif i % 4 == 2:  # sizes of the header and of the arrays
            damaged[rng.randrange(300)] = rng.randrange(256)
        if i % 4 == 3 or bytes(damaged) == data:
            damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"charlm E521.*x\.safetensors"):
            read_arrays(path)


def layout(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


HUGE = 10**30
META = {"settings": "{}", "digest": "0" * 64}
HEADERS = [
    b"",
    b"{",
    b"\xff\xfe",
    b"[" * 100_000,
    b"1" * 10_000,
    5,
    [],
    {},
    {"__metadata__": 5},
    {"__metadata__": {"settings": 5}},
    {"__metadata__": {"settings": "{}"}},
    {"__metadata__": META, "a": 5},
    {"__metadata__": META, "a": {}},
    *(
        {"__metadata__": META, "a": layout(*arguments)}
        for arguments in (
            (),
            ("F32", [3]),
            ("F32", [2**62]),
            ("F32", [HUGE]),
            ("F32", [0, HUGE]),
            ("F32", [2**62, 0]),
            ("F32", [-2]),
            ("F32", [1.5]),
            ("F32", ["2"]),
            ("F32", None),
            ("BF16", [4]),
            ("X9", [1]),
            (None, [1]),
            ("F32", [2], [8, 0]),
            ("F32", [2], [0, HUGE]),
        )
    ),
]


@pytest.mark.parametrize("body", [b"", bytes(8)], ids=["empty", "8 bytes"])
@pytest.mark.parametrize("header", HEADERS, ids=lambda header: str(header)[:60])
def test_array_file_with_a_wrong_header(tmp_path, header, body):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    (tmp_path / NAME).write_bytes(struct.pack("<Q", len(header)) + header + body)
    with pytest.raises(ValueError, match=r"charlm E521.*x\.safetensors"):
        read_arrays(tmp_path / NAME)


@pytest.mark.parametrize("size", [2**40, 2**63, 2**64 - 1])
def test_array_file_takes_no_memory_for_a_size_that_is_not_there(path, size):
    data = bytearray(path.read_bytes())
    struct.pack_into("<Q", data, 0, size)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="E521.*header"):
        read_arrays(path)


OTHERS = {
    "nothing": b"",
    "a zip file": b"PK\x03\x04",
    "a pickle": b"\x80\x04\x95",
    "weights of another program": save({"a": ARRAYS["a"]}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_array_file_of_something_else(tmp_path, name):
    (tmp_path / NAME).write_bytes(OTHERS[name])
    with pytest.raises(ValueError, match="charlm E521"):
        read_arrays(tmp_path / NAME)


def test_array_file_that_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ValueError, match="charlm E521"):
            read_arrays(path)

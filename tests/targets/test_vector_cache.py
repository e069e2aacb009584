import hashlib
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from spacy_charlm.targets.vector_cache import META, RECORD, VectorCache, read_facts

FACTS = {"model": "some", "layer": "last", "nO": 4}
WRITER = """
import sys
import numpy as np
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_vector_cache import FACTS, make_key, make_rows
from spacy_charlm.targets.vector_cache import VectorCache
cache = VectorCache(Path(sys.argv[1]), FACTS)
print("ready", flush=True)
sys.stdin.readline()
for i in range(int(sys.argv[2])):
    cache.add(make_key(i), make_rows(i))
print("done", flush=True)
"""


def make_key(i):
    return hashlib.blake2b(str(i).encode(), digest_size=16).digest()


def make_rows(i):
    return np.random.default_rng(i).normal(size=(1 + i % 7, 4)).astype("float16")


def start_writer(folder, n):
    here = os.path.dirname(os.path.abspath(__file__))
    arguments = [sys.executable, "-c", WRITER, str(folder), str(n), here]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_vector_cache_keeps_what_it_gets(tmp_path, dtype):
    cache = VectorCache(tmp_path / "new" / "folder", FACTS, dtype=dtype)
    for i in range(20):
        assert cache.get(make_key(i)) is None and make_key(i) not in cache
        cache.add(make_key(i), make_rows(i))
        assert_array_equal(cache.get(make_key(i)), make_rows(i))  # at once
    cache.add(make_key(99), make_rows(0)[:0])  # a text without tokens
    cache.close()
    again = VectorCache(tmp_path / "new" / "folder", FACTS, dtype=dtype)
    assert len(again) == 21 and again.get(make_key(5)).dtype == dtype
    for i in range(20):
        assert_array_equal(again.get(make_key(i)), make_rows(i))
    assert again.get(make_key(99)).shape == (0, 4)
    assert read_facts(tmp_path / "new" / "folder") == {**FACTS, "dtype": dtype}


def test_vector_cache_of_two_writers(tmp_path):
    processes = [start_writer(tmp_path, 300) for _ in range(2)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate()[0] for process in processes] == ["done\n"] * 2
    cache = VectorCache(tmp_path, FACTS)
    assert len(cache) == 300 and len(list(tmp_path.glob("*.data"))) == 2
    for i in range(300):
        assert_array_equal(cache.get(make_key(i)), make_rows(i))


@pytest.mark.slow
def test_vector_cache_killed_twenty_times_is_whole(tmp_path):
    rng = random.Random(0)
    n_before = 0
    for _ in range(20):
        process = start_writer(tmp_path, 200_000)
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(rng.uniform(0.0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        cache = VectorCache(tmp_path, FACTS)
        assert len(cache) >= n_before
        n_before = len(cache)
        found = 0
        for i in range(n_before + 10):
            rows = cache.get(make_key(i))
            if rows is not None:
                found += 1
                assert_array_equal(rows, make_rows(i))
        assert found == n_before and cache.damaged == 0
        cache.close()
    assert n_before > 100


def test_vector_cache_skips_unfinished_records(tmp_path):
    cache = VectorCache(tmp_path, FACTS)
    for i in range(5):
        cache.add(make_key(i), make_rows(i))
    cache.close()
    (index,), (data,) = tmp_path.glob("*.index"), tmp_path.glob("*.data")
    index.write_bytes(index.read_bytes()[:-7])
    assert len(VectorCache(tmp_path, FACTS)) == 4
    data.write_bytes(data.read_bytes()[: -make_rows(3).nbytes - make_rows(4).nbytes])
    assert len(VectorCache(tmp_path, FACTS)) == 3
    data.unlink()
    assert len(VectorCache(tmp_path, FACTS)) == 0


def test_vector_cache_finds_damaged_rows_and_takes_new_ones(tmp_path, caplog):
    cache = VectorCache(tmp_path, FACTS)
    for i in range(5):
        cache.add(make_key(i), make_rows(i))
    cache.close()
    (data,) = tmp_path.glob("*.data")
    damaged = bytearray(data.read_bytes())
    damaged[make_rows(0).nbytes] ^= 1  # the first byte of the second text
    data.write_bytes(damaged)
    cache = VectorCache(tmp_path, FACTS)
    assert cache.get(make_key(1)) is None and cache.damaged == 1
    assert "charlm W230" in caplog.text
    assert_array_equal(cache.get(make_key(2)), make_rows(2))
    cache.add(make_key(1), make_rows(1))
    assert_array_equal(cache.get(make_key(1)), make_rows(1))
    cache.close()
    # A damaged record never hides a good one, whichever is read first.
    for name in ("0", "z"):
        for path in tmp_path.glob(f"{data.stem}.*"):
            path.rename(tmp_path / f"{name}{path.suffix}")
        data = tmp_path / f"{name}.data"
        again = VectorCache(tmp_path, FACTS)
        assert_array_equal(again.get(make_key(1)), make_rows(1))


def test_vector_cache_is_bounded(tmp_path, caplog):
    cache = VectorCache(tmp_path, FACTS, max_bytes=100)
    for i in range(50):
        cache.add(make_key(i), make_rows(i))
    cache.close()
    assert caplog.text.count("charlm W231") == 1
    size = sum(path.stat().st_size for path in tmp_path.glob("*.data"))
    assert size < 200
    again = VectorCache(tmp_path, FACTS, max_bytes=100)  # another process adds nothing
    again.add(make_key(50), make_rows(50))
    again.close()
    assert caplog.text.count("charlm W231") == 2
    assert sum(path.stat().st_size for path in tmp_path.glob("*.data")) == size


@pytest.mark.parametrize(
    "facts, message",
    [
        ({**FACTS, "model": "other"}, "E234.*model 'some' in place of 'other'"),
        ({**FACTS, "nO": 5}, "E234.*nO 4 in place of 5"),
    ],
)
def test_vector_cache_of_another_model(tmp_path, facts, message):
    VectorCache(tmp_path, FACTS).close()
    with pytest.raises(ValueError, match=message):
        VectorCache(tmp_path, facts)
    # An unknown fact, such as the digest of a missing model, fits any value.
    assert VectorCache(tmp_path, {**FACTS, "digest": None}).nO == 4


@pytest.mark.parametrize(
    "content",
    ["", "{", "5", "[]", "null", "{}", '{"nO": 4}', '{"nO": 0, "dtype": "float16"}']
    + ['{"nO": "4", "dtype": "float16"}', '{"nO": 4, "dtype": "int8"}'],
)
def test_vector_cache_with_damaged_facts(tmp_path, content):
    (tmp_path / META).write_text(content, encoding="utf8")
    for read in (lambda: VectorCache(tmp_path, FACTS), lambda: read_facts(tmp_path)):
        with pytest.raises(ValueError, match="charlm E233"):
            read()


def test_vector_cache_records_are_of_one_size():
    assert RECORD.size == 32

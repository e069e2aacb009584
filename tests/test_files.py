import errno
import os
import sys
from pathlib import Path

import pytest

from spacy_charlm import files
from spacy_charlm.files import make_folder, name_paths, write_whole

NEEDS_DEV_FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def test_write_whole_replaces(tmp_path):
    path = tmp_path / "x.bin"
    for content in (b"old", b"new and longer", b""):
        write_whole(path, [content[:3], content[3:]])
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["x.bin"]


def test_write_whole_syncs_before_it_renames(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(files.os, "fsync", lambda fd: calls.append("sync") or fsync(fd))
    monkeypatch.setattr(files.os, "replace", lambda *args: calls.append("name") or replace(*args))
    write_whole(tmp_path / "x.bin", [b"new"])
    assert calls == (["sync", "name"] if sys.platform == "win32" else ["sync", "name", "sync"])


@NEEDS_DEV_FULL
def test_write_whole_to_a_full_disk(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    (tmp_path / "x.bin.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"charlm E520.*x\.bin.*No space left.*Make room"):
        write_whole(path, [b"new" * 100_000])
    assert os.listdir(tmp_path) == ["x.bin"] and path.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_write_whole_that_fails_late(tmp_path, name, monkeypatch):
    def fail(*args):
        raise OSError(errno.EIO, "Input/output error")

    write_whole(tmp_path / "x.bin", [b"old"])
    with monkeypatch.context() as patch:
        patch.setattr(files.os, name, fail)
        with pytest.raises(OSError, match="charlm E520.*Input/output error"):
            write_whole(tmp_path / "x.bin", [b"new"])
    assert os.listdir(tmp_path) == ["x.bin"]
    assert (tmp_path / "x.bin").read_bytes() == b"old"


def test_write_whole_goes_over_what_a_kill_has_left(tmp_path):
    (tmp_path / "x.bin.part").write_bytes(b"half of somethi")
    write_whole(tmp_path / "x.bin", [b"new"])
    assert os.listdir(tmp_path) == ["x.bin"] and (tmp_path / "x.bin").read_bytes() == b"new"


def test_make_folder(tmp_path):
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
    assert os.listdir(tmp_path / "a" / "b") == []
    (tmp_path / "file").write_text("text")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="charlm E520.*file"):
            make_folder(path)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind this user"
)
def test_make_folder_without_permission(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    for path in (tmp_path / "locked", tmp_path / "locked" / "below"):
        with pytest.raises(OSError, match="charlm E520.*Permission denied"):
            make_folder(path)


@pytest.mark.parametrize(
    "paths, expected",
    [
        (["a/x"], ["x"]),
        (["a/x", "a/y"], ["x", "y"]),
        (["a/x", "b/x"], ["a/x", "b/x"]),
        (["x", "b/x"], ["x", "b/x"]),
        (["a/x", "a/x"], ["x", "x"]),
    ],
)
def test_name_paths_tells_paths_apart(paths, expected):
    assert name_paths([Path(path) for path in paths]) == expected

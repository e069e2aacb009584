import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spacy_charlm import files
from spacy_charlm.files import (
    LOCK,
    digest,
    find_files,
    lock_folder,
    make_folder,
    name_paths,
    remove_parts,
    write_whole,
)

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
    (tmp_path / f"x.bin.{os.getpid()}.part").symlink_to("/dev/full")
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


def test_write_whole_leaves_the_parts_of_other_processes(tmp_path):
    """They may still be written to. Who has locked the folder removes those of its own files."""
    foreign = {"x.bin.1.part", "y.bin.1.part", "notes.part"}
    for name in foreign:
        (tmp_path / name).write_bytes(b"half of somethi")
    write_whole(tmp_path / "x.bin", [b"new"])
    assert {*os.listdir(tmp_path)} == {*foreign, "x.bin"}
    remove_parts(tmp_path, ["x.bin", "z-*.bin"])
    remove_parts(tmp_path / "none", ["x.bin"])
    assert {*os.listdir(tmp_path)} == {*foreign, "x.bin"} - {"x.bin.1.part"}


HOLD = """
import sys, time
from pathlib import Path
from spacy_charlm.files import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""


def test_lock_folder_names_the_process_that_holds_it(tmp_path):
    folder = tmp_path / "out"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(ValueError, match=rf"E531.*out'.*process {holder.pid} on .*, since 20"):
            with lock_folder(folder):
                pass
    finally:
        holder.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
        holder.communicate()
    # The process is gone, and so is its lock, although the file is still there.
    assert (folder / LOCK).exists()
    with lock_folder(folder):
        with pytest.raises(ValueError, match=f"E531.*process {os.getpid()} on"):
            with lock_folder(tmp_path / "x" / ".." / "out"):
                pass
    assert os.listdir(folder) == []


def test_lock_folder_is_released_by_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), lock_folder(tmp_path):
            raise KeyError


def test_lock_folder_where_the_file_system_has_no_locks(tmp_path, monkeypatch, capsys):
    def fail(file_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files, "_lock_file", fail)
    with lock_folder(tmp_path):
        assert "W523" in capsys.readouterr().out


def test_find_files_takes_paths_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tagger").mkdir()
    for name in ("a.txt", "tagger/b.tsv", "plain"):
        (tmp_path / name).write_text(name)
    config = {
        "paths": {"text": "plain", "missing": "none.txt", "empty": None},
        "corpora": {"train": {"path": "plain", "limit": 5}},
        "components": {"tagger": {"factory": "tagger", "list": "tagger/b.tsv", "lang": "a.txt"}},
        "target": {"cache": "tagger/b.tsv", "model": "some/hub-name", "long": "/x" * 5000},
    }
    assert find_files(config) == {
        "paths.text": Path("plain"),
        "corpora.train.path": Path("plain"),
        "components.tagger.list": Path("tagger/b.tsv"),
    }


def test_digest_is_of_names_in_a_folder_and_of_content(tmp_path):
    def write(folder, **contents):
        (tmp_path / folder).mkdir()
        for name, content in contents.items():
            (tmp_path / folder / name).write_text(content)
        return tmp_path / folder

    a = write("a", x="one", y="two")
    assert digest(a) == digest(write("b", x="one", y="two"))
    others = [write("c", x="one"), write("d", x="onetwo", y=""), write("e", x="two", y="one")]
    assert len({digest(path) for path in (a, *others, tmp_path / "none")}) == 5
    assert digest(a / "x") == digest(tmp_path / "b" / "x") != digest(a / "y")
    assert digest(None) == ""


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

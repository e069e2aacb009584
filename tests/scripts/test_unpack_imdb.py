import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import srsly

SCRIPTS = Path(__file__).parents[2] / "scripts"
if not SCRIPTS.is_dir():
    pytest.skip("scripts/ is not beside tests/", allow_module_level=True)
PARTS = ("train/pos", "train/neg", "test/pos", "test/neg")
COUNTS = {**dict.fromkeys(PARTS, 2), "train/unsup": 3}


@pytest.fixture(scope="module")
def unpack():
    sys.path.insert(0, str(SCRIPTS))
    try:
        import unpack_imdb

        yield unpack_imdb
    finally:
        sys.path.remove(str(SCRIPTS))


def make_reviews():
    return {
        f"aclImdb/{part}/{i}_{i + 1}.txt": f"{part} {i}:<br /><br />Größe"
        for part, n in COUNTS.items()
        for i in range(n)
    }


def write_archive(path, reviews, extra=()):
    with tarfile.open(path, "w:gz") as tar:
        for name, text in reviews.items():
            data = text if isinstance(text, bytes) else text.encode("utf8")
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in extra:
            tar.addfile(member)
    return path


def run(unpack, archive, output, md5="", **settings):
    """Call the plain function as the command line does."""
    settings = {"n_train": 2, "n_unsup": 3, "n_test": 2, "seed": 0, **settings}
    unpack.main(archive, output, md5, **settings)


def read(path):
    with gzip.open(path, "rt", encoding="utf8") as file:
        return [srsly.json_loads(line) for line in file]


def test_unpack_imdb_writes_the_files(unpack, tmp_path):
    archive = write_archive(tmp_path / "a.tar.gz", make_reviews())
    run(unpack, archive, tmp_path / "out")
    train = read(tmp_path / "out" / "train.jsonl.gz")
    unlabelled = read(tmp_path / "out" / "unlabelled.jsonl.gz")
    expected = [(f"train/{k} {i}: Größe", k) for k in ("neg", "pos") for i in range(2)]
    assert sorted((row["text"], row["label"]) for row in train) == sorted(expected)
    expected = [f"train/unsup {i}: Größe" for i in range(3)]
    expected += [f"test/{k} {i}: Größe" for k in ("neg", "pos") for i in range(2)]
    assert sorted(row["text"] for row in unlabelled) == sorted(expected)
    # no label of a test text, in whatever form
    assert all(set(row) == {"text"} for row in unlabelled)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "train.jsonl.gz",
        "unlabelled.jsonl.gz",
        "unlabelled_test_lines.txt",
    ]
    lines = (tmp_path / "out" / "unlabelled_test_lines.txt").read_text().split()
    assert {unlabelled[int(line) - 1]["text"] for line in lines} == set(expected[3:])


def test_unpack_imdb_is_reproducible(unpack, tmp_path):
    reviews = make_reviews()
    write_archive(tmp_path / "a.tar.gz", reviews)
    write_archive(tmp_path / "b.tar.gz", dict(reversed(reviews.items())))
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        archive = tmp_path / f"{'a' if name == 'c' else name}.tar.gz"
        run(unpack, archive, tmp_path / name, seed=seed)
    a, b, c = ((tmp_path / n / "unlabelled.jsonl.gz").read_bytes() for n in "abc")
    assert a == b
    assert a != c


def test_unpack_imdb_does_nothing_if_done(unpack, tmp_path, capsys):
    for name in ("train.jsonl.gz", "unlabelled.jsonl.gz", "unlabelled_test_lines.txt"):
        (tmp_path / name).write_bytes(b"here")
    run(unpack, tmp_path / "missing.tar.gz", tmp_path)
    assert (tmp_path / "train.jsonl.gz").read_bytes() == b"here"
    assert "Nothing to unpack" in capsys.readouterr().out


def test_unpack_imdb_names_the_missing_archive(unpack, tmp_path, capsys):
    with pytest.raises(SystemExit, match="1"):
        run(unpack, tmp_path / "missing.tar.gz", tmp_path / "out")
    out = capsys.readouterr().out
    assert "found neither" in " ".join(out.split())
    assert "project assets" in " ".join(out.split())


def test_unpack_imdb_passes_over_hostile_members(unpack, tmp_path):
    link = tarfile.TarInfo("aclImdb/train/pos/90_1.txt")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    hard = tarfile.TarInfo("aclImdb/train/pos/91_1.txt")
    hard.type, hard.linkname = tarfile.LNKTYPE, "aclImdb/train/pos/0_1.txt"
    device = tarfile.TarInfo("aclImdb/train/pos/92_1.txt")
    device.type = tarfile.CHRTYPE
    reviews = make_reviews()
    for name in (
        "../x/train/pos/5_1.txt",
        "aclImdb/../../train/pos/5_1.txt",
        "/aclImdb/train/pos/5_1.txt",
        "aclImdb/train/pos/../5_1.txt",
        "aclImdb/train/pos/5_1.txt\n",
        "aclImdb/train/other/5_1.txt",
        "aclImdb/README",
    ):
        reviews[name] = "evil"
    folder = tmp_path / "in"
    folder.mkdir()
    archive = write_archive(folder / "a.tar.gz", reviews, (link, hard, device))
    run(unpack, archive, tmp_path / "out")
    files = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert files[:3] == ["in/a.tar.gz", "out/train.jsonl.gz", "out/unlabelled.jsonl.gz"]
    assert files[3:] == ["out/unlabelled_test_lines.txt"]
    texts = [row["text"] for file in files[1:3] for row in read(tmp_path / file)]
    assert len(texts) == sum(COUNTS.values())
    assert not any("evil" in text or "root" in text for text in texts)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_unpack_imdb_truncated_archive(unpack, tmp_path, share):
    data = write_archive(tmp_path / "a.tar.gz", make_reviews()).read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(data[: int(share * len(data))])
    with pytest.raises(unpack.ArchiveError, match=r"a\.tar\.gz: the archive is damaged"):
        unpack.read_reviews(tmp_path / "a.tar.gz", COUNTS)
    with pytest.raises(SystemExit, match="1"):
        run(unpack, tmp_path / "a.tar.gz", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unpack_imdb_not_an_archive(unpack, tmp_path):
    path = tmp_path / "a.tar.gz"
    for data in (b"", b"<html>404</html>", gzip.compress(b"no tar" * 500)):
        path.write_bytes(data)
        with pytest.raises(unpack.ArchiveError, match=r"damaged|unexpected number"):
            unpack.read_reviews(path, COUNTS)


def test_unpack_imdb_flipped_byte(unpack, tmp_path):
    path = write_archive(tmp_path / "a.tar.gz", make_reviews())
    data = bytearray(path.read_bytes())
    data[-6] ^= 255
    path.write_bytes(data)
    with pytest.raises(unpack.ArchiveError, match="damaged"):
        unpack.read_reviews(path, COUNTS)


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("aclImdb/train/pos/7_7.txt", "one too many", r"train/pos: 3, not 2"),
        ("aclImdb/train/unsup/0_1.txt", b"\xff\xfe", r"train/unsup/0_1\.txt is not UTF-8"),
        ("aclImdb/train/neg/0_1.txt", "x" * 1_000_001, r"1,000,001 bytes, expected"),
    ],
)
def test_unpack_imdb_bad_content(unpack, tmp_path, name, text, message):
    archive = write_archive(tmp_path / "a.tar.gz", {**make_reviews(), name: text})
    with pytest.raises(unpack.ArchiveError, match=message):
        unpack.read_reviews(archive, COUNTS)


def test_unpack_imdb_repeated_member(unpack, tmp_path):
    twice = tarfile.TarInfo("aclImdb/test/neg/0_1.txt")
    archive = write_archive(tmp_path / "a.tar.gz", make_reviews(), (twice,))
    with pytest.raises(unpack.ArchiveError, match=r"test/neg/0_1\.txt is there twice"):
        unpack.read_reviews(archive, COUNTS)


def test_unpack_imdb_checks_the_digest(unpack, tmp_path, capsys):
    archive = write_archive(tmp_path / "a.tar.gz", make_reviews())
    with pytest.raises(SystemExit, match="1"):
        run(unpack, archive, tmp_path / "out", md5=unpack.MD5)
    assert "MD5" in capsys.readouterr().out
    digest = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    run(unpack, archive, tmp_path / "out", md5=digest)
    assert (tmp_path / "out" / "train.jsonl.gz").is_file()


def test_unpack_imdb_as_a_program(tmp_path):
    archive = write_archive(tmp_path / "a.tar.gz", make_reviews())
    command = [sys.executable, str(SCRIPTS / "unpack_imdb.py"), str(archive), str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "expected the MD5 digest" in " ".join(result.stdout.split())
    assert "Traceback" not in result.stdout + result.stderr
    sizes = ["--md5", "", "--n-train", "2", "--n-unsup", "3", "--n-test", "2"]
    subprocess.run([*command, *sizes], check=True, capture_output=True, timeout=60)
    assert len(read(tmp_path / "out" / "unlabelled.jsonl.gz")) == 7


@pytest.mark.parametrize(
    "text, joined",
    [
        ("a<br /><br />b", "a b"),
        (" a \n<br/> <br >\t b <br />", "a b"),
        ("<br />", ""),
        ("a  b <br", "a  b <br"),
    ],
)
def test_unpack_imdb_joins_lines(text, joined, unpack):
    assert unpack.join_lines(text) == joined

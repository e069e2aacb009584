r"""Read the archive of the Large Movie Review Dataset and write the files that `imdb` reads.

train.jsonl.gz             {"text", "label"}: the labelled training reviews, shuffled
unlabelled.jsonl.gz        {"text"}: the unsupervised reviews and the test texts, shuffled
unlabelled_test_lines.txt  numbers, from 1, of the lines of unlabelled.jsonl.gz that are test texts

Nothing is extracted: members are read from the stream, and only those whose whole name fits the
pattern of a review. Links, other paths and other files are passed over, so that a hostile archive
can do no more than miss a count. Each file appears complete or not at all. The line breaks of the
reviews, `<br />`, become spaces.

    python scripts/unpack_imdb.py assets/aclImdb_v1.tar.gz assets/imdb
"""

import gzip
import hashlib
import os
import random
import re
import tarfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Annotated

import srsly
import typer
from wasabi import msg

URL = "http://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
MD5 = "7c2ac02c03563afcf9b574c7e56c153a"
REVIEW = re.compile(r"aclImdb/(train/(?:pos|neg|unsup)|test/(?:pos|neg))/[0-9]+_[0-9]+\.txt")
BREAK = re.compile(r"<br\s*/?>")
# The longest review has 14,106 bytes.
MAX_BYTES = 1_000_000


class ArchiveError(ValueError):
    """The archive is damaged or not the expected one."""


def main(
    archive: Annotated[Path, typer.Argument(help="aclImdb_v1.tar.gz")],
    output: Annotated[Path, typer.Argument(help="Folder to write to")],
    md5: Annotated[str, typer.Option(help="Digest of the archive; empty for no check")] = MD5,
    n_train: Annotated[int, typer.Option(help="Training reviews of each label")] = 12_500,
    n_unsup: Annotated[int, typer.Option(help="Unsupervised reviews")] = 50_000,
    n_test: Annotated[int, typer.Option(help="Test reviews of each label")] = 12_500,
    seed: Annotated[int, typer.Option(help="Seed of the order")] = 0,
) -> None:
    """Check, read, shuffle, write; do nothing where the files exist."""
    paths = [output / "train.jsonl.gz", output / "unlabelled.jsonl.gz"]
    lines_path = output / "unlabelled_test_lines.txt"
    if all(path.is_file() for path in (*paths, lines_path)):
        msg.good(f"Nothing to unpack, the files exist: {output}")
        return
    if not archive.is_file():
        msg.fail(
            f"Expected the archive {archive} or the files {paths[0]}, {paths[1]} and {lines_path}, "
            "found neither",
            f"Fetch the archive with `python -m spacy project assets`, or by hand from {URL}",
            exits=1,
        )
    counts = {"train/pos": n_train, "train/neg": n_train, "train/unsup": n_unsup}
    counts |= {"test/pos": n_test, "test/neg": n_test}
    try:
        if md5:
            check_md5(archive, md5)
        reviews = read_reviews(archive, counts)
    except ArchiveError as error:
        msg.fail(str(error), f"Delete {archive} and fetch it again from {URL}", exits=1)
    train = [
        {"text": text, "label": part[-3:]}
        for part in ("train/neg", "train/pos")
        for text in reviews[part]
    ]
    unlabelled = [
        {"text": text} for part in ("train/unsup", "test/neg", "test/pos") for text in reviews[part]
    ]
    n_unsupervised = len(reviews["train/unsup"])
    output.mkdir(parents=True, exist_ok=True)
    for path, rows in zip(paths, (train, unlabelled)):
        order = list(range(len(rows)))
        random.Random(seed).shuffle(order)
        write_jsonl(path, [rows[i] for i in order])
        msg.good(f"{len(rows):,} reviews: {path}")
    # Of the last one, whose test texts follow the unsupervised ones before the shuffle.
    lines = [line for line, i in enumerate(order, start=1) if i >= n_unsupervised]
    lines_path.write_text("".join(f"{line}\n" for line in lines), encoding="utf8")
    msg.good(f"{len(lines):,} numbers of lines: {lines_path}")


def check_md5(archive: Path, expected: str) -> None:
    """Compare the digest of the archive.

    archive (Path): The file.
    expected (str): Its MD5 digest in hexadecimal.
    RAISES (ArchiveError): If the file is another one.
    """
    digest = hashlib.md5(usedforsecurity=False)
    with archive.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != expected:
        raise ArchiveError(
            f"{archive}: expected the MD5 digest {expected}, found {digest.hexdigest()}: "
            "the download is damaged, incomplete or another file"
        )


def read_reviews(archive: Path, counts: dict[str, int]) -> dict[str, list[str]]:
    """Read the reviews without extracting anything.

    archive (Path): The file, .tar.gz.
    counts (dict): Expected number of reviews by part, such as "train/pos".
    RETURNS (dict): Texts by part, in the order of their names.
    RAISES (ArchiveError): If the archive is damaged, or a count is not the expected one.
    """
    texts: dict[str, dict[str, str]] = {part: {} for part in counts}
    total = sum(counts.values())
    done = 0
    try:
        # gzip's own reader: that of tarfile checks neither the end of the file nor its checksum
        with gzip.open(archive) as file, tarfile.open(fileobj=file, mode="r|") as tar:
            for member in tar:
                match = REVIEW.fullmatch(member.name)
                if match is None or not member.isreg():
                    continue
                part = texts[match[1]]
                if member.name in part:
                    raise ArchiveError(f"{archive}: {member.name} is there twice")
                part[member.name] = _read_text(archive, tar, member)
                done += 1
                if done % 10_000 == 0:
                    msg.text(f"{done:>7,} of {total:,} reviews")
            while file.read(1 << 20):
                pass
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ArchiveError(
            f"{archive}: the archive is damaged or incomplete: after {done:,} of {total:,} "
            f"reviews it ends with: {error}"
        ) from error
    found = Counter({part: len(names) for part, names in texts.items()})
    wrong = [f"{p}: {found[p]:,}, not {n:,}" for p, n in counts.items() if found[p] != n]
    if wrong:
        raise ArchiveError(f"{archive}: unexpected number of reviews: {'; '.join(wrong)}")
    return {part: [names[name] for name in sorted(names)] for part, names in texts.items()}


def _read_text(archive: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    if member.size > MAX_BYTES:
        raise ArchiveError(
            f"{archive}: {member.name} has {member.size:,} bytes, expected {MAX_BYTES:,} at most"
        )
    file = tar.extractfile(member)
    data = b"" if file is None else file.read()
    try:
        text = data.decode("utf8")
    except UnicodeDecodeError as error:
        raise ArchiveError(f"{archive}: {member.name} is not UTF-8: {error}") from error
    return join_lines(text)


def join_lines(text: str) -> str:
    """Replace line breaks, and the white space around them, by spaces.

    text (str): A review, with `<br />` for line breaks.
    RETURNS (str): The review in one line. The time is linear in its length.
    """
    lines = [line.strip() for line in BREAK.split(text)]
    return " ".join(line for line in lines if line)


def write_jsonl(path: Path, rows: list[dict[str, str]]) -> None:
    """Write gzipped JSON lines under a temporary name, then rename.

    path (Path): Where the file appears when it is complete.
    rows (list[dict]): The records.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        # no name and no time inside: the same rows give the same bytes
        with temporary.open("wb") as raw:
            with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
                for row in rows:
                    file.write((srsly.json_dumps(row) + "\n").encode("utf8"))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


if __name__ == "__main__":
    typer.run(main)

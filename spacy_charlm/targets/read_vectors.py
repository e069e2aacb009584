"""Read word vectors: text files in GloVe or word2vec format, and folders of spaCy vectors."""

import codecs
import gzip
import zlib
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from spacy.attrs import IDS
from spacy.vectors import Mode as VectorsMode
from spacy.vectors import Vectors
from srsly import ujson
from thinc.api import use_ops
from thinc.types import Floats2d

from ..card import name_damage
from ..errors import Errors
from ..text.read_texts import open_bytes

DECIMAL = b"0123456789.-+eE "  # the characters of a row of plain decimal numbers
UNFINISHED = (b"-,", b"+,", b"e,", b"E,")  # incomplete numbers that ujson accepts
MAX_NGRAM = 1000  # characters; spaCy tries every size from minn to maxn for every word
# Rows of a table that do not belong to a word.
UNKNOWN = ["<unk>", "<UNK>", "[unk]", "[UNK]", "<s>", "</s>", "<pad>", "<PAD>", "[pad]", "[PAD]"]


@dataclass(frozen=True)
class VectorFile:
    """The content of a text file of vectors.

    words (Dict[str, int]): The row of each word, in the order of the file.
    values (Floats2d): The vectors, float32 (nV, nO).
    lines (array[int]): The line in the file of each row, starting at 1.
    duplicates (int): Number of lines that repeat a word and are left out.
    """

    words: dict[str, int]
    values: Floats2d
    lines: "array[int]"
    duplicates: int


def read_text_vectors(path: Path) -> VectorFile:
    """Read vectors in GloVe or word2vec text format, plain or gzipped.

    A first line of two integers is a header: the number of rows and the width. Without a header
    the width is that of the first line. Words may contain spaces, because the last numbers of a
    line are its vector. If a word occurs twice, the first vector is kept.

    path (Path): The file. Gzip is recognised by the content of the file, not by its name.
    RETURNS (VectorFile): The words and their vectors.
    RAISES (ValueError): If a line does not fit. The message names the file and the line.
    """
    words: dict[str, int] = {}
    values, lines = array("f"), array("l")
    header: tuple[int, int] | None = None
    nO = found = number = 0
    try:
        with open_bytes(path) as file:
            for number, line in enumerate(file, 1):
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                    header = _read_header(line, path)
                    if header is not None:
                        nO = header[1]
                        continue
                if line.isspace():
                    continue
                where = f"{path}, line {number}"
                nO = nO or _count_columns(line, where)
                word_bytes, row = _read_line(line, nO, where)
                try:
                    word = word_bytes.decode("utf8")
                except UnicodeDecodeError as err:
                    raise ValueError(Errors.E208.format(where=where, found=word_bytes)) from err
                found += 1
                if word not in words:
                    words[word] = len(words)
                    values.extend(row)
                    lines.append(number)
    except (EOFError, gzip.BadGzipFile, zlib.error) as err:
        raise ValueError(Errors.E211.format(path=path, line=number, error=err)) from err
    if not words:
        raise ValueError(Errors.E209.format(path=path))
    if header is not None and header[0] != found:
        raise ValueError(Errors.E210.format(path=path, expected=header[0], found=found))
    table: Any = numpy.frombuffer(values, dtype="float32").reshape(len(words), nO)
    return VectorFile(words, table, lines, found - len(words))


def read_vectors_folder(path: Path) -> Vectors:
    """Read the vectors in the folder of a pipeline, of its vocab or of its vectors.

    path (Path): The folder.
    RETURNS (Vectors): The vectors in host memory, with their strings if the folder has them.
    RAISES (ValueError): If the folder has no vectors, or they cannot be read.
    """
    folders = [path, path / "vocab", path / "vectors"]
    folder = next((folder for folder in folders if (folder / "vectors").is_file()), None)
    if folder is None:
        raise ValueError(Errors.E203.format(path=path, reason="no such file"))
    vectors = Vectors()
    # Otherwise spaCy reads onto the current device, but the checks run on the CPU.
    with use_ops("numpy"):
        if (folder / "strings.json").is_file():
            with name_damage(str(folder / "strings.json"), Errors.E553):
                vectors.from_disk(folder, exclude=["key2row", "keys", "vectors"])
        with name_damage(str(folder / "key2row"), Errors.E553):
            vectors.from_disk(folder, exclude=["strings", "keys", "vectors"])
            _check_keys(vectors.key2row)
        # The settings cannot be read alone.
        with name_damage(str(folder / "vectors"), Errors.E553):
            vectors.from_disk(folder, exclude=["strings", "key2row"])
            _check_table(vectors)
    if not vectors.size or not vectors.n_keys:
        raise ValueError(Errors.E203.format(path=path, reason="vectors without words"))
    return vectors


def _check_keys(key2row: Any) -> None:
    if not isinstance(key2row, dict) or not all(
        type(key) is int and type(row) is int and 0 <= key < 2**64 and row >= 0
        for key, row in key2row.items()
    ):
        raise ValueError("keys or rows that are not whole numbers")


def _check_table(vectors: Vectors) -> None:
    data = vectors.data
    if not isinstance(data, numpy.ndarray) or data.ndim != 2 or data.dtype.kind != "f":
        raise ValueError("something else than a table of floats")
    highest = max(vectors.key2row.values(), default=-1)
    if highest >= len(data):
        raise ValueError(f"a table of {len(data)} rows and keys up to row {highest}")
    if vectors.attr not in IDS.values():
        raise ValueError(f"vectors of the unknown attribute {vectors.attr}")
    if vectors.mode == VectorsMode.floret:
        sizes = vectors.minn, vectors.maxn, vectors.hash_count
        (vectors.bow + vectors.eow).encode("utf8")  # JSON may have half of a surrogate pair
        if not (vectors.minn <= vectors.maxn <= MAX_NGRAM and 1 <= vectors.hash_count <= 4):
            raise ValueError("minn = {}, maxn = {}, hash_count = {}".format(*sizes))


def read_table(path: Path) -> tuple[list[str], numpy.ndarray]:
    """Read the words of a table and their vectors, without words whose vector is zero.

    path (Path): A GloVe or word2vec text file, or a folder of spaCy vectors with their words.
    RETURNS (Tuple[List[str], ndarray]): Words and float32 vectors (nV, nO), in the file's order.
    RAISES (ValueError): If nothing is there, or the table has no words, like those of floret.
    """
    if not path.exists():
        raise ValueError(Errors.E202.format(path=path))
    if path.is_dir():
        vectors = read_vectors_folder(path)
        if vectors.mode == VectorsMode.floret:
            raise ValueError(Errors.E725.format(path=path))
        if any(key not in vectors.strings for key in vectors.key2row):
            reason = "hashes without their words (no strings.json, or not the right one)"
            raise ValueError(Errors.E203.format(path=path, reason=reason))
        pairs = [(vectors.strings[key], row) for key, row in vectors.key2row.items()]
        data = numpy.asarray(vectors.data, dtype="float32")
    else:
        text = read_text_vectors(path)
        pairs, data = list(text.words.items()), numpy.asarray(text.values)
    filled: Any = data.any(axis=1)
    pairs = [
        (word, row)
        for word, row in pairs
        if filled[row] and word and not word.isspace() and word not in UNKNOWN
    ]
    return [word for word, _ in pairs], data[[row for _, row in pairs]]


def _read_header(line: bytes, path: Path) -> tuple[int, int] | None:
    pieces = line.split()
    # The header of floret's own tables: rows width minn maxn hashes seed bow eow.
    if len(pieces) == 8 and all(piece.isdigit() for piece in pieces[:6]):
        raise ValueError(Errors.E212.format(path=path))
    if len(pieces) == 2 and all(piece.isdigit() and len(piece) < 20 for piece in pieces):
        rows, width = int(pieces[0]), int(pieces[1])
        if not rows or not width:
            raise ValueError(Errors.E209.format(path=path))
        return rows, width
    return None


def _count_columns(line: bytes, where: str) -> int:
    count = 0
    for piece in reversed(line.split()[1:]):
        if _read_number(piece) is None:
            break
        count += 1
    if not count:
        expected = "a word and its numbers, separated by spaces"
        raise ValueError(Errors.E204.format(where=where, expected=expected, found=_clip(line)))
    return count


def _read_line(line: bytes, nO: int, where: str) -> tuple[bytes, list[float]]:
    word, _, tail = line.rstrip().partition(b" ")
    row = _read_decimals(tail)
    if word and row is not None and len(row) == nO:
        return word, row
    pieces = line.split()
    if len(pieces) <= nO:
        expected = f"a word and {nO} numbers"
        found = f"{max(len(pieces) - 1, 0)} numbers"
        raise ValueError(Errors.E204.format(where=where, expected=expected, found=found))
    if any(_read_number(piece) is not None for piece in pieces[1:-nO]):
        found = f"{len(pieces) - 1} columns"
        raise ValueError(Errors.E205.format(where=where, expected=nO, found=found))
    numbers: list[float] = []
    for piece in pieces[-nO:]:
        number = _read_number(piece)
        if number is None:
            raise ValueError(Errors.E206.format(where=where, found=_clip(piece)))
        numbers.append(number)
    return b" ".join(pieces[:-nO]), numbers


def _read_decimals(tail: bytes) -> list[float] | None:
    """Parse decimal numbers separated by single spaces; return None for anything else."""
    # ujson is two to three times as fast as float(), but accepts more than numbers.
    if tail.translate(None, DECIMAL):
        return None
    text = tail.replace(b" ", b",") + b","
    if any(end in text for end in UNFINISHED):
        return None
    try:
        return ujson.loads(b"[" + text[:-1] + b"]")
    except ValueError:
        return None


def _read_number(piece: bytes) -> float | None:
    try:
        return float(piece)
    except ValueError:
        return None


def _clip(found: bytes) -> str:
    text = found.strip().decode("utf8", errors="replace")
    return repr(text if len(text) <= 60 else text[:60] + "...")

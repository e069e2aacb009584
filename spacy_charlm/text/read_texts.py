"""Texts from files: one function per format, each error names the file and the line."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import srsly
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from ..errors import Errors

FORMATS = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz", ".spacy")


class Words(NamedTuple):
    """A text that came as words.

    words (list[str]): The words, none of them empty.
    spaces (Optional[list[bool]]): Whether a space follows each word; None where unknown.
    """

    words: list[str]
    spaces: list[bool] | None


Text: TypeAlias = str | Words | Doc


def list_files(path: Path) -> list[Path]:
    """List the files to read, in the order in which they are read.

    path (Path): A file, or a folder that is searched with its subfolders. In a folder, names that
        begin with a dot and files of other types are passed over.
    RETURNS (list[Path]): The files, sorted by path.
    RAISES (FileNotFoundError): If nothing is at the path.
    RAISES (ValueError): If a file is of another type or a folder holds nothing to read.
    """
    formats = ", ".join(FORMATS)
    if not path.exists():
        raise FileNotFoundError(Errors.E102.format(path=path))
    if not path.is_dir():
        if not path.name.lower().endswith(FORMATS):
            raise ValueError(Errors.E104.format(path=path, formats=formats))
        return [path]
    files = [
        file_path
        for file_path in sorted(path.rglob("*"))
        if file_path.name.lower().endswith(FORMATS)
        and not any(part.startswith(".") for part in file_path.relative_to(path).parts)
        and file_path.is_file()
    ]
    if not files:
        raise ValueError(Errors.E103.format(path=path, formats=formats))
    return files


def read_texts(path: Path, vocab: Vocab) -> Iterator[Text]:
    """Read the texts of one file, blank ones too.

    .txt is one text a line, .jsonl one record a line with `text`, or with `tokens` and perhaps
    `spaces` (`tokens` wins where both stand). Lines end with LF or CR LF and nowhere else; a byte
    order mark at the beginning of the file is dropped. Both are streamed; a .spacy file is held in
    memory while it is read.

    path (Path): The file; its name tells the format.
    vocab (Vocab): Where the strings of a .spacy file go.
    YIELDS (str, Words or Doc): The texts, in the file's order.
    RAISES (ValueError): If the file is damaged, not UTF-8, or has a record that is not valid.
    """
    name = path.name.lower()
    if name.endswith(".spacy"):
        yield from _read_docs(path, vocab)
    elif name.endswith((".txt", ".txt.gz")):
        for _, line in read_lines(path):
            yield line
    else:
        for number, line in read_lines(path):
            yield _read_record(line, path, number) if line.strip() else ""


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read the lines of a text file, gzipped if its name says so.

    path (Path): The file.
    YIELDS (Tuple[int, str]): The number of each line, from 1, and the line without its end.
    RAISES (ValueError): If the file is damaged or not UTF-8.
    """
    number = 0
    is_gzip = path.name.lower().endswith(".gz")
    try:
        with gzip.open(path, "rb") if is_gzip else path.open("rb") as file_:
            # Bytes are split at LF only; a str would also be split at U+2028 and its like.
            for number, raw in enumerate(file_, start=1):
                if number == 1:
                    raw = raw.removeprefix(codecs.BOM_UTF8)
                try:
                    line = raw.decode("utf8")
                except UnicodeDecodeError as err:
                    message = Errors.E108.format(path=path, line=number, byte=err.start + 1)
                    raise ValueError(message) from err
                yield number, line.removesuffix("\n").removesuffix("\r")
    except (gzip.BadGzipFile, EOFError, zlib.error) as err:
        raise ValueError(Errors.E109.format(path=path, line=number, reason=err)) from err


def read_json(line: str, path: Path, number: int) -> Any:
    """Read a line as JSON.

    line (str): The line.
    path (Path): The file and
    number (int): the line's number in it, for the error.
    RETURNS (Any): What it holds.
    RAISES (ValueError): If it is not JSON.
    """
    try:
        return srsly.json_loads(line)
    except ValueError as err:
        raise ValueError(Errors.E106.format(path=path, line=number, reason=err)) from err


def _read_record(line: str, path: Path, number: int) -> Text:
    record = read_json(line, path, number)
    problem = _find_problem(record)
    if problem:
        raise ValueError(Errors.E107.format(path=path, line=number, found=problem))
    if record.get("tokens") is not None:
        return Words(record["tokens"], record.get("spaces"))
    return record["text"]


def _find_problem(record: Any) -> str | None:
    if not isinstance(record, dict):
        return f"{type(record).__name__} instead of an object"
    words, spaces, text = record.get("tokens"), record.get("spaces"), record.get("text")
    if words is not None:
        if not isinstance(words, list) or not all(isinstance(w, str) and w for w in words):
            return "'tokens' that is not a list of strings with at least one character each"
        if spaces is not None:
            if not isinstance(spaces, list) or not all(isinstance(s, bool) for s in spaces):
                return "'spaces' that is not a list of true and false"
            if len(spaces) != len(words):
                return f"{len(spaces)} 'spaces' for {len(words)} 'tokens'"
        text = "".join(words)
    elif text is None:
        keys = ", ".join(repr(key) for key in record)
        return f"neither 'text' nor 'tokens' but {keys or 'an empty object'}"
    elif not isinstance(text, str):
        return f"'text' of type {type(text).__name__}"
    try:
        text.encode("utf8")
    except UnicodeEncodeError:
        return "half of a surrogate pair, which is no character"
    return None


def _read_docs(path: Path, vocab: Vocab) -> Iterator[Doc]:
    # What damaged bytes raise depends on where the damage is.
    try:
        yield from DocBin().from_disk(path).get_docs(vocab)
    except (ValueError, KeyError, IndexError, TypeError, ZeroDivisionError) as err:
        raise ValueError(Errors.E110.format(path=path, reason=err)) from err

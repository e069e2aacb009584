"""Read texts from files. There is one function per format; errors name the file and the line."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias

import srsly
from spacy.attrs import NORM
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from ..card import name_damage
from ..errors import Errors

FORMATS = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz", ".spacy")
GZIP_MAGIC = b"\x1f\x8b"


class Words(NamedTuple):
    """A text that is split into words already.

    words (List[str]): The words, none of them empty.
    spaces (Optional[List[bool]]): Whether a space follows each word; None if unknown.
    """

    words: list[str]
    spaces: list[bool] | None


class SingleWord(Words):
    """A word of a list that is mixed into the texts: see `TextCorpus`."""

    __slots__ = ()


Text: TypeAlias = str | Words | Doc


def list_files(path: Path) -> list[Path]:
    """List the text files at a path, in the order in which they are read.

    path (Path): A file, or a folder that is searched recursively. In a folder, hidden files and
        files of other formats are ignored.
    RETURNS (List[Path]): The files, sorted by path.
    RAISES (FileNotFoundError): If the path does not exist.
    RAISES (ValueError): If the file has another format, or the folder has no file to read.
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
    """Read the texts of one file, including blank ones.

    A .txt file has one text per line. A .jsonl file has one record per line with `text`, or with
    `tokens` and, optionally, `spaces`; `tokens` takes precedence over `text`. Lines end with LF or
    CR LF only, and a byte order mark at the beginning of the file is dropped. Both formats are
    streamed; the content of a .spacy file is held in memory.

    path (Path): The file. The end of its name is the format.
    vocab (Vocab): The vocab for the Docs of a .spacy file.
    YIELDS (str, Words or Doc): The texts, in the order of the file.
    RAISES (ValueError): If the file is damaged, not UTF-8, or has an invalid record.
    """
    name = path.name.lower()
    if name.endswith(".spacy"):
        yield from read_docbin(path, vocab)
    elif name.endswith((".txt", ".txt.gz")):
        for _, line in read_lines(path):
            yield line
    else:
        for number, line in read_lines(path):
            yield _read_record(line, path, number) if line.strip() else ""


def read_docbin(path: Path, vocab: Vocab) -> Iterator[Doc]:
    """Read the Docs of a .spacy file.

    path (Path): The file, as written by `DocBin.to_disk`.
    vocab (Vocab): The vocab for the Docs.
    YIELDS (Doc): The Docs, in the order of the file.
    RAISES (ValueError): If the file is damaged or something else.
    """
    with name_damage(str(path), Errors.E110):
        known: set[int] = set()
        for doc in DocBin().from_disk(path).get_docs(vocab):
            for key in set(doc.to_array(NORM).tolist()) - known:
                vocab.strings[key]  # a KeyError here rather than wherever the norm is needed
                known.add(key)
            yield doc


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes. A gzip file, whatever its name, is decompressed.

    path (Path): The file.
    YIELDS (IO[bytes]): The open file.
    """
    with path.open("rb") as file_:
        if file_.peek(2)[:2] == GZIP_MAGIC:
            with gzip.open(file_, "rb") as unzipped:
                yield unzipped  # type: ignore[misc]
        else:
            yield file_


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read the lines of a text file, which may be gzipped.

    path (Path): The file.
    YIELDS (Tuple[int, str]): The number of each line, from 1, and the line without its end.
    RAISES (ValueError): If the file is damaged or not UTF-8.
    """
    number = 0
    try:
        with open_bytes(path) as file_:
            # Bytes are split at LF only; a str would also be split at characters such as U+2028.
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
    """Parse a line as JSON.

    line (str): The line.
    path (Path): Its file, for the error.
    number (int): Its number, for the error.
    RETURNS (Any): The parsed value.
    RAISES (ValueError): If the line is not JSON.
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
    return find_surrogate(text)


def find_surrogate(text: str) -> str | None:
    """Describe what JSON allows in a string and no other format: half of a surrogate pair."""
    try:
        text.encode("utf8")
    except UnicodeEncodeError:
        return "half of a surrogate pair, which is not a character"
    return None

"""Read the words of a vector table, or of a plain list, without the vectors."""

from collections.abc import Iterable
from pathlib import Path

from spacy.strings import StringStore
from spacy.vectors import Vectors

from ..card import name_damage
from ..errors import Errors
from .read_texts import read_lines
from .split_texts import MAX_RUN


def read_word_list(path: Path) -> list[str]:
    """Read distinct words in the order of a file.

    path (Path): A folder of spaCy vectors in default mode (a pipeline, its `vocab`, or the output
        of `spacy init vectors`), a file in GloVe or word2vec text format, or one with a word per
        line; files plain or gzipped.
    RETURNS (List[str]): The words. Keys with white space, such as bigrams, are left out, and so are
        words of more than 1,000 characters.
    RAISES (FileNotFoundError): If there is nothing at the path.
    RAISES (ValueError): If the file or folder is damaged, or has no words.
    """
    if not path.exists():
        raise FileNotFoundError(Errors.E102.format(path=path))
    keys = _read_keys(path) if path.is_dir() else _read_first_fields(path)
    words = [key for key in dict.fromkeys(keys) if key.split() == [key] and len(key) <= MAX_RUN]
    if not words:
        raise ValueError(Errors.E223.format(path=path))
    return words


def _read_keys(path: Path) -> Iterable[str]:
    for folder in (path, path / "vocab", path / "vectors"):
        if (folder / "key2row").is_file() and (folder / "strings.json").is_file():
            with name_damage(str(folder), Errors.E553):
                strings = StringStore().from_disk(folder / "strings.json")
                vectors = Vectors().from_disk(folder, exclude=["strings", "vectors", "keys"])
                return [strings[key] for key in vectors.key2row if key in strings]
    return []


def _read_first_fields(path: Path) -> Iterable[str]:
    width: int | None = None  # all vectors of a file have one width, and those of a list have none
    for number, line in read_lines(path):
        fields = line.split()
        if number == 1 and len(fields) == 2 and all(field.isdecimal() for field in fields):
            continue  # the header of a word2vec file
        if width is None and fields:
            width = len(fields) - 1 if len(fields) > 1 and _is_number(fields[-1]) else 0
        yield " ".join(fields[: len(fields) - (width or 0)])


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True

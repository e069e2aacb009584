"""Lists of names as features of words for the embed layer."""

from pathlib import Path

import numpy as np

from ..checks import checked
from ..errors import Errors
from ..layers.spelling_hashes import hash_spellings
from ..layers.vector_table import TableRows
from ..text.read_texts import read_lines

ENDINGS = (".txt", ".txt.gz")
N_FEATURES = 3  # per list: a word is an entry, begins an entry, or continues one
MAX_WORDS = 20  # of an entry: a longer line is running text


class Lexicons:
    """Lists of names, such as first names or cities, that the character CNN reads as features.

    Each list gives a word three features, 0 or 1: whether the word is an entry, whether it begins
    an entry of several words, and whether it continues one. They are features of the word alone:
    "York" continues an entry in every text if the list has "New York". Upper case is ignored.

    A list is a UTF-8 text file with one entry per line; blank lines are ignored. Entries are split
    into words at white space. If the tokenizer splits a name further, write it that way in the
    list: "Jones - Smith". The files are only read when the model is initialised. A trained
    pipeline, or pretrained weights, bring the lists along, in about 8 + 3 * names bytes per word.

    names (List[str]): Names of the lists. Weights fit a config with the same names in the same
        order.
    path (Optional[Path]): The folder with a file for each of them: NAME.txt, or NAME.txt.gz. It
        should have no other files, because a pretraining that resumes compares the whole folder.
        None if pretrained weights bring the lists.
    RAISES (ValueError): If there are no names, or names that are repeated or are no file names.
    """

    @checked("spacy-charlm.Lexicons.v1")
    def __init__(self, names: list[str], path: Path | None = None) -> None:
        plain = {name for name in names if name and name == Path(name).name}
        if not names or len(plain) < len(names):
            raise ValueError(Errors.E340.format(found=list(names)))
        self.names = list(names)
        self.path = None if path is None else Path(path)
        self.width = N_FEATURES * len(self.names)
        self._rows: TableRows | None = None

    def __call__(self) -> TableRows | None:
        """Read the lists; a second call returns the same rows.

        RETURNS (Optional[TableRows]): A row per word of all lists; None without a path.
        RAISES (ValueError): If a list is missing, damaged or empty, or is no list of names.
        """
        if self._rows is None and self.path is not None:
            self._rows = self._read(self.path)
        return self._rows

    def _read(self, folder: Path) -> TableRows:
        columns = [
            hash_spellings(list(words)) for name in self.names for words in _read_list(folder, name)
        ]
        keys = np.unique(np.concatenate(columns))
        keys = keys[keys > 0]
        values = np.zeros((len(keys), self.width), dtype="int8")
        for column, hashes in enumerate(columns):
            values[np.isin(keys, hashes), column] = 1
        return TableRows(keys, values, np.ones(len(keys), dtype="float32"), lower=True)


def _read_list(folder: Path, name: str) -> tuple[set[str], set[str], set[str]]:
    """Read the words of a list: those that are an entry, begin one, or continue one."""
    paths = [folder / f"{name}{ending}" for ending in ENDINGS]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise ValueError(Errors.E341.format(name=name, folder=folder, found=_list_files(folder)))
    single: set[str] = set()
    first: set[str] = set()
    later: set[str] = set()
    for number, line in read_lines(path):
        words = line.lower().split()
        if len(words) > MAX_WORDS:
            raise ValueError(
                Errors.E343.format(most=MAX_WORDS, path=path, line=number, found=len(words))
            )
        if len(words) == 1:
            single.update(words)
        else:
            first.update(words[:1])
            later.update(words[1:])
    if not single and not first:
        raise ValueError(Errors.E342.format(path=path))
    return single, first, later


def _list_files(folder: Path) -> str:
    if not folder.is_dir():
        return "a file" if folder.exists() else "no such folder"
    names = sorted(path.name for path in folder.iterdir() if path.name.endswith(ENDINGS))
    return ", ".join(names[:10]) + ", ..." * (len(names) > 10) or "no list in it"

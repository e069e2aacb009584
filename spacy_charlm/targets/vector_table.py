"""A small table of word vectors for the embed layer, made of a large one."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..checks import Count, Size, checked
from ..errors import Errors
from ..layers.spelling_hashes import hash_spellings
from ..layers.vector_table import TableRows
from ..quantized import pack_array
from .read_vectors import read_table

MOST_LETTERS, LEAST_LETTERS = 64, 0.001


class VectorTable:
    """A table of word vectors that becomes part of the weights of the character CNN.

    The vectors are reduced to their principal components and stored in 8 bits per number: 45,000
    words of width 64 take 3.2 MB. The file is only read when the model is initialised. A trained
    pipeline, or pretrained weights, bring the table along.

    White space, keys of several words, rows such as "<unk>" and vectors that are all zeros are left
    out. If all spellings of each word, such as "the", "The" and "THE", have the same vector, it is
    stored once, and words are looked up in lower case.

    path (Optional[Path]): A folder of spaCy vectors with one row per word (a pipeline, its `vocab`,
        or the output of `spacy init vectors`), or a file in GloVe or word2vec text format, plain or
        gzipped. None if pretrained weights bring the table.
    width (int): Width of the table. Narrower vectors are filled up with zeros.
        Recommended values: 32 to 128.
    max_words (int): Words kept, the first ones of the file; 0 keeps all. Spellings that share a
        vector count once.
    fuzzy (bool): Whether a word that the table lacks gets the mean vector of those of its words
        that are one typo away: a letter left out, added, replaced, or swapped with the next one.
        This holds for words of 4 to 24 letters.
    """

    @checked("spacy-charlm.VectorTable.v1")
    def __init__(
        self,
        path: Path | None = None,
        width: Size = 64,
        max_words: Count = 0,
        fuzzy: bool = False,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.width = width
        self.max_words = max_words
        self.fuzzy = fuzzy
        self._rows: TableRows | None = None

    def __call__(self) -> TableRows | None:
        """Read the table; a second call returns the same rows.

        RETURNS (Optional[TableRows]): The rows; None without a path.
        RAISES (ValueError): If the vectors are missing or damaged, or have no row per word.
        """
        if self._rows is None and self.path is not None:
            self._rows = self._read(self.path)
        return self._rows

    def _read(self, path: Path) -> TableRows:
        if not path.exists():
            raise ValueError(Errors.E290.format(path=path))
        words, vectors = read_table(path)
        places, lower = find_places(words, vectors)
        if not places:
            raise ValueError(Errors.E293.format(path=path))
        words = list(places)[: self.max_words or None]
        vectors = vectors[[places[word] for word in words]]
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise ValueError(Errors.E207.format(where=path, word=words[row]))
        keys, rows = np.unique(hash_spellings(words), return_index=True)
        keys, rows = keys[keys > 0], rows[keys > 0]
        packed = pack_array(reduce_vectors(vectors, self.width)[rows], "int8")
        letters = list_letters(words)
        return TableRows(keys, packed["values"], packed["scale"].ravel(), lower, letters)


def list_letters(words: Sequence[str]) -> str:
    """List the letters of words that are not upper case, the most frequent ones first.

    Rare ones are left out: the scripts and accents of the few foreign words of a table would make
    the search for misspelled words slow.

    words (Sequence[str]): The words.
    RETURNS (str): At most 64 letters, each of which makes up 0.1 % of all letters or more.
    """
    counts = Counter(char for word in words for char in word if char.isalpha())
    least = LEAST_LETTERS * counts.total()
    letters = [x for x, n in counts.most_common() if n >= least and x == x.lower()]
    return "".join(letters[:MOST_LETTERS])


def find_places(words: Sequence[str], vectors: np.ndarray) -> tuple[dict[str, int], bool]:
    """Find the row of each single word, and of its lower case if spellings make no difference.

    words (Sequence[str]): Distinct words.
    vectors (ndarray): Their vectors (n, nI).
    RETURNS (Tuple[Dict[str, int], bool]): Rows by word, in the order of the table, and whether the
        words are in lower case.
    """
    exact = {word: row for row, word in enumerate(words) if word.split() == [word]}
    lower: dict[str, int] = {}
    for word, row in exact.items():
        lower.setdefault(word.lower(), row)
    pairs = [(row, lower[word.lower()]) for word, row in exact.items()]
    rows, first = np.array([pair for pair in pairs if pair[0] != pair[1]], "int64").reshape(-1, 2).T
    # By column: no copy is large, and a table whose spellings differ shows it in the first one.
    if all((column[rows] == column[first]).all() for column in vectors.T):
        return lower, True
    return exact, False


def reduce_vectors(vectors: np.ndarray, width: int) -> np.ndarray:
    """Reduce vectors to their first principal components, with a mean square of 1 per number.

    vectors (ndarray): float32 (n, nI).
    width (int): Number of components; zeros follow if there are fewer.
    RETURNS (ndarray): float32 (n, width).
    """
    centred = vectors - vectors.mean(axis=0)
    components = np.linalg.eigh((centred.T @ centred).astype("float64"))[1]
    components = components[:, ::-1][:, :width].astype("float32")
    # The sign of an eigenvector depends on the library that computes it.
    largest = np.abs(components).argmax(axis=0)
    components *= np.sign(components[largest, np.arange(len(largest))])
    reduced = centred @ components
    reduced /= np.sqrt(np.square(reduced).mean(dtype="float64")) or 1.0
    return np.pad(reduced, ((0, 0), (0, width - reduced.shape[1])))

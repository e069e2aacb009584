"""A small table of word vectors for the embed layer, made of a large one."""

from pathlib import Path

import numpy as np
from spacy.strings import get_string_id

from ..checks import Count, Size, checked
from ..errors import Errors
from ..layers.vector_table import TableRows
from ..layers.word_hashes import hash_words
from ..quantized import pack_array
from .read_vectors import read_table


class VectorTable:
    """A table of word vectors that becomes part of the weights of the character CNN.

    The vectors are reduced to their principal components and stored in 8 bits per number: 45,000
    words of width 64 take 3.2 MB. The file is only read when the model is initialised. A trained
    pipeline, or pretrained weights, bring the table along.

    White space, keys of several words, rows such as "<unk>" and vectors that are all zeros are left
    out. If no word of the table has an upper-case letter, words are looked up in lower case.

    path (Optional[Path]): A folder of spaCy vectors with one row per word (a pipeline, its `vocab`,
        or the output of `spacy init vectors`), or a file in GloVe or word2vec text format, plain or
        gzipped. None if pretrained weights bring the table.
    width (int): Width of the table. Narrower vectors are filled up with zeros.
        Recommended values: 32 to 128.
    max_words (int): Words kept, the first ones of the file; 0 keeps all.
    """

    @checked("spacy-charlm.VectorTable.v1")
    def __init__(self, path: Path | None = None, width: Size = 64, max_words: Count = 0) -> None:
        self.path = None if path is None else Path(path)
        self.width = width
        self.max_words = max_words
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
        kept = [row for row, word in enumerate(words) if word.split() == [word]]
        kept = kept[: self.max_words or None]
        words, vectors = [words[row] for row in kept], vectors[kept]
        if not words:
            raise ValueError(Errors.E293.format(path=path))
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise ValueError(Errors.E207.format(where=path, word=words[row]))
        hashes = np.array([get_string_id(word) for word in words], dtype="uint64")
        keys, rows = np.unique(hash_words(hashes), return_index=True)
        keys, rows = keys[keys > 0], rows[keys > 0]
        packed = pack_array(reduce_vectors(vectors, self.width)[rows], "int8")
        lower = all(word == word.lower() for word in words)
        return TableRows(keys, packed["values"], packed["scale"].ravel(), lower)


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

"""Look up the vectors of words in a table that travels with the weights and is not trained."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from thinc.api import Model
from thinc.types import Floats2d
from thinc.util import to_numpy

from ..errors import Errors
from ..quantized import VECTOR_TABLE
from .spelling_hashes import hash_spellings, hash_typos
from .word_hashes import find_hashes, join_hashes, split_hashes

BITS = 20  # of a hash: 4 % of their values begin the hash of a word if a table has 45,000

TableModel: TypeAlias = Model[Sequence[str], Floats2d]


class TableRows(NamedTuple):
    """The rows of a table of word vectors.

    keys (ndarray): The hash of each word, from `hash_spellings`, uint32 (nV,): sorted, distinct
        and not 0, which stands for a hidden word.
    values (ndarray): The vectors, int8 (nV, nO).
    scale (ndarray): The factor of each row, float32 (nV,).
    lower (bool): Whether words are looked up in lower case.
    letters (str): Letters that the search for misspelled words puts in.
    """

    keys: np.ndarray
    values: np.ndarray
    scale: np.ndarray
    lower: bool
    letters: str = ""


def vector_table(
    nO: int, read: Callable[[], TableRows | None], *, fuzzy: bool = False
) -> TableModel:
    """Look up words by a hash of 32 bits. A word that the table lacks gets zeros.

    The table is read when the layer is initialised. It is saved with the parameters, although it
    has no gradient, so that a loaded layer does not need the file. A word that a table of 45,000
    lacks is mistaken for one of its words once in 95,000 times.

    nO (int): Width of the vectors.
    read (Callable[[], Optional[TableRows]]): Reads the rows; with None the layer keeps its table.
    fuzzy (bool): Whether a word that the table lacks gets the mean vector of those of its words
        that are one typo away; see `hash_typos`. With a table of 45,000 words, one in 200 such
        words also gets a wrong one by chance. It is no attribute of the layer: those are saved with
        the weights, and loading pretrained weights would replace the setting of the config.
    RETURNS (Model[Sequence[str], Floats2d]): The layer.

    Shapes: nW words, of which hidden ones are empty -> vectors (nW, nO)
    """
    return Model(
        VECTOR_TABLE,
        partial(forward, fuzzy),
        init=partial(init, read),
        dims={"nO": nO},
        params={"keys": None, "E": None, "scale": None},
    )


def forward(
    fuzzy: bool, model: TableModel, words: Sequence[str], is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Sequence[str]]]:
    """Look up the words."""
    ops: Any = model.ops
    Y = ops.alloc2f(len(words), model.get_dim("nO"))
    if model.has_param("keys"):
        if model.attrs["lower"]:
            words = [word.lower() for word in words]
        keys = join_hashes(model.get_param("keys"))
        rows, known = find_hashes(ops, keys, ops.asarray(hash_spellings(words)))
        Y[known] = _get_vectors(model, rows[known])
        if fuzzy:
            unknown = np.flatnonzero(~to_numpy(known)).tolist()
            _add_fuzzy(model, keys, words, unknown, Y)
    elif is_train:
        raise ValueError(Errors.E292)

    def backprop(dY: Floats2d) -> Sequence[str]:
        return []  # a word has no gradient

    return Y, backprop


def _add_fuzzy(
    model: TableModel, keys: Any, words: Sequence[str], unknown: Sequence[int], Y: Any
) -> None:
    """Write the vectors of unknown words that are one typo away from known ones into Y."""
    ops: Any = model.ops
    found, owners = hash_typos([words[i] for i in unknown], model.attrs["letters"])
    if not len(found):
        return
    hashes = ops.asarray(found)
    # Nearly no typo is a word, which the first bits show ten times as fast as a search.
    beginnings = ops.xp.zeros(1 << BITS, dtype=bool)
    beginnings[keys >> (32 - BITS)] = True
    maybe = ops.xp.flatnonzero(beginnings[hashes >> (32 - BITS)])
    rows, known = find_hashes(ops, keys, hashes[maybe])
    rows, typos = to_numpy(rows[known]), to_numpy(maybe[known])
    # A word may be reached in two ways, as by leaving out either of two equal letters.
    pairs = np.unique(np.stack([owners[typos], rows], axis=1), axis=0)
    places, counts = np.unique(pairs[:, 0], return_counts=True)
    at = np.repeat(np.arange(len(places)), counts)
    sums = ops.alloc2f(len(places), Y.shape[1])
    ops.scatter_add(sums, ops.asarray1i(at), _get_vectors(model, ops.asarray1i(pairs[:, 1])))
    Y[ops.asarray1i(np.array(unknown)[places])] = sums / ops.asarray(counts).reshape(-1, 1)


def _get_vectors(model: TableModel, rows: Any) -> Any:
    """Return rows of the table as float32 (n, nO)."""
    E: Any = model.get_param("E")
    scale: Any = model.get_param("scale")
    return E[rows].astype("float32") * scale[rows].reshape(-1, 1)


def init(
    read: Callable[[], TableRows | None], model: TableModel, X: Any = None, Y: Any = None
) -> None:
    """Read the table."""
    rows = read()
    if rows is None:
        return
    ops: Any = model.ops
    model.attrs["lower"] = rows.lower
    model.attrs["letters"] = rows.letters
    for name, values in (
        ("keys", split_hashes(rows.keys)),
        ("E", rows.values),
        ("scale", rows.scale),
    ):
        model.set_param(name, ops.asarray(values))

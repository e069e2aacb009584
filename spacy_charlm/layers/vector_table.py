"""Look up the vectors of words in a table that travels with the weights and is not trained."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from thinc.api import Model
from thinc.types import Floats2d, Ints1d

from ..errors import Errors
from ..quantized import VECTOR_TABLE
from .word_hashes import find_hashes, join_hashes, split_hashes

TableModel: TypeAlias = Model[Ints1d, Floats2d]


class TableRows(NamedTuple):
    """The rows of a table of word vectors.

    keys (ndarray): The hash of each word, from `hash_words`, uint32 (nV,): sorted, distinct and
        not 0, which stands for a word without a vector.
    values (ndarray): The vectors, int8 (nV, nO).
    scale (ndarray): The factor of each row, float32 (nV,).
    lower (bool): Whether words are looked up in lower case.
    """

    keys: np.ndarray
    values: np.ndarray
    scale: np.ndarray
    lower: bool


def vector_table(nO: int, read: Callable[[], TableRows | None]) -> TableModel:
    """Look up words by a hash of 32 bits. A word that the table lacks gets zeros.

    The table is read when the layer is initialised. It is saved with the parameters, although it
    has no gradient, so that a loaded layer does not need the file. A word that a table of 45,000
    lacks is mistaken for one of its words once in 95,000 times.

    nO (int): Width of the vectors.
    read (Callable[[], Optional[TableRows]]): Reads the rows; with None the layer keeps its table.
    RETURNS (Model[Ints1d, Floats2d]): The layer.

    Shapes: hashes uint32 (nW,) -> vectors (nW, nO)
    """
    return Model(
        VECTOR_TABLE,
        forward,
        init=partial(init, read),
        dims={"nO": nO},
        params={"keys": None, "E": None, "scale": None},
    )


def forward(
    model: TableModel, hashes: Ints1d, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Ints1d]]:
    """Look up the words."""
    ops: Any = model.ops
    Y = ops.alloc2f(len(hashes), model.get_dim("nO"))
    if model.has_param("keys"):
        arrays: list[Any] = [model.get_param(name) for name in ("keys", "E", "scale")]
        halves, E, scale = arrays
        rows, known = find_hashes(ops, join_hashes(halves), ops.asarray(hashes))
        rows = rows[known]
        Y[known] = E[rows].astype("float32") * scale[rows].reshape(-1, 1)
    elif is_train:
        raise ValueError(Errors.E292)

    def backprop(dY: Floats2d) -> Ints1d:
        return hashes  # a hash has no gradient

    return Y, backprop


def init(
    read: Callable[[], TableRows | None], model: TableModel, X: Any = None, Y: Any = None
) -> None:
    """Read the table."""
    rows = read()
    if rows is None:
        return
    ops: Any = model.ops
    model.attrs["lower"] = rows.lower
    for name, values in (
        ("keys", split_hashes(rows.keys)),
        ("E", rows.values),
        ("scale", rows.scale),
    ):
        model.set_param(name, ops.asarray(values))

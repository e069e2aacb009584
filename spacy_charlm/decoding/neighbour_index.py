"""Approximate nearest-neighbour search in a large table of vectors, with usearch."""

from pathlib import Path
from typing import Any

import numpy as np
from thinc.api import NumpyOps
from thinc.util import to_numpy

from ..compat import require
from ..errors import Errors
from .neighbours import Found, check_table, normalise

BLOCK = 16_384  # rows that are added to the index at a time


class NeighbourIndex:
    """An approximate search for the rows of a table with the highest cosine with a query.

    The index is a graph in which each row is linked to rows near it: Malkov and Yashunin,
    "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small
    World graphs" (2016). Sometimes a near row is missed. Recommended from about 100,000 rows;
    for smaller tables `Neighbours` is exact and fast enough. Runs on the CPU only.

    The index has a normalised copy of the table; the caller's array is not modified. Rows of zeros
    are never found.

    vectors (Floats2d): The table, (nV, nO).
    dtype (str): Type of the numbers in the copy: "f16", or "i8" for half the size.
    connectivity (int): Links per row. Recommended values: 16 to 32.
    effort (int): Rows that are compared with each query. Higher values miss fewer rows and take
        longer. Recommended values: 32 to 128.
    RAISES (ValueError): If the table is empty, or has a value that is not finite.
    RAISES (ImportError): If usearch is missing.
    """

    def __init__(
        self, vectors: Any, *, dtype: str = "f16", connectivity: int = 16, effort: int = 64
    ) -> None:
        check_table(np, vectors)
        self.ops = NumpyOps(use_blis=False)
        self._index = _usearch().Index(
            ndim=vectors.shape[1],
            metric="cos",
            dtype=dtype,
            connectivity=connectivity,
            expansion_add=2 * effort,
            expansion_search=effort,
        )
        for start in range(0, len(vectors), BLOCK):
            block = normalise(self.ops, np.asarray(vectors[start : start + BLOCK], "float32"))
            rows = np.flatnonzero(block.any(axis=1))
            self._index.add((rows + start).astype("uint64"), block[rows])

    @classmethod
    def from_disk(cls, path: Path, *, effort: int = 64) -> "NeighbourIndex":
        """Load an index by mapping its file into memory.

        path (Path): A file that `to_disk` wrote.
        effort (int): Rows that are compared with each query.
        RETURNS (NeighbourIndex): The index.
        RAISES (ValueError): If the file is damaged or of another kind.
        RAISES (ImportError): If usearch is missing.
        """
        self = cls.__new__(cls)
        self.ops = NumpyOps(use_blis=False)
        try:
            self._index = _usearch().Index.restore(str(path), view=True)
        except (RuntimeError, OSError, ValueError) as err:
            raise ValueError(Errors.E728.format(path=path, found=err)) from err
        if self._index is None:
            raise ValueError(Errors.E728.format(path=path, found="another kind of file"))
        self._index.expansion_search = effort
        return self

    def to_disk(self, path: Path) -> None:
        """Save the index as one file."""
        self._index.save(str(path))

    def __len__(self) -> int:
        return len(self._index)

    def search(self, queries: Any, k: int = 10) -> Found:
        """Find rows with the highest cosine.

        queries (Floats2d): Vectors, (nQ, nO).
        k (int): Rows per query, at most the number of rows in the index.
        RETURNS (Found): Rows and cosines; the cosine is minus infinity if fewer rows were found.
        RAISES (ValueError): If k is below 1, or the width differs from that of the table.
        """
        if k < 1:
            raise ValueError(Errors.E723.format(found=k))
        Q = normalise(self.ops, np.asarray(to_numpy(queries), "float32"))
        if Q.shape[1] != self._index.ndim:
            raise ValueError(Errors.E722.format(expected=self._index.ndim, found=Q.shape[1]))
        k = min(k, len(self))
        if not len(Q) or not k:
            return Found(self.ops.alloc2i(len(Q), k), self.ops.alloc2f(len(Q), k))
        rows: Any = np.zeros((len(Q), k), dtype="int64")
        cosines: Any = np.full((len(Q), k), -np.inf, dtype="float32")
        matches = self._index.search(Q, k)
        keys, distances = np.atleast_2d(matches.keys, matches.distances)
        # The search may reach fewer than k rows if many are equal. The arrays are then padded, but
        # not those of a single query.
        n = keys.shape[1]
        reached = np.arange(n) < np.reshape(getattr(matches, "counts", n), (-1, 1))
        rows[:, :n][reached] = keys[reached]
        cosines[:, :n][reached] = 1 - distances[reached]
        return Found(rows, cosines)

    # The index of usearch cannot be pickled itself.
    def __getstate__(self) -> dict[str, Any]:
        return {"index": bytes(self._index.save()), "effort": self._index.expansion_search}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.ops = NumpyOps(use_blis=False)
        self._index = _usearch().Index.restore(state["index"])
        self._index.expansion_search = state["effort"]


def _usearch() -> Any:
    return require("usearch.index", extra="ann", what="An approximate search")

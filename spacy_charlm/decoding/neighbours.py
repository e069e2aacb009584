"""Exact nearest-neighbour search in a table of vectors, block by block."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from thinc.api import Ops
from thinc.types import Floats2d, Ints2d

from ..errors import Errors

BLOCK = 65_536  # rows of the table that are compared at a time
QUERIES = 256  # queries that are compared at a time: a block of scores has at most 64 MB
N_HUBNESS = 10  # nearest queries whose mean cosine is the hubness of a row


class Found(NamedTuple):
    """The result of a search, best rows first.

    rows (Ints2d): Rows of the table, (nQ, k).
    scores (Floats2d): Their cosines or corrected scores, (nQ, k).
    """

    rows: Ints2d
    scores: Floats2d


class Neighbours:
    """An exact search for the rows of a table with the highest cosine with a query.

    It has a normalised copy of the table; the caller's array is not modified. Rows of zeros are
    never found.

    vectors (Floats2d): The table, (nV, nO), a NumPy or CuPy array.
    ops (Ops): The backend of the search.
    RAISES (ValueError): If the table is empty, or has a value that is not finite.
    """

    def __init__(self, vectors: Any, ops: Ops) -> None:
        self.ops = ops
        table: Any = ops.asarray2f(vectors, dtype="float32")
        check_table(ops.xp, table)
        self._filled = (table != 0).any(axis=1)
        self._table = normalise(ops, table)

    def __len__(self) -> int:
        return len(self._table)

    def vectors(self, rows: Any) -> Any:
        """Return normalised rows of the table, (len(rows), nO)."""
        xp: Any = self.ops.xp
        return self._table[xp.asarray(rows)]

    def search(self, queries: Any, k: int = 10) -> Found:
        """Find the rows with the highest cosine.

        queries (Floats2d): Vectors, (nQ, nO).
        k (int): Rows per query, at most the number of rows in the table.
        RETURNS (Found): Rows and cosines.
        RAISES (ValueError): If k is below 1, or the width differs from that of the table.
        """
        return self._search(queries, k, lambda scores, start: scores)

    def search_csls(self, queries: Any, k: int = 10, hubness: Any = None) -> Found:
        """Find the rows with the highest cosine, corrected for rows that are near to all queries.

        Cross-domain similarity local scaling (CSLS): Conneau et al., "Word Translation Without
        Parallel Data" (2018). The score is 2 * cosine - hubness of the row. We leave out the mean
        of the query, which does not change the order.

        queries (Floats2d): Vectors, (nQ, nO).
        k (int): Rows per query.
        hubness (Optional[Floats1d]): The result of `hubness` for typical queries, (nV,); None
            computes it from `queries`.
        RETURNS (Found): Rows and corrected scores.
        """
        hubs = self.hubness(queries) if hubness is None else hubness
        return self._search(
            queries, k, lambda scores, start: 2 * scores - hubs[start : start + scores.shape[1]]
        )

    def hubness(self, sample: Any, *, of_rows: bool = False) -> Any:
        """Compute how near each row is to typical queries.

        sample (Floats2d): Typical queries, (nQ, nO).
        of_rows (bool): Whether the sample consists of the first rows of the table. A row is then
            not compared with itself.
        RETURNS (Floats1d): Mean cosine of each row with its nearest queries, (nV,).
        """
        xp: Any = self.ops.xp
        Q = self._prepare(sample)
        k = max(1, min(N_HUBNESS, len(Q) - of_rows))
        means, start = [], 0
        for scores in self._score_rows(Q):
            if of_rows:
                own = xp.arange(start, min(start + len(scores), len(Q)))
                scores[own - start, own] = -1.0
            means.append(-xp.partition(-scores, k - 1, axis=1)[:, :k].mean(axis=1))
            start += len(scores)
        return xp.concatenate(means)

    def search_inverted(
        self, queries: Any, k: int = 10, sample: Any = None, temperature: float = 0.05
    ) -> Found:
        """Find the rows with the highest inverted softmax, a softmax over the queries of each row.

        Smith et al., "Offline bilingual word vectors, orthogonal transformations and the inverted
        softmax" (2017).

        queries (Floats2d): Vectors, (nQ, nO).
        k (int): Rows per query.
        sample (Optional[Floats2d]): Typical queries, (n, nO); None for `queries`.
        temperature (float): Divisor of the cosines. Recommended values: 0.03 to 0.1.
        RETURNS (Found): Rows and logarithms of the softmax.
        """
        xp: Any = self.ops.xp
        Q = self._prepare(queries if sample is None else sample)
        if not len(Q):
            return self.search(queries, k)
        total = xp.concatenate(
            [_log_sum_exp(xp, scores / temperature) for scores in self._score_rows(Q)]
        )
        return self._search(
            queries,
            k,
            lambda scores, start: scores / temperature - total[start : start + scores.shape[1]],
        )

    def cosine(self, queries: Any, rows: Any) -> Any:
        """Compute the cosine of each query with one row.

        queries (Floats2d): Vectors, (nQ, nO).
        rows (Ints1d): One row per query, (nQ,).
        RETURNS (Floats1d): The cosines, (nQ,).
        """
        return (self._prepare(queries) * self.vectors(rows)).sum(axis=1)

    def rank(self, queries: Any, rows: Any) -> Any:
        """Compute the rank of a given row in the result of `search`.

        queries (Floats2d): Vectors, (nQ, nO).
        rows (Ints1d): The row expected for each query, (nQ,).
        RETURNS (Ints1d): The ranks, starting at 0, (nQ,). A query of zeros, or with a value that is
            not finite, has rank nV.
        """
        xp: Any = self.ops.xp
        Q = self._prepare(queries)
        wanted = xp.asarray(rows).reshape(-1, 1)
        own = self.cosine(queries, rows).reshape(-1, 1)
        ranks = xp.zeros(len(Q), dtype="int64")
        for some in _slices(len(Q), QUERIES):
            for here in _slices(len(self), BLOCK):
                # Of equal rows the earlier one comes first. The tolerance makes sure that rounding
                # does not reorder them, nor rank a row before itself.
                earlier = xp.arange(here.start, here.stop) < wanted[some]
                least = own[some] + xp.where(earlier, -1e-6, 1e-6)
                ranks[some] += (Q[some] @ self._table[here].T > least).sum(axis=1)
        ranks[~(xp.isfinite(Q).all(axis=1) & Q.any(axis=1))] = len(self)
        return ranks

    def log_probability(self, queries: Any, rows: Any, temperatures: Sequence[float]) -> Any:
        """Compute log probabilities, with the cosines as logits over the rows.

        queries (Floats2d): Vectors, (nQ, nO).
        rows (Ints1d): The row whose probability is computed for each query, (nQ,).
        temperatures (Sequence[float]): Divisors of the cosines.
        RETURNS (Floats2d): Log probabilities, (len(temperatures), nQ).
        """
        xp: Any = self.ops.xp
        Q = self._prepare(queries)
        own = self.cosine(queries, rows)
        totals = xp.full((len(temperatures), len(Q)), -xp.inf, dtype="float64")
        for some in _slices(len(Q), QUERIES):
            for here in _slices(len(self), BLOCK):
                scores = xp.where(self._filled[here], Q[some] @ self._table[here].T, -xp.inf)
                for total, temperature in zip(totals, temperatures):
                    block = _log_sum_exp(xp, scores / temperature)
                    total[some] = xp.logaddexp(total[some], block)
        return own / xp.asarray(temperatures).reshape(-1, 1) - totals

    def _score_rows(self, Q: Any) -> Iterator[Any]:
        """Yield the cosines of some rows at a time with all queries, (number of rows, nQ)."""
        size = max(1, min(BLOCK, BLOCK * QUERIES // max(1, len(Q))))
        return (self._table[here] @ Q.T for here in _slices(len(self), size))

    def _prepare(self, queries: Any) -> Any:
        Q: Any = self.ops.asarray2f(queries, dtype="float32")
        if Q.shape[1] != self._table.shape[1]:
            raise ValueError(Errors.E722.format(expected=self._table.shape[1], found=Q.shape[1]))
        return normalise(self.ops, Q)

    def _search(self, queries: Any, k: int, correct: Callable[[Any, int], Any]) -> Found:
        xp: Any = self.ops.xp
        if k < 1:
            raise ValueError(Errors.E723.format(found=k))
        Q = self._prepare(queries)
        k = min(k, len(self))
        rows = xp.zeros((len(Q), k), dtype="int64")
        best = xp.zeros((len(Q), k), dtype="float32")
        for some in _slices(len(Q), QUERIES):
            rows[some], best[some] = self._search_some(Q[some], k, correct)
        return Found(rows, best)

    def _search_some(self, Q: Any, k: int, correct: Callable[[Any, int], Any]) -> Found:
        xp: Any = self.ops.xp
        best_rows = xp.zeros((len(Q), 0), dtype="int64")
        best = xp.zeros((len(Q), 0), dtype="float32")
        for here in _slices(len(self), BLOCK):
            scores = correct(Q @ self._table[here].T, here.start)
            scores = xp.where(self._filled[here], scores, -xp.inf)
            take = min(k, scores.shape[1])
            top = xp.argpartition(-scores, take - 1, axis=1)[:, :take]
            best_rows = xp.hstack([best_rows, top + here.start])
            best = xp.hstack([best, xp.take_along_axis(scores, top, axis=1)])
        # Of equal scores the earlier row comes first.
        order = xp.argsort(best_rows, axis=1)
        best, best_rows = (xp.take_along_axis(a, order, axis=1) for a in (best, best_rows))
        order = xp.argsort(-best, axis=1, kind="stable")[:, :k]
        return Found(
            xp.take_along_axis(best_rows, order, axis=1), xp.take_along_axis(best, order, axis=1)
        )


def check_table(xp: Any, table: Any) -> None:
    """Raise an error if a table is empty, or has a value that is not finite."""
    if not len(table) or not table.shape[1]:
        raise ValueError(Errors.E720.format(found=tuple(table.shape)))
    bad = xp.flatnonzero(~xp.isfinite(table).all(axis=1))
    if len(bad):
        raise ValueError(Errors.E721.format(row=int(bad[0]), n=len(bad)))


def normalise(ops: Ops, X: Any) -> Any:
    """Divide rows by their length, in a new array; rows of zeros stay zero."""
    xp: Any = ops.xp
    return X / xp.maximum(xp.linalg.norm(X, axis=1, keepdims=True), 1e-12)


def _log_sum_exp(xp: Any, scores: Any) -> Any:
    """Compute the logarithm of the sum of exponentials of each row."""
    top = xp.maximum(scores.max(axis=1), -1e30)  # all scores of a row may be minus infinity
    return top + xp.log(xp.exp(scores - top[:, None]).sum(axis=1))


def _slices(n: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def best_words(words: Sequence[str], found: Found, ops: Ops) -> list[list[tuple[str, float]]]:
    """Look up the words of the rows that a search found.

    words (Sequence[str]): The word of each row.
    found (Found): The result of the search.
    ops (Ops): The backend of the search.
    RETURNS (List[List[Tuple[str, float]]]): Words and scores per query, best first.
    """
    rows, scores = ops.to_numpy(found.rows), ops.to_numpy(found.scores)
    return [
        [(words[row], float(score)) for row, score in zip(*pair) if np.isfinite(score)]
        for pair in zip(rows.tolist(), scores.tolist())
    ]

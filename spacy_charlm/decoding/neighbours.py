"""The words of a table whose vectors are nearest to a prediction: exact search, by blocks."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from thinc.api import Ops
from thinc.types import Floats2d, Ints2d

from ..errors import Errors

BLOCK = 65_536  # rows of the table that are compared at a time, with as many queries as:
QUERIES = 256  # so that no more than 64 MB of scores are held, however long a batch is
N_HUBNESS = 10  # neighbours among the queries that tell how much of a hub a row is


class Found(NamedTuple):
    """What a search has found, the best first.

    rows (Ints2d): Rows of the table, (nQ, k).
    scores (Floats2d): How near they are, (nQ, k): cosines, or what replaces them.
    """

    rows: Ints2d
    scores: Floats2d


class Neighbours:
    """Rows of a table by their cosine with queries.

    The table is normalised once, into a copy; the caller's arrays are never written to. Rows of
    zeros are never found.

    vectors (Floats2d): The table, (nV, nO), NumPy's or CuPy's.
    ops (Ops): The backend that searches.
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
        """Give normalised rows of the table, (len(rows), nO)."""
        xp: Any = self.ops.xp
        return self._table[xp.asarray(rows)]

    def search(self, queries: Any, k: int = 10) -> Found:
        """Find the nearest rows by cosine.

        queries (Floats2d): Vectors, (nQ, nO).
        k (int): How many of each; as many as the table has rows, if that is less.
        RETURNS (Found): Rows and cosines.
        """
        return self._search(queries, k, lambda scores, start: scores)

    def search_csls(self, queries: Any, k: int = 10, hubness: Any = None) -> Found:
        """Find the nearest rows by cosine, less what makes a row everybody's neighbour.

        Cross-domain similarity local scaling: Conneau et al., "Word Translation Without Parallel
        Data" (2018). 2 * cosine - mean cosine of the row's nearest queries; the query's own mean
        changes no order and is left out.

        queries (Floats2d): Vectors, (nQ, nO).
        k (int): How many of each.
        hubness (Optional[Floats1d]): What `hubness` says of typical queries; None asks it of these.
        RETURNS (Found): Rows and corrected scores.
        """
        near = self.hubness(queries) if hubness is None else hubness
        return self._search(
            queries, k, lambda scores, start: 2 * scores - near[start : start + scores.shape[1]]
        )

    def hubness(self, sample: Any, *, of_rows: bool = False) -> Any:
        """Tell how near each row is to queries that are not its own.

        sample (Floats2d): Typical queries, (nQ, nO).
        of_rows (bool): Whether they are the table's first rows, each of which is no query of its
            own.
        RETURNS (Floats1d): Mean cosine of each row with its nearest ones of them, (nV,).
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
        """Find the nearest rows by an inverted softmax, which asks each row for its query.

        Smith et al., "Offline bilingual word vectors, orthogonal transformations and the inverted
        softmax" (2017): the logarithm of exp(cosine / temperature) over its sum over the queries.

        queries (Floats2d): Vectors, (nQ, nO).
        k (int): How many of each.
        sample (Optional[Floats2d]): Typical queries; None takes `queries`.
        temperature (float): Of the softmax. Recommended values: 0.03 to 0.1.
        RETURNS (Found): Rows and logarithms.
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
        """Compare each query with one row.

        queries (Floats2d): Vectors, (nQ, nO).
        rows (Ints1d): The row for each, (nQ,).
        RETURNS (Floats1d): The cosines, (nQ,).
        """
        return (self._prepare(queries) * self.vectors(rows)).sum(axis=1)

    def rank(self, queries: Any, rows: Any) -> Any:
        """Count the rows that `search` finds before a given one.

        queries (Floats2d): Vectors, (nQ, nO).
        rows (Ints1d): The row that each is meant to be near to, (nQ,).
        RETURNS (Ints1d): The ranks, from 0, (nQ,); the number of rows for a query that is near to
            nothing: zeros, or a value that is not finite.
        """
        xp: Any = self.ops.xp
        Q = self._prepare(queries)
        wanted = xp.asarray(rows).reshape(-1, 1)
        own = self.cosine(queries, rows).reshape(-1, 1)
        ranks = xp.zeros(len(Q), dtype="int64")
        for some in _slices(len(Q), QUERIES):
            for here in _slices(len(self), BLOCK):
                # Of equal rows the earlier one comes first. Rounding must not part them, nor put a
                # row before itself.
                earlier = xp.arange(here.start, here.stop) < wanted[some]
                least = own[some] + xp.where(earlier, -1e-6, 1e-6)
                ranks[some] += (Q[some] @ self._table[here].T > least).sum(axis=1)
        ranks[~(xp.isfinite(Q).all(axis=1) & Q.any(axis=1))] = len(self)
        return ranks

    def log_probability(self, queries: Any, rows: Any, temperatures: Sequence[float]) -> Any:
        """Take the cosines as logits of a language model over the rows.

        queries (Floats2d): Vectors, (nQ, nO).
        rows (Ints1d): The row that each query asks for, (nQ,).
        temperatures (Sequence[float]): What the cosines are divided by, nT of them.
        RETURNS (Floats2d): Logarithms of the softmax at these rows, (nT, nQ).
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
        """Cosines of some rows at a time with all queries, (rows, nQ)."""
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
    """Refuse a table that is empty, or has a value that is not finite."""
    if not len(table) or not table.shape[1]:
        raise ValueError(Errors.E720.format(found=tuple(table.shape)))
    bad = xp.flatnonzero(~xp.isfinite(table).all(axis=1))
    if len(bad):
        raise ValueError(Errors.E721.format(row=int(bad[0]), n=len(bad)))


def normalise(ops: Ops, X: Any) -> Any:
    """Divide rows by their length, in a new array; rows of zeros stay."""
    xp: Any = ops.xp
    return X / xp.maximum(xp.linalg.norm(X, axis=1, keepdims=True), 1e-12)


def _log_sum_exp(xp: Any, scores: Any) -> Any:
    """Logarithm of the sum of exponentials of each row."""
    top = xp.maximum(scores.max(axis=1), -1e30)  # a row may have nothing that is finite
    return top + xp.log(xp.exp(scores - top[:, None]).sum(axis=1))


def _slices(n: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def best_words(words: Sequence[str], found: Found, ops: Ops) -> list[list[tuple[str, float]]]:
    """Name what a search has found.

    words (Sequence[str]): The word of each row.
    found (Found): What was found.
    ops (Ops): Its backend.
    RETURNS (List[List[Tuple[str, float]]]): Words and scores for each query, the best first.
    """
    rows, scores = ops.to_numpy(found.rows), ops.to_numpy(found.scores)
    return [
        [(words[row], float(score)) for row, score in zip(*pair) if np.isfinite(score)]
        for pair in zip(rows.tolist(), scores.tolist())
    ]

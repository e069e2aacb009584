"""Vectors on the unit sphere: the loss by negative sampling, its gradient, and the update."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from thinc.api import Ops, get_array_module
from thinc.types import Floats1d, Floats2d, Ints1d

DRAWN = 500  # negatives per update
NEGATIVES = 5  # weight of the negatives per pair
SCALE = 6.0  # factor on the cosine
STEP = 2.0  # size of the first step
POWER = 0.75  # of an n-gram's frequency, for the probability that it is a negative
EPSILON = 1e-10  # avoids division by zero


class Pairs(NamedTuple):
    """Which row goes with which column: the pairs that occur, and how often others are drawn.

    rows (Ints1d): Row of each pair that occurs, (nP,). No pair is there twice.
    columns (Ints1d): Its column, (nP,).
    weights (Floats1d): How much it counts, (nP,).
    drawn (Ints1d): Distinct columns that were drawn as negatives, for all rows, (nN,).
    n_drawn (Floats1d): How often each of them was drawn, (nN,).
    """

    rows: Ints1d
    columns: Ints1d
    weights: Floats1d
    drawn: Ints1d
    n_drawn: Floats1d


def contrast(
    X: Floats2d, Y: Floats2d, pairs: Pairs, *, negatives: float, scale: float
) -> tuple[float, Floats2d, Floats2d]:
    """Compute the loss of telling pairs that occur from random ones, and its gradient.

    The logit of a pair is its cosine times a factor. After Thongtan and Phienthrakul, "Sentiment
    Classification using Document Embeddings trained with Cosine Similarity" (2019). Instead of one
    update per pair, all pairs of a batch are computed by three matrix products, and the negatives
    are shared by its rows.

    X (Floats2d): Unit vectors, (nX, nO), such as those of texts.
    Y (Floats2d): Unit vectors, (nY, nO), such as those of n-grams.
    pairs (Pairs): The pairs and the negatives.
    negatives (float): Negatives per pair: those that were drawn are weighted accordingly.
    scale (float): Factor on the cosine.
    RETURNS (Tuple[float, Floats2d, Floats2d]): The loss, summed over the pairs, and its derivatives
        with respect to X and Y.
    """
    xp: Any = get_array_module(X)
    n_drawn: Any = pairs.n_drawn
    scores: Any = (X @ Y.T) * scale
    right = scores[pairs.rows, pairs.columns]
    # How much each row counts among the negatives: as much as its pairs.
    total = xp.bincount(pairs.rows, pairs.weights, len(X)).astype(X.dtype)
    shares = xp.outer(total, n_drawn) * (negatives / float(n_drawn.sum()))
    odds = xp.exp(scores[:, pairs.drawn])  # finite: a cosine times a small factor
    odds += 1
    loss = (pairs.weights * xp.log1p(xp.exp(-right))).sum()
    loss += (shares * xp.log(odds)).sum()
    d_scores = scores
    d_scores.fill(0)
    d_scores[:, pairs.drawn] = shares - shares / odds
    # A pair that occurs may also have been drawn, but no pair is there twice.
    d_scores[pairs.rows, pairs.columns] -= pairs.weights / (1 + xp.exp(right))
    d_scores *= scale
    return float(loss), d_scores @ Y, d_scores.T @ X


def project(X: Floats2d, dX: Floats2d) -> Floats2d:
    """Remove the part of a gradient that points away from the sphere, (n, nO)."""
    along: Any = (dX * X).sum(axis=1, keepdims=True)
    return dX - along * X


def unit(X: Floats2d) -> Floats2d:
    """Scale rows to length 1; zeros stay zeros."""
    return X / get_length(X)


def get_length(X: Floats2d) -> Floats2d:
    """Return the length of each row, (n, 1); at least a tiny number."""
    xp: Any = get_array_module(X)
    return xp.maximum(xp.sqrt((X * X).sum(axis=1, keepdims=True)), EPSILON)


Update = Callable[[Floats2d, float], None]


class Table(Protocol):
    """A table of vectors that are learned with row-wise Adagrad.

    arrays (Dict[str, ndarray]): All that a later update depends on, by name.
    """

    arrays: dict[str, Any]

    def gather(self, ops: Ops, rows: np.ndarray) -> tuple[Floats2d, Update]:
        """Compute some vectors.

        ops (Ops): The backend on which they are needed.
        rows (ndarray): Distinct numbers of vectors.
        RETURNS (Tuple[Floats2d, Callable]): The vectors, of length 1, (len(rows), nO), and what
            moves them: it takes the gradient with respect to them, and the size of the step.
        """


class SphereTable:
    """A table with one row per vector.

    The first step of a row is `step * sqrt(nO)` long before the row is scaled to length 1 again.

    values (ndarray): Unit vectors, float32 (nV, nO). They may be mapped into memory, or on a GPU.
    squares (ndarray): Sum of the mean squared gradients of each row, float32 (nV,).
    """

    def __init__(self, values: Any, squares: Any) -> None:
        self.arrays = {"values": values, "squares": squares}

    def gather(self, ops: Ops, rows: np.ndarray) -> tuple[Floats2d, Update]:
        """Copy some rows: see `Table`."""
        X: Any = ops.asarray2f(self.arrays["values"][rows])

        def update(dX: Floats2d, step: float) -> None:
            dX = project(X, dX)
            change, squares = scale_step(dX, ops.asarray1f(self.arrays["squares"][rows]))
            self._write(rows, unit(X - step * change), squares)

        return X, update

    def _write(self, rows: np.ndarray, X: Any, squares: Any) -> None:
        for name, new in (("values", X), ("squares", squares)):
            array = self.arrays[name]
            array[rows] = (
                new.get() if isinstance(array, np.ndarray) and hasattr(new, "get") else new
            )


class PieceTable:
    """A table in which a vector is the mean of several rows, scaled to length 1, as in floret.

    values (ndarray): The rows, float32 (nR, nO).
    squares (ndarray): Sum of the mean squared gradients of each row, float32 (nR,).
    pieces (ndarray): Rows of all vectors, one vector after another, int32.
    starts (ndarray): Where each vector begins, and the end of the last one, int64 (nV + 1,).
    """

    def __init__(self, values: Any, squares: Any, pieces: np.ndarray, starts: np.ndarray) -> None:
        self.arrays = {"values": values, "squares": squares}
        self.pieces = pieces
        self.starts = starts

    def gather(self, ops: Ops, rows: np.ndarray) -> tuple[Floats2d, Update]:
        """Compute some vectors: see `Table`."""
        lengths: Any = self.starts[rows + 1] - self.starts[rows]
        offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        pieces = self.pieces[np.repeat(self.starts[rows], lengths) + offsets]
        used, place = np.unique(pieces, return_inverse=True)
        n_pieces: Any = ops.asarray1i(lengths.astype("int32"))
        xp: Any = ops.xp
        places: Any = xp.asarray(place)
        values: Any = ops.asarray2f(self.arrays["values"][used])
        means: Any = ops.reduce_mean(values[places], n_pieces)
        X: Any = unit(means)

        def update(dX: Floats2d, step: float) -> None:
            d_means = project(X, dX) / get_length(means)
            gradient = ops.alloc2f(*values.shape, dtype=values.dtype)
            ops.scatter_add(gradient, places, ops.backprop_reduce_mean(d_means, n_pieces))
            change, squares = scale_step(gradient, self.arrays["squares"][used])
            self.arrays["values"][used] = values - step * change
            self.arrays["squares"][used] = squares

        return X, update


def scale_step(dX: Floats2d, squares: Floats1d) -> tuple[Floats2d, Floats1d]:
    """Divide gradients by what row-wise Adagrad has seen of each row.

    dX (Floats2d): The gradient, (n, nO).
    squares (Floats1d): Sum of the mean squared gradients of each row until now, (n,).
    RETURNS (Tuple[Floats2d, Floats1d]): The change for a step of size 1, and the new sums.
    """
    xp: Any = get_array_module(dX)
    squares = squares + (dX * dX).mean(axis=1)
    return dX / xp.sqrt(squares + EPSILON).reshape(-1, 1), squares


def sum_chances(counts: np.ndarray) -> np.ndarray:
    """Sum up the probabilities that each n-gram is drawn as a negative, float64 (nV,)."""
    chances = np.cumsum(counts.astype("float64") ** POWER)
    return chances / chances[-1]


def learn_pairs(
    ops: Ops,
    rng: np.random.Generator,
    chances: np.ndarray,
    found: tuple[np.ndarray, np.ndarray, np.ndarray],
    left: Table,
    rows_of: np.ndarray,
    right: Table,
    share: float,
) -> float:
    """Make one update of two tables: draw negatives, compute the loss, and move both.

    ops (Ops): The backend.
    rng (Generator): The generator of the negatives.
    chances (ndarray): Summed probabilities of the right rows, from `sum_chances`.
    found (Tuple[ndarray, ndarray, ndarray]): The pairs that occur: place in `rows_of`, row of the
        right table, and weight of each.
    left (Table): Such as the vectors of texts.
    rows_of (ndarray): Distinct rows of the left table.
    right (Table): Such as the vectors of n-grams.
    share (float): Factor on the size of the step.
    RETURNS (float): The loss, summed over the pairs.
    """
    used, pairs = draw_negatives(ops, rng, chances, *found)
    X, update_left = left.gather(ops, rows_of)
    Y, update_right = right.gather(ops, used)
    loss, dX, dY = contrast(X, Y, pairs, negatives=NEGATIVES, scale=SCALE)
    update_left(dX, share * STEP)
    update_right(dY, share * STEP)
    return loss


def draw_negatives(
    ops: Ops,
    rng: np.random.Generator,
    chances: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    weights: np.ndarray,
) -> tuple[np.ndarray, Pairs]:
    """Draw the negatives of an update, and number the columns that it needs.

    ops (Ops): The backend.
    rng (Generator): The generator.
    chances (ndarray): Summed probabilities, from `sum_chances`.
    rows (ndarray): Row of each pair that occurs.
    columns (ndarray): Its column in the whole table.
    weights (ndarray): Its weight.
    RETURNS (Tuple[ndarray, Pairs]): The columns of the table that are needed, ascending, and the
        pairs, whose columns are places among them.
    """
    drawn = np.searchsorted(chances, rng.random(DRAWN), side="right").clip(max=len(chances) - 1)
    used, places = np.unique(np.concatenate([columns, drawn]), return_inverse=True)
    negatives, n_drawn = np.unique(places[len(columns) :], return_counts=True)
    xp: Any = ops.xp
    floats: Any = weights
    times: Any = n_drawn.astype("float32")
    pairs = Pairs(
        xp.asarray(rows),
        xp.asarray(places[: len(columns)]),
        ops.asarray1f(floats),
        xp.asarray(negatives),
        ops.asarray1f(times),
    )
    return used, pairs


def draw_sphere(rng: np.random.Generator, n: int, nO: int) -> Floats2d:
    """Draw random unit vectors, float32 (n, nO)."""
    X: Any = rng.standard_normal((n, nO), dtype="float32")
    return unit(X)

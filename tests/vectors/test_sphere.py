import numpy as np
import pytest
from thinc.api import NumpyOps

from spacy_charlm.vectors.sphere import Pairs, PieceTable, SphereTable, contrast, project, unit


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def make_pairs():
    # The column 1 occurs with row 0 and has also been drawn, twice; row 2 has no pair.
    return Pairs(
        np.array([0, 0, 1]),
        np.array([1, 3, 0]),
        np.array([1.0, 0.5, 2.0]),
        np.array([1, 2]),
        np.array([2.0, 1.0]),
    )


def draw(rng, *shape):
    return unit(rng.standard_normal(shape))


def test_contrast_gradient_is_numeric_derivative(rng):
    X, Y, pairs = draw(rng, 3, 4), draw(rng, 5, 4), make_pairs()
    settings = {"negatives": 5, "scale": 6.0}
    _, dX, dY = contrast(X, Y, pairs, **settings)
    for array, gradient in ((X, dX), (Y, dY)):
        for place in np.ndindex(array.shape):
            before, step = array[place], 1e-6
            array[place] = before + step
            above, *_ = contrast(X, Y, pairs, **settings)
            array[place] = before - step
            below, *_ = contrast(X, Y, pairs, **settings)
            array[place] = before
            assert (above - below) / (2 * step) == pytest.approx(gradient[place], abs=1e-6)
    assert not dX[2].any() and not dY[4].any()


def test_contrast_counts_pairs_and_negatives(rng):
    X, Y, pairs = draw(rng, 3, 4), draw(rng, 5, 4), make_pairs()
    logits = 6.0 * X @ Y.T
    expected = np.log1p(np.exp(-logits[0, 1])) + 0.5 * np.log1p(np.exp(-logits[0, 3]))
    expected += 2.0 * np.log1p(np.exp(-logits[1, 0]))
    for row, n_pairs in ((0, 1.5), (1, 2.0)):  # three were drawn, five count per pair
        drawn = 2 * np.log1p(np.exp(logits[row, 1])) + np.log1p(np.exp(logits[row, 2]))
        expected += n_pairs * 5 / 3 * drawn
    assert contrast(X, Y, pairs, negatives=5, scale=6.0)[0] == pytest.approx(expected)


def test_project_leaves_only_what_is_along_the_sphere(rng):
    X, dX = draw(rng, 6, 4), rng.standard_normal((6, 4))
    assert np.allclose((project(X, dX) * X).sum(axis=1), 0)


def make_tables(rng):
    values = draw(rng, 6, 4).astype("float32")
    # The row 2 is in two vectors, and twice in one of them.
    pieces, starts = np.array([0, 2, 2, 5, 2, 3], dtype="int32"), np.array([0, 3, 4, 6])
    yield SphereTable(values.copy(), np.zeros(6, dtype="float32")), values[:3]
    means = np.stack([values[[0, 2, 2]].mean(0), values[5], values[[2, 3]].mean(0)])
    yield PieceTable(values.copy(), np.zeros(6, "float32"), pieces, starts), unit(means)


def test_tables_move_against_the_gradient(rng):
    goal = draw(rng, 3, 4).astype("float32")
    for table, expected in make_tables(rng):
        rows = np.array([0, 1, 2])
        X, update = table.gather(NumpyOps(), rows)
        assert np.allclose(X, expected, atol=1e-6)
        before = (X * goal).sum()
        for _ in range(50):
            _, update = table.gather(NumpyOps(), rows)
            update(-goal, 0.1)
        X, _ = table.gather(NumpyOps(), rows)
        assert np.allclose((X * X).sum(axis=1), 1, atol=1e-5)
        assert (X * goal).sum() > before + 0.5


def test_piece_table_gradient_is_numeric_derivative(monkeypatch, rng):
    # With a step of 1 and no division by the squares, the change of the rows is the gradient.
    module = "spacy_charlm.vectors.sphere.scale_step"
    monkeypatch.setattr(module, lambda dX, squares: (dX, squares))
    values = rng.standard_normal((6, 4))
    pieces, starts = np.array([0, 2, 2, 5, 2, 3], dtype="int32"), np.array([0, 3, 4, 6])
    weights = rng.standard_normal((3, 4))

    class Ops64(NumpyOps):
        def asarray2f(self, data, dtype="float64"):
            return np.asarray(data, dtype="float64")

    def gather(rows):
        table = PieceTable(rows, np.zeros(6), pieces, starts)
        return table, *table.gather(Ops64(), np.array([0, 1, 2]))

    table, _, update = gather(values.copy())
    update(weights, 1.0)
    gradient = values - table.arrays["values"]
    for place in np.ndindex(values.shape):
        ends = []
        for step in (1e-6, -1e-6):
            moved = values.copy()
            moved[place] += step
            ends.append((gather(moved)[1] * weights).sum())
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(gradient[place], abs=1e-5)


def test_gather_of_nothing_is_empty(rng):
    for table, _ in make_tables(rng):
        X, update = table.gather(NumpyOps(), np.zeros(0, dtype="int64"))
        assert X.shape == (0, 4)
        update(X, 1.0)

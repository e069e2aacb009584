import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from spacy_charlm.layers.standardise import standardise

RNG = np.random.default_rng(0)


def make_layer(ops, **settings):
    layer = standardise(**settings)
    layer.ops = ops
    return layer.initialize(X=ops.alloc2f(2, 3))


def draw(ops, n=8):
    return ops.asarray2f(RNG.normal(loc=[5, -3, 0], scale=[0.1, 2, 1], size=(n, 3)).astype("f"))


def test_standardise_brings_batches_to_mean_zero_and_variance_one(ops):
    layer = make_layer(ops)
    for _ in range(200):
        layer.begin_update(draw(ops))
    Y = ops.to_numpy(layer.predict(draw(ops, 2000)))
    assert_allclose(Y.mean(axis=0), 0, atol=0.2)
    assert_allclose(Y.std(axis=0), 1, atol=0.2)


def test_standardise_has_seen_what_numpy_sees(ops):
    """Up to `memory` batches of one size, mean and variance are those of all their rows."""
    layer, batches = make_layer(ops, memory=10), [draw(ops) for _ in range(9)]
    for batch in batches:
        layer.begin_update(batch)
    rows = np.concatenate([ops.to_numpy(batch) for batch in batches])
    assert_allclose(ops.to_numpy(layer.get_param("mean")), rows.mean(axis=0), rtol=1e-3, atol=1e-3)
    within = ops.to_numpy(layer.get_param("variance"))
    assert_allclose(within, rows.var(axis=0), rtol=0.2)


def test_standardise_forgets_beyond_its_memory(ops):
    short, long = make_layer(ops, memory=2), make_layer(ops, memory=1000)
    for layer in (short, long):
        for _ in range(50):
            layer.begin_update(draw(ops))
        for _ in range(20):
            layer.begin_update(draw(ops) + 10)
    assert abs(float(short.get_param("mean")[0]) - 15) < 0.5
    assert float(long.get_param("mean")[0]) < 9


def test_standardise_predicts_what_it_trains_on(ops):
    layer, X = make_layer(ops), draw(ops)
    layer.begin_update(draw(ops))
    before = layer.predict(X)
    assert_array_equal(ops.to_numpy(layer.begin_update(X)[0]), ops.to_numpy(before))
    kept = [ops.to_numpy(layer.get_param(name)).copy() for name in layer.param_names]
    layer.predict(X)
    for name, value in zip(layer.param_names, kept):
        assert_array_equal(ops.to_numpy(layer.get_param(name)), value)


def test_standardise_gradient(ops64):
    layer = make_layer(ops64)
    layer.begin_update(draw(ops64))
    for name in layer.param_names:
        layer.set_param(name, layer.get_param(name).astype("float64"))
    X, dY = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))
    mean_and_more = [layer.get_param(name).copy() for name in layer.param_names]
    _, backprop = layer.begin_update(X)
    given = dY.copy()
    dX = backprop(dY)
    assert_array_equal(dY, given)
    for name, value in zip(layer.param_names, mean_and_more):
        layer.set_param(name, value)
    for i in np.ndindex(X.shape):
        step = np.zeros_like(X)
        step[i] = 1e-6
        numeric = ((layer.predict(X + step) - layer.predict(X - step)) * dY).sum() / 2e-6
        assert numeric == pytest.approx(dX[i], abs=1e-7)


@pytest.mark.parametrize("n", [0, 1])
def test_standardise_learns_nothing_from_less_than_two_rows(ops, n):
    layer = make_layer(ops)
    Y, backprop = layer.begin_update(draw(ops, n))
    assert backprop(Y).shape == (n, 3)
    assert float(layer.get_param("batches")[0]) == 0


def test_standardise_round_trip(ops):
    layer, X = make_layer(ops, memory=7), draw(ops)
    layer.begin_update(X)
    other = standardise(3)
    other.ops = ops
    other.initialize().from_bytes(layer.to_bytes())
    assert_array_equal(ops.to_numpy(other.predict(X)), ops.to_numpy(layer.predict(X)))
    assert other.attrs["memory"] == 7

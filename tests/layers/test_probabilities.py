import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from spacy_charlm.layers.probabilities import probabilities

RNG = np.random.default_rng(0)
KINDS = pytest.mark.parametrize("exclusive", [True, False])


def make_layer(ops, exclusive, scale=1.0):
    layer = probabilities(exclusive)
    layer.ops = ops
    layer.initialize()
    layer.set_param("scale", ops.alloc1f(1) + scale)
    return layer


def draw(ops, n=5):
    return ops.asarray2f(RNG.normal(size=(n, 3), scale=3).astype("f"))


@KINDS
def test_probabilities_scales_in_prediction_only(ops, exclusive):
    plain, scaled, X = make_layer(ops, exclusive), make_layer(ops, exclusive, 0.25), draw(ops)
    Y = ops.to_numpy(plain.predict(X))
    given = ops.to_numpy(X).copy()
    found = ops.to_numpy(scaled.predict(X))
    for layer in (plain, scaled):
        assert_array_equal(ops.to_numpy(layer.begin_update(X)[0]), Y)
    # After an update the scale no longer fits, and is 1 again.
    assert_array_equal(ops.to_numpy(scaled.predict(X)), Y)
    assert_array_equal(ops.to_numpy(X), given)
    assert_allclose(found, ops.to_numpy(plain.predict(X * 0.25)), rtol=1e-6)
    assert_array_equal(found.argmax(axis=1), Y.argmax(axis=1))
    if exclusive:
        assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    else:
        assert_array_equal(found > 0.5, Y > 0.5)


@KINDS
@pytest.mark.parametrize("n", [0, 1, 4])
def test_probabilities_gradient(ops64, exclusive, n):
    """The derivatives of the cross-entropy and of half the squared error, in training."""
    layer = make_layer(ops64, exclusive, 0.25)
    X, T = RNG.normal(size=(n, 3)), np.eye(3)[RNG.integers(3, size=n)]

    def loss(X):
        Y = layer.begin_update(X)[0]
        return -(T * np.log(Y)).sum() if exclusive else 0.5 * ((Y - T) ** 2).sum()

    Y, backprop = layer.begin_update(X)
    dY = Y - T
    given = dY.copy()
    dX = backprop(dY)
    assert dX.shape == X.shape and dX.dtype == np.float64
    assert_array_equal(dY, given)
    for i in np.ndindex(X.shape):
        step = np.zeros_like(X)
        step[i] = 1e-6
        numeric = (loss(X + step) - loss(X - step)) / 2e-6
        assert numeric == pytest.approx(dX[i], abs=1e-7)
    assert not layer.has_grad("scale")  # the optimizer leaves it alone


@KINDS
def test_probabilities_round_trip(ops, exclusive):
    layer, X = make_layer(ops, exclusive, 0.5), draw(ops)
    other = make_layer(ops, not exclusive).from_bytes(layer.to_bytes())
    assert_array_equal(ops.to_numpy(other.predict(X)), ops.to_numpy(layer.predict(X)))

import numpy as np
import pytest
import srsly
from numpy.testing import assert_allclose, assert_array_equal
from thinc.api import Linear

from spacy_charlm.card import read_weights
from spacy_charlm.quantized import (
    DTYPES,
    QUANTIZED_ATTR,
    quantize_weights,
    restore_weights,
    unpack_arrays,
)

RNG = np.random.default_rng(0)
# Values, and the largest error that a value may have: a share of the largest of its row, or of
# itself.
ARRAYS = {
    "matrix": RNG.normal(size=(40, 30)),
    "maxout": RNG.normal(size=(10, 3, 40)),
    "rows of different size": RNG.normal(size=(40, 30)) * 10.0 ** RNG.integers(-6, 6, (40, 1)),
    "zeros": np.zeros((40, 30)),
    "a row of zeros": RNG.normal(size=(40, 30)) * (np.arange(40) > 0)[:, None],
    "tiny": RNG.normal(size=(40, 30)) * 1e-30,
    "large": RNG.normal(size=(40, 30)) * 1e37,
    "one axis": RNG.normal(size=2000),
    "one large axis": RNG.normal(size=2000) * 1e6,
}


def make_weights(values):
    model = Linear(nO=2, nI=3).initialize()
    model.set_param("W", values.astype("float32"))
    return srsly.msgpack_loads(model.to_bytes())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ARRAYS)
def test_quantized_arrays_come_back_within_half_a_step(name, dtype):
    values = ARRAYS[name].astype("float32")
    weights = make_weights(values)
    quantize_weights(weights, dtype)
    assert "W" not in weights["params"][0] and "b" in weights["params"][0]
    is_int8 = dtype == "int8" and values.ndim > 1
    size = len(weights["attrs"][0][QUANTIZED_ATTR])
    assert size < values.size * (1.3 if is_int8 else 2.1) + 300
    restore_weights(weights)
    found = weights["params"][0]["W"]
    assert found.dtype == "float32" and QUANTIZED_ATTR not in weights["attrs"][0]
    allowed = np.abs(values) * 2**-11 + 2.0**-24 * max(1, np.abs(values).max() / 2**15)
    if is_int8:
        allowed = np.abs(values).max(axis=-1, keepdims=True) * (0.5001 / 127)
    assert (np.abs(found - values) <= allowed).all()
    again = make_weights(found)
    quantize_weights(again, dtype)
    restore_weights(again)
    assert_allclose(again["params"][0]["W"], found, rtol=1e-6)  # a second time loses nothing


def test_quantized_small_arrays_stay():
    values = ARRAYS["matrix"][:9, :9]
    weights = make_weights(values)
    before = srsly.msgpack_dumps(weights)
    quantize_weights(weights, "int8")
    assert srsly.msgpack_dumps(weights) == before


def test_quantized_arrays_must_be_finite():
    values = ARRAYS["matrix"].copy()
    values[3, 3] = np.nan
    with pytest.raises(ValueError, match="E550.*linear, parameter W.*nan"):
        quantize_weights(make_weights(values), "int8")


WHOLE = {"values": np.ones((4, 5), "int8"), "scale": np.ones((4, 1), "float32")}
DAMAGED = {
    "no dictionary": [1],
    "no array": {"W": 3},
    "no scale": {"W": {"values": WHOLE["values"]}},
    "scale of another type": {"W": {**WHOLE, "scale": np.ones((4, 1))}},
    "scale of another shape": {"W": {**WHOLE, "scale": np.ones((5, 1), "float32")}},
    "values of another type": {"W": {**WHOLE, "values": np.ones((4, 5), "int16")}},
    "infinite": {"W": {**WHOLE, "scale": np.full((4, 1), np.inf, "float32")}},
}


@pytest.mark.parametrize("name", DAMAGED)
def test_quantized_arrays_are_checked(name):
    assert_array_equal(unpack_arrays(srsly.msgpack_dumps({"W": WHOLE}))["W"], WHOLE["values"])
    data = srsly.msgpack_dumps(DAMAGED[name])
    with pytest.raises(ValueError, match=r"quantised arrays are|the array W has"):
        unpack_arrays(data)
    weights = make_weights(ARRAYS["matrix"])
    weights["attrs"][0][QUANTIZED_ATTR] = data
    with pytest.raises(ValueError, match="E501.*x.bin"):
        read_weights(srsly.msgpack_dumps(weights), "x.bin")


def test_quantized_weights_are_read_like_others():
    weights = make_weights(ARRAYS["matrix"])
    expected = weights["params"][0]["W"]
    quantize_weights(weights, "float16")
    found = read_weights(srsly.msgpack_dumps(weights), "x.bin")
    assert_allclose(found["params"][0]["W"], expected, rtol=1e-3)

"""Parameters in 8 or 16 bits per number in files; in memory they are float32.

In quantised weights, the large arrays of a layer are in an attribute instead of its parameters. The
table of word vectors is not trained, and has 8 bits per number in memory as well.
"""

from typing import Any

import numpy as np
import srsly

from .errors import Errors

QUANTIZED_ATTR = "charlm_quantized"
DTYPES = ("int8", "float16")
MIN_VALUES = 1000  # smaller arrays stay float32: there is little to gain
MAX_INT8 = 127
# Name of the layer whose parameters are whole numbers, and their types.
VECTOR_TABLE = "vector_table"
TABLE_DTYPES = {"keys": "uint16", "E": "int8"}


def quantize_weights(weights: dict[str, Any], dtype: str) -> None:
    """Quantise the large arrays of weights.

    weights (Dict[str, Any]): The unpacked bytes of a thinc model; they are modified.
    dtype (str): "int8" with a float32 scale for each row along the last axis, or "float16". An
        array with one axis is float16 in both cases.
    RAISES (ValueError): If an array is not finite.
    """
    for node, attrs, params in zip(weights["nodes"], weights["attrs"], weights["params"]):
        packed = {}
        for name, values in list(params.items()):
            if values is None or values.dtype != "float32" or values.size < MIN_VALUES:
                continue
            if not np.isfinite(values).all():
                where = f"layer {node['name']}, parameter {name}"
                raise ValueError(Errors.E550.format(where=where, found="nan or infinity"))
            packed[name] = pack_array(values, dtype)
            del params[name]  # with None, thinc would remove what the attribute brings
        if packed:
            attrs[QUANTIZED_ATTR] = srsly.msgpack_dumps(packed)


def restore_weights(weights: dict[str, Any]) -> None:
    """Turn quantised arrays into float32 parameters. Other weights stay as they are.

    weights (Dict[str, Any]): The unpacked bytes of a thinc model; they are modified.
    RAISES (ValueError): If the arrays are not those that `quantize_weights` makes.
    """
    for attrs, params in zip(weights["attrs"], weights["params"]):
        if QUANTIZED_ATTR in attrs:
            params.update(unpack_arrays(attrs.pop(QUANTIZED_ATTR)))


def unpack_arrays(data: bytes) -> dict[str, np.ndarray]:
    """Unpack the quantised arrays of a layer.

    data (bytes): The packed attribute.
    RETURNS (Dict[str, ndarray]): Finite float32 arrays by the names of their parameters.
    RAISES (ValueError): If the arrays are not those that `quantize_weights` makes.
    """
    content = srsly.msgpack_loads(data)
    if not isinstance(content, dict):
        raise ValueError(f"its quantised arrays are a {type(content).__name__}")
    arrays = {}
    for name, part in content.items():
        if not isinstance(part, dict) or not _is_packed(part.get("values"), part.get("scale")):
            raise ValueError(f"the array {name} has no values or no scale of its type and shape")
        with np.errstate(over="ignore", invalid="ignore"):
            arrays[name] = part["values"].astype("float32") * part["scale"]
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"the array {name} has nan or infinity")
    return arrays


def pack_array(values: np.ndarray, dtype: str) -> dict[str, np.ndarray]:
    """Quantise an array.

    values (ndarray): Finite float32 numbers.
    dtype (str): See `quantize_weights`.
    RETURNS (Dict[str, ndarray]): The quantised `values`, and the float32 `scale` by which they are
        multiplied.
    """
    if dtype == "float16" or values.ndim < 2:
        # float16 ends at 65,504: a power of 2 brings larger numbers into its range, exactly.
        most = float(np.abs(values).max())
        scale = np.array([2.0 ** max(0, np.frexp(most)[1] - 15)], dtype="float32")
        return {"values": (values / scale).astype("float16"), "scale": scale}
    scale = np.abs(values).max(axis=-1, keepdims=True) / np.float32(MAX_INT8)
    scale[scale == 0] = 1
    return {"values": np.rint(values / scale).astype("int8"), "scale": scale}


def _is_packed(values: Any, scale: Any) -> bool:
    if not isinstance(values, np.ndarray) or not isinstance(scale, np.ndarray):
        return False
    shape = (*values.shape[:-1], 1) if values.dtype == "int8" else (1,)
    return str(values.dtype) in DTYPES and scale.dtype == "float32" and scale.shape == shape

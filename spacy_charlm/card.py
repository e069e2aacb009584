"""The card: a description that travels inside a file of weights, compared with the model first."""

import gc
import hashlib
import json
import re
import struct
import tokenize
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import srsly
from thinc.api import Model, serialize_attr

from .compat import PACKAGES, find_version
from .errors import Errors
from .quantized import TABLE_DTYPES, VECTOR_TABLE, restore_weights

CARD_ATTR = "charlm_card"
# A second sign that there is a digest, so that damage to either of them is found.
DIGESTED = "has_digest"
_DIGEST = re.compile(rb'"digest": "([0-9a-f]{64})"')
_NO_DIGEST = b'"digest": "' + b"0" * 64 + b'"'
# What the readers of spaCy, thinc, NumPy and srsly raise on damaged bytes.
DAMAGE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    SyntaxError,
    ArithmeticError,
    MemoryError,
    RecursionError,
    BufferError,
    EOFError,
    OSError,
    struct.error,
    tokenize.TokenError,
    zlib.error,
)
_OURS = "[charlm "
# Attributes that training sets, and the settings, which are compared one by one.
UNCOMPARED = {CARD_ATTR, "dropout_rate", "is_enabled", "settings"}
_HEAD_LAYERS = {"dropout", "layernorm", "linear", "maxout"}


def write_card(tok2vec: Model, **facts: Any) -> str:
    """Describe weights: sizes of the layers, arguments of the embed layer, versions and facts.

    tok2vec (Model): The layer whose weights are saved.
    **facts (Any): JSON-like values, such as the words seen. No text and no absolute path.
    RETURNS (str): The card as JSON, to be kept in `tok2vec.attrs[CARD_ATTR]`.
    """
    return json.dumps(
        {
            **facts,
            "embed": _embed_arguments(tok2vec),
            "sizes": [{"node": node.name, "dims": _dims(node)} for node in tok2vec.walk()],
            "versions": {name: find_version(name) for name in PACKAGES},
        }
    )


def read_card(weights: dict[str, Any]) -> dict[str, Any] | None:
    """Read the card of weights.

    weights (Dict[str, Any]): What `read_weights` returned.
    RETURNS (Optional[Dict[str, Any]]): The card, or None if the weights have none: `spacy
        pretrain` writes none for spaCy's own objectives.
    """
    packed = weights["attrs"][0].get(CARD_ATTR)
    return None if packed is None else json.loads(srsly.msgpack_loads(packed))


def complete_card(data: bytes, facts: dict[str, Any]) -> bytes:
    """Add facts to the card inside weights, and a digest of the file.

    data (bytes): Weights with a card, as `Model.to_bytes` wrote them.
    facts (Dict[str, Any]): JSON-like values.
    RETURNS (bytes): The weights. `read_weights` detects every changed bit.
    """
    weights = srsly.msgpack_loads(data)
    card = {**(read_card(weights) or {}), **facts, "digest": "0" * 64, DIGESTED: True}
    weights["attrs"][0][CARD_ATTR] = srsly.msgpack_dumps(json.dumps(card))
    data = srsly.msgpack_dumps(weights)
    digest = hashlib.sha256(data).hexdigest()
    return data.replace(_NO_DIGEST, f'"digest": "{digest}"'.encode(), 1)


def _check_digest(data: bytes) -> None:
    """Compare weights with the digest on their card. `spacy pretrain` writes none."""
    found = _DIGEST.findall(data)
    if not found and f'"{DIGESTED}"'.encode() not in data:
        return
    if len(found) == 1 and hashlib.sha256(_DIGEST.sub(_NO_DIGEST, data)).hexdigest() == (
        found[0].decode()
    ):
        return
    raise ValueError("its digest does not match its content: it is cut short or damaged")


def read_weights(data: bytes, source: str) -> dict[str, Any]:
    """Unpack and check the bytes of a weights file, without loading them into a model.

    data (bytes): Content of the file, as `Model.to_bytes` wrote it.
    source (str): Name of the file, for the error.
    RETURNS (Dict[str, Any]): Nodes, attrs, params and shims in the order of `Model.walk`. The
        params are finite and float32, or the whole numbers of a table of word vectors.
    RAISES (ValueError): If the bytes are not the weights of a thinc model.
    """
    with name_damage(source):
        _check_digest(data)
        weights = srsly.msgpack_loads(data)
        _check_nodes(weights)
        restore_weights(weights)
        _check_card(read_card(weights))
        for i, (node, params) in enumerate(zip(weights["nodes"], weights["params"])):
            where = f"{source}, layer {i} ({node['name']})"
            is_table = node["name"] == VECTOR_TABLE
            if is_table:
                _check_table(node["dims"], params)
            for name, values in params.items():
                whole = is_table and str(getattr(values, "dtype", "")) == TABLE_DTYPES.get(name)
                if values is not None and not whole:
                    params[name] = _check_values(values, f"{where}, parameter {name}")
    return weights


def _check_nodes(weights: dict[str, Any]) -> None:
    kinds = {"nodes": dict, "attrs": dict, "params": dict, "shims": list}
    lists = [weights[name] for name in kinds]
    counts = ", ".join(f"{len(some)} {name}" for some, name in zip(lists, kinds))
    if not lists[0] or len(set(map(len, lists))) > 1:
        raise ValueError(f"it has {counts}")
    for i, parts in enumerate(zip(*lists)):
        if not all(map(isinstance, parts, kinds.values())):
            raise ValueError(f"layer {i} is incomplete")
        node = parts[0]
        numbers = [*node["dims"].values(), *node["refs"].values()]
        if not isinstance(node["name"], str) or not all(
            isinstance(number, int | None) for number in numbers
        ):
            raise ValueError(f"layer {i} has no name, or sizes that are not whole numbers")
        if not all(isinstance(value, bytes) for value in parts[1].values()):
            raise ValueError(f"layer {i} has attributes that are not packed")


def _check_card(card: Any) -> None:
    """Check what the readers of a card rely on. Everything in it is optional."""
    if card is None:
        return
    embed = card.get("embed") if isinstance(card, dict) else None
    expected = [
        (card, dict),
        *((card[name], dict | None) for name in ("embed", "target", "config") if name in card),
        *(((embed["architecture"], str), (embed["settings"], dict)) if embed else ()),
    ]
    wrong = [value for value, kind in expected if not isinstance(value, kind)]
    if wrong:
        raise ValueError(f"its card has {wrong[0]!r} in place of an object or a name")


def _check_table(dims: dict[str, int | None], params: dict[str, Any]) -> None:
    """Check what a model that has no table yet cannot compare with its own."""
    shapes = [getattr(params.get(name), "shape", None) for name in ("keys", "E", "scale")]
    n = len(params["E"]) if shapes[1] else 0
    if any(shapes) and (n == 0 or shapes != [(n, 2), (n, dims.get("nO")), (n,)]):
        raise ValueError(f"its table of word vectors has arrays of the shapes {shapes}")


def _check_values(values: Any, where: str) -> Any:
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
        found = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise ValueError(Errors.E550.format(where=where, found=found))
    with np.errstate(over="ignore"):
        values = values.astype("float32", copy=False)
    if not np.isfinite(values).all():
        raise ValueError(Errors.E550.format(where=where, found="nan or infinity"))
    return values


def apply_weights(weights: dict[str, Any], model: Model, source: str) -> None:
    """Load weights into a model that they fit. If that fails, the model keeps its own.

    weights (Dict[str, Any]): What `read_weights` returned.
    model (Model): The model, initialised.
    source (str): Name of the file, for the error.
    RAISES (ValueError): If the weights do not fit, or cannot be loaded.
    """
    check_fit(weights, model, source)
    with name_damage(source), _keep_on_failure(model):
        model.from_dict(weights)


def check_fit(weights: dict[str, Any], model: Model, source: str) -> None:
    """Compare weights with a model.

    weights (Dict[str, Any]): What `read_weights` returned.
    model (Model): The model.
    source (str): Name of the file, for the error.
    RAISES (ValueError): If there are differences, which the error lists.
    """
    with name_damage(source):
        differences = compare_weights(weights, model)
    if differences:
        lines = "\n".join(f"  {line}" for line in differences)
        raise ValueError(Errors.E503.format(path=source, lines=lines))


@contextmanager
def _keep_on_failure(model: Model) -> Iterator[None]:
    """Restore a model if the block fails. Loading replaces arrays and writes into none."""
    saved = [
        (
            node,
            dict(node.attrs),
            _dims(node),
            {name: node.maybe_get_ref(name) for name in node.ref_names},
            {name: node.maybe_get_param(name) for name in node.param_names},
            [shim.to_bytes() for shim in node.shims],
        )
        for node in model.walk()
    ]
    try:
        yield
    except BaseException:
        for node, attrs, dims, refs, params, shims in saved:
            node.attrs.clear()
            node.attrs.update(attrs)
            for name, ref in refs.items():
                node.set_ref(name, ref)
            for name in params:  # thinc does not let go of a size while there are params
                node.set_param(name, None)
            for dim, size in dims.items():
                node.set_dim(dim, size, force=True)  # type: ignore[arg-type]
            for name, values in params.items():
                node.set_param(name, values)
            for shim, data in zip(node.shims, shims):
                shim.from_bytes(data)
        raise


@contextmanager
def name_damage(source: str, template: str = Errors.E501) -> Iterator[None]:
    """Name the file if its bytes cannot be read. What damaged bytes raise depends on the damage.

    source (str): Name of the file, for the error.
    template (str): The error, with the fields `path` and `reason`.
    RAISES (ValueError): If the block fails in one of the ways of damaged files. Errors of this
        package stay as they are.
    """
    collecting = gc.isenabled()
    try:
        yield
    except BaseException as err:
        if collecting:
            gc.enable()  # srsly leaves it disabled if msgpack fails
        if not isinstance(err, DAMAGE) or str(err).startswith(_OURS):
            raise
        reason = str(err) or type(err).__name__
        raise ValueError(template.format(path=source, reason=reason)) from err


def compare_weights(weights: dict[str, Any], model: Model) -> list[str]:
    """List where weights and a model differ, first by settings of the config, then by layers.

    weights (Dict[str, Any]): What `read_weights` returned.
    model (Model): The layer that should receive them, initialised.
    RETURNS (List[str]): One line per difference; empty if the weights fit.
    """
    card = read_card(weights) or {}
    lines = _compare_settings(card.get("embed"), _embed_arguments(model)) if card else []
    nodes = list(model.walk())
    names = [node["name"] for node in weights["nodes"]]
    if names != [node.name for node in nodes] and is_head(weights):
        lines.append("whole file: weights of a head, config a tok2vec (its file is model-*.bin)")
    if len(names) != len(nodes):
        lines.append(f"number of layers: weights {len(names)}, config {len(nodes)}")
        return lines
    numbers = {node.id: i for i, node in enumerate(nodes)}
    for i, node in enumerate(nodes):
        if names[i] != node.name:
            lines.append(f"layer {i}: weights '{names[i]}', config '{node.name}'")
            continue
        found = _compare_dims(weights["nodes"][i]["dims"], node)
        found += _compare_refs(weights["nodes"][i]["refs"], node, numbers)
        found += _compare_attrs(weights["attrs"][i], node)
        found += _compare_params(weights["params"][i], node)
        lines += [f"layer {i} ({node.name}), {line}" for line in found]
    return lines


def _compare_dims(dims: dict[str, int | None], node: Model) -> list[str]:
    ours = _dims(node)
    # A size that is None has not been set.
    return [
        f"{name}: weights {size}, config {ours.get(name, 'none')}"
        for name, size in dims.items()
        if name not in ours or (None not in (size, ours[name]) and size != ours[name])
    ]


def _compare_refs(refs: dict[str, int | None], node: Model, numbers: dict[int, int]) -> list[str]:
    layers = {name: node.maybe_get_ref(name) for name in node.ref_names}
    ours = {name: layer and numbers.get(layer.id) for name, layer in layers.items()}
    return [
        f"reference {name}: weights {number}, config {ours.get(name)}"
        for name, number in refs.items()
        if name not in ours or (ours[name] is not None and number != ours[name])
    ]


def _compare_attrs(attrs: dict[str, bytes], node: Model) -> list[str]:
    return [
        f"{name}: weights {srsly.msgpack_loads(attrs[name])!r}, config {ours!r}"
        for name, ours in sorted(node.attrs.items())
        if name in attrs
        and name not in UNCOMPARED
        and attrs[name] != serialize_attr(ours, ours, name, node)
    ]


def _compare_params(params: dict[str, Any], node: Model) -> list[str]:
    lines = [f"parameter {name}: config none" for name in params if name not in node.param_names]
    for name in node.param_names:
        ours, theirs = node.maybe_get_param(name), params.get(name)
        if ours is not None and (theirs is None or theirs.shape != ours.shape):
            found = "none" if theirs is None else theirs.shape
            lines.append(f"parameter {name}: weights {found}, config {ours.shape}")
    return lines


def is_head(weights: dict[str, Any]) -> bool:
    """Recognise the weights of a head by the names of their layers.

    weights (Dict[str, Any]): What `read_weights` returned.
    """
    names = weights["nodes"][0]["name"].split(">>")
    return names[-1] == "linear" and set(names) <= _HEAD_LAYERS


def _compare_settings(theirs: dict[str, Any] | None, ours: dict[str, Any] | None) -> list[str]:
    if theirs is None or ours is None or theirs["architecture"] != ours["architecture"]:
        names = [
            part["architecture"] if part else "an embed layer of spaCy" for part in (theirs, ours)
        ]
        return [] if names[0] == names[1] else [f"embed: weights {names[0]}, config {names[1]}"]
    return _list_differences("embed", theirs["settings"], ours["settings"])


def _list_differences(where: str, theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    lines = []
    for name, value in ours.items():
        # Older cards lack newer settings. The comparison of layers covers those, but does not say
        # which block is missing.
        other = theirs.get(name, None if isinstance(value, dict) else value)
        if isinstance(other, dict) and isinstance(value, dict):
            lines += _list_differences(f"{where}.{name}", other, value)
        elif other != value:
            lines.append(f"{where}.{name}: weights {other!r}, config {value!r}")
    return lines


def _embed_arguments(tok2vec: Model) -> dict[str, Any] | None:
    for node in tok2vec.walk():
        if "settings" in node.attrs and "architecture" in node.attrs:
            return {
                "architecture": node.attrs["architecture"],
                "settings": node.attrs["settings"],
            }
    return None


def _dims(node: Model) -> dict[str, int | None]:
    return {name: node.maybe_get_dim(name) for name in node.dim_names}

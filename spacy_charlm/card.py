"""The card: a description that travels inside a file of weights, compared with the model first."""

import gc
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import srsly
from thinc.api import Model

from .compat import PACKAGES, find_version
from .errors import Errors

CARD_ATTR = "charlm_card"
# A second sign that there is a digest, so that damage to either of them is found.
DIGESTED = "has_digest"
_DIGEST = re.compile(rb'"digest": "([0-9a-f]{64})"')
_NO_DIGEST = b'"digest": "' + b"0" * 64 + b'"'


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
    """Unpack the bytes of a weights file, without loading them into a model.

    data (bytes): Content of the file, as `Model.to_bytes` wrote it.
    source (str): Name of the file, for the error.
    RETURNS (Dict[str, Any]): Nodes, attrs and params in the order of `Model.walk`.
    RAISES (ValueError): If the bytes are not the weights of a thinc model.
    """
    with name_damage(source):
        _check_digest(data)
        weights = srsly.msgpack_loads(data)
        nodes, attrs, params = weights["nodes"], weights["attrs"], weights["params"]
        if not nodes or not len(nodes) == len(attrs) == len(params):
            raise ValueError(f"{len(nodes)} nodes, {len(attrs)} attrs, {len(params)} params")
    return weights


@contextmanager
def name_damage(source: str, template: str = Errors.E501) -> Iterator[None]:
    """Name the file if its bytes cannot be read. What damaged bytes raise depends on the damage.

    source (str): Name of the file, for the error.
    template (str): The error, with the fields `path` and `reason`.
    RAISES (ValueError): If the block fails in one of the ways of damaged files.
    """
    try:
        yield
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        SyntaxError,
        OverflowError,
        MemoryError,
        RecursionError,
    ) as err:
        gc.enable()  # srsly leaves it disabled if msgpack fails
        raise ValueError(template.format(path=source, reason=err or type(err))) from err


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
    if len(names) != len(nodes):
        lines.append(f"number of layers: weights {len(names)}, config {len(nodes)}")
        return lines
    for i, node in enumerate(nodes):
        if names[i] != node.name:
            lines.append(f"layer {i}: weights '{names[i]}', config '{node.name}'")
            continue
        for dim, ours in _dims(node).items():
            theirs = weights["nodes"][i]["dims"].get(dim)
            if theirs is not None and ours is not None and theirs != ours:
                lines.append(f"layer {i} ({node.name}), {dim}: weights {theirs}, config {ours}")
        for name in node.param_names:
            theirs = weights["params"][i].get(name)
            if node.has_param(name) and theirs is not None:
                if tuple(theirs.shape) != tuple(node.get_param(name).shape):
                    shapes = f"weights {theirs.shape}, config {node.get_param(name).shape}"
                    lines.append(f"layer {i} ({node.name}), parameter {name}: {shapes}")
    return lines


def _compare_settings(theirs: dict[str, Any] | None, ours: dict[str, Any] | None) -> list[str]:
    if theirs is None or ours is None or theirs["architecture"] != ours["architecture"]:
        names = [
            part["architecture"] if part else "an embed layer of spaCy" for part in (theirs, ours)
        ]
        return [] if names[0] == names[1] else [f"embed: weights {names[0]}, config {names[1]}"]
    return [
        f"embed.{name}: weights {theirs['settings'].get(name)!r}, config {value!r}"
        for name, value in ours["settings"].items()
        # Older cards lack newer settings. The comparison of layers covers those.
        if theirs["settings"].get(name, value) != value
    ]


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

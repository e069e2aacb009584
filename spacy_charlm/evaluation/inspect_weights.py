"""The contents of a weights file: its card, its layers and the config block that fits it."""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import spacy
import srsly
from catalogue import RegistryError
from spacy.attrs import NAMES
from spacy.language import Language
from spacy.util import load_model_from_config, registry
from thinc.api import Config, ConfigValidationError

from ..card import (
    DIGESTED,
    check_fit,
    compare_weights,
    is_head,
    name_damage,
    read_card,
    read_weights,
)
from ..errors import Errors
from ..pipeline.find_tok2vec import load_tok2vec
from ..training.load_weights import load_into, read_file

Block: TypeAlias = dict[str, Any]

WINDOW_UNITS = {
    "spacy.MaxoutWindowEncoder.v2": "residual(expand_window>>maxout>>layernorm>>dropout)",
    "spacy.MishWindowEncoder.v2": "residual(expand_window>>mish>>layernorm>>dropout)",
}


@dataclass(frozen=True)
class SavedNode:
    """A layer as it is saved.

    name (str): Its name, composed of the names of its sublayers.
    dims (Dict[str, Optional[int]]): Its sizes.
    attrs (Dict[str, Any]): Its settings.
    refs (Dict[str, int]): Index of the layer that each reference points to.
    n_parameters (int): Number of its own parameters, without those of its sublayers.
    n_bytes (int): Their size in bytes.
    """

    name: str
    dims: dict[str, int | None]
    attrs: dict[str, Any]
    refs: dict[str, int | None]
    n_parameters: int
    n_bytes: int


def read_nodes(weights: dict[str, Any]) -> list[SavedNode]:
    """List the layers of weights, in the order of `Model.walk`.

    weights (Dict[str, Any]): The result of `read_weights`.
    RETURNS (List[SavedNode]): The layers; the first is the tok2vec as a whole.
    """
    nodes = []
    for node, attrs, params in zip(weights["nodes"], weights["attrs"], weights["params"]):
        arrays = [array for array in params.values() if array is not None]
        nodes.append(
            SavedNode(
                name=node["name"],
                dims=node["dims"],
                attrs={name: srsly.msgpack_loads(value) for name, value in attrs.items()},
                refs=node["refs"],
                n_parameters=sum(array.size for array in arrays),
                n_bytes=sum(array.nbytes for array in arrays),
            )
        )
    return nodes


def recognise_tok2vec(nodes: Sequence[SavedNode]) -> tuple[Block, list[str]]:
    """Recognise the embed layer and the encoder of a tok2vec.

    nodes (Sequence[SavedNode]): Its layers.
    RETURNS (Tuple[Block, List[str]]): The block (complete, with only `embed` or `encode`, or
        empty) and notes on what was not recognised.
    """
    notes: list[str] = []
    block: Block = {"@architectures": "spacy.Tok2Vec.v2"}
    for part, recognise in (("embed", recognise_embed), ("encode", recognise_encoder)):
        index = nodes[0].refs.get(part)
        found = recognise(nodes[index], nodes) if index is not None else None
        if found is not None:
            block[part] = found
        elif index is None:
            notes.append(f"no layer is called '{part}': this is no spacy.Tok2Vec.v2")
        else:
            notes.append(f"{part}: not recognised in '{nodes[index].name}'")
    if len(block) < 3:
        block.pop("@architectures")
    if "embed" in block:
        defaults = _defaults(block["embed"])
        block["embed"] = {**block["embed"], **defaults}
        if defaults:
            names = " and ".join(f"embed.{name}" for name in defaults)
            notes.append(f"{names}: not stored in the weights, so the block has the default")
    notes += [
        f"reads static vectors of width {node.dims.get('nM')}: set initialize.vectors to those "
        "that the weights were trained with"
        for node in nodes
        if node.name == "static_vectors"
    ]
    return block, notes


def recognise_embed(embed: SavedNode, nodes: Sequence[SavedNode]) -> Block | None:
    """Recognise an embed layer of this package, which stores its arguments, or one of spaCy's.

    embed (SavedNode): The layer.
    nodes (Sequence[SavedNode]): All layers of the tok2vec.
    RETURNS (Optional[Block]): Its block, or None.
    """
    for node in nodes:
        if "architecture" in node.attrs and "settings" in node.attrs:
            settings = dict(node.attrs["settings"])
            if all(other.name != "embed_ngrams" for other in nodes):
                settings["ngrams"] = []  # weights saved by older versions do not record it
            return {"@architectures": node.attrs["architecture"], **settings}
    hashes = [node for node in nodes if node.name == "hashembed"]
    hashes.sort(key=lambda node: node.attrs.get("column", 0))
    columns = [
        column
        for node in nodes
        if node.name == "extract_features"
        for column in node.attrs.get("columns", [])
    ]
    attrs = [NAMES[column] if isinstance(column, int) else column for column in columns]
    static = any(node.name == "static_vectors" for node in nodes)
    if len(attrs) != len(hashes):
        return None
    if embed.name.startswith("extract_features>>list2ragged>>with_array("):
        return {
            "@architectures": "spacy.MultiHashEmbed.v2",
            "width": embed.dims.get("nO"),
            "attrs": attrs,
            "rows": [node.dims.get("nV") for node in hashes],
            "include_static_vectors": static,
        }
    chars = [node for node in nodes if node.name == "charembed"]
    if embed.name.startswith("charembed>>list2ragged|extract_features") and len(attrs) == 1:
        return {
            "@architectures": "spacy.CharacterEmbed.v2",
            "width": embed.dims.get("nO"),
            "rows": hashes[0].dims.get("nV"),
            "nM": chars[0].dims.get("nM"),
            "nC": chars[0].dims.get("nC"),
            "include_static_vectors": static,
            "feature": attrs[0],
        }
    return None


def recognise_encoder(encode: SavedNode, nodes: Sequence[SavedNode]) -> Block | None:
    """Recognise spaCy's window encoders, and the one that passes the vectors on.

    encode (SavedNode): The layer.
    nodes (Sequence[SavedNode]): All layers of the tok2vec.
    RETURNS (Optional[Block]): Its block, or None.
    """
    if encode.name == "identity_encoder":
        return {
            "@architectures": "spacy-charlm.IdentityEncoder.v1",
            "width": encode.dims.get("nO"),
        }
    for architecture, unit in WINDOW_UNITS.items():
        depth = encode.name.count(unit)
        if not depth or encode.name != f"with_array({'>>'.join([unit] * depth)})":
            continue
        windows = [node for node in nodes if node.name == "expand_window"]
        block = {
            "@architectures": architecture,
            "width": encode.dims.get("nO"),
            "depth": depth,
            "window_size": windows[-1].attrs.get("window_size"),
        }
        if "Maxout" in architecture:
            # The walk is breadth-first, and the maxout layers of the encoder are the deepest.
            maxouts = [node for node in nodes if node.name == "maxout"]
            block["maxout_pieces"] = maxouts[-1].dims.get("nP")
        return block
    return None


def compare_block(block: Block, weights: dict[str, Any], nodes: Sequence[SavedNode]) -> list[str]:
    """Build a layer from a block and list how it differs from the weights.

    block (Block): The config block of a whole tok2vec.
    weights (Dict[str, Any]): The result of `read_weights`.
    nodes (Sequence[SavedNode]): The result of `read_nodes`.
    RETURNS (List[str]): One line per difference in names, sizes, shapes and settings.
    RAISES (ValueError): If the block asks for more layers than there are in the weights.
    """
    if _find_depth(block) > len(nodes):
        raise ValueError(f"a depth of {_find_depth(block)}, but {len(nodes)} layers")
    try:
        model = registry.resolve({"model": block})["model"]
    except (RegistryError, ConfigValidationError, ValueError) as err:
        return [f"it cannot be built here, {str(err).strip().splitlines()[0]}"]
    return compare_weights(weights, model)


def _find_depth(block: Block) -> int:
    """Find the largest depth in a block and the blocks in it."""
    depths = [_find_depth(value) for value in block.values() if isinstance(value, dict)]
    depth = block.get("depth")
    return max([depth if isinstance(depth, int) else 0, *depths])


def compare_settings(
    ours: Sequence[SavedNode], theirs: Sequence[SavedNode]
) -> tuple[list[str], int]:
    """Compare the settings of two tok2vecs as far as their layers tell them.

    ours (Sequence[SavedNode]): Layers of the weights.
    theirs (Sequence[SavedNode]): Layers of the model of a config.
    RETURNS (Tuple[List[str], int]): One line per setting that differs, and the number of settings
        that agree.
    """
    lines, n_equal = [], 0
    for part, recognise in (("embed", recognise_embed), ("encode", recognise_encoder)):
        at = [nodes[0].refs.get(part) for nodes in (ours, theirs)]
        if at[0] is None or at[1] is None:
            continue
        mine, other = recognise(ours[at[0]], ours), recognise(theirs[at[1]], theirs)
        if mine is None or other is None:
            continue
        names = [block["@architectures"] for block in (mine, other)]
        if names[0] != names[1]:
            lines.append(f"{part}: weights {names[0]}, config {names[1]}")
            continue
        for name in mine.keys() & other.keys():
            n_equal += mine[name] == other[name]
        lines += [
            f"{part}.{name}: weights {mine[name]!r}, config {other[name]!r}"
            for name in mine
            if name in other and mine[name] != other[name]
        ]
    return lines, n_equal


def _defaults(block: Block) -> Block:
    """Return the defaults of the arguments that a block leaves out."""
    try:
        builder = registry.get("architectures", block["@architectures"])
    except RegistryError:
        return {}
    return {
        name: parameter.default
        for name, parameter in inspect.signature(builder).parameters.items()
        if name not in block and parameter.default is not parameter.empty
    }


# Shown as the config block and as the table of layers.
NO_FACTS = ("config", "embed", "sizes", DIGESTED)


@dataclass(frozen=True)
class WeightsReport:
    """The contents of a weights file.

    n_bytes (int): Size of the file in bytes.
    card (Optional[Dict[str, Any]]): The card, if the file has one.
    nodes (List[SavedNode]): The layers.
    section (str): The section that the block belongs in, such as "components.tok2vec.model".
    block (Block): The config block, or the parts of it that were recognised.
    notes (List[str]): What was not recognised.
    differences (Optional[List[str]]): How the weights differ from a config, settings first; None
        without one.
    n_equal (int): Number of settings that agree with the config.
    """

    n_bytes: int
    card: dict[str, Any] | None
    nodes: list[SavedNode]
    section: str
    block: Block
    notes: list[str]
    differences: list[str] | None
    n_equal: int = 0

    @property
    def n_parameters(self) -> int:
        """Number of parameters of all layers."""
        return sum(node.n_parameters for node in self.nodes)

    def block_text(self) -> str:
        """Format the block as part of a config, ready to paste; "" if nothing was recognised."""
        if not self.block:
            return ""
        nested: dict[str, Any] = self.block
        for name in reversed(self.section.split(".")):
            nested = {name: nested}
        # The user's config already has the sections above the block.
        whole = "@architectures" in self.block
        start = f"[{self.section}]" if whole else f"[{self.section}.{next(iter(self.block))}]"
        text = Config(nested).to_str()
        return text[text.index(start) :].strip()

    def facts(self) -> Iterator[tuple[str, str]]:
        """Yield names and values of the card; nested names are joined with dots."""
        kept = {name: fact for name, fact in (self.card or {}).items() if name not in NO_FACTS}
        yield from _flatten(kept)


def inspect_weights(
    path: Path,
    config: Config | None = None,
    component: str | None = None,
    layer: str | None = None,
) -> WeightsReport:
    """Read a weights file, and compare it with a config if there is one.

    path (Path): Weights from `spacy pretrain` or `charlm pretrain`.
    config (Optional[Config]): Interpolated config whose tok2vec should receive the weights.
    component (Optional[str]): Component of that config with the tok2vec; see `load_tok2vec`.
    layer (Optional[str]): Layer in the model of that component.
    RETURNS (WeightsReport): The contents.
    RAISES (ValueError): If the file is missing or does not hold weights, or the config has no
        tok2vec.
    """
    data = read_file(path)
    weights = read_weights(data, str(path))
    notes: list[str] = []
    # A card by someone else may have a config that cannot be read, built or written.
    with name_damage(str(path)):
        card, nodes = read_card(weights), read_nodes(weights)
        section, block = _block_of_card(card or {})
        if is_head(weights):
            notes.append("these are the weights of a head, not of a tok2vec")
        elif not block:
            block, notes = recognise_tok2vec(nodes)
        if "@architectures" in block:
            lines = compare_block(block, weights, nodes)
            notes += [f"the block does not fit these weights exactly: {line}" for line in lines]
        report = WeightsReport(len(data), card, nodes, section, block, notes, None)
        report.block_text()
    if any(weights["shims"]):
        notes.append("parameters of other frameworks, such as PyTorch, are not counted")
    if config is None:
        return report
    model = load_tok2vec(config, component, layer)[1]
    theirs = read_nodes(srsly.msgpack_loads(model.to_bytes()))
    settings, n_equal = compare_settings(nodes, theirs)
    differences = list(dict.fromkeys([*settings, *compare_weights(weights, model)]))
    return replace(report, differences=differences, n_equal=n_equal)


def load_pretrained(path: Path, lang: str = "en") -> Language:
    """Make a blank pipeline with the tok2vec that a weights file describes, and load the weights.

    path (Path): Weights from `spacy pretrain` or `charlm pretrain`.
    lang (str): Language of the pipeline, which determines tokenizer and lexical attributes.
    RETURNS (Language): The pipeline, with the component "tok2vec".
    RAISES (ValueError): If the file does not describe a whole tok2vec.
    """
    report = inspect_weights(path)
    if "@architectures" not in report.block:
        found = "; ".join(report.notes) or "unknown layers"
        raise ValueError(Errors.E724.format(path=path, reason=found))
    config = spacy.blank(lang).config.copy()
    config["nlp"]["pipeline"] = ["tok2vec"]
    config["components"] = {"tok2vec": {"factory": "tok2vec", "model": report.block}}
    with name_damage(str(path), Errors.E724):
        nlp = load_model_from_config(config, auto_fill=True)
        pipe: Any = nlp.get_pipe("tok2vec")
        # Before memory is allocated for sizes that may be wrong.
        check_fit(read_weights(read_file(path), str(path)), pipe.model, str(path))
        nlp.initialize()
    load_into(pipe.model, path)
    return nlp


def _block_of_card(card: dict[str, Any]) -> tuple[str, Block]:
    """Find section and block of the tok2vec in the config that a card may contain."""
    config = card.get("config") or {}
    pretraining = config.get("pretraining") or {}
    component = pretraining.get("component") or "tok2vec"
    section = f"components.{component}.model"
    block = ((config.get("components") or {}).get(component) or {}).get("model") or {}
    layer = pretraining.get("layer")
    if layer:
        section, block = f"{section}.{layer}", block.get(layer)
    if not isinstance(block, dict):
        return section, {}
    embed = block.get("embed")
    for name in ("table", "lexicons"):
        if isinstance(embed, dict) and isinstance(embed.get(name), dict):
            # The weights have what the path points to, which may be on another machine.
            embed = {**embed, name: {**embed[name], "path": None}}
            block = {**block, "embed": embed}
    return section, block


def _flatten(facts: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, fact in facts.items():
        if isinstance(fact, dict):
            yield from _flatten(fact, f"{prefix}{name}.")
        elif isinstance(fact, int) and not isinstance(fact, bool):
            yield prefix + name, f"{fact:,}"
        elif isinstance(fact, float):
            yield prefix + name, f"{fact:,.4f}"
        else:
            yield prefix + name, "-" if fact is None else str(fact)

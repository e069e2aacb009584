"""What a weights file holds: its card, its layers and the config block that fits it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinc.api import Config

from ..card import compare_weights, name_damage, read_card, read_weights
from .load_tok2vec import load_tok2vec
from .recognise_layers import Block, SavedNode, compare_block, read_nodes, recognise_tok2vec

# Shown in other ways than as facts: as the config block and as the table of layers.
NO_FACTS = ("config", "embed", "sizes")


@dataclass(frozen=True)
class WeightsReport:
    """What a weights file holds.

    n_bytes (int): Size of the file.
    card (Optional[Dict[str, Any]]): The card, or None where the file has none.
    nodes (List[SavedNode]): The layers.
    section (str): Where the block belongs, such as "components.tok2vec.model".
    block (Block): The config block, or as much of it as could be told.
    notes (List[str]): What could not be told.
    differences (Optional[List[str]]): Where the weights and a config differ; None without one.
    """

    n_bytes: int
    card: dict[str, Any] | None
    nodes: list[SavedNode]
    section: str
    block: Block
    notes: list[str]
    differences: list[str] | None

    @property
    def n_parameters(self) -> int:
        """Numbers in all arrays."""
        return sum(node.n_parameters for node in self.nodes)

    def block_text(self) -> str:
        """Write the block as in a config, ready to paste; empty where nothing could be told."""
        if not self.block:
            return ""
        nested: dict[str, Any] = self.block
        for name in reversed(self.section.split(".")):
            nested = {name: nested}
        # Sections above the block stand in the user's config already.
        whole = "@architectures" in self.block
        start = f"[{self.section}]" if whole else f"[{self.section}.{next(iter(self.block))}]"
        text = Config(nested).to_str()
        return text[text.index(start) :].strip()

    def facts(self) -> Iterator[tuple[str, str]]:
        """Yield what the card says, name and value, nested names joined by dots."""
        kept = {name: fact for name, fact in (self.card or {}).items() if name not in NO_FACTS}
        yield from _flatten(kept)


def inspect_weights(
    path: Path,
    config: Config | None = None,
    component: str | None = None,
    layer: str | None = None,
) -> WeightsReport:
    """Read what a weights file holds, and compare it with a config where one is given.

    path (Path): What `spacy pretrain` wrote.
    config (Optional[Config]): Interpolated config whose tok2vec should receive the weights.
    component (Optional[str]): Component of that config with the tok2vec; see `load_tok2vec`.
    layer (Optional[str]): Layer in that component's model.
    RETURNS (WeightsReport): What was found.
    RAISES (ValueError): If the file does not hold weights or the config has no tok2vec.
    """
    data = path.read_bytes()
    weights = read_weights(data, str(path))
    with name_damage(str(path)):
        card, nodes = read_card(weights), read_nodes(weights)
    section, block = _block_of_card(card or {})
    notes: list[str] = []
    if not block:
        block, notes = recognise_tok2vec(nodes)
    if "@architectures" in block:
        lines = compare_block(block, weights, nodes)
        notes += [f"the block does not give these weights exactly: {line}" for line in lines]
    if any(weights.get("shims") or []):
        notes.append("layers of other frameworks, such as PyTorch: their parameters not counted")
    differences = None
    if config is not None:
        differences = compare_weights(weights, load_tok2vec(config, component, layer)[1])
    return WeightsReport(len(data), card, nodes, section, block, notes, differences)


def _block_of_card(card: dict[str, Any]) -> tuple[str, Block]:
    """Find the tok2vec in the config that a card carries; without one, say where it would be."""
    config = card.get("config") or {}
    pretraining = config.get("pretraining") or {}
    component = pretraining.get("component") or "tok2vec"
    section = f"components.{component}.model"
    block = ((config.get("components") or {}).get(component) or {}).get("model") or {}
    layer = pretraining.get("layer")
    if layer:
        section, block = f"{section}.{layer}", block.get(layer)
    return section, block if isinstance(block, dict) else {}


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

"""Everything that a pretraining needs to go on as if nothing had happened."""

import re
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from thinc.api import Model, Optimizer

from ..card import CARD_ATTR
from ..errors import Errors
from ..files import PART
from .array_file import ArrayFile, read_arrays, write_arrays
from .optimizer import get_steps, set_steps

KIND = "charlm pretrain"
MOMENTS = ("mom1", "mom2", "averages")


@dataclass
class Progress:
    """How far a pretraining is. Its generators start anew at each step, from seed and step.

    step (int): Updates.
    epoch (int): Passes over the corpus that are behind it.
    round (int): Rounds of this pass that are behind it: see `rounds.read_rounds`.
    round_step (int): Updates of this round.
    words (int): Words seen.
    seconds (float): Time spent, evaluations included.
    best_step (int): The step of the best evaluation.
    best_score (Optional[float]): Its score, None before the first.
    scores (Dict[str, float]): What it measured.
    """

    step: int = 0
    epoch: int = 0
    round: int = 0
    round_step: int = 0
    words: int = 0
    seconds: float = 0.0
    best_step: int = 0
    best_score: float | None = None
    scores: dict[str, float] = field(default_factory=dict)


def take_snapshot(model: Model, optimizer: Optimizer) -> ArrayFile:
    """Copy all that an update changes.

    model (Model): The objective: tok2vec and head.
    optimizer (Optimizer): With its moments and averages.
    RETURNS (ArrayFile): For `write_checkpoint` and `load_snapshot`.
    """
    counters = {name: value for name, value in model.attrs.items() if type(value) is int}
    tok2vec = model.maybe_get_ref("tok2vec") or model
    settings = {
        "attrs": counters,
        "card": tok2vec.attrs.get(CARD_ATTR),
        "optimizer_steps": get_steps(optimizer),
    }
    updates = [optimizer.nr_update.get(key, 0) for _, key, _ in _params(model)]
    arrays = {"updates": np.array(updates, dtype="int64")}
    for name, key, node in _params(model):
        arrays[name] = model.ops.to_numpy(node.get_param(key[1])).copy()
        for moment in MOMENTS:
            kept = getattr(optimizer, moment) or {}
            if key in kept:
                arrays[f"{moment}.{name}"] = model.ops.to_numpy(kept[key]).copy()
    return ArrayFile(settings, arrays)


def write_checkpoint(
    folder: Path, snapshot: ArrayFile, progress: Progress, origin: dict[str, Any], keep: int
) -> Path:
    """Write a checkpoint and remove the oldest ones.

    folder (Path): The folder of all checkpoints of a run.
    snapshot (ArrayFile): What `take_snapshot` returned.
    progress (Progress): How far the run is.
    origin (Dict[str, Any]): What the run is made of, compared before it is resumed. JSON-like.
    keep (int): How many checkpoints stay.
    RETURNS (Path): The file.
    RAISES (OSError): If it cannot be written; the older ones stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{progress.step:09}.ckpt"
    settings = {
        **snapshot.settings,
        "kind": KIND,
        "progress": asdict(progress),
        "origin": origin,
    }
    write_arrays(path, ArrayFile(settings, snapshot.arrays))
    for old in find_checkpoints(folder)[:-keep]:
        old.unlink()
    for part in folder.glob(f"*{PART}"):
        part.unlink()
    return path


def find_checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints of a run, the oldest first."""
    paths = folder.glob("step-*.ckpt")
    paths = (path for path in paths if re.fullmatch(r"step-\d+\.ckpt", path.name))
    return sorted(paths, key=get_step)


def get_step(path: Path) -> int:
    """Get the step of a checkpoint from its name."""
    return int(path.stem.removeprefix("step-"))


def read_checkpoint(folder: Path) -> ArrayFile:
    """Read the newest checkpoint of a run.

    folder (Path): The folder of all checkpoints of a run.
    RETURNS (ArrayFile): Its content, for `load_checkpoint`.
    RAISES (ValueError): If there is none, or the newest one is damaged: an older one that is whole
        is named, and nothing is touched.
    """
    paths = find_checkpoints(folder)
    if not paths:
        raise ValueError(Errors.E522.format(path=folder))
    try:
        content = read_arrays(paths[-1])
        if content.settings.get("kind") != KIND:
            raise ValueError(Errors.E521.format(path=paths[-1], reason="of another kind"))
    except ValueError as err:
        older = paths[-2].name if len(paths) > 1 else "none"
        raise ValueError(f"{err} {Errors.E523.format(name=paths[-1].name, older=older)}") from err
    return content


def load_snapshot(content: ArrayFile, model: Model, optimizer: Optimizer) -> None:
    """Put a snapshot into an objective and an optimizer.

    content (ArrayFile): What `take_snapshot` or `read_checkpoint` returned.
    model (Model): The objective, initialised.
    optimizer (Optimizer): A fresh one.
    RAISES (ValueError): If an array does not fit; then nothing has been loaded.
    """
    params = _params(model)
    arrays: dict[str, Any] = content.arrays
    ops: Any = model.ops
    shapes: dict[str, tuple[int, ...]] = {"updates": (len(params),)}
    for name, key, node in params:
        shapes[name] = node.get_param(key[1]).shape
        kept = [f"{moment}.{name}" for moment in MOMENTS if f"{moment}.{name}" in arrays]
        # Adam's moments are flat.
        shapes.update((n, shapes[name] if "averages" in n else (prod(shapes[name]),)) for n in kept)
    lines = [
        f"{name}: checkpoint {arrays[name].shape if name in arrays else None}, now {shape}"
        for name, shape in shapes.items()
        if name not in arrays or arrays[name].shape != shape
    ]
    if lines:
        raise ValueError(Errors.E524.format(lines="\n".join(f"  {line}" for line in lines)))
    for (name, key, node), updates in zip(params, arrays["updates"].tolist()):
        node.set_param(key[1], ops.asarray(arrays[name].copy()))
        optimizer.nr_update[key] = updates
        if updates:
            # From its first gradient on, a parameter is updated each time, if by nothing new.
            node.set_grad(key[1], ops.xp.zeros_like(node.get_param(key[1])))
        for moment in MOMENTS:
            if f"{moment}.{name}" in arrays:
                kept = ops.asarray(arrays[f"{moment}.{name}"].copy())
                getattr(optimizer, moment)[key] = kept
    set_steps(optimizer, content.settings["optimizer_steps"])
    model.attrs.update(content.settings["attrs"])
    if content.settings["card"] is not None:
        tok2vec = model.maybe_get_ref("tok2vec") or model
        tok2vec.attrs[CARD_ATTR] = content.settings["card"]


def _params(model: Model) -> list[tuple[str, tuple[int, str], Model]]:
    """Name each parameter by the place of its layer in the tree; key of the optimizer, layer."""
    return [
        (f"{i}.{node.name}.{name}", (node.id, name), node)
        for i, node in enumerate(model.walk())
        for name in node.param_names
        if node.has_param(name)
    ]

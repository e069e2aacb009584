"""Checkpoints: all that a pretraining run needs to continue as if it had never stopped.

A checkpoint is a safetensors file: arrays and JSON, no code. It holds the parameters, the state of
the optimizer, the position in the corpus, and a description of the run's origin: the config, the
texts, the target, and all other files that the config names. A run is only resumed if its origin is
still the same.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from spacy.vectors import Vectors
from thinc.api import Config, Model, Optimizer

from ..card import CARD_ATTR
from ..errors import Errors
from ..files import digest, find_files, flatten, write_whole
from .optimizer import get_steps, set_steps
from .rounds import Scan

SUFFIX = ".safetensors"
PATTERN = f"step-*{SUFFIX}"
KIND = "charlm pretrain"
MOMENTS = ("mom1", "mom2", "averages")
# Changes of these settings do not change the updates.
FREE_SETTINGS = ("max_steps", "patience", "keep_last", "logger", "eval_frequency", "dev_corpus")
PATHS = ("path", "vectors")  # settings that are paths, also relative ones


@dataclass(frozen=True)
class ArrayFile:
    """Content of a file of arrays.

    settings (Dict[str, Any]): JSON-like values.
    arrays (Dict[str, ndarray]): Arrays of float32, float64, int32 or int64 by name.
    """

    settings: dict[str, Any]
    arrays: dict[str, np.ndarray]


def write_arrays(path: Path, content: ArrayFile) -> None:
    """Write arrays and settings to a safetensors file, atomically.

    path (Path): The file. An existing one is replaced.
    content (ArrayFile): What to write.
    RAISES (OSError): If the file cannot be written. An existing one is unchanged.
    """
    arrays = {
        name: np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        for name, array in content.arrays.items()
    }
    settings = json.dumps(content.settings)
    metadata = {"settings": settings, "digest": _digest_content(settings, arrays)}
    write_whole(path, [save(arrays, metadata=metadata)])


def read_arrays(path: Path, older: str = "none") -> ArrayFile:
    """Read a file that `write_arrays` wrote.

    path (Path): The file.
    older (str): Name of an older file, which the error suggests.
    RETURNS (ArrayFile): Its content.
    RAISES (ValueError): If it is another file, cut short or damaged. All sizes are checked before
        memory is allocated for them.
    """
    try:
        with safe_open(path, framework="np") as file_:
            metadata = file_.metadata() or {}
            arrays = {name: file_.get_tensor(name) for name in file_.keys()}
        if not metadata.keys() >= {"settings", "digest"}:
            raise ValueError("it has no settings: another program wrote it")
        if metadata["digest"] != _digest_content(metadata["settings"], arrays):
            raise ValueError("its digest does not match its content: it is damaged")
        settings = json.loads(metadata["settings"])
        if not isinstance(settings, dict):
            raise ValueError(f"its settings are of type {type(settings).__name__}")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as err:
        raise _describe_damage(path, older, err) from err
    return ArrayFile(settings, arrays)


def _digest_content(settings: str, arrays: dict[str, np.ndarray]) -> str:
    found = hashlib.sha256(settings.encode("utf8"))
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype.str} {array.shape}".encode())
        found.update(array.data if array.size else b"")
    return found.hexdigest()


def describe_origin(
    config: Config, vectors: Vectors, *, seed: int, n_shards: int, target: Any, scan: Scan | None
) -> dict[str, Any]:
    """Describe all that determines the updates of a run.

    config (Config): Interpolated config.
    vectors (Vectors): The vectors of the vocab, which an embed layer may read.
    seed (int): Seed of the run.
    n_shards (int): Shards of the batch of a step.
    target (Any): Description of the target, JSON-like; None for objectives of spaCy.
    scan (Optional[Scan]): Description of the texts; None if they were not scanned.
    RETURNS (Dict[str, Any]): JSON-like, without absolute paths.
    """
    pretraining = {k: v for k, v in config["pretraining"].items() if k != "max_epochs"}
    learn_rate = pretraining["optimizer"].get("learn_rate")
    if isinstance(learn_rate, dict):
        # Our schedule repeats the reader, which is compared below, and max_epochs.
        learn_rate = {k: v for k, v in learn_rate.items() if k not in ("corpus", "epochs")}
        pretraining["optimizer"] = {**pretraining["optimizer"], "learn_rate": learn_rate}
    charlm = config.get("charlm") or {}
    corpus = pretraining["corpus"].rpartition(".")[2]
    settings = {
        "nlp": config["nlp"],
        "initialize": {"vectors": config["initialize"].get("vectors")},
        "components": config["components"],
        "corpora": {corpus: config["corpora"].get(corpus)},
        "pretraining": pretraining,
        "charlm": {k: v for k, v in charlm.items() if k not in FREE_SETTINGS},
    }
    # The texts have a digest of their own, and so have the vectors of the vocab.
    known = {"initialize.vectors", f"corpora.{corpus}.path" if scan is not None else ""}
    files = find_files({"paths": config.get("paths", {}), **settings})
    return {
        "config": _strip_paths(settings),
        "seed": seed,
        "shards": n_shards,
        "texts": None if scan is None else asdict(scan),
        "vectors": _digest_vectors(vectors),
        "target": target,
        "files": {
            name: digest(path)
            for name, path in files.items()
            if name not in known and not name.startswith("paths.")
        },
    }


def _digest_vectors(vectors: Vectors) -> str | None:
    if not vectors.shape[0]:
        return None
    return hashlib.sha256(vectors.to_bytes(exclude=["strings"])).hexdigest()[:16]


def _strip_paths(value: Any, name: str = "") -> Any:
    """Replace each path by its last component: where a machine keeps a file does not matter."""
    if isinstance(value, dict):
        return {key: _strip_paths(part, key) for key, part in value.items()}
    if isinstance(value, str) and (name in PATHS or Path(value).is_absolute()):
        return Path(value).name
    return value


def compare_origins(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """List the differences between the origin in a checkpoint and that of the present run.

    found (Dict[str, Any]): The origin in the checkpoint.
    expected (Dict[str, Any]): The origin of the present run.
    RETURNS (List[str]): One line per difference, with its dotted name.
    """
    ours, theirs = dict(flatten(expected)), dict(flatten(found))
    return [
        f"{name}: checkpoint {theirs.get(name)!r}, now {ours.get(name)!r}"
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    ]


@dataclass
class RunState:
    """Position of a run. All random generators are reseeded at each step from seed and step.

    step (int): Updates made.
    epoch (int): Passes over the corpus that are complete.
    round (int): Rounds of this pass that are complete: see `rounds.Rounds`.
    round_step (int): Updates made in this round.
    words (int): Tokens read.
    seconds (float): Time spent, evaluations included.
    best_step (int): Step of the best evaluation.
    best_score (Optional[float]): Its score; None before the first evaluation.
    scores (Dict[str, float]): All its scores.
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

    model (Model): The objective: tok2vec and heads.
    optimizer (Optimizer): Its optimizer, with moments and averages.
    RETURNS (ArrayFile): The copy, for `write_checkpoint` and `load_snapshot`.
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
    folder: Path, snapshot: ArrayFile, progress: RunState, origin: dict[str, Any], keep: int
) -> Path:
    """Write a checkpoint and remove the oldest ones.

    folder (Path): The folder of all checkpoints of a run.
    snapshot (ArrayFile): Result of `take_snapshot`.
    progress (RunState): Position of the run.
    origin (Dict[str, Any]): Result of `describe_origin`, compared before the run is resumed.
    keep (int): Number of checkpoints to keep.
    RETURNS (Path): The file.
    RAISES (OSError): If the file cannot be written; the older ones stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{progress.step:09}{SUFFIX}"
    settings = {"kind": KIND, "progress": asdict(progress), "origin": origin}
    settings = {**snapshot.settings, **settings}
    write_arrays(path, ArrayFile(settings, snapshot.arrays))
    for old in find_checkpoints(folder)[:-keep]:
        old.unlink()
    return path


def find_checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints of a run, the oldest first."""
    paths = folder.glob(PATTERN)
    paths = (path for path in paths if re.fullmatch(rf"step-\d+\{SUFFIX}", path.name))
    return sorted(paths, key=get_step)


def require_checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints of a run, the oldest first; raise a ValueError if there is none."""
    paths = find_checkpoints(folder)
    if not paths:
        raise ValueError(Errors.E522.format(path=folder))
    return paths


def get_step(path: Path) -> int:
    """Return the step of a checkpoint, from the name of its file."""
    return int(path.stem.removeprefix("step-"))


def read_checkpoint(folder: Path) -> ArrayFile:
    """Read the newest checkpoint of a run.

    folder (Path): The folder of all checkpoints of a run.
    RETURNS (ArrayFile): Its content, for `load_snapshot`.
    RAISES (ValueError): If there is none, or the newest one is damaged. The error then names the
        one before it.
    """
    paths = require_checkpoints(folder)
    older = paths[-2].name if len(paths) > 1 else "none"
    content = read_arrays(paths[-1], older)
    if content.settings.get("kind") != KIND:
        raise _describe_damage(paths[-1], older, "of another kind")
    return content


def _describe_damage(path: Path, older: str, reason: Any) -> ValueError:
    return ValueError(Errors.E521.format(path=path, reason=reason, name=path.name, older=older))


def load_snapshot(content: ArrayFile, model: Model, optimizer: Optimizer) -> None:
    """Load a snapshot into an objective and an optimizer.

    content (ArrayFile): Result of `take_snapshot` or `read_checkpoint`.
    model (Model): The objective, initialised.
    optimizer (Optimizer): A new optimizer.
    RAISES (ValueError): If an array does not fit; nothing has been loaded then.
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
            # After its first gradient a parameter is updated at every step, even by zero.
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
    """List name, optimizer key and layer of each parameter. Names contain the layer's index."""
    return [
        (f"{i}.{node.name}.{name}", (node.id, name), node)
        for i, node in enumerate(model.walk())
        for name in node.param_names
        if node.has_param(name)
    ]

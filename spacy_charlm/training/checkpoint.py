"""Everything that a pretraining needs to go on as if nothing had happened."""

import hashlib
import json
import re
import struct
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from thinc.api import Model, Optimizer

from ..card import CARD_ATTR
from ..errors import Errors
from ..files import PART, write_whole
from .optimizer import get_steps, set_steps
from .rounds import Scan

MAGIC = b"charlm1\n"
TYPES = ("<f4", "<f8", "<i4", "<i8")
START = struct.Struct("<8sQ32s")  # magic, bytes of the header, digest
CHUNK = 1 << 20


@dataclass(frozen=True)
class ArrayFile:
    """What a file holds.

    settings (Dict[str, Any]): JSON-like values.
    arrays (Dict[str, ndarray]): Arrays of float32, float64, int32 or int64 by name.
    """

    settings: dict[str, Any]
    arrays: dict[str, np.ndarray]


def write_arrays(path: Path, content: ArrayFile) -> None:
    """Write a file as a whole: see `files.write_whole`.

    path (Path): The file, replaced where there is one.
    content (ArrayFile): What it shall hold.
    RAISES (OSError): If it cannot be written; a file that was there stays as it is.
    """
    arrays = {
        name: np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        for name, array in content.arrays.items()
    }
    layout = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    header = json.dumps({"settings": content.settings, "arrays": layout}).encode("utf8")
    chunks = [header, *(array.tobytes() for array in arrays.values())]
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    write_whole(path, [START.pack(MAGIC, len(header), digest.digest()), *chunks])


def read_arrays(path: Path) -> ArrayFile:
    """Read a file that `write_arrays` wrote.

    path (Path): The file.
    RETURNS (ArrayFile): What it holds.
    RAISES (ValueError): If it is another file, cut short or damaged. The digest and all sizes are
        compared with the file before memory is taken for them.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file_:
            start = file_.read(START.size)
            if len(start) < START.size or not start.startswith(MAGIC):
                raise ValueError("it does not begin like one")
            _, header_size, expected = START.unpack(start)
            if START.size + header_size > size:
                raise ValueError("it is cut short")
            digest = hashlib.sha256()
            while chunk := file_.read(CHUNK):
                digest.update(chunk)
            if digest.digest() != expected:
                raise ValueError("its digest is not that of its content: cut short or damaged")
            file_.seek(START.size)
            header = json.loads(file_.read(header_size))
            settings = header["settings"]
            if not isinstance(settings, dict):
                raise ValueError(f"its settings are of type {type(settings).__name__}")
            layout = [(str(name), kind, tuple(shape)) for name, kind, shape in header["arrays"]]
            _check_sizes(layout, size - START.size - header_size)
            arrays = {
                name: np.frombuffer(bytearray(file_.read(_n_bytes(kind, shape))), kind).reshape(
                    shape
                )
                for name, kind, shape in layout
            }
    except OSError as err:
        raise ValueError(Errors.E521.format(path=path, reason=err)) from err
    except (ValueError, KeyError, TypeError, RecursionError) as err:
        raise ValueError(Errors.E521.format(path=path, reason=err)) from err
    return ArrayFile(settings, arrays)


def _check_sizes(layout: list[tuple[str, str, tuple[int, ...]]], size: int) -> None:
    for name, kind, shape in layout:
        if kind not in TYPES or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError(f"the array '{name}' is of type {kind} and shape {shape}")
    expected = sum(_n_bytes(kind, shape) for _, kind, shape in layout)
    if expected != size:
        raise ValueError(f"it promises {expected:,} bytes of arrays and has {size:,}")


def _n_bytes(kind: str, shape: tuple[int, ...]) -> int:
    return prod(shape) * int(kind[-1])


# A change of these does not change the updates that a run has made.
FREE_SETTINGS = ("max_steps", "patience", "keep_last", "logger", "eval_frequency", "dev_corpus")

PATHS = ("path", "vectors")  # settings that are paths, relative ones too


def describe_origin(worker: Any, scan: Scan | None) -> dict[str, Any]:
    """Describe what decides a run's updates: config, seed, texts, target, parts of a batch.

    worker (Worker): Who computes.
    scan (Optional[Scan]): What the texts are.
    RETURNS (Dict[str, Any]): JSON-like, without absolute paths.
    """
    config = worker.nlp.config.interpolate()
    pretraining = {k: v for k, v in config["pretraining"].items() if k != "max_epochs"}
    charlm = config.get("charlm") or {}
    corpus = pretraining["corpus"].rpartition(".")[2]
    return {
        "config": _strip(
            {
                "nlp": config["nlp"],
                "initialize": {"vectors": config["initialize"].get("vectors")},
                "components": config["components"],
                "corpora": {corpus: config["corpora"].get(corpus)},
                "pretraining": pretraining,
                "charlm": {k: v for k, v in charlm.items() if k not in FREE_SETTINGS},
            }
        ),
        "seed": worker.seed,
        "parts": worker.n_parts,
        "texts": None if scan is None else asdict(scan),
        "target": worker.target,
    }


def _strip(value: Any, name: str = "") -> Any:
    """Leave the name of a path: it says where a machine keeps a file."""
    if isinstance(value, dict):
        return {key: _strip(part, key) for key, part in value.items()}
    if isinstance(value, str) and (name in PATHS or Path(value).is_absolute()):
        return Path(value).name
    return value


def compare_origins(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Say what differs between a checkpoint's run and the one that shall go on from it.

    found (Dict[str, Any]): The origin in the checkpoint.
    expected (Dict[str, Any]): That of the present config and corpus.
    RETURNS (List[str]): One line per difference, with its dotted name.
    """
    ours, theirs = dict(_flatten(expected)), dict(_flatten(found))
    return [
        f"{name}: checkpoint {theirs.get(name)!r}, now {ours.get(name)!r}"
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    ]


def _flatten(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [
            line
            for name, part in value.items()
            for line in _flatten(part, f"{prefix}.{name}" if prefix else str(name))
        ]
    return [(prefix, value)]


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

"""What a run is made of, so that it is resumed with nothing else."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from .rounds import Scan

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

"""A run: one training in a folder of its own, skipped when complete, repeated when interrupted."""

import hashlib
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from configparser import InterpolationError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import srsly
from spacy.schemas import ConfigSchemaPretrain, ConfigSchemaTraining
from spacy.util import is_package, load_model_from_config, registry
from thinc.api import Config
from thinc.config import ConfigValidationError

from ..errors import Errors
from ..files import digest, find_files, write_whole
from ..training.checkpoint import find_checkpoints
from ..training.pretrain import CHECKPOINTS

TRAIN, PRETRAIN, CHARLM_PRETRAIN = "train", "pretrain", "charlm pretrain"
COMMANDS = (TRAIN, PRETRAIN, CHARLM_PRETRAIN)
CONFIG, LOG, CURVE = "config.cfg", "log.txt", "curve.jsonl"
STARTED, FINISHED, SCORES = "started.json", "settings.json", "metrics.json"
REPLACED = "replaced"  # in the folder of a study: what finished runs had before they were repeated
WEIGHTS = ("model-best.bin", "model-last.bin")
PIPELINES = ("model-best", "model-last")
# The values of [paths] that have to exist before a run begins: files, folders, installed packages.
INPUTS = ("train", "dev", "raw_text", "dev_text", "vectors", "target_vectors", "parser")
INPUTS += ("table", "init_tok2vec", "init_weights", "misspellings")
N_LINES = 25  # of the log of a run that failed
PERCENT = re.compile(r"(?<!\d)(\d+(?:\.\d+)?)%")
# Runs a command line, with its output in a file; returns the exit code.
Execute = Callable[[list[str], Path], int]


class RunFailed(RuntimeError):
    """A command of a run ended with an error; the message is the end of its log."""


@dataclass
class Run:
    """One training.

    The folder gets config.cfg (complete), log.txt, what the command writes, curve.jsonl (scores by
    step, `train` only), settings.json (written at the end: config, digests of all files that it
    names, and seconds), and metrics.json (scores on `data`; metrics-NAME.json for sets with names).

    task (str): Name of the group in the study, or "pretrain".
    name (str): Name of the row, such as "CharCNN/LMAO".
    seed (int): The seed.
    command (str): One of COMMANDS.
    folder (Path): Folder of the run.
    config (Config): The config with all settings, not interpolated.
    source (Optional[Run]): The pretraining whose weights it starts from.
    data (Mapping[str, Path]): Sets of Docs to score the pipeline on, by name; a single one may
        have the name "". Without any, the scores are those of the last evaluation during training.
    gold_preproc (bool): Whether the scores use the tokens of the data.
    """

    task: str
    name: str
    seed: int
    command: str
    folder: Path
    config: Config
    source: "Run | None" = None
    data: Mapping[str, Path] = field(default_factory=dict)
    gold_preproc: bool = False

    @property
    def title(self) -> str:
        """Name for messages."""
        return f"{self.task}: {self.name} (seed {self.seed})"

    @property
    def weights(self) -> Path:
        """The weights that a pretraining writes: the best ones if it has development texts."""
        has_dev = bool(self.config.get("paths", {}).get("dev_text"))
        return self.folder / WEIGHTS[0 if self.command == CHARLM_PRETRAIN and has_dev else 1]

    @property
    def pipeline(self) -> Path:
        """The pipeline that a training has written."""
        paths = [self.folder / name for name in PIPELINES]
        return next((path for path in paths if path.exists()), paths[-1])

    def validate(self) -> None:
        """Build and check what the config describes, with spaCy's own validation.

        RAISES (ValueError): If a setting is missing or of a wrong type, a name is unknown, or a
            function refuses a value.
        """
        try:
            filled = load_model_from_config(self.config, auto_fill=True).config.interpolate()
            if self.command == TRAIN:
                registry.resolve(filled["training"], schema=ConfigSchemaTraining)
            else:
                registry.resolve(filled["pretraining"], schema=ConfigSchemaPretrain)
        except (ValueError, InterpolationError) as err:
            raise ValueError(Errors.E675.format(row=self.title, found=describe_error(err))) from err

    def check_files(self) -> None:
        """Check that the data and the paths that the config reads exist.

        RAISES (ValueError): If one does not.
        """
        paths = self.config.interpolate().get("paths", {})
        named = {name: paths[name] for name in INPUTS if paths.get(name)}
        if self.source is not None:
            named.pop("init_weights", None)  # written before this run begins
        named |= {f"evaluate {name}".rstrip(): str(path) for name, path in self.data.items()}
        missing = [
            f"{name} = {value}"
            for name, value in named.items()
            if not Path(value).exists() and not is_package(value)
        ]
        if missing:
            raise ValueError(Errors.E674.format(row=self.title, found=", ".join(missing)))

    def is_trained(self) -> bool:
        """Whether the folder holds the result of exactly this config and these files."""
        path = self.folder / FINISHED
        if not path.is_file() or not any(self.folder.glob("model-*")):
            return False
        found = _read_json(path)
        found.pop("seconds", None)
        return found == self._describe()

    def is_complete(self) -> bool:
        """Whether it is trained and, if it is to be scored, scored."""
        if self.source is not None and not self.source.is_trained():
            return False
        return self.is_trained() and all(map(self._is_scored, self.data))

    def share_done(self) -> float:
        """Share of the training that is done, as far as its files tell; 0 if they do not."""
        config = self.config.interpolate()
        if self.command == TRAIN:
            max_steps = config["training"].get("max_steps")
            steps = re.findall(r'"step": ?(\d+)', "\n".join(_read_lines(self.folder / CURVE)))
            return int(steps[-1]) / max_steps if steps and max_steps else 0.0
        log = "\n".join(_read_lines(self.folder / LOG))
        if self.command == CHARLM_PRETRAIN:
            shares = PERCENT.findall(log)
            return float(shares[-1]) / 100 if shares else 0.0
        # Epoch and words. The first line of the second epoch tells how many words an epoch has.
        rows = re.findall(r"^ *(\d+) +(\d+) +[\d.]+ +[\d.]+ +\d+ *$", log, re.MULTILINE)
        epoch_words = next((int(words) for epoch, words in rows if epoch != "0"), 0)
        n_words = epoch_words * config["pretraining"].get("max_epochs", 0)
        return min(int(rows[-1][1]) / n_words, 1.0) if n_words else 0.0

    def execute(self, execute: Execute, gpu_id: int) -> None:
        """Train and score, unless that is done.

        execute (Callable): Runs a command line.
        gpu_id (int): GPU, or -1 for the CPU.
        RAISES (RunFailed): If a command fails.
        """
        gpu = ["--gpu-id", str(gpu_id)]
        if not self.is_trained():
            self._train(execute, gpu)
        for name in self.data:
            if not self._is_scored(name):
                self._score(name, execute, gpu)

    def scores(self) -> dict[str, dict[str, Any]]:
        """Return all scores of the pipeline by set; empty for a pretraining or a run that failed.

        The last evaluation during training has the name "".
        """
        found = {name: _read_json(self._path_of(name)).get("scores", {}) for name in self.data}
        meta = _read_json(self.folder / "model-last" / "meta.json")
        return found or {"": meta.get("performance", {})}

    def seconds(self) -> float:
        """Return how long the training took; 0 if it has not ended."""
        return _read_json(self.folder / FINISHED).get("seconds", 0.0)

    def megabytes(self) -> float:
        """Return the size of the weights or of the pipeline."""
        path = self.pipeline if self.command == TRAIN else self.weights
        files = [path] if path.is_file() else path.rglob("*")
        return sum(file.stat().st_size for file in files if file.is_file()) / 1e6

    def _clear(self) -> None:
        """Remove the folder. What a finished run has written moves to REPLACED instead."""
        if (self.folder / FINISHED).exists():
            output = self.folder.parents[len(Path(self.name).parts) + 1]
            kept = output / REPLACED / self.folder.relative_to(output)
            if kept.exists():
                shutil.rmtree(kept)
            kept.parent.mkdir(parents=True, exist_ok=True)
            self.folder.rename(kept)
        elif self.folder.exists():
            shutil.rmtree(self.folder)

    def _train(self, execute: Execute, gpu: list[str]) -> None:
        described = self._describe()
        started = self.folder / STARTED
        resumes = (
            self.command == CHARLM_PRETRAIN
            and _read_json(started) == described
            and bool(find_checkpoints(self.folder / CHECKPOINTS))
        )
        if not resumes:
            self._clear()
            self.folder.mkdir(parents=True)
            self.config.to_disk(self.folder / CONFIG, interpolate=False)
            _write_json(started, described)
        arguments = [str(self.folder / CONFIG), str(self.folder), *gpu]
        if self.command == TRAIN:
            arguments.insert(1, "--output")
        start = time.monotonic()
        self._call(execute, [*self.command.split(), *arguments, *["--resume"] * resumes])
        seconds = round(time.monotonic() - start, 1)
        _write_json(self.folder / FINISHED, {**described, "seconds": seconds})

    def _score(self, name: str, execute: Execute, gpu: list[str]) -> None:
        output = self.folder / "scores.json"
        # Without --per-component spaCy leaves out the accuracy of textcat.
        arguments = ["evaluate", str(self.pipeline), str(self.data[name]), "--output", str(output)]
        arguments += ["--per-component", *gpu, *["--gold-preproc"] * self.gold_preproc]
        self._call(execute, arguments)
        scores: dict[str, Any] = {}
        for component in srsly.read_json(output).values():
            scores.update(component if isinstance(component, dict) else {})
        output.unlink()
        _write_json(self._path_of(name), {"digest": self._digest_scores(name), "scores": scores})

    def _call(self, execute: Execute, arguments: list[str]) -> None:
        log = self.folder / LOG
        if execute([sys.executable, "-m", "spacy", *arguments], log):
            raise RunFailed("\n".join(_read_lines(log)[-N_LINES:]))

    def _path_of(self, name: str) -> Path:
        path = self.folder / SCORES
        return path.with_stem(f"{path.stem}-{name}") if name else path

    def _is_scored(self, name: str) -> bool:
        return _read_json(self._path_of(name)).get("digest") == self._digest_scores(name)

    def _digest_scores(self, name: str) -> str:
        facts = [self._describe(), self.gold_preproc, digest(self.data[name])]
        return hashlib.sha256(srsly.json_dumps(facts).encode("utf8")).hexdigest()[:16]

    def _describe(self) -> dict[str, Any]:
        """Describe what decides the result: the config, and the content of the files it names.

        The folder of the study is left out, so that it can be moved.
        """
        config = self.config.copy()
        files = {}
        left_out = {self.folder.resolve()}
        if self.source is not None:
            config["paths"]["init_weights"] = self.source.title
            files[self.source.title] = digest(self.source.weights)
            left_out.add(self.source.weights.resolve())
        if self.command == TRAIN:
            config["training"]["logger"]["output_file"] = None
        for path in sorted(set(find_files(self.config.interpolate()).values())):
            found = path.resolve()
            is_above = found in self.folder.resolve().parents
            if not is_above and not left_out & {found, *found.parents}:
                files[str(path)] = digest(path)
        return {"command": self.command, "config": config.to_str(), "files": files}


def describe_error(err: Exception) -> str:
    """Describe an error in a config without printing the whole config.

    err (Exception): The error.
    RETURNS (str): Where it is, and what is wrong.
    """
    if isinstance(err, ConfigValidationError):
        err = ConfigValidationError.from_error(err, title="", show_config=False)
    return " ".join(str(err).replace("\t", ": ").split())


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_whole(path, [srsly.json_dumps(content, indent=2).encode("utf8")])


def _read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; an empty one if the file is missing or damaged."""
    try:
        found = srsly.read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _read_lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    return path.read_text(encoding="utf8", errors="replace").splitlines()

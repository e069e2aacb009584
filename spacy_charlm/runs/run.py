"""A run: one training in a folder of its own, skipped when complete, repeated when interrupted."""

import errno
import hashlib
import math
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
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
ERROR = "error.json"
REPLACED = "replaced"  # in the folder of a study: what finished runs had before they were repeated
WEIGHTS = ("model-best.bin", "model-last.bin")
NO_NUMBERS = ("_desc", "_per_type")  # ends of the names of scores that are not numbers
SCORE = "score"  # the weighted mean of the scores, by which spaCy chooses model-best
PIPELINES = ("model-best", "model-last")
# The values of [paths] that have to exist before a run begins: files, folders, installed packages.
INPUTS = ("train", "dev", "raw_text", "dev_text", "vectors", "target_vectors", "parser")
INPUTS += ("table", "init_tok2vec", "init_weights", "misspellings")
# Exit codes of a command that was asked to end.
STOPPED = (-signal.SIGTERM, -signal.SIGINT)
N_LINES = 25  # of the log of a run that failed
PERCENT = re.compile(r"(?<!\d)(\d+(?:\.\d+)?)%")
# Runs a command line, with its output in a file, and returns the exit code. The process is ended
# when the last argument, if there is one, returns True.
Execute = Callable[[list[str], Path, Callable[[], bool] | None], int]


class RunFailed(RuntimeError):
    """A command of a run ended with an error; the message is the end of its log.

    code (int): The exit code; the negative number of a signal.
    """

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code

    @property
    def is_final(self) -> bool:
        """Whether it would fail again: neither was it ended from outside, nor is the disk full."""
        return self.code not in STOPPED and os.strerror(errno.ENOSPC) not in str(self)


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
    trial (Optional[int]): Number of the trial in a search.
    metric (str): The score in training that a search compares.
    least (Mapping[float, float]): The scores that a trial needs to go on, by the share of its
        steps. One that lacks them is ended, which counts as complete.
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
    trial: int | None = None
    metric: str = SCORE
    least: Mapping[float, float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Name for messages."""
        which = f"seed {self.seed}" if self.trial is None else f"trial {self.trial}"
        return f"{self.task}: {self.name} ({which})"

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
        except Exception as err:  # whatever a function of the registry raises
            raise ValueError(Errors.E675.format(row=self.title, found=describe_error(err))) from err

    def list_scores(self) -> list[str]:
        """List the scores that evaluations in training report, with a weight or without."""
        config = load_model_from_config(self.config, auto_fill=True).config
        names = sorted(config["training"]["score_weights"])
        return [SCORE, *(name for name in names if not name.endswith(NO_NUMBERS))]

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
        if not path.is_file():
            return False
        found = _read_json(path)
        found.pop("seconds", None)
        stopped = found.pop("stopped", None)
        return (stopped or any(self.folder.glob("model-*"))) and found == self._describe()

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

    def evaluations(self) -> list[tuple[int, float]]:
        """Return the steps of the evaluations in training, and the scores that a search compares.

        Scores are between 0 and 1. Those after the evaluation at which a trial had to stop are left
        out, however many there are.
        """
        found = []
        for line in _read_lines(self.folder / CURVE):
            try:
                facts = srsly.json_loads(line)
            except ValueError:  # still being written
                break
            score = facts["score"] if self.metric == SCORE else facts["scores"].get(self.metric)
            if isinstance(score, int | float):
                # The others are in per cent.
                found.append((facts["step"], score if self.metric == SCORE else score / 100))
        stop = self._find_stop(found)
        return found if stop is None else found[: stop + 1]

    def best_score(self) -> float | None:
        """Return the best score in training; None if there is none, or the run has not ended."""
        scores = [score for _, score in self.evaluations()]
        return max(scores) if scores and self.is_trained() else None

    def best_so_far(self) -> list[tuple[float, float]]:
        """Return the share of the steps and the best score so far, by evaluation."""
        found = self.evaluations() if self.is_trained() else []
        best = accumulate((score for _, score in found), max)
        return [(step / self.max_steps, score) for (step, _), score in zip(found, best)]

    def describe_failure(self) -> str:
        """Return why this trial has failed; empty if it has not, or is to be tried again."""
        found = _read_json(self.folder / ERROR)
        error = found.pop("error", "")
        return error if found and found == self._describe() else ""

    def fail(self, error: str) -> None:
        """Record why this trial has failed, so that it is not tried again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _write_json(self.folder / ERROR, {**self._describe(), "error": error})

    @cached_property
    def max_steps(self) -> int:
        """The number of steps of a training; 0 if there is no limit."""
        return int(self.config.interpolate()["training"].get("max_steps") or 0)

    def _find_stop(self, evaluations: Sequence[tuple[int, float]]) -> int | None:
        """Find the evaluation at which a trial misses a rung, and so has to stop."""
        rungs = sorted(self.least)
        best = -math.inf
        for i, (step, score) in enumerate(evaluations):
            best = max(best, score)
            while rungs and step >= rungs[0] * self.max_steps:
                if best < self.least[rungs.pop(0)]:
                    return i
        return None

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
        command = [*self.command.split(), *arguments, *["--resume"] * resumes]
        try:
            self._call(execute, command, self._has_to_stop if self.least else None)
        except RunFailed as err:
            if self.trial is not None and err.is_final:
                self.fail(str(err))
            raise
        facts: dict[str, Any] = {"seconds": round(time.monotonic() - start, 1)}
        if self.least and self._has_to_stop():
            facts["stopped"] = self.evaluations()[-1][0]
        _write_json(self.folder / FINISHED, {**described, **facts})

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

    def _call(
        self,
        execute: Execute,
        arguments: list[str],
        has_to_stop: Callable[[], bool] | None = None,
    ) -> None:
        log = self.folder / LOG
        code = execute([sys.executable, "-m", "spacy", *arguments], log, has_to_stop)
        if code and not (has_to_stop is not None and has_to_stop()):
            lines = _read_lines(log)[-N_LINES:]
            if code < 0 or not lines:
                lines.append(f"exit code {code}" if code > 0 else f"ended by signal {-code}")
            raise RunFailed("\n".join(lines), code)

    def _has_to_stop(self) -> bool:
        """Whether a trial has missed a rung."""
        evaluations = self.evaluations()
        return self._find_stop(evaluations) is not None

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
            del config["training"]["logger"]
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

"""A run: one training in a folder of its own, skipped when complete, repeated when interrupted."""

import hashlib
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import srsly
from spacy.schemas import ConfigSchemaPretrain, ConfigSchemaTraining
from spacy.util import load_model_from_config, registry
from thinc.api import Config

TRAIN, PRETRAIN, CHARLM_PRETRAIN = "train", "pretrain", "charlm pretrain"
COMMANDS = (TRAIN, PRETRAIN, CHARLM_PRETRAIN)
CONFIG, LOG, CURVE = "config.cfg", "log.txt", "curve.jsonl"
STARTED, FINISHED, SCORES = "started.json", "settings.json", "metrics.json"
WEIGHTS = ("model-best.bin", "model-last.bin")
PIPELINES = ("model-best", "model-last")
N_LINES = 25  # of the log of a run that failed
# Runs a command line, with its output in a file; returns the exit code.
Execute = Callable[[list[str], Path], int]


class RunFailed(RuntimeError):
    """A command of a run ended with an error; the message is the end of its log."""


@dataclass
class Run:
    """One training.

    The folder gets config.cfg (complete), log.txt, what the command writes, curve.jsonl (scores by
    step, `train` only), settings.json (written at the end: config and digests of all files that it
    names), and metrics.json (scores on `data`).

    task (str): Name of the group in the study, or "pretrain".
    name (str): Name of the row, such as "CharCNN/LMAO".
    seed (int): The seed.
    command (str): One of COMMANDS.
    folder (Path): Folder of the run.
    config (Config): The config with all settings, not interpolated.
    source (Optional[Run]): The pretraining whose weights it starts from.
    data (Optional[Path]): Docs to score the pipeline on; None keeps the scores of the last
        evaluation during training.
    gold_preproc (bool): Whether the scores use the tokens of the data.
    """

    task: str
    name: str
    seed: int
    command: str
    folder: Path
    config: Config
    source: "Run | None" = None
    data: Path | None = None
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

        RAISES (ConfigValidationError): If a setting is missing, unknown or of a wrong type.
        RAISES (ValueError): If a function of the config refuses a value.
        """
        nlp = load_model_from_config(self.config, auto_fill=True)
        filled = nlp.config.interpolate()
        if self.command == TRAIN:
            registry.resolve(filled["training"], schema=ConfigSchemaTraining)
        else:
            registry.resolve(filled["pretraining"], schema=ConfigSchemaPretrain)

    def is_trained(self) -> bool:
        """Whether the folder holds the result of exactly this config and these files."""
        path = self.folder / FINISHED
        if not path.is_file() or not any(self.folder.glob("model-*")):
            return False
        return srsly.read_json(path) == self._describe()

    def is_complete(self) -> bool:
        """Whether it is trained and, if it is to be scored, scored."""
        if self.source is not None and not self.source.is_trained():
            return False
        return self.is_trained() and (self.data is None or self._is_scored())

    def share_done(self) -> float:
        """Share of the training that is done, as far as its files tell; 0 if they do not."""
        if self.command == TRAIN:
            max_steps = self.config["training"].get("max_steps") or 0
            lines = _read_lines(self.folder / CURVE)
            return srsly.json_loads(lines[-1])["step"] / max_steps if lines and max_steps else 0.0
        found = re.findall(r"(\d+(?:\.\d+)?)%", "\n".join(_read_lines(self.folder / LOG)[-5:]))
        return float(found[-1]) / 100 if found and self.command == CHARLM_PRETRAIN else 0.0

    def execute(self, execute: Execute, gpu_id: int) -> None:
        """Train and score, unless that is done.

        execute (Callable): Runs a command line.
        gpu_id (int): GPU, or -1 for the CPU.
        RAISES (RunFailed): If a command fails.
        """
        gpu = ["--gpu-id", str(gpu_id)]
        if not self.is_trained():
            self._train(execute, gpu)
        if self.data is not None and not self._is_scored():
            self._score(execute, gpu)

    def scores(self) -> dict[str, Any]:
        """Return all scores of the pipeline; empty for a pretraining or a run that failed."""
        if (self.folder / SCORES).is_file():
            return srsly.read_json(self.folder / SCORES)["scores"]
        meta = self.folder / "model-last" / "meta.json"
        return srsly.read_json(meta)["performance"] if meta.is_file() else {}

    def megabytes(self) -> float:
        """Return the size of the weights or of the pipeline."""
        path = self.pipeline if self.command == TRAIN else self.weights
        files = [path] if path.is_file() else path.rglob("*")
        return sum(file.stat().st_size for file in files if file.is_file()) / 1e6

    def _train(self, execute: Execute, gpu: list[str]) -> None:
        described = self._describe()
        started = self.folder / STARTED
        resumes = (
            self.command == CHARLM_PRETRAIN
            and started.is_file()
            and srsly.read_json(started) == described
            and any((self.folder / "checkpoints").glob("step-*.ckpt"))
        )
        if not resumes:
            if self.folder.exists():
                shutil.rmtree(self.folder)
            self.folder.mkdir(parents=True)
            self.config.to_disk(self.folder / CONFIG, interpolate=False)
            srsly.write_json(started, described)
        arguments = [str(self.folder / CONFIG), str(self.folder), *gpu]
        if self.command == TRAIN:
            arguments.insert(1, "--output")
        self._call(execute, [*self.command.split(), *arguments, *["--resume"] * resumes])
        srsly.write_json(self.folder / FINISHED, described)

    def _score(self, execute: Execute, gpu: list[str]) -> None:
        output = self.folder / "scores.json"
        # Without --per-component spaCy leaves out the accuracy of textcat.
        arguments = ["evaluate", str(self.pipeline), str(self.data), "--output", str(output)]
        arguments += ["--per-component", *gpu, *["--gold-preproc"] * self.gold_preproc]
        self._call(execute, arguments)
        scores: dict[str, Any] = {}
        for component in srsly.read_json(output).values():
            scores.update(component if isinstance(component, dict) else {})
        output.unlink()
        srsly.write_json(self.folder / SCORES, {"digest": self._digest_scores(), "scores": scores})

    def _call(self, execute: Execute, arguments: list[str]) -> None:
        log = self.folder / LOG
        if execute([sys.executable, "-m", "spacy", *arguments], log):
            raise RunFailed("\n".join(_read_lines(log)[-N_LINES:]))

    def _is_scored(self) -> bool:
        path = self.folder / SCORES
        return path.is_file() and srsly.read_json(path)["digest"] == self._digest_scores()

    def _digest_scores(self) -> str:
        facts = [srsly.read_json(self.folder / FINISHED), self.gold_preproc, digest(self.data)]
        return hashlib.sha256(srsly.json_dumps(facts).encode("utf8")).hexdigest()[:16]

    def _describe(self) -> dict[str, Any]:
        """Describe what decides the result: the config, and the content of the files it names."""
        files = {
            text: digest(Path(text))
            for text in sorted(set(_find_strings(self.config.interpolate())))
            if len(text) < 1000 and Path(text).exists() and self.folder not in Path(text).parents
        }
        return {"command": self.command, "config": self.config.to_str(), "files": files}


def digest(path: Path | None) -> str:
    """Digest a file, or the files of a folder in order; "" for None.

    path (Optional[Path]): The file or folder.
    RETURNS (str): 16 hexadecimal digits.
    """
    if path is None:
        return ""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    stamps = tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    return _digest_files(stamps)


@cache  # many runs read the same large files
def _digest_files(stamps: tuple[tuple[str, int, int], ...]) -> str:
    found = hashlib.sha256()
    for name, _, _ in stamps:
        found.update(Path(name).name.encode("utf8"))
        with Path(name).open("rb") as file_:
            while block := file_.read(1 << 20):
                found.update(block)
    return found.hexdigest()[:16]


def _find_strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _find_strings(part)
    elif isinstance(value, str) and value:
        yield value


def _read_lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    return path.read_text(encoding="utf8", errors="replace").splitlines()

"""A study: the rows of a table × seeds, from one YAML file."""

import csv
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import srsly
from spacy.util import load_config
from thinc.api import Config

from ..errors import Errors
from ..machine import count_cores
from ..types import Score
from .run import COMMANDS, CURVE, PRETRAIN, TRAIN, Run, RunFailed

THREADS = ("OMP", "OPENBLAS", "BLIS", "MKL", "VECLIB", "NUMEXPR")
STUDY_KEYS = ("title", "vars", "blocks", "pretrain", "train", "extra")
ROW_KEYS = ("config", "settings", "blocks", "from")
GROUP_KEYS = (*ROW_KEYS[:3], "command", "seeds", "evaluate", "gold_preproc", "rows")
# The scores of a table, each of which only some components have.
METRICS = ("cats_macro_f", "cats_micro_f", "ents_f", "tag_acc", "dep_uas", "dep_las")
TRIALS, TABLE = "trials.csv", "table"
DONE, FAILED, SKIPPED = "done", "failed", "skipped"


@dataclass
class Study:
    """Runs, and the table that they make.

    title (str): Title of the table.
    runs (List[Run]): Pretrainings first, then all rows with the first seed, and so on.
    output (Path): Folder of all runs.
    extra (List[Path]): JSON files with scores of other programs, for further rows.
    errors (Dict[str, str]): Why runs failed, by title.
    seconds (Dict[str, float]): How long runs took, by title.
    """

    title: str
    runs: list[Run]
    output: Path
    extra: list[Path] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def scores(self) -> list[Score]:
        """Return the scores of all finished trainings, those of the extra files last."""
        found: dict[tuple[str, str], list[float]] = {}
        for run in self.runs:
            if run.command == TRAIN and run.title not in self.errors and run.is_trained():
                scores = run.scores()
                for metric in METRICS:
                    if isinstance(scores.get(metric), int | float):
                        found.setdefault((run.name, metric), []).append(scores[metric])
        rows = [Score(name, metric, tuple(values)) for (name, metric), values in found.items()]
        order = {run.name: i for i, run in reversed(list(enumerate(self.runs)))}
        rows.sort(key=lambda score: (order[score.source], METRICS.index(score.metric)))
        for path in self.extra:
            for score in srsly.read_json(path) if path.is_file() else ():
                rows.append(Score(score["source"], score["metric"], tuple(score["values"])))
        return rows

    def curves(self) -> dict[str, dict[str, list[list[tuple[int, float]]]]]:
        """Return scores by step during training: metric -> row -> one curve per seed."""
        found: dict[str, dict[str, list[list[tuple[int, float]]]]] = {}
        for run in self.runs:
            path = run.folder / CURVE
            if run.command == TRAIN and path.is_file():
                lines = list(srsly.read_jsonl(path))
                for metric in ("cats_score", "ents_f", "dep_las"):
                    points = [
                        (line["step"], line["scores"][metric])
                        for line in lines
                        if isinstance(line["scores"].get(metric), int | float)
                    ]
                    if points:
                        found.setdefault(metric, {}).setdefault(run.name, []).append(points)
        return found

    def write_trials(self) -> Path:
        """Write trials.csv: a line per run with settings, scores, seconds, size and error."""
        rows = []
        for run in self.runs:
            error = self.errors.get(run.title, "")
            scores = {} if error or run.command != TRAIN else run.scores()
            rows.append(
                {
                    "task": run.task,
                    "row": run.name,
                    "seed": run.seed,
                    "folder": str(run.folder),
                    "seconds": round(self.seconds.get(run.title, 0.0), 1) or "",
                    "megabytes": round(run.megabytes(), 2) if not error else "",
                    **{key: x for key, x in scores.items() if isinstance(x, int | float)},
                    "error": error.strip().splitlines()[-1] if error else "",
                }
            )
        names = list(dict.fromkeys(name for row in rows for name in row if name != "error"))
        path = self.output / TRIALS
        with path.open("w", encoding="utf8", newline="") as file_:
            writer = csv.DictWriter(file_, [*names, "error"])
            writer.writeheader()
            writer.writerows(rows)
        return path


def read_study(
    path: Path,
    output: Path,
    *,
    variables: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
) -> Study:
    """Read a study file and make its runs.

    path (Path): The YAML file. Sections: `title`; `vars`, values that ${name} stands for; `blocks`,
        named replacements, each from dotted paths in a config to blocks; `pretrain`, a group of
        rows; `train`, groups of rows by task; `extra`, JSON files with further scores. A group has
        `config`, `settings` (values by dotted path), `blocks` (names), `command`, `seeds`,
        `evaluate` (a .spacy file), `gold_preproc` and `rows`. A row may have `config`, `settings`
        and `blocks` of its own, and `from`, the pretraining that it starts from.
    output (Path): Folder for the runs.
    variables (Optional[Mapping[str, Any]]): Values in place of those in `vars`.
    only (Sequence[str]): Patterns of the names of rows to run, such as "CharCNN/*"; all if empty.
        The pretrainings that they start from are run as well.
    RETURNS (Study): The study.
    RAISES (ValueError): If a key or a name is unknown, or no row is left.
    """
    raw = srsly.read_yaml(path)
    _check_keys(raw, STUDY_KEYS, path, "the study")
    known = dict(raw.get("vars") or {})
    _check_keys(variables or {}, tuple(known), path, "--set")
    content = _substitute(raw, {**known, **(variables or {})})
    named = content.get("blocks") or {}
    groups = {PRETRAIN: {"command": PRETRAIN, "seeds": [0], **(content.get("pretrain") or {})}}
    groups.update(content.get("train") or {})
    runs: list[Run] = []
    sources: dict[str, Run] = {}
    for task, group in groups.items():
        _check_keys(group, GROUP_KEYS, path, task)
        for seed in _read_seeds(group.get("seeds", 0)):
            for name, row in (group.get("rows") or {}).items():
                row = row or {}
                _check_keys(row, ROW_KEYS, path, f"{task}: {name}")
                run = _make_run(path, output, task, name, seed, group, row, named, sources)
                runs.append(run)
                if task == PRETRAIN:
                    sources.setdefault(name, run)
    if only:
        chosen = [run for run in runs if any(fnmatch(run.name, text) for text in only)]
        needed = {id(run.source) for run in chosen}
        runs = [run for run in runs if run in chosen or id(run) in needed]
    if not runs:
        raise ValueError(Errors.E671.format(path=path, found=", ".join(only) or "no rows"))
    # All rows with one seed before the next seed: a config that does not work shows early.
    runs.sort(key=lambda run: (run.task != PRETRAIN, run.seed))
    extra = [Path(text) for text in content.get("extra") or []]
    return Study(content.get("title") or path.stem, runs, output, extra)


def run_study(
    study: Study,
    *,
    jobs: int = 0,
    gpu_id: int = -1,
    show: Callable[[Sequence[Run], Mapping[str, str], float], None] = lambda *_: None,
) -> Study:
    """Run what is not complete yet; a run that fails does not stop the others.

    study (Study): The study.
    jobs (int): Runs at a time; 0 for one per core. The cores are shared among them.
    gpu_id (int): GPU, or -1 for the CPU.
    show (Callable): Called about once a second with the active runs, the state of each finished run
        ("done", "failed" or "skipped") by title, and the seconds that are left.
    RETURNS (Study): The same study, with errors and seconds.
    RAISES (ConfigValidationError): If a config is not valid; nothing has been run then.
    RAISES (KeyboardInterrupt): If it is stopped by Ctrl-C or SIGTERM; its processes have ended.
    """
    for run in study.runs:
        run.validate()
    study.output.mkdir(parents=True, exist_ok=True)
    cores = count_cores()
    jobs = jobs or cores
    processes = Processes(max(1, cores // jobs))
    states = {run.title: DONE for run in study.runs if run.is_complete()}
    waiting = [run for run in study.runs if run.title not in states]
    active: dict[Future[float], Run] = {}
    show([], states, float("nan"))
    with _end_by_signals(), ThreadPoolExecutor(jobs) as pool:
        try:
            while waiting or active:
                for run in list(waiting):
                    if run.source is not None and states.get(run.source.title) in (FAILED, SKIPPED):
                        waiting.remove(run)
                        states[run.title] = SKIPPED
                        study.errors[run.title] = f"{run.source.title} failed"
                    elif len(active) < jobs and (run.source is None or run.source.title in states):
                        waiting.remove(run)
                        active[pool.submit(_time, run, processes, gpu_id)] = run
                ended, _ = wait(active, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in ended:
                    run = active.pop(future)
                    try:
                        study.seconds[run.title] = future.result()
                        states[run.title] = DONE
                    except RunFailed as err:
                        study.errors[run.title] = str(err)
                        states[run.title] = FAILED
                left = _estimate_left(study, waiting, list(active.values()), jobs)
                show(list(active.values()), states, left)
        finally:
            processes.end()
    study.write_trials()
    return study


class Processes:
    """Child processes that run command lines, ended together.

    threads (int): Threads of each.
    """

    def __init__(self, threads: int) -> None:
        counts = {f"{name}_NUM_THREADS": str(threads) for name in THREADS}
        self._env = {**os.environ, **counts}
        self._active: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._ended = False

    def __call__(self, command: list[str], log: Path) -> int:
        """Run a command line, append its output to a file, and return the exit code."""
        with log.open("ab") as file_:
            with self._lock:
                if self._ended:
                    return 1
                process = subprocess.Popen(
                    command, stdout=file_, stderr=subprocess.STDOUT, env=self._env
                )
                self._active.add(process)
            try:
                return process.wait()
            finally:
                with self._lock:
                    self._active.discard(process)

    def end(self) -> None:
        """End all processes and start no more."""
        with self._lock:
            self._ended = True
            for process in self._active:
                process.terminate()


@contextmanager
def _end_by_signals() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt, so that no process is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _time(run: Run, processes: Processes, gpu_id: int) -> float:
    start = time.monotonic()
    run.execute(processes, gpu_id)
    return time.monotonic() - start


def _estimate_left(study: Study, waiting: Sequence[Run], active: Sequence[Run], jobs: int) -> float:
    """Estimate the seconds left from the runs of the same task that have ended."""
    by_task: dict[str, list[float]] = {}
    for run in study.runs:
        if run.title in study.seconds:
            by_task.setdefault(run.task, []).append(study.seconds[run.title])
    known = [x for values in by_task.values() for x in values]
    if not known:
        return float("nan")

    def expect(run: Run) -> float:
        values = by_task.get(run.task, known)
        return sum(values) / len(values)

    left = sum(map(expect, waiting)) + sum(expect(r) * (1 - r.share_done()) for r in active)
    return left / min(jobs, max(1, len(waiting) + len(active)))


def _make_run(
    path: Path,
    output: Path,
    task: str,
    name: str,
    seed: int,
    group: dict[str, Any],
    row: dict[str, Any],
    named: dict[str, Any],
    sources: dict[str, Run],
) -> Run:
    file = row.get("config") or group.get("config")
    if file is None or not Path(file).is_file():
        raise ValueError(Errors.E672.format(path=path, row=f"{task}: {name}", found=file))
    command = group.get("command", TRAIN)
    if command not in COMMANDS:
        raise ValueError(Errors.E673.format(expected=", ".join(COMMANDS), found=command))
    folder = output / task / name / f"seed-{seed}"
    config = load_config(Path(file), interpolate=False)
    for block in (*_as_list(group.get("blocks")), *_as_list(row.get("blocks"))):
        if block not in named:
            raise ValueError(
                Errors.E670.format(
                    path=path,
                    where=f"{task}: {name}, blocks",
                    expected=", ".join(named),
                    found=block,
                )
            )
        for dotted, value in named[block].items():
            _replace(config, dotted, value)
    settings = {**(group.get("settings") or {}), **(row.get("settings") or {})}
    settings["system.seed"] = seed
    source = None
    if row.get("from"):
        if row["from"] not in sources:
            raise ValueError(
                Errors.E670.format(
                    path=path,
                    where=f"{task}: {name}, from",
                    expected=", ".join(sources),
                    found=row["from"],
                )
            )
        source = sources[row["from"]]
        settings["paths.init_weights"] = str(source.weights)
    if command == TRAIN:
        config["training"]["logger"] = {
            "@loggers": "spacy.ConsoleLogger.v3",
            "progress_bar": None,
            "console_output": True,
            "output_file": str(folder / CURVE),
        }
    config = Config().from_str(config.to_str(), interpolate=False, overrides=settings)
    data = group.get("evaluate")
    return Run(
        task,
        name,
        seed,
        command,
        folder,
        config,
        source,
        None if data is None else Path(data),
        bool(group.get("gold_preproc")),
    )


def _replace(config: Config, dotted: str, value: Any) -> None:
    """Replace a block, or add it to the section above it."""
    *parents, last = dotted.split(".")
    section: Any = config
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = value


def _check_keys(found: Iterable[str], known: Sequence[str], path: Path, where: str) -> None:
    for name in found:
        if name not in known:
            expected = ", ".join(known)
            raise ValueError(
                Errors.E670.format(path=path, where=where, expected=expected, found=name)
            )


def _read_seeds(seeds: Any) -> list[int]:
    return [int(seed) for seed in (seeds.split(",") if isinstance(seeds, str) else _as_list(seeds))]


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _substitute(value: Any, variables: Mapping[str, Any]) -> Any:
    """Put values in place of ${name}; names with dots belong to the configs and stay."""
    if isinstance(value, dict):
        return {key: _substitute(part, variables) for key, part in value.items()}
    if isinstance(value, list):
        return [_substitute(part, variables) for part in value]
    if not isinstance(value, str):
        return value
    whole = re.fullmatch(r"\$\{(\w+)\}", value)
    if whole and whole[1] in variables:
        return variables[whole[1]]
    return re.sub(
        r"\$\{(\w+)\}", lambda m: str(variables[m[1]]) if m[1] in variables else m[0], value
    )

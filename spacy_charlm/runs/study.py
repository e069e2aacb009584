"""A study: the rows of a table × seeds, from one YAML file."""

import csv
import ctypes
import os
import re
import signal
import subprocess
import sys
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
from ..files import lock_folder
from ..machine import count_cores
from ..report.table import METRIC
from ..types import Score
from .run import COMMANDS, CONFIG, CURVE, PRETRAIN, TRAIN, Run, RunFailed, describe_error

THREADS = ("OMP", "OPENBLAS", "BLIS", "MKL", "VECLIB", "NUMEXPR")
STUDY_KEYS = ("title", "vars", "blocks", "pretrain", "train", "extra")
ROW_KEYS = ("config", "settings", "blocks", "from")
GROUP_KEYS = (*ROW_KEYS[:3], "command", "seeds", "evaluate", "metric", "gold_preproc", "rows")
VARIABLE = re.compile(r"\$\{(\w+)\}")
# The scores of a table, each of which only some components have.
METRICS = ("cats_macro_f", "cats_micro_f", "ents_f", "tag_acc", "dep_uas", "dep_las")
SET = "set"  # the condition of a score that names the set of Docs, and so the column of the table
TRIALS, TABLE = "trials.csv", "table"
DONE, FAILED, SKIPPED = "done", "failed", "skipped"
GRACE = 60.0  # seconds that a process has to end before it is killed; a checkpoint is saved in them


@dataclass
class Study:
    """Runs, and the table that they make.

    title (str): Title of the table.
    runs (List[Run]): Pretrainings first, then all rows with the first seed, and so on. The table
        has all that are complete.
    chosen (List[Run]): Those of them to run.
    output (Path): Folder of all runs.
    extra (List[Path]): JSON files with scores of other programs, for further rows.
    metrics (Dict[str, Tuple[str, ...]]): The scores that the table shows, by task.
    errors (Dict[str, str]): Why runs failed, by title.
    seconds (Dict[str, float]): How long the runs of this call took, by title.
    """

    title: str
    runs: list[Run]
    chosen: list[Run]
    output: Path
    extra: list[Path] = field(default_factory=list)
    metrics: dict[str, tuple[str, ...]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def scores(self) -> list[Score]:
        """Return the scores of all complete trainings, those of the extra files last."""
        found: dict[tuple[str, str, str], list[float]] = {}
        for run in self._find_complete():
            for name, scores in run.scores().items():
                # Beside sets with names, one without gets the name of its task.
                name = name or (run.task if self.columns == SET else "")
                for metric in self.metrics.get(run.task, METRICS):
                    if isinstance(scores.get(metric), int | float):
                        found.setdefault((run.name, metric, name), []).append(scores[metric])
        rows = [
            Score(row, metric, tuple(values), conditions={SET: name} if name else {})
            for (row, metric, name), values in found.items()
        ]
        order = {run.name: i for i, run in reversed(list(enumerate(self.runs)))}
        # The sort is stable: sets stay in the order of the file.
        rows.sort(key=lambda score: (order[score.source], METRICS.index(score.metric)))
        # Where each task says what it shows, further rows show nothing else.
        tasks = {run.task for run in self.runs if run.command == TRAIN}
        shown = set().union(*self.metrics.values()) if tasks <= set(self.metrics) else None
        for path in self.extra:
            for score in srsly.read_json(path) if path.is_file() else ():
                if shown is None or score["metric"] in shown:
                    facts = score["source"], score["metric"], tuple(score["values"])
                    rows.append(Score(*facts, conditions=score.get("conditions", {})))
        return rows

    @property
    def columns(self) -> str:
        """What the columns of the table are: sets of Docs if they have names, or scores."""
        return SET if any(name for run in self.runs for name in run.data) else METRIC

    def curves(self) -> dict[str, dict[str, list[list[tuple[int, float]]]]]:
        """Return scores by step during training: metric -> row -> one curve per seed."""
        found: dict[str, dict[str, list[list[tuple[int, float]]]]] = {}
        for run in self._find_complete():
            path = run.folder / CURVE
            lines = list(srsly.read_jsonl(path)) if path.is_file() else []
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
        """Write trials.csv: config, scores, seconds, size and error of runs that have ended."""
        rows: list[dict[str, Any]] = []
        for run in self.runs:
            error = self.errors.get(run.title, "")
            row = {"task": run.task, "row": run.name, "seed": run.seed}
            row["config"] = str(run.folder / CONFIG)
            if error:
                rows.append({**row, "error": error.strip().splitlines()[-1]})
            elif run.is_complete():
                row |= {"seconds": run.seconds(), "megabytes": round(run.megabytes(), 2)}
                for name, scores in run.scores().items() if run.command == TRAIN else ():
                    numbers = {k: x for k, x in scores.items() if isinstance(x, int | float)}
                    row |= {f"{name}: {k}" if name else k: x for k, x in numbers.items()}
                rows.append(row)
        names = list(dict.fromkeys(name for row in rows for name in row if name != "error"))
        path = self.output / TRIALS
        with path.open("w", encoding="utf8", newline="") as file_:
            writer = csv.DictWriter(file_, [*names, "error"])
            writer.writeheader()
            writer.writerows(rows)
        return path

    def _find_complete(self) -> list[Run]:
        """Find the trainings whose folders hold all results."""
        return [run for run in self.runs if run.command == TRAIN and run.is_complete()]


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
        `evaluate` (a .spacy file; or several by name, each of which becomes a column of the table),
        `metric` (the score, or list of scores, to show), `gold_preproc` and `rows`. A row may have
        `config`, `settings` and `blocks` of its own, and `from`, the pretraining that it starts
        from: the one with the same seed, or else the one with the first seed.
    output (Path): Folder for the runs.
    variables (Optional[Mapping[str, Any]]): Values in place of those in `vars`.
    only (Sequence[str]): Patterns of the names of rows to run, such as "CharCNN/*"; all if empty.
        The pretrainings that they start from are run as well.
    RETURNS (Study): The study.
    RAISES (ValueError): If the file is not as described, a name is unknown, a config cannot be
        read, or no row is left.
    """
    try:
        raw = srsly.read_yaml(path)
    except ValueError as err:
        raise ValueError(_report(path, "the study", "valid YAML", err)) from err
    raw = _read_section(raw, STUDY_KEYS, path, "the study")
    known = _read_section(raw.get("vars"), None, path, "vars")
    _check_names(variables or {}, tuple(known), path, "--set")
    content = _substitute(raw, {**known, **(variables or {})}, path)
    named = _read_section(content.get("blocks"), None, path, "blocks")
    groups = {PRETRAIN: content.get("pretrain")}
    groups |= _read_section(content.get("train"), None, path, "train")
    runs: list[Run] = []
    metrics: dict[str, tuple[str, ...]] = {}
    sources: dict[str, dict[int, Run]] = {}
    for task, section in groups.items():
        group = _read_section(section, GROUP_KEYS, path, task)
        if task == PRETRAIN:
            group.setdefault("command", PRETRAIN)
        if group.get("metric"):
            metrics[task] = tuple(map(str, _as_list(group["metric"])))
            _check_names(metrics[task], METRICS, path, f"{task}, metric")
        rows = _read_section(group.get("rows"), None, path, f"{task}, rows")
        for seed in _read_seeds(group.get("seeds", 0), path, task):
            for name, section in rows.items():
                row = _read_section(section, ROW_KEYS, path, f"{task}: {name}")
                run = _make_run(path, output, task, name, seed, group, row, named, sources)
                runs.append(run)
                if task == PRETRAIN:
                    sources.setdefault(name, {})[seed] = run
    # All rows with one seed before the next seed: a config that does not work shows early.
    runs.sort(key=lambda run: (run.task != PRETRAIN, run.seed))
    matching = [run for run in runs if not only or any(fnmatch(run.name, text) for text in only)]
    needed = {run.source.folder for run in matching if run.source is not None}
    chosen = [run for run in runs if run in matching or run.folder in needed]
    if not chosen:
        raise ValueError(Errors.E671.format(path=path, found=", ".join(only) or "no rows"))
    extra = [Path(text) for text in _as_list(content.get("extra"))]
    return Study(content.get("title") or path.stem, runs, chosen, output, extra, metrics)


def run_study(
    study: Study,
    *,
    jobs: int = 0,
    gpu_id: int = -1,
    show: Callable[[Sequence[Run], Mapping[str, str], float], None] = lambda *_: None,
) -> Study:
    """Run the chosen runs that are not complete; one that fails does not stop the others.

    study (Study): The study. Its output folder is locked until the end.
    jobs (int): Runs at a time; 0 for one per core. The cores are shared among them.
    gpu_id (int): GPU, or -1 for the CPU.
    show (Callable): Called about once a second with the active runs, the state of each finished run
        ("done", "failed" or "skipped") by title, and the seconds that are left.
    RETURNS (Study): The same study, with errors and seconds.
    RAISES (ValueError): If a config is not valid, a file is missing, or another study is using the
        output folder; nothing has been run then.
    RAISES (KeyboardInterrupt): If it is stopped by Ctrl-C or SIGTERM; its processes have ended.
    """
    for run in study.chosen:
        run.validate()
        run.check_files()
    with lock_folder(study.output):
        return _run_study(study, jobs, gpu_id, show)


def _run_study(
    study: Study,
    jobs: int,
    gpu_id: int,
    show: Callable[[Sequence[Run], Mapping[str, str], float], None],
) -> Study:
    cores = count_cores()
    jobs = jobs or cores
    processes = Processes(max(1, cores // jobs))
    states = {run.title: DONE for run in study.chosen if run.is_complete()}
    waiting = [run for run in study.chosen if run.title not in states]
    active: dict[Future[None], Run] = {}
    starts: dict[str, float] = {}
    show([], states, float("nan"))
    try:
        with _end_by_signals(), ThreadPoolExecutor(jobs) as pool:
            try:
                while waiting or active:
                    for run in list(waiting):
                        source = "" if run.source is None else run.source.title
                        if states.get(source) in (FAILED, SKIPPED):
                            waiting.remove(run)
                            states[run.title] = SKIPPED
                            study.errors[run.title] = f"{source} failed"
                        elif (not source or source in states) and len(active) < jobs:
                            waiting.remove(run)
                            starts[run.title] = time.monotonic()
                            active[pool.submit(run.execute, processes, gpu_id)] = run
                    ended, _ = wait(active, timeout=1.0, return_when=FIRST_COMPLETED)
                    elapsed = {title: time.monotonic() - x for title, x in starts.items()}
                    for future in ended:
                        run = active.pop(future)
                        try:
                            future.result()
                            study.seconds[run.title] = elapsed[run.title]
                            states[run.title] = DONE
                        except (RunFailed, OSError, ValueError) as err:
                            study.errors[run.title] = str(err)
                            states[run.title] = FAILED
                    running = list(active.values())
                    show(running, states, _estimate_left(study, waiting, running, elapsed, jobs))
            finally:
                processes.end()
    finally:
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
                    command,
                    stdout=file_,
                    stderr=subprocess.STDOUT,
                    env=self._env,
                    preexec_fn=_die_with_parent if sys.platform == "linux" else None,
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
            active = list(self._active)
        for process in active:
            process.terminate()
        deadline = time.monotonic() + GRACE
        for process in active:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()


def _die_with_parent() -> None:
    """Let a child process be killed if the study is: it would write into a folder used again."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


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


def _estimate_left(
    study: Study,
    waiting: Sequence[Run],
    active: Sequence[Run],
    elapsed: Mapping[str, float],
    jobs: int,
) -> float:
    """Estimate the seconds left from runs that have ended or report progress.

    A task without such runs is expected to take as long as the other trainings. A pretraining says
    nothing about a training: as long as only pretrainings are known, the result is NaN.
    """
    shares = {run.title: run.share_done() for run in active}
    totals = {title: elapsed[title] / share for title, share in shares.items() if share > 0.02}
    totals |= study.seconds
    by_task: dict[str, list[float]] = {}
    for run in study.chosen:
        if run.title in totals:
            by_task.setdefault(run.task, []).append(totals[run.title])
    trainings = [x for task, values in by_task.items() if task != PRETRAIN for x in values]

    def expect(run: Run) -> float:
        values = by_task.get(run.task) or (trainings if run.task != PRETRAIN else [])
        return totals.get(run.title, sum(values) / len(values) if values else float("nan"))

    left = sum(map(expect, waiting))
    # In this order max keeps NaN.
    left += sum(max(expect(run) - elapsed[run.title], 0.0) for run in active)
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
    sources: dict[str, dict[int, Run]],
) -> Run:
    where = f"{task}: {name}"
    file = row.get("config") or group.get("config")
    if not isinstance(file, str) or not Path(file).is_file():
        raise ValueError(Errors.E672.format(path=path, row=where, found=file))
    command = group.get("command", TRAIN)
    if command not in COMMANDS:
        raise ValueError(Errors.E673.format(expected=", ".join(COMMANDS), found=command))
    folder = output / task / name / f"seed-{seed}"
    try:
        config = load_config(Path(file), interpolate=False)
    except ValueError as err:
        raise ValueError(Errors.E675.format(row=where, found=describe_error(err))) from err
    blocks = [*_as_list(group.get("blocks")), *_as_list(row.get("blocks"))]
    _check_names(blocks, tuple(named), path, f"{where}, blocks")
    for block in blocks:
        for dotted, value in _read_section(named[block], None, path, f"blocks, {block}").items():
            _replace(config, dotted, value)
    settings: dict[str, Any] = {}
    for place, owner in ((task, group), (where, row)):
        settings |= _read_section(owner.get("settings"), None, path, f"{place}, settings")
    settings["system.seed"] = seed
    source = None
    if row.get("from"):
        _check_names([row["from"]], tuple(sources), path, f"{where}, from")
        by_seed = sources[row["from"]]
        source = by_seed.get(seed, next(iter(by_seed.values())))
        settings["paths.init_weights"] = str(source.weights)
    # spaCy ignores unknown settings of a section, so a misspelled one would run unnoticed.
    for dotted in settings:
        section, _, last = dotted.rpartition(".")
        if last not in _find_section(config, section):
            raise ValueError(Errors.E676.format(row=where, config=file, found=dotted))
    if command == TRAIN:
        config["training"]["logger"] = {
            "@loggers": "spacy.ConsoleLogger.v3",
            "progress_bar": None,
            "console_output": True,
            "output_file": str(folder / CURVE),
        }
    config = Config().from_str(config.to_str(), interpolate=False, overrides=settings)
    data = group.get("evaluate") or {}
    data = data if isinstance(data, dict) else {"": data}
    for key, value in data.items():
        if not isinstance(value, str):
            raise ValueError(_report(path, where, "a path in `evaluate`", value))
        if key and Path(str(key)).name != key:
            raise ValueError(_report(path, f"{where}, evaluate", "a name without slashes", key))
    return Run(
        task,
        name,
        seed,
        command,
        folder,
        config,
        source,
        {key: Path(value) for key, value in data.items()},
        bool(group.get("gold_preproc")),
    )


def _replace(config: Config, dotted: str, value: Any) -> None:
    """Replace a block, or add it to the section above it."""
    *parents, last = dotted.split(".")
    section: Any = config
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = value


def _find_section(config: Config, dotted: str) -> Mapping[str, Any]:
    """Return a section of a config; an empty one if there is none."""
    section: Any = config
    for name in dotted.split("."):
        section = section.get(name) if isinstance(section, dict) else None
    return section if isinstance(section, dict) else {}


def _read_section(
    value: Any, known: tuple[str, ...] | None, path: Path, where: str
) -> dict[str, Any]:
    """Check that a part of the study maps names, known ones if they are given, to values."""
    if value is not None and not isinstance(value, dict):
        raise ValueError(_report(path, where, "names with values", repr(value)))
    if known is not None:
        _check_names(value or {}, known, path, where)
    return dict(value or {})


def _check_names(found: Iterable[str], known: tuple[str, ...], path: Path, where: str) -> None:
    for name in found:
        if name not in known:
            expected = ", ".join(known) or "(none is defined)"
            raise ValueError(
                Errors.E670.format(path=path, where=where, expected=expected, found=name)
            )


def _read_seeds(seeds: Any, path: Path, task: str) -> list[int]:
    try:
        return [int(x) for x in (seeds.split(",") if isinstance(seeds, str) else _as_list(seeds))]
    except (TypeError, ValueError) as err:
        raise ValueError(
            _report(path, f"{task}, seeds", "integers separated by commas", repr(seeds))
        ) from err


def _report(path: Path, where: str, expected: str, found: object) -> str:
    return Errors.E677.format(path=path, where=where, expected=expected, found=found)


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _substitute(value: Any, variables: Mapping[str, Any], path: Path) -> Any:
    """Put values in place of ${name}; names with dots belong to the configs and stay."""
    if isinstance(value, dict):
        return {key: _substitute(part, variables, path) for key, part in value.items()}
    if isinstance(value, list):
        return [_substitute(part, variables, path) for part in value]
    if not isinstance(value, str):
        return value
    _check_names(VARIABLE.findall(value), tuple(variables), path, "${...}")
    whole = VARIABLE.fullmatch(value)
    if whole:
        return variables[whole[1]]
    return VARIABLE.sub(lambda match: str(variables[match[1]]), value)

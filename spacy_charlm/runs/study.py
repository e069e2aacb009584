"""A study: the rows of a table × seeds, from one YAML file."""

import csv
import ctypes
import io
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
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import srsly
from spacy.util import load_config
from thinc.api import Config

from ..errors import Errors
from ..files import lock_folder, write_whole
from ..machine import count_cores
from ..report.table import METRIC
from ..types import Score
from .run import COMMANDS, CONFIG, CURVE, PRETRAIN, SCORE, TRAIN, Run, RunFailed, describe_error
from .search import (
    ENGINES,
    RANDOM,
    TOP,
    TRIAL_THREADS,
    Halving,
    RandomEngine,
    Search,
    TPEEngine,
)
from .space import Values, read_space

THREADS = ("OMP", "OPENBLAS", "BLIS", "MKL", "VECLIB", "NUMEXPR")
STUDY_KEYS = ("title", "vars", "blocks", "pretrain", "train", "extra")
ROW_KEYS = ("config", "settings", "blocks", "from")
GROUP_KEYS = ("config", "settings", "blocks", "command", "seeds", "evaluate", "metric")
GROUP_KEYS += ("gold_preproc", "rows")
SEARCHED_KEYS = (*GROUP_KEYS, "space", "search")
SEARCH_KEYS = ("engine", "trials", "metric", "stop", "seed")
VARIABLE = re.compile(r"\$\{(\w+)\}")
# The scores of a table, each of which only some components have.
METRICS = ("cats_macro_f", "cats_micro_f", "ents_f", "tag_acc", "dep_uas", "dep_las")
SET = "set"  # the condition of a score that names the set of Docs, and so the column of the table
TRIALS, TABLE = "trials.csv", "table"
DONE, FAILED, SKIPPED = "done", "failed", "skipped"
ASHA = "asha"
EXPECTED = (RunFailed, OSError, ValueError)  # what a run that fails may raise
GRACE = 60.0  # seconds that a process has to end before it is killed; a checkpoint is saved in them


@dataclass
class Study:
    """Runs, and the table that they make.

    title (str): Title of the table.
    runs (List[Run]): Pretrainings first, then all rows with the first seed, and so on. The table
        has all that are complete.
    chosen (List[Run]): Those of them to run.
    searches (List[Search]): Rows whose configs are drawn. Their runs join `runs` and `chosen` when
        they can begin.
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
    searches: list[Search] = field(default_factory=list)
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
        for search in self.searches:
            ranked = search.rank() if search.best else []
            for name, some in ((f"best of {search.n_trials}", 1), (f"top {TOP}", TOP)):
                values = tuple(search.trials[i].best_score() or 0.0 for i in ranked[:some])
                if values:
                    rows.append(Score(search.name, search.metric, values, conditions={SET: name}))
        order = {run.name: i for i, run in reversed(list(enumerate(self.runs)))}

        def rank(metric: str) -> int:
            return METRICS.index(metric) if metric in METRICS else len(METRICS)

        # The sort is stable: sets stay in the order of the file.
        rows.sort(key=lambda score: (order[score.source], rank(score.metric)))
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
        has_sets = self.searches or any(name for run in self.runs for name in run.data)
        return SET if has_sets else METRIC

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

    def n_runs(self) -> int:
        """Return the number of chosen runs, those that searches have not begun included."""
        return len(self.chosen) + sum(search.n_to_come() for search in self.searches)

    def write_trials(self) -> Path:
        """Write trials.csv: config, scores, seconds, size and error of runs that have ended."""
        rows: list[dict[str, Any]] = []
        drawn = {
            run.title: values
            for search in self.searches
            for run, values in zip(search.trials, search.values)
        }
        for run in self.runs:
            error = self.errors.get(run.title, "")
            row = {"task": run.task, "row": run.name, "seed": run.seed}
            if run.trial is not None:
                row |= {"trial": run.trial, **drawn[run.title]}
            row["config"] = str(run.folder / CONFIG)
            if error:
                rows.append({**row, "error": error.strip().splitlines()[-1]})
            elif run.is_complete():
                row |= {"seconds": run.seconds(), "megabytes": round(run.megabytes(), 2)}
                if run.trial is not None:
                    points = [f"{step}: {score:.4f}" for step, score in run.evaluations()]
                    row |= {"score": run.best_score(), "scores by step": "; ".join(points)}
                is_scored = run.command == TRAIN and run.trial is None
                for name, scores in run.scores().items() if is_scored else ():
                    numbers = {k: x for k, x in scores.items() if isinstance(x, int | float)}
                    row |= {f"{name}: {k}" if name else k: x for k, x in numbers.items()}
                rows.append(row)
        names = list(dict.fromkeys(name for row in rows for name in row if name != "error"))
        path = self.output / TRIALS
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, [*names, "error"])
        writer.writeheader()
        writer.writerows(rows)
        write_whole(path, [text.getvalue().encode("utf8")])
        return path

    def _find_complete(self) -> list[Run]:
        """Find the trainings whose folders hold all results."""
        trainings = [run for run in self.runs if run.command == TRAIN and run.trial is None]
        return [run for run in trainings if run.is_complete()]


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
    searches: list[Search] = []
    for task, section in groups.items():
        keys = GROUP_KEYS if task == PRETRAIN else SEARCHED_KEYS
        group = _read_section(section, keys, path, task)
        if task == PRETRAIN:
            group.setdefault("command", PRETRAIN)
        if group.get("metric"):
            metrics[task] = tuple(map(str, _as_list(group["metric"])))
            _check_names(metrics[task], METRICS, path, f"{task}, metric")
        sections = _read_section(group.get("rows"), None, path, f"{task}, rows")
        keys = (*ROW_KEYS, "space") if "search" in group else ROW_KEYS
        rows = {
            name: _read_section(section, keys, path, f"{task}: {name}")
            for name, section in sections.items()
        }
        if "space" in group and "search" not in group:
            raise ValueError(_report(path, task, "`search` beside `space`", "none"))
        seeds = _read_seeds(group.get("seeds", 0), path, task)
        makers = {
            name: partial(_make_run, path, output, task, name, group, row, named, sources)
            for name, row in rows.items()
        }
        if "search" in group:
            searches += [
                _make_search(path, output, task, name, group, row, sources, seeds, makers[name])
                for name, row in rows.items()
            ]
            continue
        for seed in seeds:
            for name, make in makers.items():
                run = make(seed)
                runs.append(run)
                if task == PRETRAIN:
                    sources.setdefault(name, {})[seed] = run
    # All rows with one seed before the next seed: a config that does not work shows early.
    runs.sort(key=lambda run: (run.task != PRETRAIN, run.seed))

    def is_chosen(name: str) -> bool:
        return not only or any(fnmatch(name, text) for text in only)

    matching = [run for run in runs if is_chosen(run.name)]
    for search in searches:
        search.chosen = is_chosen(search.name)
    sources_of = [run.source for run in matching if run.source is not None]
    sources_of += [run for search in searches if search.chosen for run in search.sources]
    needed = {source.folder for source in sources_of}
    chosen = [run for run in runs if run in matching or run.folder in needed]
    if not chosen and not any(search.chosen for search in searches):
        raise ValueError(Errors.E671.format(path=path, found=", ".join(only) or "no rows"))
    extra = [Path(text) for text in _as_list(content.get("extra"))]
    title = content.get("title") or path.stem
    return Study(title, runs, chosen, output, searches, extra, metrics)


def run_study(
    study: Study,
    *,
    jobs: int = 0,
    gpu_id: int = -1,
    show: Callable[[Sequence[Run], Mapping[str, str], float], None] = lambda *_: None,
    ray: bool = False,
) -> Study:
    """Run the chosen runs that are not complete; one that fails does not stop the others.

    study (Study): The study. Its output folder is locked until the end.
    jobs (int): Runs at a time; 0 for one per core. The cores are shared among them.
    gpu_id (int): GPU, or -1 for the CPU.
    show (Callable): Called about once a second with the active runs, the state of each finished run
        ("done", "failed" or "skipped") by title, and the seconds that are left.
    ray (bool): Whether to run them as trials of Ray Tune, on this machine or on the cluster at
        RAY_ADDRESS; `jobs` are then those of the whole cluster.
    RETURNS (Study): The same study, with errors and seconds.
    RAISES (ValueError): If a config is not valid, a file is missing, or another study is using the
        output folder; nothing has been run then.
    RAISES (KeyboardInterrupt): If it is stopped by Ctrl-C or SIGTERM; its processes have ended.
    """
    for run in study.chosen:
        run.validate()
        run.check_files()
    for search in study.searches:
        if search.chosen:
            search.check()
    with lock_folder(study.output):
        queue = Queue(study)

        def show_queue() -> None:
            show(queue.active, queue.states, _estimate_left(queue))

        show([], queue.states, float("nan"))
        try:
            with _end_by_signals():
                run = import_module(".ray_trials", __package__).run_on_ray if ray else run_locally
                run(queue, jobs=jobs, gpu_id=gpu_id, show=show_queue)
        finally:
            study.write_trials()
    return study


class Queue:
    """The runs of a study that have not ended, in an order in which each of them can begin.

    study (Study): The study. Its runs grow with the trials of its searches; errors and seconds are
        written into it.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.states: dict[str, str] = {}
        self.waiting: list[Run] = []
        self.active: list[Run] = []
        self.jobs = 1
        self._starts: dict[str, float] = {}
        for run in study.chosen:
            self._add(run)
        for search in study.searches:
            if not search.chosen:
                study.runs += search.recall()
        self._advance()

    @property
    def is_done(self) -> bool:
        """Whether all runs have ended."""
        return not self.waiting and not self.active

    @property
    def elapsed(self) -> dict[str, float]:
        """Seconds since the beginning of each run, by title."""
        return {title: time.monotonic() - start for title, start in self._starts.items()}

    def take(self) -> Run | None:
        """Take a run that can begin; None if there is none at the moment."""
        for run in list(self.waiting):
            state = DONE if run.source is None else self.states.get(run.source.title)
            if state in (FAILED, SKIPPED):
                self.waiting.remove(run)
                self._skip(run.title, run.source)
            elif state == DONE:
                self.waiting.remove(run)
                self.active.append(run)
                self._starts[run.title] = time.monotonic()
                return run
        return None

    def end(self, run: Run, error: Exception | None = None) -> None:
        """Record that a run has ended, and let the searches go on.

        run (Run): What `take` returned.
        error (Optional[Exception]): Why it has failed.
        """
        self.active.remove(run)
        if error is None:
            self.study.seconds[run.title] = time.monotonic() - self._starts[run.title]
            self.states[run.title] = DONE
        else:
            self.study.errors[run.title] = str(error)
            self.states[run.title] = FAILED
        self._advance()

    def _add(self, run: Run) -> None:
        failure = run.describe_failure() if run.trial is not None else ""
        if run.is_complete():
            self.states[run.title] = DONE
        elif failure:
            self.states[run.title] = FAILED
            self.study.errors[run.title] = failure
        else:
            self.waiting.append(run)

    def _advance(self) -> None:
        """Add the runs of searches that can begin now."""
        for search in self.study.searches:
            if search.is_over:
                continue
            state = DONE if search.source is None else self.states.get(search.source.title)
            if state in (FAILED, SKIPPED):
                search.is_over = True
                self._skip(search.title, search.source)
            while state == DONE and (found := search.advance(self.states)):
                for run in found:
                    self._begin(run)
            if search.is_over and state == DONE and not search.best:
                self.states[search.title] = FAILED
                self.study.errors[search.title] = search.describe_end()

    def _begin(self, run: Run) -> None:
        """Add a run of a search; a config that is not valid is recorded instead."""
        self.study.runs.append(run)
        self.study.chosen.append(run)
        self._add(run)
        if run.title in self.states:
            return
        try:
            run.validate()
        except ValueError as err:
            run.fail(str(err))
            self.waiting.remove(run)
            self._add(run)

    def _skip(self, title: str, source: Run | None) -> None:
        self.states[title] = SKIPPED
        self.study.errors[title] = f"{source.title if source else ''} failed"


def run_locally(queue: Queue, *, jobs: int, gpu_id: int, show: Callable[[], None]) -> None:
    """Run what a queue has in processes of this machine.

    queue (Queue): The runs.
    jobs (int): Runs at a time; 0 for one per core. The cores are shared among them.
    gpu_id (int): GPU, or -1 for the CPU.
    show (Callable): Called about once a second.
    """
    cores = count_cores()
    queue.jobs = jobs = jobs or cores
    processes, trial_processes = Processes(max(1, cores // jobs)), Processes(TRIAL_THREADS)
    active: dict[Future[None], Run] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while not queue.is_done:
                while len(active) < jobs and (run := queue.take()):
                    some = processes if run.trial is None else trial_processes
                    active[pool.submit(run.execute, some, gpu_id)] = run
                ended, _ = wait(active, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in ended:
                    error = future.exception()
                    if error is not None and not isinstance(error, EXPECTED):
                        raise error
                    queue.end(active.pop(future), error)
                show()
        finally:
            trial_processes.end()
            processes.end()


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

    def __call__(
        self, command: list[str], log: Path, has_to_stop: Callable[[], bool] | None = None
    ) -> int:
        """Run a command line, append its output to a file, and return the exit code.

        An error of a process that `end` has ended is returned as -SIGTERM.

        has_to_stop (Optional[Callable[[], bool]]): Asked once a second whether to end the process.
        """
        with log.open("ab") as file_:
            with self._lock:
                if self._ended:
                    return -signal.SIGTERM
                process = subprocess.Popen(
                    command,
                    stdout=file_,
                    stderr=subprocess.STDOUT,
                    env=self._env,
                    preexec_fn=_die_with_parent if sys.platform == "linux" else None,
                    start_new_session=True,  # Ctrl-C reaches it through `end` alone
                )
                self._active.add(process)
            try:
                while True:
                    try:
                        code = process.wait(None if has_to_stop is None else 1.0)
                        return -signal.SIGTERM if code and self._ended else code
                    except subprocess.TimeoutExpired:
                        if has_to_stop is not None and has_to_stop():
                            process.terminate()
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


def _estimate_left(queue: Queue) -> float:
    """Estimate the seconds left from runs that have ended or report progress.

    A task without such runs is expected to take as long as the other trainings. A pretraining says
    nothing about a training: as long as only pretrainings are known, the result is NaN. So it is as
    long as a pretraining waits and none is known.
    """
    study, elapsed = queue.study, queue.elapsed
    shares = {run.title: run.share_done() for run in queue.active}
    totals = {title: elapsed[title] / share for title, share in shares.items() if share > 0.02}
    totals |= study.seconds
    by_task: dict[str, list[float]] = {}
    for run in study.chosen:
        if run.title in totals:
            by_task.setdefault(run.task, []).append(totals[run.title])
    trainings = [x for task, values in by_task.items() if task != PRETRAIN for x in values]

    def expect(task: str, title: str = "") -> float:
        values = by_task.get(task) or (trainings if task != PRETRAIN else [])
        return totals.get(title, sum(values) / len(values) if values else float("nan"))

    left = sum(expect(run.task, run.title) for run in queue.waiting)
    n_to_come = 0
    for search in study.searches:
        n = search.n_to_come()
        n_to_come += n
        left += n * expect(search.task) if n else 0.0
    # In this order max keeps NaN.
    left += sum(max(expect(run.task, run.title) - elapsed[run.title], 0.0) for run in queue.active)
    return left / max(1, min(queue.jobs, len(queue.active) + len(queue.waiting) + n_to_come))


def _make_run(
    path: Path,
    output: Path,
    task: str,
    name: str,
    group: dict[str, Any],
    row: dict[str, Any],
    named: dict[str, Any],
    sources: dict[str, dict[int, Run]],
    seed: int,
    values: Values | None = None,
    trial: int | None = None,
) -> Run:
    where = f"{task}: {name}"
    file = row.get("config") or group.get("config")
    if not isinstance(file, str) or not Path(file).is_file():
        raise ValueError(Errors.E672.format(path=path, row=where, found=file))
    command = group.get("command", TRAIN)
    if command not in COMMANDS:
        raise ValueError(Errors.E673.format(expected=", ".join(COMMANDS), found=command))
    part = f"seed-{seed}" if trial is None else f"trial-{trial:03}"
    folder = output / task / name / part
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
    for dotted, value in (values or {}).items():
        if isinstance(value, dict):
            _replace(config, dotted, value)
        else:
            settings[dotted] = value
    settings["system.seed"] = seed
    source = None
    if row.get("from"):
        _check_names([row["from"]], tuple(sources), path, f"{where}, from")
        source = _choose_source(sources[row["from"]], seed)
        settings["paths.init_weights"] = str(source.weights)
    _check_settings(settings, config, where, file)
    if command == TRAIN:
        config["training"]["logger"] = {
            "@loggers": "spacy-charlm.ConsoleLogger.v1",
            "progress_bar": None,
            "console_output": True,
            "output_file": str(folder / CURVE),
        }
    config = Config().from_str(config.to_str(), interpolate=False, overrides=settings)
    data = group.get("evaluate") or {}
    data = data if isinstance(data, dict) else {"": data}
    data = data if trial is None else {}  # trials are compared on the early-stopping part
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
        trial=trial,
    )


def _make_search(
    path: Path,
    output: Path,
    task: str,
    name: str,
    group: dict[str, Any],
    row: dict[str, Any],
    sources: dict[str, dict[int, Run]],
    seeds: list[int],
    make: Callable[..., Run],
) -> Search:
    where = f"{task}, search"
    section = _read_section(group.get("search"), SEARCH_KEYS, path, where)
    found: dict[str, Any] = {}
    for place, owner in ((task, group), (f"{task}: {name}", row)):
        found |= _read_section(owner.get("space"), None, path, f"{place}, space")
    space = read_space(found, path, f"{task}: {name}")
    if group.get("command", TRAIN) != TRAIN:
        raise ValueError(Errors.E673.format(expected=TRAIN, found=group["command"]))
    engine = section.get("engine", RANDOM)
    _check_names([engine], ENGINES, path, f"{where}, engine")
    metric = str(section.get("metric", SCORE))
    trials: Any = section.get("trials")
    seed = section.get("seed", 0)
    for key, value, least in (("trials", trials, 1), ("seed", seed, 0)):
        if not isinstance(value, int) or value < least:
            expected = f"`{key}`, a whole number from {least:,},"
            raise ValueError(_report(path, where, expected, repr(value)))
    halving = _read_halving(section.get("stop"), path, f"{where}, stop")
    if not seeds:
        raise ValueError(_report(path, f"{task}, seeds", "at least one seed", "none"))

    def make_trial(number: int, values: Values, least: Mapping[float, float]) -> Run:
        return replace(make(seed, values, number), metric=metric, least=least)

    base = make(seed)
    paths = [setting.path for setting in space.settings]
    # A setting of a block that is drawn is not in the config.
    outside = [
        dotted
        for i, dotted in enumerate(paths)
        if not any(dotted.startswith(f"{block}.") for block in paths[:i])
    ]
    file = row.get("config") or group.get("config")
    _check_settings(outside, base.config, f"{task}: {name}", str(file))
    if halving is not None and not base.max_steps:
        expected = "`training.max_steps` above 0 for `stop`"
        raise ValueError(_report(path, where, expected, base.max_steps))
    facts = {"space": space.describe(), "engine": engine, "seed": seed, "metric": metric}
    facts["stop"] = None if halving is None else halving._asdict()
    build = RandomEngine if engine == RANDOM else TPEEngine
    by_seed = sources.get(row.get("from", ""), {})
    return Search(
        task,
        name,
        f"{task}: {name}",
        [_choose_source(by_seed, x) for x in (seed, *seeds)] if by_seed else [],
        output / task / name,
        space,
        build(space, seed),
        trials,
        metric,
        halving,
        make_trial,
        lambda values: [make(seed, values) for seed in seeds],
        len(seeds),
        facts=facts,
    )


def _read_halving(section: Any, path: Path, where: str) -> Halving | None:
    """Read when bad trials are stopped: "asha", or its settings."""
    if section is None:
        return None
    if section == ASHA:
        return Halving()
    expected = f"'{ASHA}', or `eta` (a whole number from 2) and `first` (a share of the steps)"
    if not isinstance(section, dict):
        raise ValueError(_report(path, where, expected, repr(section)))
    halving = Halving(**_read_section(section, Halving._fields, path, where))
    if not (isinstance(halving.eta, int) and halving.eta > 1 and 0 < halving.first < 1):
        raise ValueError(_report(path, where, expected, section))
    return halving


def _choose_source(by_seed: Mapping[int, Run], seed: int) -> Run:
    """Choose the pretraining with the same seed, or else the first one."""
    return by_seed.get(seed, next(iter(by_seed.values())))


def _check_settings(settings: Iterable[str], config: Config, where: str, file: str) -> None:
    """Check that settings exist: spaCy ignores unknown ones, so a misspelled one would go on."""
    for dotted in settings:
        section, _, last = dotted.rpartition(".")
        if last not in _find_section(config, section):
            raise ValueError(Errors.E676.format(row=where, config=file, found=dotted))


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

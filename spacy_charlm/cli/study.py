"""`charlm study`: all runs of a table."""

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import srsly
import typer
from wasabi import msg

from .gpu import GpuId
from .show_errors import show_errors

if TYPE_CHECKING:
    from ..runs.run import Run
    from ..runs.search import Search
    from ..runs.study import Study


@show_errors("The study cannot run.")
def study_cli(
    study_path: Annotated[
        Path, typer.Argument(help="Study, such as configs/studies/imdb.yml", exists=True)
    ],
    output: Annotated[Path, typer.Argument(help="Folder for the runs and the table")],
    jobs: Annotated[int, typer.Option(help="Runs at a time; 0 for one per core", min=0)] = 0,
    only: Annotated[
        list[str] | None, typer.Option(help='Rows to run, such as "CharCNN/*"; repeatable')
    ] = None,
    gpu_id: GpuId = -1,
    ray: Annotated[
        bool, typer.Option("--ray", help="Run on Ray: here, or on the cluster at RAY_ADDRESS")
    ] = False,
    values: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE of the study's vars; repeatable")
    ] = None,
) -> None:
    """Run the rows of a study with all their seeds, score them, and print the table.

    Complete runs are skipped and interrupted ones are repeated; `charlm pretrain` resumes. Rows of
    a group with a search are searched first. Writes trials.csv, table.md, table.json, curves.png,
    table.png if sets of texts are the columns, and search-TASK.png and parallel-TASK.png for
    searches.
    """
    from ..report.figure import draw_columns, save_figure
    from ..report.table import show_table, write_table
    from ..report.training_curves import draw_training
    from ..runs.run import LOG
    from ..runs.study import SET, TABLE, read_study, run_study

    study = read_study(study_path, output, variables=_read_values(values or []), only=only or [])
    display = Display(study)
    try:
        run_study(study, jobs=jobs, gpu_id=gpu_id, show=display.show, ray=ray)
    except KeyboardInterrupt:
        msg.warn("Stopped. The same command continues where it was.")
        raise typer.Exit(130) from None
    finally:
        display.close()
    scores = study.scores()
    if scores:
        show_table(scores, study.title, study.columns)
        for ending in (".md", ".json"):
            write_table(scores, output / f"{TABLE}{ending}", study.columns)
    curves = study.curves()
    try:
        if curves:
            save_figure(draw_training(curves, study.title), output / "curves.png")
        for task in dict.fromkeys(search.task for search in study.searches):
            draw_searches([search for search in study.searches if search.task == task], study)
        if scores and study.columns == SET:
            save_figure(draw_columns(scores, SET, study.title), output / f"{TABLE}.png")
    except ImportError as err:
        msg.info(str(err))
    logs = {run.title: run.folder / LOG for run in study.chosen}
    for title, error in study.errors.items():
        where = f" (log: {logs[title]})" if title in logs else ""
        msg.fail(title, f"{error.strip().splitlines()[-1]}{where}")
    n_done = sum(run.title not in study.errors for run in study.chosen)
    msg.good(f"{n_done} of {study.n_runs()} runs: {output}")
    if study.errors:
        raise typer.Exit(1)


def draw_searches(searches: "Sequence[Search]", study: "Study") -> None:
    """Draw the searches of a task: the scores by setting, and all settings at once.

    searches (Sequence[Search]): The searches.
    study (Study): Their study, whose folder gets search-TASK.png and parallel-TASK.png.
    RAISES (ImportError): If matplotlib is missing.
    """
    from ..report.figure import save_figure
    from ..report.search_figure import SearchAxis, TrialScore, draw_parallel, draw_search
    from ..runs.space import CHOICES, LOG

    rows = {
        search.name: [
            TrialScore(values, score)
            for values, run in zip(search.values, search.trials)
            if (score := run.best_score()) is not None
        ]
        for search in searches
    }
    rows = {name: trials for name, trials in rows.items() if trials}
    axes: dict[str, SearchAxis] = {}
    begun = [search for search in searches if search.name in rows]
    for setting in (setting for search in begun for setting in search.space.settings):
        choices = setting.values if setting.kind == CHOICES else []
        # A row may have choices of its own.
        known = axes[setting.path].choices if setting.path in axes else []
        choices = [*known, *[value for value in choices if value not in known]]
        axes[setting.path] = SearchAxis(setting.path, choices, setting.kind == LOG)
    if rows:
        for name, draw in (("search", draw_search), ("parallel", draw_parallel)):
            path = study.output / f"{name}-{searches[0].task}.png"
            save_figure(draw(rows, list(axes.values()), searches[0].metric, study.title), path)


class Display:
    """Progress of a study: a table that is redrawn in a terminal, lines elsewhere."""

    def __init__(self, study: "Study") -> None:
        self._study = study
        self._start = time.monotonic()
        self._started = False
        self._said: set[str] = set()
        self._n_lines = 0  # lines of the table on the screen

    def show(self, active: "Sequence[Run]", states: Mapping[str, str], left: float) -> None:
        """Show which runs are active, and print a line for each run that has ended."""
        from ..runs.run import FINISHED, REPLACED
        from ..training.progress import clock

        self._erase()
        n_runs = self._study.n_runs()
        if not self._started:
            self._started = True
            self._said.update(states)
            if states:
                msg.info(f"{len(states)} of {n_runs} runs are complete already")
            changed = [
                run
                for run in self._study.chosen
                if run.title not in states and (run.folder / FINISHED).exists()
            ]
            if changed:
                kept = self._study.output / REPLACED
                msg.warn(
                    f"{len(changed)} finished runs have changed, and are repeated; {kept} keeps "
                    "their former results"
                )
        remaining = f"{clock(left)} left" if left == left else "? left"
        for title, state in states.items():
            if title in self._said:
                continue
            self._said.add(title)
            took = self._study.seconds.get(title)
            time_taken = f"{clock(took)}, " if took is not None else ""
            line = f"{len(self._said)}/{n_runs}  {title}: {state}  ({time_taken}{remaining})"
            msg.text(line)
        if sys.stdout.isatty():
            lines = [f"  {run.title}  {run.share_done():.0%}" for run in active]
            elapsed = clock(time.monotonic() - self._start)
            lines.append(f"{len(states)} of {n_runs} runs, {elapsed} so far, {remaining}")
            # A line that is wrapped would count as two when the table is erased.
            width = shutil.get_terminal_size().columns - 1
            lines = [line[:width] for line in lines]
            print("\n".join(lines), flush=True)  # noqa: T201 - redrawn, so not a message
            self._n_lines = len(lines)

    def close(self) -> None:
        """Remove the table from the screen."""
        self._erase()

    def _erase(self) -> None:
        if self._n_lines:
            sys.stdout.write(f"\x1b[{self._n_lines}A\x1b[J")
            self._n_lines = 0


def _read_values(texts: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected NAME=VALUE, found '{text}'", param_hint="--set")
        try:
            values[name] = srsly.json_loads(value)
        except ValueError:
            values[name] = value
    return values

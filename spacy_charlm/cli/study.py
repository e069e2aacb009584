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
    values: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE of the study's vars; repeatable")
    ] = None,
) -> None:
    """Run the rows of a study with all their seeds, score them, and print the table.

    Complete runs are skipped and interrupted ones are repeated; `charlm pretrain` resumes. Writes
    trials.csv, table.md, table.json, curves.png and, if sets of texts are the columns, table.png.
    """
    from ..report.figure import draw_columns, save_figure
    from ..report.table import show_table, write_table
    from ..report.training_curves import draw_training
    from ..runs.run import LOG
    from ..runs.study import SET, TABLE, read_study, run_study

    study = read_study(study_path, output, variables=_read_values(values or []), only=only or [])
    display = Display(study)
    try:
        run_study(study, jobs=jobs, gpu_id=gpu_id, show=display.show)
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
        if scores and study.columns == SET:
            save_figure(draw_columns(scores, SET, study.title), output / f"{TABLE}.png")
    except ImportError as err:
        msg.info(str(err))
    logs = {run.title: run.folder / LOG for run in study.chosen}
    for title, error in study.errors.items():
        msg.fail(title, f"{error.strip().splitlines()[-1]} (log: {logs[title]})")
    n_runs = len(study.chosen)
    msg.good(f"{n_runs - len(study.errors)} of {n_runs} runs: {output}")
    if study.errors:
        raise typer.Exit(1)


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
        n_runs = len(self._study.chosen)
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

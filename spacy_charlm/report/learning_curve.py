"""Learning curves of pretraining runs, drawn from their logs."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..compat import require
from ..errors import Errors
from ..files import name_paths
from ..training.run_log import read_log
from .figure import COLOURS, FORMATS, GREY, save_figure
from .table import check_ending

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG_NAME = "log.jsonl"


class Curve(NamedTuple):
    """A value of the log and how it is drawn."""

    key: str
    label: str
    dashed: bool = False


class Panel(NamedTuple):
    """A part of the figure: values that share an axis."""

    title: str
    curves: tuple[Curve, ...]
    from_zero: bool = False


PANELS = (
    Panel("loss", (Curve("dev_loss", "dev"), Curve("loss", "train", dashed=True))),
    Panel("dev: cosine to the target vector", (Curve("dev_cosine", "dev"),)),
    Panel(
        "dev: right word among the nearest, share",
        (Curve("dev_p_at_1", "P@1"), Curve("dev_p_at_10", "P@10", dashed=True)),
    ),
    Panel("learning rate", (Curve("learn_rate", "learning rate"),), from_zero=True),
    Panel("words per second", (Curve("words_per_second", "speed"),), from_zero=True),
    Panel("memory, MB", (Curve("memory_mb", "memory"),), from_zero=True),
)


class LoggedRun(NamedTuple):
    """A run and its steps.

    label (str): Its name in the figure.
    steps (List[Dict[str, Any]]): The lines of its log, in the order of the words read.
    """

    label: str
    steps: list[dict[str, Any]]

    def points(self, key: str) -> tuple[list[float], list[float]]:
        """Return words read and value of each step with a finite value."""
        pairs = [(step["words"], step[key]) for step in self.steps if _is_number(step.get(key))]
        return [words for words, _ in pairs], [value for _, value in pairs]

    def best(self) -> dict[str, Any] | None:
        """Return the step whose weights are kept as the best."""
        return next((step for step in reversed(self.steps) if step.get("best")), None)


def plot_logs(paths: Sequence[Path], output: Path) -> None:
    """Draw the logs of runs as one figure.

    paths (Sequence[Path]): Logs of `charlm pretrain`, or the folders that hold them.
    output (Path): The file to write: .png, .svg or .pdf.
    RAISES (ValueError): If a log is missing or empty, or the format is unknown.
    RAISES (ImportError): If matplotlib is missing.
    """
    check_ending(output, FORMATS)
    save_figure(draw_runs(read_runs(paths)), output)


def read_runs(paths: Sequence[Path]) -> list[LoggedRun]:
    """Read the logs of runs, which are labelled by their folders.

    paths (Sequence[Path]): Logs of `charlm pretrain`, or the folders that hold them.
    RETURNS (List[LoggedRun]): One run per log.
    RAISES (ValueError): If a log is missing or has no step.
    """
    logs = [path / LOG_NAME if path.is_dir() else path for path in paths]
    labels = name_paths([path.absolute().parent for path in logs])
    runs = []
    for label, path in zip(labels, logs):
        if not path.is_file():
            raise ValueError(Errors.E640.format(path=path))
        runs.append(LoggedRun(label, read_log(path)))
        if not runs[-1].steps:
            raise ValueError(Errors.E642.format(path=path))
    return runs


def draw_runs(runs: Sequence[LoggedRun]) -> "Figure":
    """Draw the values of runs over the words read, with one panel for each kind of value.

    runs (Sequence[LoggedRun]): The runs. One run has a colour per value, several have one each.
    RETURNS (Figure): The figure, not bound to a window.
    RAISES (ImportError): If matplotlib is missing.
    """
    what = "Drawing learning curves"
    figures = require("matplotlib.figure", extra="plots", what=what)
    ticker = require("matplotlib.ticker", extra="plots", what=what)
    panels = [
        panel
        for panel in PANELS
        if any(run.points(curve.key)[0] for run in runs for curve in panel.curves)
    ]
    n_columns = min(len(panels), 3 if len(panels) > 4 else 2) or 1
    n_rows = math.ceil(len(panels) / n_columns) or 1
    figure = figures.Figure(
        figsize=(4.3 * n_columns, 3.1 * n_rows + 0.3), layout="constrained", facecolor="white"
    )
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.08)
    for i, panel in enumerate(panels):
        axes = figure.add_subplot(n_rows, n_columns, i + 1)
        _draw_panel(axes, panel, runs)
        axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
        axes.xaxis.set_major_locator(ticker.MaxNLocator(5))
        if axes.get_ylim()[1] >= 1000:
            axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
        if i + n_columns >= len(panels):
            axes.set_xlabel("words read")
    _draw_names(figure, runs)
    return figure


def _draw_panel(axes: "Axes", panel: Panel, runs: Sequence[LoggedRun]) -> None:
    drawn: dict[str, Any] = {}
    marks: dict[str, Any] = {}
    for r, run in enumerate(runs):
        for c, curve in enumerate(panel.curves):
            words, values = run.points(curve.key)
            if not words:
                continue
            colour = COLOURS[(r if len(runs) > 1 else c) % len(COLOURS)]
            style = "--" if curve.dashed else "-"
            (line,) = axes.plot(words, values, style, color=colour, linewidth=1.6)
            if len(words) == 1:
                line.set_marker(".")
            drawn.setdefault(curve.label, line)
            best = run.best()
            if best and curve.key.startswith("dev_") and _is_number(best.get(curve.key)):
                at = f", step {best['step']:,}" if len(runs) == 1 and "step" in best else ""
                (mark,) = axes.plot(
                    best["words"],
                    best[curve.key],
                    "o",
                    markersize=7,
                    markerfacecolor="white",
                    markeredgecolor=colour,
                    markeredgewidth=1.6,
                )
                marks.setdefault(f"best{at}", mark)
    axes.set_title(panel.title, fontsize=10, loc="left")
    axes.set_xlim(left=0)
    if panel.from_zero:
        axes.set_ylim(bottom=0, top=axes.get_ylim()[1] * 1.05)
    axes.grid(color="#E4E6EA", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    if marks or len(panel.curves) > 1:
        drawn |= marks
        legend: Any = axes.legend(drawn.values(), drawn.keys(), fontsize=8, framealpha=0.9)
        for handle in legend.legend_handles if len(runs) > 1 else ():
            handle.set(color=GREY, markeredgecolor=GREY)


def _draw_names(figure: "Figure", runs: Sequence[LoggedRun]) -> None:
    if len(runs) == 1:
        figure.suptitle(runs[0].label, fontsize=11)
        return
    lines = require("matplotlib.lines", extra="plots", what="Drawing learning curves")
    handles = [
        lines.Line2D([], [], color=COLOURS[i % len(COLOURS)], linewidth=3) for i in range(len(runs))
    ]
    labels = [run.label for run in runs]
    n_columns = max(1, min(len(runs), 90 // (max(map(len, labels)) + 6)))
    figure.legend(
        handles, labels, loc="outside upper center", ncols=n_columns, frameon=False, fontsize=10
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

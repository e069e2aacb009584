"""Learning curves of pretraining runs, read from their logs."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import srsly

from ..compat import require
from ..errors import Errors
from ..text.read_texts import read_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG_NAME = "log.jsonl"
FORMATS = (".png", ".svg", ".pdf")
# Okabe and Ito, "Color Universal Design" (2008), in an order that keeps neighbours apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
GREY = "#666666"


class Curve(NamedTuple):
    """A value of the log, and how it is drawn."""

    key: str
    label: str
    dashed: bool = False


class Panel(NamedTuple):
    """A part of the picture: values that share an axis."""

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


class Run(NamedTuple):
    """A run and its steps.

    label (str): Its name in the picture.
    steps (List[Dict[str, Any]]): The lines of its log, in the order of the words read.
    """

    label: str
    steps: list[dict[str, Any]]

    def points(self, key: str) -> tuple[list[float], list[float]]:
        """Give words read and values of the steps that have a finite one."""
        pairs = [(step["words"], step[key]) for step in self.steps if _is_number(step.get(key))]
        return [words for words, _ in pairs], [value for _, value in pairs]

    def best(self) -> dict[str, Any] | None:
        """Give the step whose weights are kept as the best."""
        return next((step for step in reversed(self.steps) if step.get("best")), None)


def plot_logs(paths: Sequence[Path], output: Path) -> None:
    """Draw the logs of runs into one picture.

    paths (Sequence[Path]): Logs of `charlm pretrain`, or the folders that hold them.
    output (Path): The picture; its name tells the format.
    RAISES (ValueError): If a log is missing, empty or damaged, or the format is unknown.
    RAISES (ImportError): If matplotlib is missing.
    """
    if output.suffix.lower() not in FORMATS:
        raise ValueError(Errors.E643.format(formats=", ".join(FORMATS), path=output))
    logs = [path / LOG_NAME if path.is_dir() else path for path in paths]
    runs = [Run(label, read_log(path)) for label, path in zip(make_labels(logs), logs)]
    figure = draw_runs(runs)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=150)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read the log of a run.

    path (Path): JSON lines, each a step with at least the words read.
    RETURNS (List[Dict[str, Any]]): The steps. Where a run was resumed, those after the point from
        which it went on replace those that it had lost.
    RAISES (ValueError): If the file is missing, holds no step, or has a line that is none.
    """
    if not path.is_file():
        raise ValueError(Errors.E640.format(path=path))
    steps: list[dict[str, Any]] = []
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            step = srsly.json_loads(line)
        except ValueError as err:
            found = f"what is no JSON ({err})"
            raise ValueError(Errors.E641.format(path=path, line=number, found=found)) from err
        if not isinstance(step, dict) or not _is_number(step.get("words")):
            found = "no object with a number of 'words'"
            raise ValueError(Errors.E641.format(path=path, line=number, found=found))
        while steps and steps[-1]["words"] >= step["words"]:
            steps.pop()
        steps.append(step)
    if not steps:
        raise ValueError(Errors.E642.format(path=path))
    return steps


def make_labels(paths: Sequence[Path]) -> list[str]:
    """Name runs by their folders, with as many of the folders above as tell them apart.

    paths (Sequence[Path]): The logs.
    RETURNS (List[str]): One name each; the same log given twice has the same name twice.
    """
    parents = [path.absolute().parent.parts for path in paths]
    deepest = max(len(parts) for parts in parents)
    for depth in range(1, deepest + 1):
        labels = ["/".join(parts[-depth:]) for parts in parents]
        if len(set(labels)) == len(set(parents)):
            break
    return labels


def draw_runs(runs: Sequence[Run]) -> "Figure":
    """Draw runs: a panel for each kind of value that any of them has, over the words read.

    runs (Sequence[Run]): One run, whose values have colours, or several, which have one each.
    RETURNS (Figure): The picture, not bound to a window.
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


def _draw_panel(axes: "Axes", panel: Panel, runs: Sequence[Run]) -> None:
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


def _draw_names(figure: "Figure", runs: Sequence[Run]) -> None:
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

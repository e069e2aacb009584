"""Learning curves of pretraining runs, drawn from their logs."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..compat import require
from ..errors import Errors
from ..files import name_paths
from ..training.run_log import read_log
from .figure import (
    COLOURS,
    FORMATS,
    GREY,
    LEGEND,
    Look,
    add_legend,
    choose_looks,
    save_figure,
    style_axes,
)
from .table import check_ending

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG_NAME = "log.jsonl"
SPACY_KEYS = ("nr_word", "loss")  # of the lines that `spacy pretrain` writes
SHORT = 3  # points up to which each is marked, and a single one is labelled with its value


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
    Panel("spacy pretrain: loss per 1,000 words", (Curve("loss_per_1000", "train"),)),
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

    paths (Sequence[Path]): Logs of `charlm pretrain` or `spacy pretrain`, or the folders that hold
        them.
    output (Path): The file to write: .png, .svg or .pdf.
    RAISES (ValueError): If a log is missing or empty, or the format is unknown.
    RAISES (ImportError): If matplotlib is missing.
    """
    check_ending(output, FORMATS)
    save_figure(draw_runs(read_runs(paths)), output)


def read_runs(paths: Sequence[Path]) -> list[LoggedRun]:
    """Read the logs of runs, which are labelled by their folders.

    paths (Sequence[Path]): Logs of `charlm pretrain` or `spacy pretrain`, or the folders that hold
        them.
    RETURNS (List[LoggedRun]): One run per log.
    RAISES (ValueError): If a log is missing or has no step.
    """
    logs = [path / LOG_NAME if path.is_dir() else path for path in paths]
    labels = name_paths([path.absolute().parent for path in logs])
    runs = []
    for label, path in zip(labels, logs):
        if not path.is_file():
            raise ValueError(Errors.E640.format(path=path))
        runs.append(LoggedRun(label, read_spacy_log(path) or read_log(path)))
        if not runs[-1].steps:
            raise ValueError(Errors.E642.format(path=path))
    return runs


def read_spacy_log(path: Path) -> list[dict[str, Any]]:
    """Read the log of `spacy pretrain`, which has the words read and the sum of all losses.

    path (Path): The file `log.jsonl`.
    RETURNS (List[Dict[str, Any]]): Words read at each save, and the loss per 1,000 words since the
        last one. Empty if the file is another log.
    """
    steps: list[dict[str, Any]] = []
    done = words = loss = 0.0
    for line in path.read_bytes().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # such as the last line of a run that was killed
        if not isinstance(entry, dict) or not all(map(_is_number, map(entry.get, SPACY_KEYS))):
            continue
        if entry["nr_word"] < words:  # resumed: spaCy counts from zero again
            done += words
            words = loss = 0.0
        if entry["nr_word"] > words:
            mean = 1000 * (entry["loss"] - loss) / (entry["nr_word"] - words)
            steps.append({"words": done + entry["nr_word"], "loss_per_1000": mean})
        words, loss = entry["nr_word"], entry["loss"]
    return steps


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
    found = choose_looks(run.label for run in runs)
    looks = [found[run.label] for run in runs]
    n_columns = min(len(panels), 3 if len(panels) > 4 else 2) or 1
    n_rows = math.ceil(len(panels) / n_columns) or 1
    figure = figures.Figure(
        figsize=(4.3 * n_columns + (2.6 if len(runs) > 1 else 0.0), 3.1 * n_rows + 0.3),
        layout="constrained",
        facecolor="white",
    )
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.08)
    for i, panel in enumerate(panels):
        axes = figure.add_subplot(n_rows, n_columns, i + 1)
        _draw_panel(axes, panel, runs, looks)
        axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
        axes.xaxis.set_major_locator(ticker.MaxNLocator(5))
        if axes.get_ylim()[1] >= 1000:
            axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
        if i + n_columns >= len(panels):
            axes.set_xlabel("words read")
    if len(runs) == 1:
        figure.suptitle(runs[0].label, fontsize=12, x=0.01, ha="left")
    else:
        lines = require("matplotlib.lines", extra="plots", what=what)
        handles = [lines.Line2D([], [], **look.settings()) for look in looks]
        add_legend(figure, {run.label: handle for run, handle in zip(runs, handles)})
    return figure


def _draw_panel(axes: "Axes", panel: Panel, runs: Sequence[LoggedRun], looks: list[Look]) -> None:
    drawn: dict[str, Any] = {}
    marks: dict[str, Any] = {}
    longest = 0
    for r, run in enumerate(runs):
        for c, curve in enumerate(panel.curves):
            words, values = run.points(curve.key)
            longest = max(longest, len(words))
            if not words:
                continue
            look = looks[r] if len(runs) > 1 else Look(COLOURS[c])
            style = {**look.settings(), "marker": look.marker if len(words) <= SHORT else ""}
            if curve.dashed:
                style |= {"linestyle": (0, (2.5, 1.5)), "linewidth": 1.2}
            (line,) = axes.plot(words, values, **style)
            drawn.setdefault(curve.label, line)
            if len(words) == 1:
                text = f"{values[0]:,.0f}" if values[0] >= 1000 else f"{values[0]:.3g}"
                axes.annotate(
                    text,
                    (words[0], values[0]),
                    xytext=(-8, 0),
                    textcoords="offset points",
                    va="center",
                    ha="right",
                    fontsize=9,
                )
            best = run.best()
            if best and curve.key.startswith("dev_") and _is_number(best.get(curve.key)):
                at = f", step {best['step']:,}" if len(runs) == 1 and "step" in best else ""
                (mark,) = axes.plot(
                    best["words"],
                    best[curve.key],
                    "o",
                    markersize=7,
                    markerfacecolor="white",
                    markeredgecolor=look.colour,
                    markeredgewidth=1.6,
                )
                marks.setdefault(f"best{at}", mark)
    style_axes(axes, panel.title)
    axes.set_xlim(left=0)
    if panel.from_zero:
        axes.set_ylim(bottom=0, top=axes.get_ylim()[1] * 1.05)
    elif longest == 1:
        axes.margins(y=0.5)
    if marks or len(panel.curves) > 1:
        drawn |= marks
        legend: Any = axes.legend(drawn.values(), drawn.keys(), **LEGEND)
        for handle in legend.legend_handles if len(runs) > 1 else ():
            is_mark = handle.get_marker() == "o" and handle.get_linestyle() == "None"
            handle.set(color=GREY, markeredgecolor=GREY)
            handle.set_markerfacecolor("white" if is_mark else GREY)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

"""Score records as a figure, and what all figures share."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compat import require
from ..types import Score
from .table import METRIC, SHARES, check_ending, show_condition

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
# Okabe and Ito, "Color Universal Design" (2008), in an order that keeps neighbours apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
GREY = "#666666"
MARKERS = "osD^vPX*"  # one more than colours, so that the pairs of both repeat later
DASHES = ("-", "--", ":")  # the next one after each turn through the colours


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure to a file, whose ending is one of FORMATS, and make its folder."""
    check_ending(path, FORMATS)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def draw_scores(scores: Sequence[Score], over: str, label: str = "") -> "Figure":
    """Draw scores over a condition that is a number, with bands of one standard deviation.

    There is one panel for each metric and each combination of the other conditions.

    scores (Sequence[Score]): The scores.
    over (str): Name of the condition, such as "rate".
    label (str): Label of the x-axis; by default the name of the condition.
    RETURNS (Figure): The figure, not bound to a window.
    RAISES (ImportError): If matplotlib is missing.
    """
    figures = require("matplotlib.figure", extra="plots", what="Drawing scores")
    panels: dict[str, dict[str, list[Score]]] = {}
    for score in scores:
        others = [show_condition(*pair) for pair in score.conditions.items() if pair[0] != over]
        title = ": ".join([show_condition(METRIC, score.metric), *others])
        panels.setdefault(title, {}).setdefault(score.source, []).append(score)
    sources = list(dict.fromkeys(score.source for score in scores))
    n_columns = min(3, len(panels))
    n_rows = -(-len(panels) // n_columns)
    size = (4.6 * n_columns + 2.4, max(3.6 * n_rows, 0.24 * len(sources) + 0.6))
    figure = figures.Figure(figsize=size, layout="constrained")
    all_axes = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
    scale = 100 if over in SHARES else 1
    lines: dict[str, Any] = {}
    for axes, (title, curves) in zip(all_axes, panels.items()):
        for source, found in curves.items():
            i = sources.index(source)
            x = np.array([scale * float(score.conditions[over]) for score in found])
            mean = np.array([100 * score.mean for score in found])
            spread = np.array([100 * (score.deviation or 0.0) for score in found])
            colour = COLOURS[i % len(COLOURS)]
            axes.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.12, lw=0)
            (line,) = axes.plot(
                x,
                mean,
                color=colour,
                marker=MARKERS[i % len(MARKERS)],
                linestyle=DASHES[i // len(COLOURS) % len(DASHES)],
                markersize=5,
            )
            lines.setdefault(source, line)
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel(label or over)
        axes.set_ylabel("score, %")
        axes.set_xticks(sorted({scale * float(s.conditions[over]) for s in scores}))
        axes.grid(axis="y", color="#dddddd")
        axes.spines[["top", "right"]].set_visible(False)
    for axes in all_axes[len(panels) :]:
        axes.set_visible(False)
    # In the order in which the lines of the first panel end, so that the eye need not search.
    ends = {source: found[-1].mean for source, found in next(iter(panels.values())).items()}
    names = sorted(lines, key=lambda name: -ends.get(name, 0.0))
    figure.legend([lines[name] for name in names], names, loc="outside right upper", frameon=False)
    return figure

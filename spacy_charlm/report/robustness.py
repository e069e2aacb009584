"""Scores by share of mistyped words, several pipelines in one picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..compat import require

# Okabe and Ito's colours, which colour-blind people tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX*"  # one more than colours, so that pairs of both last longer
DASHES = ("-", "--", ":")  # one more for each turn through the colours


def plot_robustness(
    curves: Sequence[Any], labels: dict[str, str], titles: dict[str, str], output: Path
) -> None:
    """Draw one panel for each metric and kind, with bands of one standard deviation.

    curves (Sequence[Curve]): What `measure_robustness` returned.
    labels (Dict[str, str]): What the legend calls each pipeline.
    titles (Dict[str, str]): What each metric is called.
    output (Path): .png, .svg or .pdf.
    RAISES (ImportError): If matplotlib is missing.
    """
    figure_module = require("matplotlib.figure", extra="plots", what="A picture")
    panels = list(dict.fromkeys((curve.metric, curve.kind) for curve in curves))
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    size = (4.6 * columns + 2.4, max(3.6 * rows, 0.24 * len(labels) + 0.6))
    figure = figure_module.Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    turns = {name: i for i, name in enumerate(labels)}
    lines: dict[str, Any] = {}
    for ax, (metric, kind) in zip(axes.flat, panels):
        for curve in curves:
            if (curve.metric, curve.kind) == (metric, kind):
                i = turns[curve.pipeline]
                x, y = np.array(curve.rates) * 100, np.array(curve.means()) * 100
                spread = np.array(curve.deviations()) * 100
                look = {
                    "color": COLOURS[i % len(COLOURS)],
                    "marker": MARKERS[i % len(MARKERS)],
                    "linestyle": DASHES[i // len(COLOURS) % len(DASHES)],
                }
                ax.fill_between(
                    x, y - spread, y + spread, color=look["color"], alpha=0.12, linewidth=0
                )
                (line,) = ax.plot(x, y, markersize=5, **look)
                lines.setdefault(curve.pipeline, line)
        ax.set_title(f"{titles[metric]}: {kind} typos", loc="left", fontsize=11)
        ax.set_xlabel("words with a typo, %")
        ax.set_ylabel("score, %")
        ax.set_xticks([rate * 100 for rate in curves[0].rates])
        ax.grid(axis="y", color="#dddddd")
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    # In the order in which the first panel's lines end, so that the eye need not search.
    ends = {curve.pipeline: curve.means()[-1] for curve in reversed(curves)}
    names = sorted(lines, key=lambda name: -ends[name])
    figure.legend(
        [lines[name] for name in names],
        [labels[name] for name in names],
        loc="outside right upper",
        frameon=False,
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=130)

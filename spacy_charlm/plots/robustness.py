"""Scores by share of mistyped words, several pipelines in one picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..compat import require

# Okabe and Ito's colours, which colour-blind people tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"


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
    figure = figure_module.Figure(figsize=(4.6 * columns, 3.6 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    colours = {name: i for i, name in enumerate(labels)}
    for ax, (metric, kind) in zip(axes.flat, panels):
        for curve in curves:
            if (curve.metric, curve.kind) == (metric, kind):
                i = colours[curve.pipeline]
                x, y = np.array(curve.rates) * 100, np.array(curve.means()) * 100
                spread = np.array(curve.deviations()) * 100
                colour = COLOURS[i % len(COLOURS)]
                ax.fill_between(x, y - spread, y + spread, color=colour, alpha=0.2, linewidth=0)
                ax.plot(x, y, color=colour, marker=MARKERS[i % len(MARKERS)], markersize=5)
        ax.set_title(f"{titles[metric]}: {kind} typos", loc="left", fontsize=11)
        ax.set_xlabel("words with a typo, %")
        ax.set_ylabel("score, %")
        ax.grid(axis="y", color="#dddddd")
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    lines = axes.flat[0].get_lines()
    figure.legend(lines, list(labels.values()), loc="outside lower center", ncols=3, frameon=False)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=130)

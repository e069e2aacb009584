"""Scores by step during the trainings of a study."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compat import require
from .figure import COLOURS
from .table import METRIC, show_condition

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# One curve: step and score, from 0 to 1.
Points = Sequence[tuple[int, float]]


def draw_training(
    curves: Mapping[str, Mapping[str, Sequence[Points]]], title: str = ""
) -> "Figure":
    """Draw one panel per metric: the score by step, mean and range over the seeds.

    curves (Mapping[str, Mapping[str, Sequence[Points]]]): Curves of the seeds, by metric and row.
    title (str): Title of the figure.
    RETURNS (Figure): The figure, not bound to a window.
    RAISES (ImportError): If matplotlib is missing.
    """
    figures = require("matplotlib.figure", extra="plots", what="Drawing learning curves")
    figure = figures.Figure(figsize=(5.2 * len(curves), 4.2), layout="constrained")
    rows = list(dict.fromkeys(name for found in curves.values() for name in found))
    lines: dict[str, Any] = {}
    for axes, (metric, found) in zip(
        figure.subplots(1, len(curves), squeeze=False)[0], curves.items()
    ):
        for name, seeds in found.items():
            values: dict[int, list[float]] = {}
            for points in seeds:
                for step, score in points:
                    values.setdefault(step, []).append(100 * score)
            # A run that stopped early would bend the mean.
            steps = [step for step in sorted(values) if len(values[step]) == len(seeds)]
            colour = COLOURS[rows.index(name) % len(COLOURS)]
            low, high = [min(values[s]) for s in steps], [max(values[s]) for s in steps]
            axes.fill_between(steps, low, high, color=colour, alpha=0.16, linewidth=0)
            style = (0, (4, 2)) if name.endswith("none") else "solid"
            mean = [np.mean(values[s]) for s in steps]
            (lines[name],) = axes.plot(steps, mean, color=colour, linewidth=2, linestyle=style)
        axes.set_title(show_condition(METRIC, metric), loc="left", fontsize=11)
        axes.set_xlabel("training step")
        axes.set_ylabel("score on the early-stopping part, %")
        axes.set_xlim(left=0)
        axes.grid(axis="y", color="#e4e6ea", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=0)
    figure.legend(
        list(lines.values()), list(lines), loc="outside lower center", ncols=3, frameon=False
    )
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure

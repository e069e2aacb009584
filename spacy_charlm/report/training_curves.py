"""Scores by step during the trainings of a study."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compat import require
from .figure import add_legend, choose_looks, style_axes
from .table import METRIC, show_condition

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# One curve: step and score in per cent, as spaCy's console logger writes it.
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
    figure = figures.Figure(figsize=(4.8 * len(curves) + 2.6, 3.9), layout="constrained")
    looks = choose_looks(name for found in curves.values() for name in found)
    lines: dict[str, Any] = {}
    for axes, (metric, found) in zip(
        figure.subplots(1, len(curves), squeeze=False)[0], curves.items()
    ):
        trained: list[float] = []
        for name, seeds in found.items():
            values: dict[int, list[float]] = {}
            for points in seeds:
                for step, score in points:
                    values.setdefault(step, []).append(score)
            # A run that stopped early would bend the mean.
            steps = [step for step in sorted(values) if len(values[step]) == len(seeds)]
            trained += [score for step in steps[1:] or steps for score in values[step]]
            low, high = [min(values[s]) for s in steps], [max(values[s]) for s in steps]
            look = looks[name]
            axes.fill_between(steps, low, high, color=look.colour, alpha=0.14, linewidth=0)
            mean = [np.mean(values[s]) for s in steps]
            (lines[name],) = axes.plot(steps, mean, **look.settings())
        style_axes(axes, show_condition(METRIC, metric))
        axes.xaxis.grid(visible=False)
        axes.set_xlabel("training step")
        axes.set_ylabel("score on the early-stopping part, %")
        axes.set_xlim(left=0)
        # Scores before the first update would leave little room for the differences.
        margin = 0.06 * (max(trained) - min(trained)) or 1.0
        axes.set_ylim(min(trained) - margin, max(trained) + margin)
    add_legend(figure, lines)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure

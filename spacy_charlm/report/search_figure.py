"""The trials of searches: scores by setting, the best so far, and all settings at once."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..compat import require
from .figure import GREY, LONGEST, add_legend, choose_looks, style_axes
from .table import METRIC, shorten, show_condition

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_COLUMNS = 4
CHOICE_GAP = 0.35  # width, in choices, over which the trials of a choice are spread
BEST = 1 / 4  # share of the trials that parallel coordinates show in colour


class SearchAxis(NamedTuple):
    """A setting as the axis of a figure.

    path (str): Dotted path of the setting.
    choices (List[Any]): Its choices; empty for a range.
    logarithmic (bool): Whether the range is logarithmic.
    """

    path: str
    choices: list[Any]
    logarithmic: bool


class TrialScore(NamedTuple):
    """A trial in a figure.

    values (Mapping[str, Any]): Its settings by path.
    score (float): Its score, from 0 to 1.
    """

    values: Mapping[str, Any]
    score: float


def draw_search(
    found: Mapping[str, Sequence[TrialScore]],
    axes: Sequence[SearchAxis],
    metric: str,
    title: str = "",
) -> "Figure":
    """Draw the best score so far by trial, and one panel per setting with the score of each trial.

    found (Mapping[str, Sequence[TrialScore]]): The trials of each row, in their order.
    axes (Sequence[SearchAxis]): The settings.
    metric (str): What the scores are.
    title (str): Title of the figure.
    RETURNS (Figure): The figure, not bound to a window.
    RAISES (ImportError): If matplotlib is missing.
    """
    figures = require("matplotlib.figure", extra="plots", what="Drawing a search")
    n_panels = 1 + len(axes)
    n_columns = min(N_COLUMNS, n_panels)
    n_rows = -(-n_panels // n_columns)
    size = (3.4 * n_columns + 2.4, 3.1 * n_rows + 0.4)
    figure = figures.Figure(figsize=size, layout="constrained")
    panels = list(figure.subplots(n_rows, n_columns, squeeze=False, sharey=True).flat)
    looks = choose_looks(found)
    lines: dict[str, Any] = {}
    for row, trials in found.items():
        scores = [100 * trial.score for trial in trials]
        best = np.maximum.accumulate(scores)
        settings = looks[row].settings() | {"marker": "none", "drawstyle": "steps-post"}
        panels[0].plot(range(1, len(best) + 1), best, **settings)
        for panel, axis in zip(panels[1:], axes):
            some = [trial for trial in trials if axis.path in trial.values]
            x = _place(axis, [trial.values[axis.path] for trial in some])
            y = [100 * trial.score for trial in some]
            settings = looks[row].settings() | {"linestyle": "none", "alpha": 0.75}
            (lines[row],) = panel.plot(x, y, **settings)
    style_axes(panels[0], "best so far")
    panels[0].set_xlabel("trials")
    for panel, axis in zip(panels[1:], axes):
        style_axes(panel)
        # The end of a path says what it is.
        panel.set_xlabel(shorten(axis.path[::-1], LONGEST)[::-1], fontsize=9)
        if axis.logarithmic and any(axis.path in x.values for some in found.values() for x in some):
            panel.set_xscale("log")
            panel.xaxis.set_minor_formatter("")  # they would overlap
        if axis.choices:
            names = [_name(choice) for choice in axis.choices]
            panel.set_xticks(range(len(names)), names)
    for panel in panels[::n_columns]:
        panel.set_ylabel(f"{show_condition(METRIC, metric)}, %")
    for panel in panels[n_panels:]:
        panel.set_visible(False)
    add_legend(figure, lines)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure


def draw_parallel(
    found: Mapping[str, Sequence[TrialScore]],
    axes: Sequence[SearchAxis],
    metric: str,
    title: str = "",
) -> "Figure":
    """Draw parallel coordinates: one line per trial through all settings, the best in colour.

    found (Mapping[str, Sequence[TrialScore]]): The trials of each row, each of which gets a panel.
    axes (Sequence[SearchAxis]): The settings.
    metric (str): What the scores are.
    title (str): Title of the figure.
    RETURNS (Figure): The figure, not bound to a window.
    RAISES (ImportError): If matplotlib is missing.
    """
    figures = require("matplotlib.figure", extra="plots", what="Drawing a search")
    size = (1.5 * (len(axes) + 1) + 1.5, 2.9 * len(found) + 0.8)
    figure = figures.Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(found), 1, squeeze=False)[:, 0]
    looks = choose_looks(found)
    every = [trial.score for trials in found.values() for trial in trials]
    ends = {axis.path: _find_ends(axis, found) for axis in axes}
    low, high = min(every), max(every)
    for panel, (row, trials) in zip(panels, found.items()):
        least = np.quantile([trial.score for trial in trials], 1 - BEST)
        for trial in sorted(trials, key=lambda trial: trial.score):
            y = [_share(axis, trial.values, *ends[axis.path]) for axis in axes]
            y.append((trial.score - low) / (high - low or 1.0))
            is_good = trial.score >= least
            colour, alpha = (looks[row].colour, 0.9) if is_good else (GREY, 0.25)
            panel.plot(range(len(y)), y, color=colour, alpha=alpha, linewidth=1.4)
        style_axes(panel, row)
        panel.yaxis.set_visible(False)
        panel.spines["left"].set_visible(False)
        names = [axis.path.rsplit(".", 1)[-1] for axis in axes]
        panel.set_xticks(range(len(axes) + 1), [*names, show_condition(METRIC, metric)])
        panel.set_ylim(-0.12, 1.12)
        for i, axis in enumerate(axes):
            for y, text in ((-0.09, ends[axis.path][0]), (1.04, ends[axis.path][1])):
                label = _name(axis.choices[round(text)]) if axis.choices else f"{text:.3g}"
                panel.text(i, y, label, ha="center", fontsize=8, color=GREY)
        for y, score in ((-0.09, low), (1.04, high)):
            panel.text(len(axes), y, f"{100 * score:.1f} %", ha="center", fontsize=8, color=GREY)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure


def _place(axis: SearchAxis, values: Sequence[Any]) -> np.ndarray:
    """Place values on an axis, those of the same choice beside each other."""
    if not axis.choices:
        return np.array(values, dtype="float64")
    x = np.array([axis.choices.index(value) for value in values], dtype="float64")
    return x + CHOICE_GAP * (np.arange(len(x)) / max(1, len(x) - 1) - 0.5)


def _find_ends(axis: SearchAxis, found: Mapping[str, Sequence[TrialScore]]) -> tuple[float, float]:
    if axis.choices:
        return 0.0, float(len(axis.choices) - 1)
    every = [trial.values for trials in found.values() for trial in trials]
    values = [drawn[axis.path] for drawn in every if axis.path in drawn]
    return (min(values), max(values)) if values else (0.0, 1.0)


def _name(choice: Any) -> str:
    """Name a choice; a block by the function that it registers, without package and version."""
    if isinstance(choice, dict):
        found = [str(value) for key, value in choice.items() if key.startswith("@")]
        choice = found[0].split(".")[1] if found and "." in found[0] else choice
    return shorten(str(choice), 20)


def _share(axis: SearchAxis, values: Mapping[str, Any], low: float, high: float) -> float:
    """Return where on its axis a trial is, from 0 to 1; NaN, a gap in the line, without a value."""
    if axis.path not in values:
        return float("nan")
    value = values[axis.path]
    x = float(axis.choices.index(value) if axis.choices else value)
    if axis.logarithmic:
        x, low, high = np.log(x), np.log(low), np.log(high)
    return float((x - low) / (high - low or 1.0))

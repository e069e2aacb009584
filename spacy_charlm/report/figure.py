"""Score records as a figure, and what all figures share: colours, lines and legends."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import numpy as np

from ..compat import require
from ..types import Score
from .table import METRIC, SHARES, check_ending, shorten, show_condition

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
# Okabe and Ito, "Color Universal Design" (2008), in an order that keeps neighbours apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
GREY = "#666666"
GRID = "#E4E6EA"
LEGEND = {"frameon": False, "fontsize": 9}
# Rows of several figures in docs/: by their embed layer or vectors, or by their target.
COLOUR_OF = {
    "CharCNN": COLOURS[0],
    "MultiHashEmbed": COLOURS[1],
    "CharacterEmbed": COLOURS[2],
    "GloVe": COLOURS[5],
    "floret": COLOURS[3],
    "MiniLM": COLOURS[4],
    "vectors": COLOURS[4],
    "words": COLOURS[0],
    "trigram": COLOURS[1],
    "multi": COLOURS[2],
    "head": COLOURS[3],
    "word_ids": COLOURS[4],
    "document": COLOURS[5],
}
# Variants of an embed layer have its colour, and lines of their own.
LINE_OF = {
    "LMAO": ("-", "o"),
    "PretrainVectors": ("-", "s"),
    "none": ("--", "o"),
    "typos": ("-", "^"),
    "denoising": ("-.", "D"),
    "denoising-typos": (":", "^"),
}
LINES = (("-", "o"), ("--", "s"), (":", "D"), ("-.", "^"))  # one after another for each colour
OTHERS = "#BBBBBB"
MOST = 14  # lines that can be told apart; further ones are grey
LONGEST = 40  # characters of a name in the legend
FEW = 5  # lines whose bands can be told apart


class Look(NamedTuple):
    """How the line of a name is drawn.

    colour (str): Its colour.
    dashes (str): Its line style.
    marker (str): Its marker.
    hollow (bool): Whether the markers are not filled.
    """

    colour: str
    dashes: str = "-"
    marker: str = "o"
    hollow: bool = False

    def settings(self) -> dict[str, Any]:
        """Return the arguments of `Axes.plot`."""
        return {
            "color": self.colour,
            "linestyle": self.dashes,
            "marker": self.marker,
            "markerfacecolor": "white" if self.hollow else self.colour,
            "markersize": 5,
            "linewidth": 1.7,
        }


def choose_looks(names: Iterable[str]) -> dict[str, Look]:
    """Choose colours and lines that depend on the names alone, not on their order.

    A name such as "CharCNN/none" has an embed layer and a variant of it. Names that are not known
    get a colour by their checksum, or the next one if that is taken in this figure.

    names (Iterable[str]): Names of rows, pipelines or runs.
    RETURNS (Dict[str, Look]): The look of each name. All differ, up to `MOST` names.
    """
    looks: dict[str, Look] = {}
    others: list[str] = []
    for name in sorted(set(names)):
        *layers, variant = _split(name)
        if layers and layers[-1] in COLOUR_OF and variant in LINE_OF:
            look = Look(COLOUR_OF[layers[-1]], *LINE_OF[variant], hollow=variant == "none")
        elif variant in COLOUR_OF:
            look = Look(COLOUR_OF[variant])
        else:
            others.append(name)
            continue
        if look in looks.values():
            others.append(name)
        else:
            looks[name] = look
    for name in others:
        start = crc32(name.encode("utf8")) % len(COLOURS)
        used = [look.colour for look in looks.values()]
        places = [(start + i) % len(COLOURS) for i in range(len(COLOURS))]
        colour = min((COLOURS[i] for i in places), key=used.count)
        free = [Look(colour, *line) for line in LINES]
        free = [look for look in free if look not in looks.values()]
        looks[name] = free[0] if free and len(looks) < MOST else Look(OTHERS)
    return looks


def show_name(name: str) -> str:
    """Format the name of a row: "CharCNN/LMAO" as "CharCNN + LMAO", "CharCNN/none" as "CharCNN"."""
    *layers, variant = _split(name)
    if not layers or variant not in LINE_OF:
        return name
    return " + ".join([layers[-1], *(part for part in variant.split("-") if part != "none")])


def add_legend(figure: "Figure", lines: dict[str, Any]) -> None:
    """Put a legend at the right of all axes, in the style of all figures.

    figure (Figure): The figure, whose layout is "constrained".
    lines (Dict[str, Line2D]): Lines by name, in the order of the legend.
    """
    shown = {show_name(name): x for name, x in lines.items() if x.get_color() != OTHERS}
    others = [line for line in lines.values() if line.get_color() == OTHERS]
    if others:
        shown[f"{len(others)} others"] = others[0]
    labels = [shorten(name, LONGEST) for name in shown]
    figure.legend(list(shown.values()), labels, loc="outside right upper", **LEGEND)


def style_axes(axes: "Axes", title: str = "") -> None:
    """Give axes the style of all figures."""
    if title:
        axes.set_title(title, fontsize=11, loc="left")
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9, length=0)


def _split(name: str) -> list[str]:
    return re.split(r"/| \+ ", name)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure to a file, whose ending is one of FORMATS, and make its folder."""
    check_ending(path, FORMATS)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def draw_scores(
    scores: Sequence[Score], over: str, label: str = "", *, logarithmic: bool = False
) -> "Figure":
    """Draw scores over a condition that is a number, with their standard deviations.

    There is one panel for each metric and each combination of the other conditions.

    scores (Sequence[Score]): The scores.
    over (str): Name of the condition, such as "rate".
    label (str): Label of the x-axis; by default the name of the condition.
    logarithmic (bool): Whether the x-axis is logarithmic, except between 0 and the next number.
    RETURNS (Figure): The figure, not bound to a window.
    RAISES (ImportError): If matplotlib is missing.
    """
    figures = require("matplotlib.figure", extra="plots", what="Drawing scores")
    panels: dict[str, dict[str, list[Score]]] = {}
    for score in scores:
        others = [
            f"{name}: {show_condition(name, value)}"
            for name, value in score.conditions.items()
            if name != over
        ]
        title = ", ".join([show_condition(METRIC, score.metric), *others])
        panels.setdefault(title, {}).setdefault(score.source, []).append(score)
    looks = choose_looks(score.source for score in scores)
    n_columns = min(3, len(panels))
    n_rows = -(-len(panels) // n_columns)
    size = (4.6 * n_columns + 2.6, max(3.8 * n_rows, 0.24 * min(len(looks), MOST) + 0.8))
    figure = figures.Figure(figsize=size, layout="constrained")
    all_axes = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
    scale = 100 if over in SHARES else 1
    places = sorted({scale * float(score.conditions[over]) for score in scores})
    lines: dict[str, Any] = {}
    for axes, (title, curves) in zip(all_axes, panels.items()):
        # Bars of many lines would hide each other at the same place.
        shift = 0.007 * (places[-1] - places[0]) if len(curves) > FEW else 0.0
        for i, (source, found) in enumerate(curves.items()):
            x = np.array([scale * float(score.conditions[over]) for score in found])
            x += shift * (i - (len(curves) - 1) / 2)
            mean = np.array([100 * score.mean for score in found])
            spread = np.array([100 * (score.deviation or 0.0) for score in found])
            look = looks[source]
            if shift:
                axes.vlines(x, mean - spread, mean + spread, color=look.colour, alpha=0.4)
            else:
                axes.fill_between(
                    x, mean - spread, mean + spread, color=look.colour, alpha=0.14, linewidth=0
                )
            (line,) = axes.plot(x, mean, **look.settings())
            lines.setdefault(source, line)
        style_axes(axes, title)
        axes.set_xlabel(label or over)
        has_spread = any(score.deviation for found in curves.values() for score in found)
        axes.set_ylabel("score, %" + (", mean ± standard deviation" if has_spread else ""))
        if logarithmic:
            above = [place for place in places if place > 0]
            axes.set_xscale("symlog", linthresh=above[0] if above else 1.0, linscale=0.5)
        axes.set_xticks(places, [f"{place:,.10g}" for place in places] if logarithmic else None)
        axes.xaxis.grid(visible=False)
    for axes in all_axes[len(panels) :]:
        axes.set_visible(False)
    # In the order in which the lines of the first panel end, so that the eye need not search.
    ends = {source: found[-1].mean for source, found in next(iter(panels.values())).items()}
    names = sorted(lines, key=lambda name: -ends.get(name, 0.0))
    add_legend(figure, {name: lines[name] for name in names})
    return figure


def draw_columns(scores: Sequence[Score], columns: str, title: str = "") -> "Figure":
    """Draw one panel per column of a table: the mean of each row, with its standard deviation.

    scores (Sequence[Score]): The scores, in the order of the rows.
    columns (str): Name of the condition that the columns differ in.
    title (str): Title of the figure.
    RETURNS (Figure): The figure, not bound to a window.
    RAISES (ImportError): If matplotlib is missing.
    """
    figures = require("matplotlib.figure", extra="plots", what="Drawing scores")
    panels: dict[tuple[str, str], dict[str, Score]] = {}
    for score in scores:
        metric = show_condition(METRIC, score.metric)
        head = show_condition(columns, score.conditions.get(columns))
        panels.setdefault((head, metric), {})[score.source] = score
    rows = list(dict.fromkeys(score.source for score in scores))
    looks = choose_looks(rows)
    size = (3.0 * len(panels) + 2.4, 0.42 * len(rows) + 1.5)
    figure = figures.Figure(figsize=size, layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, ((head, metric), found) in zip(all_axes, panels.items()):
        for i, source in enumerate(rows):
            if source not in found:
                continue
            mean, spread = 100 * found[source].mean, 100 * (found[source].deviation or 0.0)
            settings = looks[source].settings() | {"linestyle": "none", "markersize": 7}
            axes.errorbar(mean, i, xerr=spread, capsize=3, **settings)
            axes.annotate(
                f"{mean:.1f}",
                (mean, i),
                (0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
        style_axes(axes, head)
        axes.yaxis.grid(visible=False)
        axes.margins(x=0.14)
        axes.set_xlabel(f"{metric}, %")
    all_axes[0].set_yticks(range(len(rows)), [shorten(show_name(row), LONGEST) for row in rows])
    all_axes[0].set_ylim(len(rows) - 0.5, -0.7)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure

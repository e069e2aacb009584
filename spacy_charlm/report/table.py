"""Score records as a table: in the terminal, as Markdown, CSV or JSON."""

import csv
import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import srsly
from wasabi import msg

from ..errors import Errors
from ..types import Score

LABELS = {
    "micro_f": "micro F1",
    "macro_f": "macro F1",
    "p_at_1": "P@1",
    "p_at_10": "P@10",
    "mrr": "MRR",
    "no_target": "no target",
    "cats_score": "textcat",
    "cats_macro_f": "textcat macro F",
    "cats_micro_f": "textcat accuracy",
    "ents_f": "entities F",
    "tag_acc": "tags",
    "pos_acc": "parts of speech",
    "morph_acc": "morphology",
    "lemma_acc": "lemmas",
    "dep_uas": "UAS",
    "dep_las": "LAS",
    "sents_f": "sentences F",
    "words_per_second": "words/s",
}
# All other metrics are shares, shown in per cent.
NUMBERS = {
    "cosine": "{:.3f}",
    "mrr": "{:.3f}",
    "loss": "{:.4f}",
    "perplexity": "{:,.0f}",
    "temperature": "{:.3f}",
    "words_per_second": "{:,.0f}",
}
SHARES = ("rate",)  # conditions that are shown in per cent
FORMATS = (".md", ".csv", ".json")
METRIC = "metric"
WIDTH = 80  # characters of a printed line
SPACING = 2
NARROWEST = 18  # to which columns of text are folded


class Table(NamedTuple):
    """A table as text.

    header (List[str]): Head of each column.
    rows (List[List[str]]): The cells.
    n_text (int): Number of columns at the left that hold text; the others hold numbers.
    caption (str): What is the same for all rows: conditions, number of seeds and units.
    """

    header: list[str]
    rows: list[list[str]]
    n_text: int
    caption: str


def make_table(scores: Sequence[Score], columns: str = METRIC) -> Table:
    """Arrange scores as a table with one row per source and conditions.

    Conditions that are the same for all scores go into the caption. So do metrics if each column
    has one of its own.

    scores (Sequence[Score]): The scores, in the order of the rows.
    columns (str): What the columns are: "metric", or the name of a condition.
    RETURNS (Table): Means, with standard deviations where there are several seeds.
    """
    facts = [{METRIC: score.metric, **score.conditions} for score in scores]
    names = dict.fromkeys(name for some in facts for name in some)
    same = [name for name in names if len({some.get(name) for some in facts}) == 1]
    if columns != METRIC and METRIC in same:
        same.remove(METRIC)  # the scores would not say what they are
    heads = list(dict.fromkeys(some[columns] for some in facts if columns in some))
    metrics = {some.get(columns): some[METRIC] for some in facts}
    has_own = columns != METRIC and all(
        some[METRIC] == metrics[some.get(columns)] for some in facts
    )
    has_own = has_own and len(set(metrics.values())) > 1
    left = [name for name in names if name not in same and name != columns]
    left = [name for name in left if not (has_own and name == METRIC)]
    cells: dict[tuple[Any, ...], dict[Any, Score]] = {}
    for score, some in zip(scores, facts):
        key = (score.source, *(some.get(name) for name in left))
        cells.setdefault(key, {})[some.get(columns)] = score
    rows = [
        [key[0], *(show_condition(*pair) for pair in zip(left, key[1:]))]
        + [show_score(found[head]) if head in found else "-" for head in heads]
        for key, found in cells.items()
    ]
    header = ["", *(name if name != METRIC else "score" for name in left)]
    header += [show_condition(columns, head) for head in heads]
    caption = [f"{name}: {show_condition(name, facts[0][name])}" for name in same if name != METRIC]
    if has_own:
        for metric in dict.fromkeys(metrics.values()):
            shown = (show_condition(columns, head) for head in heads if metrics[head] == metric)
            caption.append(f"{', '.join(shown)}: {show_condition(METRIC, metric)}")
    n_text = 1 + len(left)
    firsts = [next(iter(found.values())) for found in cells.values()]
    units = [(f"{score.n_units:,}", score.unit) for score in firsts]
    seeds = sorted({score.n_seeds for score in scores})
    if len(set(units)) > 1:
        same_unit = len({unit for _, unit in units}) == 1
        header.insert(n_text, units[0][1] if same_unit else "n")
        for row, (n, unit) in zip(rows, units):
            row.insert(n_text, n if same_unit else f"{n} {unit}")
    elif units and scores[0].n_units:
        caption.append(" ".join(units[0]))
    if seeds and seeds[-1] > 1:
        number = " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
        caption.append(f"mean ± standard deviation of {number} seeds")
    if any(score.metric not in NUMBERS for score in scores):
        caption.append("shares in per cent")
    return Table(header, rows, n_text, "; ".join(caption))


def show_table(scores: Sequence[Score], title: str = "", columns: str = METRIC) -> None:
    """Print scores as a table in the terminal; see `make_table`."""
    table = make_table(scores, columns)
    if title:
        msg.divider(shorten(title, WIDTH - 6))
    show_rows(table.rows, table.header, n_text=table.n_text)
    msg.text("\n".join(_fold(table.caption, WIDTH)))


def show_rows(
    rows: Sequence[Sequence[str]], header: Sequence[str] = (), *, n_text: int, aligns: str = ""
) -> None:
    """Print a table that fits into lines of 80 characters.

    Columns of text are folded. If there still are too many columns of numbers, the others follow
    in further tables, which repeat the text.

    rows (Sequence[Sequence[str]]): The cells.
    header (Sequence[str]): Head of each column, if the table has heads.
    n_text (int): Number of columns at the left that hold text.
    aligns (str): "l" or "r" for each column; by default text at the left, numbers at the right.
    """
    lines = [list(header), *map(list, rows)] if header else [list(row) for row in rows]
    if not lines:
        return
    n_columns = len(lines[0])
    aligns = aligns or "l" * n_text + "r" * (n_columns - n_text)
    widths = [max(len(line[i]) for line in lines) for i in range(n_columns)]
    numbers = widths[n_text:]
    narrowest = sum(min(width, NARROWEST) + SPACING for width in widths[:n_text])
    groups: list[list[int]] = [[]]
    for i in range(n_text, n_columns):
        used = narrowest + sum(widths[k] + SPACING for k in groups[-1])
        if groups[-1] and used + widths[i] > WIDTH:
            groups.append([])
        groups[-1].append(i)
    room = WIDTH - max(sum(widths[i] + SPACING for i in group) for group in groups)
    while sum(widths[:n_text]) + SPACING * (n_text - (not numbers)) > room:
        widest = max(range(n_text), key=lambda i: widths[i])
        if widths[widest] <= NARROWEST:
            break
        widths[widest] -= 1
    for group in groups:
        kept = [*range(n_text), *group]
        folded = []
        for line in lines:
            cells = [_fold(line[i], widths[i]) for i in kept]
            folded.append(list(zip_longest(*cells, fillvalue="")))
        head = folded.pop(0) if header else []
        if head:
            head.append(tuple("-" * widths[i] for i in kept))
        msg.table(
            [*head, *(line for row in folded for line in row)],
            widths=[widths[i] for i in kept],
            aligns=[aligns[i] for i in kept],
            spacing=SPACING,
        )


def shorten(text: str, width: int) -> str:
    """Keep the end of a text that is too long, which distinguishes names of paths."""
    return text if len(text) <= width else "…" + text[1 - width :]


def _fold(text: str, width: int) -> list[str]:
    """Break text into lines, after spaces and punctuation of names where possible."""
    lines = [""]
    for piece in re.findall(r"[^ /,_-]*[ /,_-]?", text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return [line.rstrip() for line in lines]


def write_table(scores: Sequence[Score], path: Path, columns: str = METRIC, **facts: Any) -> None:
    """Write scores to a file: Markdown, CSV with one line per value, or JSON with all fields.

    scores (Sequence[Score]): The scores.
    path (Path): The file; its ending is one of FORMATS.
    columns (str): What the columns of a Markdown table are; see `make_table`.
    facts (Any): What the scores depend on, such as the settings. Written to JSON only.
    RAISES (ValueError): If the ending is unknown.
    """
    ending = check_ending(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if ending == ".json":
        srsly.write_json(path, {**facts, "scores": [score.as_dict() for score in scores]})
    elif ending == ".csv":
        names = list(dict.fromkeys(name for score in scores for name in score.conditions))
        with path.open("w", encoding="utf8", newline="") as file_:
            writer = csv.writer(file_)
            writer.writerow(["source", *names, METRIC, "seed", "value", "n_units", "unit"])
            for score in scores:
                left = [score.source, *(score.conditions.get(name, "") for name in names)]
                for seed, value in enumerate(score.values):
                    writer.writerow([*left, score.metric, seed, value, score.n_units, score.unit])
    else:
        table = make_table(scores, columns)
        text = markdown_table(table.header, table.rows, table.n_text)
        path.write_text(f"{text}\n\n{table.caption}\n", encoding="utf8")


def check_ending(path: Path, formats: Sequence[str] = FORMATS) -> str:
    """Return the ending of an output file; raise a ValueError if it is not among the formats."""
    ending = path.suffix.lower()
    if ending not in formats:
        raise ValueError(Errors.E643.format(formats=", ".join(formats), path=path))
    return ending


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], n_text: int) -> str:
    """Format a table in Markdown.

    header (Sequence[str]): Head of each column.
    rows (Sequence[Sequence[str]]): The cells.
    n_text (int): Number of columns at the left that hold text; the others are aligned right.
    RETURNS (str): The table, without a newline at the end.
    """
    rule = "|" + "---|" * n_text + "---:|" * (len(header) - n_text)
    lines = [f"| {' | '.join(cells)} |" for cells in (header, *rows)]
    return "\n".join([lines[0], rule, *lines[1:]])


def show_score(score: Score) -> str:
    """Format the mean, and the standard deviation if there is one, such as "81.2 ± 0.4"."""
    numbers = [score.mean] if score.deviation is None else [score.mean, score.deviation]
    form = NUMBERS.get(score.metric)
    return " ± ".join(form.format(x) if form else f"{100 * x:.1f}" for x in numbers)


def show_condition(name: str, value: Any) -> str:
    """Format the value of a condition, or the name of a metric."""
    if value is None:
        return "-"
    if name == METRIC:
        label: str = LABELS.get(value, value)
        if value.startswith("spans_") and value.endswith("_f"):
            label = f"spans F ({value[len('spans_') : -len('_f')]})"
        return label
    if name in SHARES:
        return f"{100 * value:g}%"
    return f"{value:,}" if isinstance(value, int | float) else str(value)

"""Score, size and speed of trained pipelines, in a table and a picture.

python benchmarks/pipelines.py DATA.spacy NAME=FOLDER [NAME=FOLDER ...] --picture size_speed.png

Each pipeline is scored on the same texts. Its size is that of its folder on disk. The speed is the
median of some runs of `nlp.pipe` over the texts, the pipelines in turn, since the speed of a shared
machine drifts.
"""

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import spacy
import srsly
import typer
from spacy.training import Corpus
from wasabi import msg

from spacy_charlm.compat import require
from spacy_charlm.machine import describe_machine
from spacy_charlm.report.figure import add_legend, choose_looks, save_figure, style_axes


def main(
    data: Annotated[Path, typer.Argument(help="Docs with labels, .spacy", exists=True)],
    pipelines: Annotated[list[str], typer.Argument(help="NAME=FOLDER of each pipeline")],
    metric: Annotated[str, typer.Option(help="Score of `spacy evaluate`")] = "cats_micro_f",
    limit: Annotated[int, typer.Option(help="Texts to score; 0 for all")] = 0,
    n_speed: Annotated[int, typer.Option(help="Texts to measure the speed on")] = 200,
    turns: Annotated[int, typer.Option(help="Runs of each pipeline")] = 5,
    output: Annotated[Path | None, typer.Option(help="Write the figures there, JSON")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw them, .png or .svg")] = None,
) -> None:
    """Measure, print, write, draw."""
    rows = []
    loaded: dict[str, Any] = {}
    for text in pipelines:
        name, _, folder = text.partition("=")
        loaded[name] = nlp = spacy.load(folder)
        scores = nlp.evaluate(list(Corpus(data, limit=limit)(nlp)), batch_size=32)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        rows.append({"name": name, "score": scores[metric], "megabytes": size / 1e6})
    texts = [eg.reference.text for eg in Corpus(data, limit=n_speed)(spacy.blank("en"))]
    seconds: dict[str, list[float]] = {name: [] for name in loaded}
    n_words = 0
    for turn in range(turns + 1):  # the first run fills the caches and does not count
        for name, nlp in loaded.items():
            start = time.perf_counter()
            n_words = sum(len(doc) for doc in nlp.pipe(texts))
            if turn:
                seconds[name].append(time.perf_counter() - start)
    for row in rows:
        row["words_per_second"] = n_words / float(np.median(seconds[row["name"]]))
    msg.table(
        [
            (
                row["name"],
                f"{row['score']:.1%}",
                f"{row['megabytes']:.1f}",
                f"{row['words_per_second']:,.0f}",
            )
            for row in rows
        ],
        header=("pipeline", metric, "MB", "words/s"),
        divider=True,
        aligns=("l", "r", "r", "r"),
    )
    if output is not None:
        srsly.write_json(output, {"metric": metric, "rows": rows, **describe_machine()})
    if picture is not None:
        draw(rows, picture)
        msg.good(f"Wrote the picture to {picture}")


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the score against the size and against the speed."""
    figures = require("matplotlib.figure", extra="plots", what="A picture")
    figure = figures.Figure(figsize=(9.6, 3.4), layout="constrained")
    looks = choose_looks(row["name"] for row in rows)
    lines: dict[str, Any] = {}
    panels = (("megabytes", "size on disk, MB"), ("words_per_second", "words per second, CPU"))
    for axes, (key, label) in zip(figure.subplots(1, 2, sharey=True), panels):
        for row in rows:
            settings = {**looks[row["name"]].settings(), "linestyle": "", "markersize": 9}
            (lines[row["name"]],) = axes.plot(row[key], 100 * row["score"], **settings)
        style_axes(axes)
        axes.set_xlabel(label)
        axes.set_xlim(0, 1.15 * max(row[key] for row in rows))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.margins(y=0.2)
    figure.axes[0].set_ylabel("score, %")
    add_legend(figure, lines)
    save_figure(figure, path)


if __name__ == "__main__":
    typer.run(main)

"""Write the table and the figure of the study `search` from its trials.

OMP_NUM_THREADS=1 python scripts/write_study.py STUDY FIGURE

STUDY has trials.csv of `charlm study`, and baselines.json of `scripts/study_baselines.py`. Prints
the table in Markdown: the best trial and the mean of the best three, on the early-stopping part;
the accuracy of the best config on the reviews that are held back, over all seeds; size and speed.
The figure shows this accuracy by minutes of pretraining. Speed is measured once, from raw text to
label, while nothing else should run, and kept in STUDY/speeds.json.
"""

import csv
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import spacy
import srsly
import typer
from spacy.training import Corpus
from wasabi import msg

from spacy_charlm.report.figure import draw_scores, save_figure
from spacy_charlm.report.table import markdown_table, show_score
from spacy_charlm.runs.search import TOP
from spacy_charlm.types import Score

VECTORS = ", vectors"  # the end of the names of rows with static vectors among the inputs
N_TIMED = 300  # texts whose labelling is timed


class Row(NamedTuple):
    """A row of the study.

    best (Score): The score of the best trial on the early-stopping part.
    top (Score): Those of the best three.
    accuracy (Score): Accuracy of the best config, one value per seed.
    megabytes (float): Size of the pipeline.
    """

    best: Score
    top: Score
    accuracy: Score
    megabytes: float


def main(
    study: Annotated[Path, typer.Argument(help="Folder of the study", exists=True)],
    figure: Annotated[Path, typer.Argument(help="Picture to write")],
    texts: Annotated[Path, typer.Option(help="Texts to time, .spacy")] = Path(
        "corpus/imdb/eval.spacy"
    ),
    minutes: Annotated[
        list[str] | None,
        typer.Option(help="NAME=MINUTES of CPU per epoch, if the machine was busy; repeatable"),
    ] = None,
) -> None:
    """Read, time, print, draw."""
    with (study / "trials.csv").open(encoding="utf8", newline="") as file_:
        lines = list(csv.DictReader(file_))
    rows = read_rows(lines)
    speeds: dict[str, float] = {}
    if (study / "speeds.json").is_file():
        speeds = srsly.read_json(study / "speeds.json")
    for name in rows:
        if name not in speeds:
            speeds[name] = measure_speed(next(study.glob(f"*/{name}/seed-*/model-best")), texts)
            srsly.write_json(study / "speeds.json", speeds)
    baselines = study / "baselines.json"
    print(make_table(rows, speeds, srsly.read_json(baselines) if baselines.is_file() else []))
    measured = {name: float(x) for name, x in (text.split("=") for text in minutes or ())}
    scores = []
    for name, row in rows.items():
        kind, n_epochs = split_name(name)
        seconds = [x["seconds"] for x in lines if (x["task"], x["row"]) == ("pretrain", name)]
        if seconds and seconds[0]:
            cost = n_epochs * measured[kind] if kind in measured else float(seconds[0]) / 60
            conditions = {"minutes": round(cost, 2)}
            scores.append(Score(kind, "cats_micro_f", row.accuracy.values, conditions=conditions))
    save_figure(draw_scores(scores, "minutes"), figure)
    msg.good(f"Drew {len(scores)} rows: {figure}")


def read_rows(lines: Sequence[dict[str, str]]) -> dict[str, Row]:
    """Gather the trials of each row and the runs of its best config."""
    trials, final = defaultdict(list), defaultdict(list)
    sizes = {line["row"]: line["megabytes"] for line in lines if not line["trial"]}
    for line in lines:
        if line["trial"] and line["score"]:
            trials[line["row"]].append(float(line["score"]))
        elif line["task"] != "pretrain" and not line["trial"] and line.get("cats_micro_f"):
            final[line["row"]].append(float(line["cats_micro_f"]))
    rows = {}
    for name, values in final.items():
        ranked = sorted(trials[name], reverse=True)
        rows[name] = Row(
            Score(name, "score", tuple(ranked[:1])),
            Score(name, "score", tuple(ranked[:TOP])),
            Score(name, "cats_micro_f", tuple(values)),
            float(sizes[name]),
        )
    return rows


def make_table(
    rows: dict[str, Row], speeds: dict[str, float], baselines: Sequence[dict[str, Any]]
) -> str:
    """Make the table: rows with vectors beside those without, and then the baselines."""
    header = ["pretraining", "best", "top 3", "accuracy", "MB", "words/s"]
    header += ["with vectors: best", "top 3", "accuracy", "MB", "words/s"]
    table = []
    for name in rows:
        if not name.endswith(VECTORS):
            cells = [name]
            for end in ("", VECTORS):
                found = rows.get(name + end)
                if found is None:
                    cells += [""] * 5
                    continue
                cells += [f"{100 * found.best.mean:.1f}", f"{100 * found.top.mean:.1f}"]
                cells += [show_score(found.accuracy), f"{found.megabytes:.1f}"]
                cells.append(f"{speeds[name + end]:,.0f}")
            table.append(cells)
    for found in baselines:
        cells = [found["name"], "", "", f"{100 * found['accuracy']:.1f}"]
        cells += [f"{found['megabytes']:.1f}", f"{found['words_per_second']:,.0f}"]
        table.append([*cells, *[""] * 5])
    return markdown_table(header, table, 1)


def measure_speed(pipeline: Path, path: Path) -> float:
    """Measure the words per second of a pipeline, from raw text to label."""
    nlp = spacy.load(pipeline)
    docs = [eg.reference for eg in Corpus(path, limit=N_TIMED)(nlp)]
    texts = [doc.text for doc in docs]
    list(nlp.pipe(texts[:20]))
    start = time.perf_counter()
    for _ in nlp.pipe(texts):
        pass
    return sum(map(len, docs)) / (time.perf_counter() - start)


def split_name(name: str) -> tuple[str, int]:
    """Split the name of a row into what is pretrained, and the number of epochs; 0 if none."""
    found = re.search(r", (\d) epochs?", name)
    return (name.replace(found[0], ""), int(found[1])) if found else (name, 0)


if __name__ == "__main__":
    typer.run(main)

"""Make a table and a picture of the runs that `run_trainings.py` left under TRAINING.

Reads TRAINING/TASK/EMBED/PRETRAINING/seed-N: the scores in model-last/meta.json and the steps in
curve.jsonl. Writes table.md, table.json and curves.png to OUTPUT.

Where a run has a metrics.json of `evaluate_all.py`, its scores are taken. Otherwise the scores are
those of the last step, on the dev set: no checkpoint is chosen by its dev score, so no column gains
from a lucky one. Rows of other programs (tfidf_baseline.py) come in as `--extra`.
"""

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import srsly
import typer
from wasabi import msg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# column title, task, score in meta.json, score in curve.jsonl (if the column has a picture)
COLUMNS = (
    ("textcat macro F", "textcat", "cats_macro_f", "cats_score"),
    ("textcat accuracy", "textcat", "cats_micro_f", None),
    ("NER F", "ner", "ents_f", "ents_f"),
    ("tags", "parser", "tag_acc", None),
    ("UAS", "parser", "dep_uas", None),
    ("LAS", "parser", "dep_las", "dep_las"),
)
COLOURS = ("#e0a578", "#b8581a", "#7fabd6", "#17427a", "#5b8c5a", "#7b5aa6")
EMBEDS = {"MultiHashEmbed": 0, "CharCNN": 1}
PRETRAININGS = {"none": 0, "PretrainVectors": 1, "LMAO": 2}

Runs = dict[tuple[str, str], dict[str, list[Path]]]


def main(
    training: Annotated[Path, typer.Argument(help="Folder of the runs", exists=True)],
    output: Annotated[Path, typer.Argument(help="Folder to write to")],
    plot: Annotated[bool, typer.Option(help="Draw the learning curves")] = True,
    title: Annotated[str, typer.Option(help="Title of the picture")] = "",
    extra: Annotated[list[Path] | None, typer.Option(help="JSON files of more rows")] = None,
) -> None:
    """Read, print, write, draw."""
    runs = find_runs(training)
    if not runs:
        msg.fail(
            f"No finished run of the form TASK/EMBED/PRETRAINING/seed-N in {training}", exits=1
        )
    results = [
        {"embed": embed, "pretraining": pretraining, "scores": read_scores(tasks)}
        for (embed, pretraining), tasks in runs.items()
    ]
    results += [srsly.read_json(path) for path in extra or []]
    columns = [title for title, *_ in COLUMNS if any(title in r["scores"] for r in results)]
    header = ("embed layer", "pretraining", *columns)
    rows = [
        (r["embed"], r["pretraining"], *(format_score(r["scores"].get(c)) for c in columns))
        for r in results
    ]
    msg.table(rows, header=header, divider=True, aligns=("l", "l", *("r" for _ in columns)))
    output.mkdir(parents=True, exist_ok=True)
    srsly.write_json(output / "table.json", results)
    lines = [header, ["---", "---", *("---:" for _ in columns)], *rows]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    (output / "table.md").write_text(text + "\n", encoding="utf8")
    if plot:
        draw_curves(runs, output / "curves.png", title)
    msg.good(f"Mean ± standard deviation over the seeds: {output}")


def find_runs(training: Path) -> Runs:
    """Find the finished runs.

    RETURNS (dict): Folders of the seeds by (embed, pretraining) and by task, in a fixed order.
    """
    found: Runs = {}
    for path in sorted(training.glob("*/*/*/seed-*/settings.json")):
        task, embed, pretraining = path.relative_to(training).parts[:3]
        found.setdefault((embed, pretraining), {}).setdefault(task, []).append(path.parent)
    order = sorted(found, key=lambda k: (EMBEDS.get(k[0], 2), PRETRAININGS.get(k[1], 2), k))
    return {key: found[key] for key in order}


def read_scores(tasks: dict[str, list[Path]]) -> dict[str, dict[str, Any]]:
    """Read the scores of one row, in percent: mean, standard deviation and each seed's."""
    scores = {}
    for title, task, key, _ in COLUMNS:
        values = []
        for folder in tasks.get(task, []):
            values.append(round(100 * read_run(folder)[key], 2))
        if values:
            sd = statistics.stdev(values) if len(values) > 1 else 0.0
            mean = statistics.fmean(values)
            scores[title] = {"mean": round(mean, 2), "sd": round(sd, 2), "seeds": values}
    return scores


def read_run(folder: Path) -> dict[str, Any]:
    """Read one run's scores: those on the evaluation part, or those of the last step."""
    metrics = folder / "metrics.json"
    if metrics.is_file():
        return srsly.read_json(metrics)["scores"]
    return srsly.read_json(folder / "model-last" / "meta.json")["performance"]


def format_score(score: dict[str, Any] | None) -> str:
    """Write mean ± standard deviation."""
    return "–" if score is None else f"{score['mean']:.1f} ± {score['sd']:.1f}"


def draw_curves(runs: Runs, path: Path, title: str) -> None:
    """Draw one panel per task: score on the dev set by step, mean and range over the seeds."""
    try:
        import matplotlib
    except ImportError:
        msg.warn("No picture: matplotlib is not installed (pip install 'spacy-charlm[plots]')")
        return
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    panels = [(name, task, key) for name, task, _, key in COLUMNS if key]
    panels = [panel for panel in panels if any(panel[1] in tasks for tasks in runs.values())]
    figure = Figure(figsize=(5.2 * len(panels), 4.2), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (name, task, key) in zip(axes, panels):
        for i, ((embed, pretraining), tasks) in enumerate(runs.items()):
            label = embed if pretraining == "none" else f"{embed} + {pretraining}"
            dashed = pretraining == "none"
            _draw_line(ax, tasks.get(task, []), key, label, COLOURS[i % len(COLOURS)], dashed)
        ax.set_title(name, loc="left", fontsize=11, fontweight="bold")
        ax.set_xlabel("training step")
        ax.set_ylabel("dev score (%)")
        ax.set_xlim(left=0)
        ax.set_ylim(bottom=0)
        ax.grid(axis="y", color="#e4e6ea", linewidth=0.8)
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(length=0)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2 * len(panels), frameon=False)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    figure.savefig(path, dpi=150)


def _draw_line(
    ax: "Axes", folders: list[Path], key: str, label: str, colour: str, dashed: bool
) -> None:
    """Draw the mean of some seeds, and the range between the lowest and the highest."""
    curves: dict[int, list[float]] = {}
    for folder in folders:
        for row in srsly.read_jsonl(folder / "curve.jsonl"):
            curves.setdefault(row["step"], []).append(row["scores"][key])
    # a run that stopped early would bend the mean
    steps = [step for step, values in sorted(curves.items()) if len(values) == len(folders)]
    if steps:
        low, high = [min(curves[s]) for s in steps], [max(curves[s]) for s in steps]
        mean = [statistics.fmean(curves[s]) for s in steps]
        ax.fill_between(steps, low, high, color=colour, alpha=0.16, linewidth=0)
        style = (0, (4, 2)) if dashed else "solid"
        ax.plot(steps, mean, color=colour, linewidth=2, linestyle=style, label=label)


if __name__ == "__main__":
    typer.run(main)

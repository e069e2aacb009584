"""`charlm probe`: what the frozen vectors of a tok2vec know about labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from spacy.cli._util import (
    import_code,
    parse_config_overrides,
    setup_gpu,
    show_validation_error,
)
from spacy.util import load_config
from wasabi import msg

from .show_errors import show_errors

if TYPE_CHECKING:
    from ..evaluation.probe import Report

METRICS = {"accuracy": "accuracy", "micro_f": "micro F1", "macro_f": "macro F1"}


@show_errors("The probe cannot run.")
def probe_cli(
    ctx: typer.Context,
    config_path: Annotated[
        Path, typer.Argument(help="Config for spacy pretrain or train", exists=True, dir_okay=False)
    ],
    weights: Annotated[str, typer.Argument(help="Such as pretrain/model-last.bin; none for none")],
    train: Annotated[Path, typer.Option(help="Labelled texts to draw from: .jsonl(.gz), .spacy")],
    dev: Annotated[Path | None, typer.Option(help="Labelled texts to score on")] = None,
    n_dev: Annotated[int, typer.Option(help="Without --dev: texts of --train set apart")] = 0,
    task: Annotated[str, typer.Option(help="cats, ents, tag, pos or auto")] = "auto",
    n_labels: Annotated[int, typer.Option(help="Labels of a draw, of texts or tokens")] = 1000,
    draws: Annotated[int, typer.Option(help="Number of draws")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the shuffle and all else")] = 0,
    limit_dev: Annotated[int, typer.Option(help="Texts to score on at most; 0 for all")] = 0,
    component: Annotated[str | None, typer.Option(help="Component with the tok2vec")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer in its model")] = None,
    output: Annotated[Path | None, typer.Option(help="Write the scores there, as JSON")] = None,
    code_path: Annotated[Path | None, typer.Option("--code", "-c", help="Code to import")] = None,
    use_gpu: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU ID or -1 for CPU")] = -1,
) -> None:
    """Score a logistic regression on the frozen vectors of a tok2vec.

    In one run: pretrained weights, random weights, target vectors, the most frequent label.
    Settings of the config are overridden as in spaCy's commands:
    --paths.target_vectors vectors.txt.gz
    """
    from ..evaluation.probe import probe

    overrides = parse_config_overrides(ctx.args)
    import_code(code_path)
    setup_gpu(use_gpu)
    weights_path = None if weights == "none" else Path(weights)
    try:
        with show_validation_error(config_path):
            config = load_config(config_path, overrides=overrides, interpolate=True)
            report = probe(
                config,
                weights_path,
                train,
                dev,
                n_dev=n_dev,
                task=task,
                n_labels=n_labels,
                draws=draws,
                seed=seed,
                limit_dev=limit_dev,
                component=component,
                layer=layer,
            )
    except KeyboardInterrupt:
        msg.warn("Stopped before there was a score; nothing was written.")
        raise typer.Exit(130) from None
    show_report(report)
    if output is not None:
        settings = {
            "config": config_path.name,
            "weights": None if weights_path is None else weights_path.name,
            "overrides": {name: Path(str(value)).name for name, value in overrides.items()},
            "train": train.name,
            "dev": None if dev is None else dev.name,
            "draws": draws,
            "seed": seed,
        }
        write_report(report, output, settings)


def show_report(report: "Report") -> None:
    """Print the scores as a table."""
    metrics = list(report.rows[0].scores)
    header = ["vectors", "width"]
    for metric in metrics:
        header.extend([METRICS[metric], "+-"])
    rows = []
    for row in report.rows:
        cells = [row.name, str(row.width or "-")]
        for mean, deviation in row.summary().values():
            cells.extend([f"{mean:.2f}", "-" if deviation is None else f"{deviation:.2f}"])
        rows.append(cells)
    unit = "texts" if report.task == "cats" else "tokens"
    draws = len(next(iter(report.rows[0].scores.values())))
    msg.divider(f"{report.task}: {len(report.labels)} labels")
    msg.table(rows, header=header, divider=True, aligns=["l", *"r" * (len(header) - 1)])
    msg.text(
        f"Mean and standard deviation of {draws} draws of {report.n_labels:,} labelled {unit}, "
        f"scored on {report.n_dev:,} {unit}."
    )


def write_report(report: "Report", path: Path, settings: dict[str, Any]) -> None:
    """Write the scores and what they depend on as JSON."""
    from dataclasses import asdict

    import srsly

    rows: list[dict[str, Any]] = []
    for row in report.rows:
        summary = {
            metric: {"mean": mean, "deviation": deviation}
            for metric, (mean, deviation) in row.summary().items()
        }
        rows.append({**asdict(row), "summary": summary})
    path.parent.mkdir(parents=True, exist_ok=True)
    srsly.write_json(path, {**settings, **asdict(report), "rows": rows})
    msg.good(f"Wrote the scores to {path}")

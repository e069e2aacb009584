"""`charlm inspect`: the contents of a weights file, and whether a config fits it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from spacy.cli._util import import_code, parse_config_overrides, show_validation_error
from wasabi import msg

from .show_errors import show_errors

if TYPE_CHECKING:
    from ..evaluation.inspect_weights import WeightsReport

MEGABYTE = 1e6
LAYERS = ("layer ", "number of layers")  # lines that do not name a setting
MOST_LAYERS = 10


@show_errors("The weights cannot be inspected.")
def inspect_cli(
    ctx: typer.Context,
    weights: Annotated[
        Path, typer.Argument(help="Such as pretrain/model-last.bin", exists=True, dir_okay=False)
    ],
    config_path: Annotated[
        Path | None, typer.Argument(help="Config to compare with", exists=True, dir_okay=False)
    ] = None,
    component: Annotated[str | None, typer.Option(help="Component with the tok2vec")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer in its model")] = None,
    code_path: Annotated[Path | None, typer.Option("--code", "-c", help="Code to import")] = None,
) -> None:
    """Print card, layers and the config block of weights.

    With a config: print whether it fits the weights, and the differences only; the exit code is 1
    if there are any. Settings of the config are overridden as in spaCy's commands:
    --components.tok2vec.model.embed.width 128
    """
    from ..evaluation.inspect_weights import inspect_weights
    from ..training.read_config import read_config

    overrides = parse_config_overrides(ctx.args)
    import_code(code_path)
    with show_validation_error(config_path):
        config = None
        if config_path is not None:
            config = read_config(config_path, overrides, interpolate=True)
        report = inspect_weights(weights, config, component, layer)
    if report.differences is None:
        show_report(report, weights)
    else:
        show_differences(report, weights, config_path)
    if report.differences:
        raise typer.Exit(1)


def show_differences(report: "WeightsReport", path: Path, config_path: Path | None) -> None:
    """Print whether weights fit a config, then the differences."""
    differences = report.differences or []
    settings = [line for line in differences if not line.startswith(LAYERS)]
    layers = differences[len(settings) :]
    if not differences:
        msg.good(f"{path.name} fits {config_path}; equal settings: {report.n_equal}")
        return
    counts = f"different settings: {len(settings)}, equal settings: {report.n_equal}"
    msg.fail(f"{path.name} does not fit {config_path}", counts)
    for line in settings or layers[:MOST_LAYERS]:
        msg.text(f"- {line}")
    if settings and layers:
        msg.text("The layers differ accordingly.")
    elif len(layers) > MOST_LAYERS:
        msg.text(f"- and {len(layers) - MOST_LAYERS} more differences between layers")


def show_report(report: "WeightsReport", path: Path) -> None:
    """Print the card, the layers that have parameters, and the config block."""
    from ..report.table import show_rows

    msg.divider(f"{path.name}: {report.n_bytes / MEGABYTE:.1f} MB")
    facts = list(report.facts())
    if facts:
        show_rows(facts, n_text=2)
    else:
        msg.text("No card: the objectives of spaCy write none.")
    msg.divider(f"layers: {report.n_parameters:,} parameters")
    rows = [
        (
            str(i),
            node.name if len(node.name) < 32 else node.name[:29] + "...",
            ", ".join(f"{name} {size}" for name, size in node.dims.items() if size is not None),
            f"{node.n_parameters:,}",
            f"{node.n_bytes / MEGABYTE:.2f}",
        )
        for i, node in enumerate(report.nodes)
        if node.n_parameters
    ]
    header = ("layer", "name", "sizes", "parameters", "MB")
    show_rows(rows, header, n_text=3, aligns="rllrr")
    msg.divider("config block")
    # To be pasted into a config, so without the line wrapping of wasabi.
    typer.echo(report.block_text() or "No layer was recognised.")
    typer.echo()
    for note in report.notes:
        msg.warn(note)

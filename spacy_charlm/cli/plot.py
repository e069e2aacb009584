"""`charlm plot`: learning curves from the logs of pretraining."""

from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from .show_errors import show_errors


@show_errors("The curves cannot be drawn.")
def plot_cli(
    logs: Annotated[
        list[Path], typer.Argument(help="log.jsonl of a run, or its folder; several to compare")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write: .png, .svg or .pdf")
    ] = Path("learning_curve.png"),
) -> None:
    """Draw the learning curves of pretraining runs as one figure.

    Reads the logs of charlm pretrain and of spacy pretrain. The latter have the training loss only.
    """
    from ..report.learning_curve import plot_logs

    plot_logs(logs, output)
    msg.good(f"Wrote the figure to {output}")

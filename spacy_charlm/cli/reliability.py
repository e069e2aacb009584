"""`charlm reliability`: whether the scores of text classifiers are probabilities."""

from pathlib import Path
from typing import Annotated

import typer
from spacy.cli._util import import_code
from wasabi import msg

from .gpu import GpuId, use_gpu
from .show_errors import show_errors


@show_errors("The reliability cannot be measured.")
def reliability_cli(
    pipelines: Annotated[
        list[str], typer.Argument(help="Trained pipelines, or folders with several seeds")
    ],
    data: Annotated[Path, typer.Argument(help="Texts with one category each: .spacy or .jsonl")],
    uncalibrated: Annotated[
        bool,
        typer.Option(
            "--uncalibrated", help="Also score calibrated pipelines without the calibration"
        ),
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Folder for reliability.json and .png", file_okay=False)
    ] = None,
    code_path: Annotated[Path | None, typer.Option("--code", "-c", help="Code to import")] = None,
    gpu_id: GpuId = -1,
) -> None:
    """Compare the scores of text classifiers with how often they are right.

    Works with any spaCy pipeline that gives texts categories. Of the texts with a score of 80 %,
    80 % should be right. ECE: the expected calibration error, the mean distance from that. Loss:
    the log loss.
    """
    from ..evaluation.reliability import CONFIDENCE, draw_reliability, measure_reliability
    from ..report.figure import save_figure
    from ..report.table import show_table, write_table

    import_code(code_path)
    use_gpu(gpu_id)
    scores = measure_reliability(pipelines, data, uncalibrated=uncalibrated)
    show_table([score for score in scores if CONFIDENCE not in score.conditions], "reliability")
    if output is not None:
        write_table(scores, output / "reliability.json")
        save_figure(draw_reliability(scores), output / "reliability.png")
        msg.good(f"Wrote reliability.json and reliability.png to {output}")

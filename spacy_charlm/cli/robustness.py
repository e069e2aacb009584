"""`charlm robustness`: scores of any spaCy pipelines on texts with typos."""

from pathlib import Path
from typing import Annotated

import typer
from spacy.cli._util import import_code
from wasabi import msg

from .gpu import GpuId, use_gpu
from .show_errors import show_errors


@show_errors("The robustness cannot be measured.")
def robustness_cli(
    pipelines: Annotated[
        list[str], typer.Argument(help="Trained pipelines, or folders with several seeds")
    ],
    data: Annotated[Path, typer.Argument(help="Texts with labels: .spacy, or a folder of them")],
    rates: Annotated[str, typer.Option(help="Shares of words with a typo")] = "0.05,0.1,0.2,0.3",
    kinds: Annotated[
        str, typer.Option(help="mixed, or kinds of typos, separated by commas")
    ] = "mixed",
    seeds: Annotated[int, typer.Option(help="Seeds of the typos per rate", min=1)] = 3,
    limit: Annotated[int, typer.Option(help="Most texts; 0 for all", min=0)] = 0,
    misspellings: Annotated[
        Path | None,
        typer.Option(
            help="For the kind natural: misspelling TAB word. Only the fifth of the words that "
            "training never uses counts"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for robustness.json and .png", file_okay=False)
    ] = None,
    code_path: Annotated[Path | None, typer.Option("--code", "-c", help="Code to import")] = None,
    gpu_id: GpuId = -1,
) -> None:
    """Score pipelines on texts with more and more typos.

    Works with any spaCy pipeline; several are compared on the same typos. Kinds: key, swap, drop,
    insert, repeat (the five of mixed), case, lookalike, accent, missing_space, extra_space,
    natural. The kind of each typo is drawn from those that the word can take.
    """
    from ..evaluation.robustness import EDITED, measure_robustness
    from ..report.figure import draw_scores, save_figure
    from ..report.table import show_table, write_table

    import_code(code_path)
    use_gpu(gpu_id)
    scores = measure_robustness(
        pipelines,
        data,
        rates=_read_rates(rates),
        kinds=[kind.strip() for kind in kinds.split(",")],
        seeds=seeds,
        limit=limit,
        misspellings=misspellings,
    )
    curves = [score for score in scores if score.metric != EDITED]
    show_table(curves, "share of words with a typo", columns="rate")
    edited = {
        (score.conditions["typos"], score.conditions["rate"]): score.mean
        for score in scores
        if score.metric == EDITED
    }
    for (kind, rate), share in edited.items():
        if share < 0.9 * float(rate):
            msg.info(f"{kind}, {rate:.0%}: not all words can take it; {share:.1%} were edited")
    if output is not None:
        write_table(scores, output / "robustness.json")
        figure = draw_scores(curves, "rate", "words with a typo, %")
        save_figure(figure, output / "robustness.png")
        msg.good(f"Wrote robustness.json and robustness.png to {output}")


def _read_rates(rates: str) -> list[float]:
    try:
        return [float(rate) for rate in rates.split(",")]
    except ValueError as err:
        message = f"expected numbers from 0 to 1, separated by commas, found '{rates}'"
        raise typer.BadParameter(message, param_hint="--rates") from err

"""`charlm robustness`: what any spaCy pipeline loses where people mistype."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from spacy.cli._util import import_code, setup_gpu
from wasabi import msg

from .show_errors import show_errors

if TYPE_CHECKING:
    from ..evaluation.robustness import Curve


@show_errors("The robustness cannot be measured.")
def robustness_cli(
    pipelines: Annotated[
        list[str], typer.Argument(help="Trained pipelines, or folders of seeds of one")
    ],
    data: Annotated[Path, typer.Argument(help="Texts with labels: .spacy, or a folder of them")],
    rates: Annotated[str, typer.Option(help="Shares of words with a typo")] = "0.05,0.1,0.2,0.3",
    kinds: Annotated[str, typer.Option(help="mixed, or kinds of typos, by commas")] = "mixed",
    seeds: Annotated[int, typer.Option(help="Draws for each rate", min=1)] = 3,
    limit: Annotated[int, typer.Option(help="Texts at most; 0 for all", min=0)] = 0,
    misspellings: Annotated[
        Path | None,
        typer.Option(
            help="For the kind natural: misspelling TAB word; a fifth of the words counts"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for robustness.json and .png", file_okay=False)
    ] = None,
    code_path: Annotated[Path | None, typer.Option("--code", "-c", help="Code to import")] = None,
    use_gpu: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU ID or -1 for CPU")] = -1,
) -> None:
    """Score pipelines on texts with more and more typos.

    Any spaCy pipeline will do, and several are compared on the same typos. Kinds: key, swap, drop,
    insert, repeat (these five are mixed), case, lookalike, accent, missing_space, extra_space,
    natural. Each word draws among the kinds that it can take.
    """
    import srsly

    from ..evaluation.robustness import describe_metric, measure_robustness
    from ..noise.typos import TRAINING_SHARE, read_misspellings
    from ..report.robustness import plot_robustness
    from ..training.progress import ShowProgress

    import_code(code_path)
    setup_gpu(use_gpu)
    labels = _label(pipelines)
    bars: dict[str, ShowProgress] = {}

    def show(name: str, done: float, words: int) -> None:
        if name not in bars:
            bars[name] = ShowProgress(labels[name])
        bars[name].update(done, words)
        if done >= 1:
            bars[name].close(done=True)

    natural = None
    if misspellings is not None:  # the other words may have been seen in training
        natural = read_misspellings(misspellings, share=TRAINING_SHARE, rest=True)
    curves = measure_robustness(
        pipelines,
        data,
        rates=_read_rates(rates),
        kinds=[kind.strip() for kind in kinds.split(",")],
        seeds=seeds,
        limit=limit,
        misspellings=natural,
        show=show,
    )
    show_curves(curves, labels)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        srsly.write_json(output / "robustness.json", [curve.__dict__ for curve in curves])
        titles = {curve.metric: describe_metric(curve.metric) for curve in curves}
        plot_robustness(curves, labels, titles, output / "robustness.png")
        msg.good(f"Wrote robustness.json and robustness.png to {output}")


def show_curves(curves: "list[Curve]", labels: dict[str, str]) -> None:
    """Print the scores as a table, and below it where fewer words were edited than asked for."""
    from ..evaluation.robustness import describe_metric

    rates = curves[0].rates
    msg.table(
        [
            (
                labels[curve.pipeline],
                describe_metric(curve.metric),
                curve.kind,
                *(
                    f"{mean:.1%} +- {deviation:.1%}" if deviation else f"{mean:.1%}"
                    for mean, deviation in zip(curve.means(), curve.deviations())
                ),
            )
            for curve in curves
        ],
        header=("pipeline", "score", "typos", *(f"{rate:.0%}" for rate in rates)),
        divider=True,
        aligns=("l", "l", "l", *("r" for _ in rates)),
    )
    for kind, edited in {curve.kind: curve.edited for curve in curves}.items():
        if edited[-1] < 0.9 * rates[-1]:
            found = ", ".join(f"{share:.1%}" for share in edited[1:])
            msg.info(f"{kind}: not all words can take it; edited were {found} of them")


def _read_rates(rates: str) -> list[float]:
    try:
        return [float(rate) for rate in rates.split(",")]
    except ValueError as err:
        message = f"expected numbers from 0 to 1, separated by commas, found '{rates}'"
        raise typer.BadParameter(message, param_hint="--rates") from err


def _label(pipelines: list[str]) -> dict[str, str]:
    """Name each pipeline by the last parts of its path that tell it from the others."""
    for n_parts in range(1, 9):
        names = ["/".join(Path(name).parts[-n_parts:]) for name in pipelines]
        if len(set(names)) == len(pipelines):
            break
    return dict(zip(pipelines, names))

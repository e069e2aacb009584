"""`charlm label-entities`: entities for raw text, by the vote of trained pipelines."""

from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from .gpu import GpuId, use_gpu
from .show_errors import show_errors
from .show_progress import show_progress


@show_errors("The texts cannot be annotated.")
def label_entities_cli(
    train: Annotated[
        Path, typer.Argument(help="Texts with entities: .spacy", exists=True, dir_okay=False)
    ],
    text: Annotated[Path, typer.Argument(help="Raw text: .txt, .jsonl, .spacy, .gz or a folder")],
    output: Annotated[Path, typer.Argument(help="Folder to write to, new or empty")],
    pipelines: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of pipelines that were trained on TRAIN", metavar="PIPELINE..."
        ),
    ],
    dev: Annotated[
        Path | None,
        typer.Option(help="Other texts with entities, to score the vote on", dir_okay=False),
    ] = None,
    min_votes: Annotated[
        int, typer.Option(help="Pipelines that have to find an entity; 0 for more than half", min=0)
    ] = 0,
    bias: Annotated[
        float,
        typer.Option(help="Added to the scores of O, to find words to leave open", max=0),
    ] = -2.0,
    repeat: Annotated[int, typer.Option(help="Copies of each text of TRAIN", min=1)] = 3,
    limit: Annotated[
        int, typer.Option(help="Most raw texts, drawn at random; 0 for all", min=0)
    ] = 0,
    min_words: Annotated[int, typer.Option(help="Fewest tokens of a raw text", min=0)] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the draw", min=0)] = 0,
    gpu_id: GpuId = -1,
) -> None:
    """Annotate raw text for spacy train with the entities that trained pipelines agree on.

    Where the pipelines disagree, or one of them is unsure, the words get no annotation: spacy train
    learns nothing there. OUTPUT gets the texts of TRAIN as well: give it as --paths.train.
    """
    from ..training.pseudo_entities import label_entities

    use_gpu(gpu_id)
    with show_progress("Annotating", "Stopped; nothing was written.") as show:
        found = label_entities(
            train,
            text,
            output,
            pipelines,
            dev=dev,
            min_votes=min_votes,
            bias=bias,
            repeat=repeat,
            limit=limit,
            min_words=min_words,
            seed=seed,
            show=show,
        )
    rows = [(label, f"{n:,}") for label, n in found.labels.items()]
    header = ("label", "entities in raw text")
    msg.table(rows, header=header, divider=True, aligns=("l", "r"))
    msg.info(f"{found.missing:,} words of the raw text are left without annotation")
    if found.known or found.short:
        msg.info(
            f"Raw texts left out: {found.known:,} that are among the labelled ones, "
            f"{found.short:,} with fewer than {min_words} words"
        )
    if found.f1 is not None:
        msg.info(
            f"On {dev} the vote has a precision of {100 * (found.precision or 0):.1f}, a recall of "
            f"{100 * (found.recall or 0):.1f} and an F1 of {100 * found.f1:.1f}"
        )
    msg.good(f"{found.labelled:,} labelled texts and {found.texts:,} others: {output}")

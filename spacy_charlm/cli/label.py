"""`charlm label`: labels for raw text, from a few labelled texts."""

from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from .show_errors import show_errors
from .show_progress import show_progress


@show_errors("The texts cannot be labelled.")
def label_cli(
    train: Annotated[
        Path, typer.Argument(help="Labelled texts: .spacy", exists=True, dir_okay=False)
    ],
    text: Annotated[Path, typer.Argument(help="Raw text: .txt, .jsonl, .spacy, .gz or a folder")],
    vectors: Annotated[
        Path, typer.Argument(help="Vectors, from charlm vectors train --ngrams 2", exists=True)
    ],
    output: Annotated[Path, typer.Argument(help="Folder to write to, new or empty")],
    dev: Annotated[
        Path | None,
        typer.Option(help="Other labelled texts, to score the labels on", dir_okay=False),
    ] = None,
    limit: Annotated[int, typer.Option(help="Most raw texts; 0 for all", min=0)] = 0,
    multilabel: Annotated[
        bool, typer.Option("--multilabel", help="For textcat_multilabel: any number of labels")
    ] = False,
    lang: Annotated[str, typer.Option(help="Language of the text")] = "en",
    seed: Annotated[int, typer.Option(help="Seed of the cross-validation", min=0)] = 0,
) -> None:
    """Label raw text for spacy train, by a linear classifier trained on a few labelled texts.

    The classifier reads vectors that were trained on the raw text. A pipeline that learns from its
    labels needs no vectors. OUTPUT gets the labelled texts as well: give it as --paths.train.
    """
    from ..training.pseudo_labels import label_texts

    with show_progress("Labelling", "Stopped; nothing was written.") as show:
        found = label_texts(
            train,
            text,
            vectors,
            output,
            dev=dev,
            limit=limit,
            multilabel=multilabel,
            lang=lang,
            seed=seed,
            show=show,
        )
    rows = [(label, f"{n:,}") for label, n in found.labels.items()]
    msg.table(rows, header=("label", "raw texts"), divider=True, aligns=("l", "r"))
    if found.known or found.bare:
        msg.info(
            f"Raw texts left out: {found.known:,} that are among the labelled ones, "
            f"{found.bare:,} without a word that has a vector"
        )
    if found.accuracy is not None:
        msg.info(f"{100 * found.accuracy:.1f} % of the labels of {dev} would be right")
    msg.good(f"{found.labelled:,} labelled texts and {found.texts:,} others: {output}")

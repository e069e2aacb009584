"""`charlm neighbours`: the words of a table that are nearest to any word."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from wasabi import msg

from .show_errors import show_errors

if TYPE_CHECKING:
    from ..types import Score


@show_errors("No neighbours can be found.")
def neighbours_cli(
    weights: Annotated[Path, typer.Argument(help="Such as pretrain/model-last.bin", exists=True)],
    vectors: Annotated[Path, typer.Argument(help="Table of words: GloVe text or spaCy vectors")],
    words: Annotated[list[str] | None, typer.Argument(help="Words to find neighbours of")] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Neighbours per word", min=1)] = 5,
    csls: Annotated[
        bool, typer.Option("--csls", help="Correct for hubs, which are near to everything")
    ] = False,
    misspellings: Annotated[
        Path | None,
        typer.Option(
            help="Score these: misspelling TAB word. Only the fifth of the words that training "
            "never uses counts"
        ),
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(help="Score these words of the table, one per line, without fitting on them"),
    ] = None,
    floret: Annotated[
        Path | None, typer.Option(help="Also score floret vectors: a spaCy folder")
    ] = None,
    n_fit: Annotated[
        int, typer.Option(help="Words of the table that the readout is fitted on")
    ] = 20_000,
    spelling: Annotated[
        float, typer.Option(help="Weight of the spelling beside 1 for the vectors", min=0.0)
    ] = 0.0,
    chars: Annotated[
        bool, typer.Option("--chars", help="Find words spelled alike, by the convolutions")
    ] = False,
    lang: Annotated[str, typer.Option(help="Language of the words")] = "en",
    output: Annotated[
        Path | None, typer.Option(help="Write the scores to this .json, .csv or .md file")
    ] = None,
) -> None:
    """Print the words of a table that are nearest to any words, also to misspelled or new ones.

    A linear readout from the tok2vec to the table is fitted on words of the table, so the weights
    of any pretraining will do. With --chars, words are near to each other if they are spelled
    alike; that takes the weights of the objective `spelling`.
    """
    from ..evaluation.word_neighbours import WordNeighbours
    from ..report.table import check_ending, show_table, write_table
    from ..text.read_texts import read_lines

    if output is not None:
        check_ending(output)
    if chars and (held_out or spelling):
        raise typer.BadParameter(
            "expected neither --held-out nor --spelling, which need a readout", param_hint="--chars"
        )
    left_out = {line.strip() for _, line in read_lines(held_out)} if held_out else set()
    table = WordNeighbours(
        weights,
        vectors,
        held_out=left_out,
        n_fit=n_fit,
        lang=lang,
        spelling=spelling,
        chars=chars,
    )
    fitted = "" if chars else f"; readout fitted on {table.n_fit:,}"
    msg.info(f"{len(table.words):,} words{fitted}")
    if words:
        show_words(words, table.find(words, k, csls=csls), set(table.words))
    scores: list[Score] = []
    if misspellings is not None:
        scores += table.score_misspellings(misspellings, floret)
    if held_out is not None:
        scores += table.score_held_out(floret)
    if scores:
        show_table(scores, "scores")
    elif misspellings or held_out:
        msg.warn("Nothing can be scored: the files have none of the table's words")
    if scores and output is not None:
        write_table(scores, output)
        msg.good(f"Wrote the scores to {output}")


def show_words(
    words: list[str], found: list[list[tuple[str, float]]], known: Collection[str]
) -> None:
    """Print the neighbours of words as a table."""
    from ..report.table import show_rows

    # A word and its score stay on one line.
    rows = [
        (
            word,
            "yes" if word in known else "no",
            ", ".join(f"{near}\xa0{score:.2f}" for near, score in row),
        )
        for word, row in zip(words, found)
    ]
    show_rows(rows, ("word", "in table", "nearest"), n_text=3)

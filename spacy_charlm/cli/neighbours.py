"""`charlm neighbours`: the words of a table that are nearest to any word, also to one it lacks."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from wasabi import msg

from .show_errors import show_errors

if TYPE_CHECKING:
    from ..evaluation.rank_scores import WordScore
    from ..evaluation.word_neighbours import Reader


@show_errors("There are no neighbours.")
def neighbours_cli(
    weights: Annotated[Path, typer.Argument(help="Such as pretrain/model-last.bin", exists=True)],
    vectors: Annotated[Path, typer.Argument(help="Table of words: GloVe text or spaCy vectors")],
    words: Annotated[list[str] | None, typer.Argument(help="Words to look for")] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Neighbours of each word")] = 5,
    csls: Annotated[
        bool, typer.Option("--csls", help="Correct for everybody's neighbours")
    ] = False,
    misspellings: Annotated[
        Path | None,
        typer.Option(help="Score these: misspelling TAB word; a fifth of the words counts"),
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(help="Score these words of the table, one a line, without fitting on them"),
    ] = None,
    floret: Annotated[
        Path | None, typer.Option(help="Score floret vectors, too: a spaCy folder")
    ] = None,
    n_fit: Annotated[
        int, typer.Option(help="Words of the table that the read-out is fitted on")
    ] = 20_000,
    lang: Annotated[str, typer.Option(help="Language of the words")] = "en",
    output: Annotated[Path | None, typer.Option(help="Write the scores there, as JSON")] = None,
) -> None:
    """Print the words of a table that are nearest to given ones, also to misspelled or new words.

    A linear read-out from the tok2vec to the table is fitted on the table's own words, so that
    weights of any pretraining can be asked.
    """
    import srsly

    from ..evaluation.word_neighbours import WordNeighbours, read_floret
    from ..text.read_texts import read_lines
    from .show_scores import show_scores

    left_out = {line.strip() for _, line in read_lines(held_out)} if held_out else set()
    table = WordNeighbours(weights, vectors, held_out=left_out, n_fit=n_fit, lang=lang)
    msg.info(f"{len(table.words):,} words; read-out fitted on {table.n_fit:,}")
    if words:
        show_words(words, table.find(words, k, csls=csls), set(table.words))
    readers: dict[str, Reader | None] = {weights.name: None}
    if floret is not None:
        readers[str(floret)] = read_floret(floret)
    scores: dict[str, dict[str, list[WordScore]]] = {}
    if misspellings is not None:
        scores["misspelled words"] = {
            name: table.score_misspellings(misspellings, other) for name, other in readers.items()
        }
    if held_out is not None:
        scores["held-out words"] = {
            name: table.score_held_out(other) for name, other in readers.items()
        }
    for title, found in scores.items():
        show_scores(title, found)
    if scores and output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        srsly.write_json(
            output,
            {
                title: {name: [s.__dict__ for s in rows] for name, rows in found.items()}
                for title, found in scores.items()
            },
        )
        msg.good(f"Wrote the scores to {output}")


def show_words(
    words: list[str], found: list[list[tuple[str, float]]], known: Collection[str]
) -> None:
    """Print the neighbours of words as a table."""
    rows = [
        (word, "yes" if word in known else "no", *(f"{near} {score:.2f}" for near, score in row))
        for word, row in zip(words, found)
    ]
    header = ("word", "in table", *map(str, range(1, len(rows[0]) - 1)))
    msg.table(rows, header=header, divider=True)

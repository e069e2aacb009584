"""`charlm words`: scores of a pipeline with charlm_lmfao on masked and misspelled words."""

from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from .show_errors import show_errors


@show_errors("The words cannot be scored.")
def words_cli(
    pipeline: Annotated[str, typer.Argument(help="Pipeline with charlm_lmfao")],
    text: Annotated[Path, typer.Argument(help="Held-out text: .txt, .jsonl, .spacy, a folder")],
    limit: Annotated[int, typer.Option(help="Most texts; 0 for all", min=0)] = 1_000,
    rate: Annotated[float, typer.Option(help="Share of the words to hide")] = 0.15,
    seed: Annotated[int, typer.Option(help="Seed that chooses these words", min=0)] = 0,
    misspellings: Annotated[
        Path | None,
        typer.Option(
            help="Score suggestions for these: misspelling TAB word. Only the fifth of the words "
            "that training never uses counts",
            exists=True,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the scores to this .json, .csv or .md file")
    ] = None,
) -> None:
    """Hide words of held-out texts and score how well the pipeline predicts them.

    Every word of the table is a candidate. The perplexity is that of a softmax of the cosines,
    whose temperature is fitted on every second text. A table of n words has a perplexity of n if
    the pipeline knows nothing.
    """
    from ..evaluation.word_prediction import score_word_prediction
    from ..report.table import check_ending, show_table, write_table

    if output is not None:
        check_ending(output)
    scores, n_words = score_word_prediction(
        pipeline, text, limit=limit, rate=rate, seed=seed, misspellings=misspellings
    )
    show_table(scores, Path(pipeline).name)
    msg.info(f"{n_words:,} candidates. Hidden words that are not among them count in no score.")
    if output is not None:
        write_table(scores, output, candidates=n_words, rate=rate, seed=seed)
        msg.good(f"Wrote the scores to {output}")

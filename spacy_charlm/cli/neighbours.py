"""`charlm neighbours`: the words of a table that are nearest to any word, also to one it lacks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from wasabi import msg

if TYPE_CHECKING:
    from ..evaluation.misspelled_words import SpellingScore


def neighbours_cli(
    weights: Annotated[Path, typer.Argument(help="Such as pretrain/model-last.bin", exists=True)],
    vectors: Annotated[Path, typer.Argument(help="Table of words: GloVe text or spaCy vectors")],
    words: Annotated[list[str] | None, typer.Argument(help="Words to look for")] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Neighbours of each word")] = 5,
    csls: Annotated[
        bool, typer.Option("--csls", help="Correct for everybody's neighbours")
    ] = False,
    misspellings: Annotated[
        Path | None, typer.Option(help="Score these: misspelling TAB correct word")
    ] = None,
    floret: Annotated[
        Path | None, typer.Option(help="Score floret vectors on them, too: a spaCy folder")
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
    from thinc.api import NumpyOps

    from ..decoding.neighbours import Neighbours, best_words
    from ..evaluation.misspelled_words import score_misspellings
    from ..evaluation.word_reader import WordReader, load_alone, read_floret
    from ..noise.misspellings import TRAINING_SHARE, read_misspellings
    from ..targets.read_vectors import read_table

    try:
        names, values = read_table(vectors)
        tok2vec, vocab = load_alone(weights, lang)
        n_fit = min(n_fit, len(names))
        msg.info(f"{len(names):,} words, width {values.shape[1]}; read-out fitted on {n_fit:,}")
        read = WordReader(tok2vec, vocab, names[:n_fit], values[:n_fit])
        ops = NumpyOps(use_blis=False)
        table = Neighbours(values, ops)
        if words:
            queries = read(words)
            found = (
                table.search_csls(queries, k, table.hubness(values[:n_fit]))
                if csls
                else table.search(queries, k)
            )
            known = set(names)
            msg.table(
                [
                    (
                        word,
                        "yes" if word in known else "no",
                        *(f"{near} {score:.2f}" for near, score in row),
                    )
                    for word, row in zip(words, best_words(names, found, ops))
                ],
                header=("word", "in table", *map(str, range(1, min(k, len(names)) + 1))),
                divider=True,
            )
        if misspellings is None:
            return
        # The other 80 % of the words may have been seen in training.
        held_out = read_misspellings(misspellings, share=TRAINING_SHARE, rest=True)
        scores = {weights.name: score_misspellings(read, names, table, held_out)}
        if floret is not None:
            read_other = read_floret(floret)
            other = Neighbours(read_other(names), ops)
            scores[floret.name] = score_misspellings(read_other, names, other, held_out)
        show_scores(scores)
        if output is not None:
            output.parent.mkdir(parents=True, exist_ok=True)
            srsly.write_json(
                output, {name: [s.__dict__ for s in rows] for name, rows in scores.items()}
            )
            msg.good(f"Wrote the scores to {output}")
    except (ValueError, OSError) as err:
        if "[charlm " not in str(err):
            raise
        msg.fail("There are no neighbours.", str(err), exits=1)


def show_scores(scores: dict[str, list["SpellingScore"]]) -> None:
    """Print scores of misspelled words as a table."""
    if not any(scores.values()):
        msg.warn("No misspelling of a word of the table")
        return
    rows = [
        (
            name,
            s.band,
            f"{s.words:,}",
            f"{s.p_at_1:.1%}",
            f"{s.p_at_10:.1%}",
            f"{s.mrr:.3f}",
            f"{s.cosine:.3f}",
        )
        for name, found in scores.items()
        for s in found
    ]
    msg.divider("misspelled words")
    msg.table(
        rows,
        header=("vectors", "place of the word", "misspellings", "P@1", "P@10", "MRR", "cosine"),
        divider=True,
        aligns=("l", "l", *"rrrrr"),
    )

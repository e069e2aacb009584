"""Draw the scores of the study `trees` by the number of sentences.

python scripts/draw_trees.py training/trees/table.json docs/figures/trees.png
"""

from pathlib import Path
from typing import Annotated

import srsly
import typer
from wasabi import msg

from spacy_charlm.report.figure import draw_scores
from spacy_charlm.types import Score

ALL = 12_044  # sentences without those for early stopping


def main(
    table: Annotated[Path, typer.Argument(help="table.json of the study", exists=True)],
    output: Annotated[Path, typer.Argument(help="Picture to write")],
) -> None:
    """Read, draw."""
    scores = []
    for row in srsly.read_json(table)["scores"]:
        size = row["conditions"]["set"].split()[0]
        sentences = ALL if size == "all" else int(size.replace(",", ""))
        values = tuple(row["values"])
        scores.append(
            Score(row["source"], row["metric"], values, conditions={"sentences": sentences})
        )
    draw_scores(scores, "sentences", logarithmic=True).savefig(output)
    msg.good(f"Drew {len(scores)} scores: {output}")


if __name__ == "__main__":
    typer.run(main)

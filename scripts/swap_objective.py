"""Write a copy of a pretraining config whose objective is spaCy's own PretrainVectors.

Optimizer, schedule, dropout, batches and text stay as they are. The head has spaCy's default size,
since PretrainVectors knows no head without a hidden layer (hidden_size = 0 in ours). The vectors to
predict are those of `initialize.vectors` (paths.vectors): spaCy's objective reads them from the
vocab.
"""

from pathlib import Path
from typing import Annotated

import typer
from spacy.util import load_config
from wasabi import msg


def main(
    config: Annotated[Path, typer.Argument(help="Pretraining config", exists=True)],
    output: Annotated[Path, typer.Argument(help="File to write")],
    loss: Annotated[str, typer.Option(help="cosine or L2")] = "cosine",
    hidden_size: Annotated[int, typer.Option(help="Width of the head")] = 300,
    maxout_pieces: Annotated[int, typer.Option(help="Pieces of the head")] = 3,
) -> None:
    """Swap the block [pretraining.objective]."""
    copy = load_config(config)
    copy["pretraining"]["objective"] = {
        "@architectures": "spacy.PretrainVectors.v1",
        "maxout_pieces": maxout_pieces,
        "hidden_size": hidden_size,
        "loss": loss,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    copy.to_disk(output)
    msg.good(f"{config} with PretrainVectors: {output}")


if __name__ == "__main__":
    typer.run(main)

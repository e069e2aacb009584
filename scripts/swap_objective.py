"""Write a copy of a pretraining config whose objective is spaCy's own PretrainVectors.

Optimizer, schedule, dropout, batches and text stay as they are. The vectors to predict are those of
`initialize.vectors` (paths.vectors): spaCy's objective reads them from the vocab.
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
) -> None:
    """Swap the block [pretraining.objective]."""
    copy = load_config(config)
    objective = copy["pretraining"]["objective"]
    copy["pretraining"]["objective"] = {
        "@architectures": "spacy.PretrainVectors.v1",
        "maxout_pieces": objective["maxout_pieces"],
        "hidden_size": objective["hidden_size"],
        "loss": loss,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    copy.to_disk(output)
    msg.good(f"{config} with PretrainVectors: {output}")


if __name__ == "__main__":
    typer.run(main)

"""Write copies of training configs whose texts are seen a second time, with typos.

Each text comes clean and noisy, with up to twice the rate of typos: `spacy-charlm.typos.v1` as the
augmenter of [corpora.train]. Everything else stays as it is.
"""

from pathlib import Path
from typing import Annotated

import typer
from spacy.util import load_config
from wasabi import msg


def main(
    output: Annotated[Path, typer.Argument(help="Folder to write to")],
    configs: Annotated[list[Path], typer.Argument(help="Training configs", exists=True)],
    rate: Annotated[float, typer.Option(help="Share of words with a typo")] = 0.2,
    misspellings: Annotated[
        Path | None, typer.Option(help="Real ones, of whose words 80 % are used")
    ] = None,
) -> None:
    """Set the block [corpora.train.augmenter]."""
    kinds = ["key", "swap", "drop", "insert", "repeat"]
    for path in configs:
        config = load_config(path)
        config["corpora"]["train"]["augmenter"] = {
            "@augmenters": "spacy-charlm.typos.v1",
            "rate": rate,
            "kinds": [*kinds, "natural"] if misspellings else kinds,
            "misspellings": str(misspellings) if misspellings else None,
        }
        target = output / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        config.to_disk(target)
        msg.good(f"{path} with typos: {target}")


if __name__ == "__main__":
    typer.run(main)

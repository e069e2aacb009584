"""Write copies of configs in which the tok2vec's embed layer is spaCy's MultiHashEmbed.

Everything else stays as it is, so that the two columns of a table differ in the embed layer only.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from spacy.util import load_config
from wasabi import msg


def main(
    output: Annotated[Path, typer.Argument(help="Folder to write to")],
    configs: Annotated[list[Path], typer.Argument(help="Configs with a tok2vec", exists=True)],
    attrs: Annotated[str, typer.Option(help="Attributes, by commas")] = "NORM,PREFIX,SUFFIX,SHAPE",
    rows: Annotated[str, typer.Option(help="Table rows, by commas")] = "5000,1000,2500,2500",
) -> None:
    """Swap the block [components.tok2vec.model.embed]."""
    for path in configs:
        config = load_config(path)
        model: dict[str, Any] = config["components"]["tok2vec"]["model"]
        model["embed"] = {
            "@architectures": "spacy.MultiHashEmbed.v2",
            "width": model["embed"]["width"],
            "attrs": attrs.split(","),
            "rows": [int(n) for n in rows.split(",")],
            "include_static_vectors": False,
        }
        target = output / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        config.to_disk(target)
        msg.good(f"{path} with MultiHashEmbed: {target}")


if __name__ == "__main__":
    typer.run(main)

"""Write copies of configs in which the tok2vec's embed layer is one of spaCy's own.

Everything else stays as it is, so that the two columns of a table differ in the embed layer only.
"""

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from spacy.util import load_config
from wasabi import msg


class Embed(str, Enum):
    """What is put in the place of ours; of CharacterEmbed only the first number of rows counts."""

    hash = "MultiHashEmbed"
    characters = "CharacterEmbed"


def main(
    output: Annotated[Path, typer.Argument(help="Folder to write to")],
    configs: Annotated[list[Path], typer.Argument(help="Configs with a tok2vec", exists=True)],
    attrs: Annotated[str, typer.Option(help="Attributes, by commas")] = "NORM,PREFIX,SUFFIX,SHAPE",
    rows: Annotated[str, typer.Option(help="Table rows, by commas")] = "5000,1000,2500,2500",
    embed: Annotated[Embed, typer.Option(help="spaCy's embed layer")] = Embed.hash,
) -> None:
    """Swap the block [components.tok2vec.model.embed]."""
    for path in configs:
        config = load_config(path)
        model: dict[str, Any] = config["components"]["tok2vec"]["model"]
        width = model["embed"]["width"]
        if embed is Embed.characters:
            model["embed"] = {
                "@architectures": "spacy.CharacterEmbed.v2",
                "width": width,
                "rows": int(rows.split(",")[0]),
                "nM": 64,
                "nC": 8,
                "include_static_vectors": False,
                "feature": "LOWER",
            }
        else:
            model["embed"] = {
                "@architectures": "spacy.MultiHashEmbed.v2",
                "width": width,
                "attrs": attrs.split(","),
                "rows": [int(n) for n in rows.split(",")],
                "include_static_vectors": False,
            }
        target = output / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        config.to_disk(target)
        msg.good(f"{path} with {embed.value}: {target}")


if __name__ == "__main__":
    typer.run(main)

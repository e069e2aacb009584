"""Write copies of training configs that pretrain while they train.

The component `charlm_lmao`, with its raw text and its target, comes from another config and is put
behind the tok2vec. Everything else stays as it is.
"""

from pathlib import Path
from typing import Annotated

import typer
from spacy.util import load_config
from wasabi import msg


def main(
    output: Annotated[Path, typer.Argument(help="Folder to write to")],
    configs: Annotated[list[Path], typer.Argument(help="Training configs", exists=True)],
    like: Annotated[Path, typer.Option(help="Config with the component", exists=True)] = Path(
        "configs/train/textcat_lmao.cfg"
    ),
) -> None:
    """Set the block [components.charlm_lmao]."""
    source = load_config(like, interpolate=False)
    for path in configs:
        config = load_config(path, interpolate=False)
        names = config["nlp"]["pipeline"]
        names.insert(names.index("tok2vec") + 1, "charlm_lmao")
        config["components"]["charlm_lmao"] = source["components"]["charlm_lmao"]
        config["training"]["before_to_disk"] = source["training"]["before_to_disk"]
        for name in ("raw_text", "target_vectors"):
            config["paths"][name] = None
        target = output / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        config.to_disk(target)
        msg.good(f"{path} with charlm_lmao: {target}")


if __name__ == "__main__":
    typer.run(main)

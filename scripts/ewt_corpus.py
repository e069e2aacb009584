"""Write the trees of UD English-EWT as .spacy files, one sentence a Doc.

raw.spacy      all of train with its trees: what targets of heads are read from
stop.spacy     sentences of train in a draw with a seed, for early stopping
train-N.spacy  N other sentences of the draw, to train a parser on; larger parts have the smaller
train-all.spacy  all other sentences
dev.spacy      dev, for the figures

The given tokens are kept: read the files with `gold_preproc = true`.
"""

import gzip
import random
from pathlib import Path
from typing import Annotated

import spacy
import typer
from spacy.tokens import Doc, DocBin
from spacy.training.converters import conllu_to_docs
from wasabi import msg


def main(
    data: Annotated[Path, typer.Argument(help="Folder with ewt/", exists=True)],
    output: Annotated[Path, typer.Argument(help="Folder to write to")],
    sizes: Annotated[list[int], typer.Option(help="Sentences to train on; repeatable")] = [  # noqa: B006
        1,
        10,
        100,
        1_000,
    ],
    n_stop: Annotated[int, typer.Option(help="Sentences for early stopping")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of the draw")] = 0,
) -> None:
    """Convert, draw, write."""
    output.mkdir(parents=True, exist_ok=True)
    train = read_trees(data / "ewt" / "en_ewt-ud-train.conllu")
    order = random.Random(seed).sample(range(len(train)), len(train))
    drawn = [train[i] for i in order]
    first = max(sizes)
    rest = drawn[:first] + drawn[first + n_stop :]
    parts = {
        "raw": train,
        "stop": drawn[first : first + n_stop],
        **{f"train-{size}": rest[:size] for size in sizes},
        "train-all": rest,
        "dev": read_trees(data / "ewt" / "en_ewt-ud-dev.conllu"),
    }
    for name, docs in parts.items():
        DocBin(docs=docs).to_disk(output / f"{name}.spacy")
        n_words = sum(map(len, docs))
        msg.good(f"{len(docs):,} sentences, {n_words:,} words: {output / name}.spacy")


def read_trees(path: Path) -> list[Doc]:
    """Read the sentences of a treebank.

    path (Path): A .conllu file, or the same with .gz.
    RETURNS (list[Doc]): One for each sentence, with tags, heads and labels.
    """
    zipped = path.with_name(f"{path.name}.gz")
    if path.is_file():
        text = path.read_text(encoding="utf8")
    elif zipped.is_file():
        text = gzip.decompress(zipped.read_bytes()).decode("utf8")
    else:
        msg.fail(f"No {path}", "`python -m spacy project assets` fetches the files", exits=1)
    vocab = spacy.blank("en").vocab
    docs = conllu_to_docs(text, n_sents=1, no_print=True)
    return [Doc(vocab).from_bytes(doc.to_bytes()) for doc in docs]


if __name__ == "__main__":
    typer.run(main)

"""Train word vectors on raw text with floret and save them as a spaCy folder.

They are the vectors to predict where no GloVe file is at hand. The text is split by spaCy's own
tokenizer, as in pretraining. The folder is what `spacy init vectors` writes: it serves as
`paths.target_vectors`, as `initialize.vectors`, and loads with `spacy.load`.

One thread by default: then the same text gives the same vectors.
"""

import importlib.util
import tempfile
import time
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import spacy
import typer
from spacy.training.initialize import convert_vectors
from wasabi import msg

from spacy_charlm.text.prefetch import BoundedTokenizer
from spacy_charlm.text.text_corpus import Counts, TextCorpus


class Mode(str, Enum):
    """What is kept: a small table of hashed pieces for any word, or one row per frequent word."""

    floret = "floret"
    default = "default"


def main(
    raw_text: Annotated[Path, typer.Argument(help=".txt, .jsonl, .spacy or a folder", exists=True)],
    output: Annotated[Path, typer.Argument(help="Folder to write to")],
    mode: Annotated[Mode, typer.Option(help="floret: any word; default: a plain table")] = (
        Mode.floret
    ),
    lower: Annotated[bool, typer.Option(help="Train on lower-cased words")] = False,
    dim: int = typer.Option(100, help="Width of a vector"),
    bucket: int = typer.Option(50_000, help="Rows of the floret table, of the pieces otherwise"),
    min_count: int = typer.Option(3, help="Rarer words are ignored"),
    epochs: int = typer.Option(20, help="Passes over the text"),
    max_words: int = typer.Option(0, help="Words to read; 0 for all"),
    threads: int = typer.Option(1, help="Above one, runs differ a little"),
    lang: str = typer.Option("en", help="Whose tokenizer splits the text"),
) -> None:
    """Tokenise, train, convert."""
    if importlib.util.find_spec("floret") is None:
        msg.fail(
            "This command needs floret, which is not installed.",
            "Install it: python -m pip install -r requirements.txt",
            exits=1,
        )
    start = time.time()
    nlp = spacy.blank(lang)
    with tempfile.TemporaryDirectory() as folder:
        words_path, vectors_path = Path(folder) / "words.txt", Path(folder) / "vectors.txt"
        n_words = 0
        with words_path.open("w", encoding="utf8") as file:
            for words in iter_words(nlp, raw_text):
                file.write(" ".join(words).lower() if lower else " ".join(words))
                file.write("\n")
                n_words += len(words)
                if max_words and n_words >= max_words:
                    break
        if n_words == 0:
            msg.fail(f"Expected text to train vectors on, found no word in {raw_text}", exits=1)
        msg.info(f"Training on {n_words:,} words ({time.time() - start:.0f} s to tokenise)")
        settings: dict[str, Any] = {"dim": dim, "bucket": bucket, "minCount": min_count}
        settings |= {"epoch": epochs, "thread": threads, "verbose": 0}
        if mode is Mode.floret:
            settings |= {"mode": "floret", "hashCount": 2}
        model = fit(words_path, settings)
        if mode is Mode.floret:
            model.save_floret_vectors(str(vectors_path))
        else:
            model.save_vectors(str(vectors_path))
        convert_vectors(nlp, vectors_path, truncate=0, prune=-1, mode=mode.value)
    nlp.to_disk(output)
    rows, width = nlp.vocab.vectors.shape
    msg.good(f"Saved {rows:,} rows of width {width} to {output} ({time.time() - start:.0f} s)")


def fit(path: Path, settings: dict[str, Any]) -> Any:
    """Train with a high learning rate, which a small text needs, or a lower one if it diverges."""
    import floret

    for lr in (0.1, 0.05, 0.025):
        try:
            return floret.train_unsupervised(
                str(path), model="cbow", minn=4, maxn=5, neg=5, lr=lr, **settings
            )
        except RuntimeError as error:
            msg.warn(f"Learning rate {lr}: {error}")
    msg.fail("Training diverged at every learning rate", exits=1)


def iter_words(nlp: spacy.language.Language, path: Path) -> Iterator[list[str]]:
    """Yield the words of each text, white space left out.

    nlp (Language): Its tokenizer splits the texts.
    path (Path): Whatever pretraining reads.
    YIELDS (list[str]): The words of one text.
    """
    corpus, counts = TextCorpus(path, max_length=0), Counts()
    # With a vocab of its own, so that neither memory nor what is saved grows with rare words.
    maker = BoundedTokenizer(nlp.tokenizer, nlp.max_length, nlp.vocab)
    for text in corpus.read(nlp.vocab, 0, counts):
        with maker.memory_zone():
            for doc in corpus.make_docs(maker, [text], counts):
                words = [token.text for token in doc if not token.is_space]
                if words:
                    yield words


if __name__ == "__main__":
    typer.run(main)

"""Write the vectors to predict as one folder of spaCy vectors, for ours and for PretrainVectors.

Where the vectors file is present, its rows are taken; rows such as `<unk>` are left out. Where it
is missing, vectors are trained on the raw text, words by their neighbours. spaCy's PretrainVectors
looks up the exact form of a word, so a row of a lower-case word serves its capitalised, title-case
and upper-case form, too.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import numpy
import spacy
import typer
from spacy.vectors import Vectors
from wasabi import msg

from spacy_charlm.targets.read_vectors import read_text_vectors
from spacy_charlm.targets.static_vectors import UNKNOWN
from spacy_charlm.training.progress import ProgressBar
from spacy_charlm.vectors.train_vectors import VectorSettings, train_vectors


def main(
    vectors: Annotated[Path, typer.Argument(help="GloVe or word2vec text, also .gz")],
    output: Annotated[Path, typer.Argument(help="Folder to write to")],
    raw_text: Annotated[Path, typer.Option(help="Text to train on if the file is missing")],
    max_words: int = typer.Option(0, help="Words to train on; 0 for all"),
    epochs: int = typer.Option(5, help="Passes of the training over the text"),
    lang: str = typer.Option("en", help="Language of the pipeline that is saved"),
) -> None:
    """Convert the file, or train."""
    if vectors.is_file():
        text = read_text_vectors(vectors)
        rows, values = dict(text.words), text.values
    else:
        msg.info(f"No {vectors}: training vectors on {raw_text}")
        rows, values = train(raw_text, max_words, epochs, lang)
    for word in UNKNOWN:
        rows.pop(word, None)
    nlp = spacy.blank(lang)
    # gaps where rows were left out are closed: nothing but targets is saved
    kept = numpy.asarray(sorted(set(rows.values())))
    data = numpy.ascontiguousarray(values[kept], dtype="float32")
    table = Vectors(strings=nlp.vocab.strings, data=data, name=vectors.name)
    forms = add_forms(rows)
    new_rows = dict(zip(kept.tolist(), range(len(kept))))
    for form, row in forms.items():
        table.add(nlp.vocab.strings.add(form), row=new_rows[row])
    nlp.vocab.vectors = table
    if output.exists():
        shutil.rmtree(output)
    nlp.to_disk(output)
    n_rows, width = table.shape
    msg.good(f"{n_rows:,} rows of width {width} for {len(forms):,} forms: {output}")


def add_forms(rows: dict[str, int]) -> dict[str, int]:
    """Let rows serve other forms of their words; a form that has a row of its own keeps it.

    rows (dict[str, int]): Row by word.
    RETURNS (dict[str, int]): Row by form.
    """
    forms = dict(rows)
    for word, row in rows.items():
        for form in (word.title(), word.capitalize(), word.upper()):
            forms.setdefault(form, row)
    return forms


def train(
    raw_text: Path, max_words: int, epochs: int, lang: str
) -> tuple[dict[str, int], "numpy.ndarray"]:
    """Train a plain table of lower-case words by their neighbours.

    RETURNS (tuple[dict[str, int], numpy.ndarray]): Row by word, and the rows.
    """
    settings = VectorSettings(mode="window", epochs=epochs, max_words=max_words, lang=lang)
    bar = ProgressBar("Training")

    def show(title: str, done: float, words: int, note: str) -> None:
        bar.update(done, words, title)

    with tempfile.TemporaryDirectory() as folder:
        train_vectors(raw_text, Path(folder), settings, show=show)
        bar.close(done=True)
        vocab = spacy.load(folder).vocab
    rows = {vocab.strings[key]: int(row) for key, row in vocab.vectors.key2row.items()}
    return rows, vocab.vectors.data


if __name__ == "__main__":
    typer.run(main)

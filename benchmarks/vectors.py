"""Vectors trained on raw text: speed, and what a classifier learns from their mean.

python benchmarks/vectors.py TEXT LABELLED.jsonl.gz --output benchmarks/results/vectors.json

All programs read the same words: spaCy's tokens in lower case. Words per second count every pass
over the text, without the tokenising. The accuracy is that of a logistic regression on the mean of
a text's vectors, with C chosen by cross-validation; for gensim's Doc2Vec, on the vectors that it
infers for the texts. gensim and floret are measured if they are installed.
"""

import importlib.util
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple

import numpy as np
import spacy
import srsly
import typer
from spacy.vocab import Vocab
from wasabi import msg

from spacy_charlm.evaluation.labelled_texts import read_labelled, shuffle_labelled
from spacy_charlm.evaluation.probe import LinearProbe
from spacy_charlm.machine import describe_machine
from spacy_charlm.text.text_corpus import TextCorpus
from spacy_charlm.types import Score
from spacy_charlm.vectors.tokens import TokenFile, write_tokens
from spacy_charlm.vectors.train_vectors import VectorSettings, train_vectors

Words = list[str]
# From the words of each labelled text to one vector per text.
Reader = Callable[[list[Words]], np.ndarray]


class Source(NamedTuple):
    """What every program trains on, and where it may write."""

    text: Path
    tokens: TokenFile
    folder: Path
    dim: int
    max_words: int
    threads: int


def main(
    text: Annotated[Path, typer.Argument(help="Raw text", exists=True)],
    labelled: Annotated[Path, typer.Argument(help="Labelled texts, .jsonl", exists=True)],
    output: Annotated[Path | None, typer.Option(help="JSON file to write")] = None,
    only: Annotated[str, typer.Option(help="Names of rows, with commas; all if empty")] = "",
    n_labels: Annotated[int, typer.Option(help="Labels of each draw")] = 1_000,
    draws: Annotated[int, typer.Option(help="Draws")] = 3,
    n_dev: Annotated[int, typer.Option(help="Texts to score, the last of the shuffled file")] = (
        9_000
    ),
    dim: Annotated[int, typer.Option(help="Width of the vectors")] = 100,
    max_words: Annotated[int, typer.Option(help="Words to train on; 0 for all")] = 0,
    threads: Annotated[int, typer.Option(help="Threads of gensim and floret")] = 1,
) -> None:
    """Train, score, print, write."""
    nlp = spacy.blank("en")
    data = shuffle_labelled(read_labelled(labelled, nlp.vocab, "cats"), seed=0)
    n = n_labels * draws
    data = data.select([*range(n), *range(len(data.texts) - n_dev, len(data.texts))])
    texts = [[t.lower_ for t in nlp.make_doc(str(x)) if not t.is_space] for x in data.texts]
    labels = np.array([found[0] for found in data.labels])
    chosen = [name.strip() for name in only.split(",") if name.strip()]
    scores: list[Score] = []
    rows = []
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        corpus = TextCorpus(text, max_length=0)
        tokens = write_tokens(nlp, corpus, Path(folder), max_words=max_words)
        msg.info(f"{len(tokens.ids):,} words tokenised in {time.perf_counter() - start:.0f} s")
        for name, train in ROWS.items():
            if chosen and name not in chosen:
                continue
            if NEEDS.get(name) and importlib.util.find_spec(NEEDS[name]) is None:
                msg.warn(f"{name}: {NEEDS[name]} is not installed")
                continue
            source = Source(text, tokens, Path(folder), dim, max_words, threads)
            read, seconds, epochs = train(source)
            X = read(texts)
            found = []
            for draw in range(draws):
                part = slice(draw * n_labels, (draw + 1) * n_labels)
                probe = LinearProbe().fit(X[part], labels[part])
                found.append(probe.score(X[n:], labels[n:])["accuracy"])
            facts = {"seconds": seconds, "words_per_second": len(tokens.ids) * epochs / seconds}
            scores.append(Score(name, "accuracy", tuple(found), n_dev, "texts", facts))
            rows.append(describe(scores[-1], epochs))
            msg.text(", ".join(rows[-1]))
    msg.table(rows, header=("vectors", "passes", "seconds", "words/s", "accuracy"), divider=True)
    if output is not None:
        machine = describe_machine()
        srsly.write_json(output, {"machine": machine, "scores": [s.as_dict() for s in scores]})


def describe(score: Score, epochs: int) -> tuple[str, ...]:
    """Format a row of the table."""
    seconds, speed = (float(score.conditions[key]) for key in ("seconds", "words_per_second"))
    accuracy = f"{100 * score.mean:.1f} ± {100 * (score.deviation or 0):.1f}"
    return score.source, str(epochs), f"{seconds:.0f}", f"{speed:,.0f}", accuracy


def train_ours(source: Source, settings: VectorSettings) -> tuple[Reader, float, int]:
    """Train with `charlm vectors train`. The time is that of its training, without tokenising."""
    output = source.folder / f"{settings.mode}{settings.ngrams}"
    began: list[float] = []

    def show(title: str, done: float, words: int, note: str) -> None:
        if title == "Training" and not began:
            began.append(time.perf_counter())

    settings = replace(settings, dim=source.dim, max_words=source.max_words)
    train_vectors(source.text, output, settings, show=show)
    seconds = time.perf_counter() - began[0]
    vocab = spacy.load(output).vocab
    ngrams = settings.ngrams

    def read(texts: list[Words]) -> np.ndarray:
        return np.stack([average(vocab, words, ngrams) for words in texts])

    return read, seconds, settings.epochs


def average(vocab: Vocab, words: Words, ngrams: int) -> np.ndarray:
    """Average the vectors of the distinct n-grams of a text."""
    found = {*words}
    if ngrams == 2:
        found |= {f"{first} {second}" for first, second in zip(words, words[1:])}
    rows = vocab.vectors.find(keys=sorted(found))
    rows = rows[rows >= 0]
    if not len(rows):
        return np.zeros(vocab.vectors.shape[1], dtype="float32")
    return np.asarray(vocab.vectors.data[rows].mean(axis=0))


def train_doc2vec(source: Source, epochs: int = 20) -> tuple[Reader, float, int]:
    """Train gensim's PV-DBOW with negative sampling."""
    from gensim.models.doc2vec import Doc2Vec, TaggedDocument

    tokens = source.tokens
    texts = [
        TaggedDocument([tokens.words[i] for i in tokens.ids[start:end]], [number])
        for number, (start, end) in enumerate(zip(tokens.starts, tokens.starts[1:]))
    ]
    settings: dict[str, Any] = {"vector_size": source.dim, "min_count": 5, "negative": 5, "seed": 0}
    model = Doc2Vec(dm=0, workers=source.threads, sample=1e-4, **settings)
    model.build_vocab(texts)
    start = time.perf_counter()
    model.train(texts, total_examples=len(texts), epochs=epochs)
    seconds = time.perf_counter() - start

    def read(labelled: list[Words]) -> np.ndarray:
        return np.stack([model.infer_vector(words, epochs=epochs) for words in labelled])

    return read, seconds, epochs


def train_floret(source: Source, epochs: int = 10) -> tuple[Reader, float, int]:
    """Train floret's CBOW with parts of words, as `scripts/train_vectors.py` does."""
    import floret

    path, tokens = source.folder / "words.txt", source.tokens
    with path.open("w", encoding="utf8") as file:
        for begin, end in zip(tokens.starts, tokens.starts[1:]):
            file.write(" ".join(tokens.words[i] for i in tokens.ids[begin:end]) + "\n")
    start = time.perf_counter()
    model = floret.train_unsupervised(
        str(path),
        model="cbow",
        dim=source.dim,
        epoch=epochs,
        thread=source.threads,
        minn=4,
        maxn=5,
        mode="floret",
        hashCount=2,
        bucket=50_000,
        verbose=0,
    )
    seconds = time.perf_counter() - start

    def read(texts: list[Words]) -> np.ndarray:
        return np.stack(
            [np.mean([model.get_word_vector(word) for word in words], axis=0) for words in texts]
        )

    return read, seconds, epochs


Train = Callable[[Source], tuple[Reader, float, int]]
ROWS: dict[str, Train] = {
    "document: words": partial(train_ours, settings=VectorSettings(epochs=30)),
    "document: words and bigrams": partial(train_ours, settings=VectorSettings(ngrams=2)),
    "window": partial(train_ours, settings=VectorSettings(mode="window", epochs=5)),
    "gensim Doc2Vec": train_doc2vec,
    "floret": train_floret,
}
NEEDS = {"gensim Doc2Vec": "gensim", "floret": "floret"}


if __name__ == "__main__":
    typer.run(main)

"""Classify reviews without fine-tuning: TF-IDF, averaged vectors, frozen sentence encoders.

OMP_NUM_THREADS=1 python scripts/study_baselines.py TRAIN EVAL OUTPUT --vectors GloVe=vectors/imdb

A logistic regression is fitted to the labelled texts; C is chosen by cross-validation on them.
Each row is measured separately and kept in OUTPUT, a JSON file; rows that it has are skipped. Speed
is from raw text to label, in spaCy's tokens per second. Needs scikit-learn, and transformers and
torch for encoders, or model2vec for its models.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import spacy
import srsly
import typer
from spacy.tokens import Doc, DocBin
from wasabi import msg

from spacy_charlm.machine import use_blas
from spacy_charlm.training.vector_classifier import VectorClassifier

CS = tuple(10.0**x for x in np.arange(-4, 3.5, 0.5))
N_TIMED = 300  # texts whose labelling is timed
MAX_PIECES = 256  # of a text, as MiniLM's card says
BATCH = 32
# Predicts the label of each text.
Predict = Callable[[Sequence[str]], Sequence[str]]


def main(
    train: Annotated[Path, typer.Argument(help="Training set, .spacy", exists=True)],
    evaluation: Annotated[Path, typer.Argument(help="Texts to score, .spacy", exists=True)],
    output: Annotated[Path, typer.Argument(help="JSON file to write")],
    vectors: Annotated[
        list[str] | None, typer.Option(help="NAME=PATH of vectors of words; repeatable")
    ] = None,
    encoder: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER of a transformer; repeatable")
    ] = None,
    model2vec: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER of a model2vec model; repeatable")
    ] = None,
) -> None:
    """Fit, score, time, write."""
    use_blas(spacy.Language)
    nlp = spacy.blank("en")
    docs, eval_docs = (list(DocBin().from_disk(x).get_docs(nlp.vocab)) for x in (train, evaluation))
    rows: dict[str, dict[str, Any]] = {}
    if output.is_file():
        rows = {row["name"]: row for row in srsly.read_json(output)}
    methods: list[tuple[str, str, Callable[..., tuple[Predict, float]]]] = [
        ("TF-IDF + logistic regression", "", fit_tfidf)
    ]
    for fit, named in ((fit_vectors, vectors), (fit_encoder, encoder), (fit_model2vec, model2vec)):
        for text in named or ():
            name, _, path = text.rpartition("=")
            methods.append((f"{name} + logistic regression", path, fit))
    for name, path, fit in methods:
        if name in rows:
            continue
        predict, megabytes = fit(docs, path)
        texts = [doc.text for doc in eval_docs]
        accuracy = float(np.mean([x == y for x, y in zip(predict(texts), read(eval_docs))]))
        start = time.perf_counter()
        predict(texts[:N_TIMED])
        seconds = time.perf_counter() - start
        speed = sum(map(len, eval_docs[:N_TIMED])) / seconds
        rows[name] = {
            "name": name,
            "accuracy": accuracy,
            "megabytes": megabytes,
            "words_per_second": speed,
        }
        output.parent.mkdir(parents=True, exist_ok=True)
        srsly.write_json(output, list(rows.values()))
        msg.good(f"{name}: {accuracy:.1%}, {megabytes:.1f} MB, {speed:,.0f} words/s")


def fit_tfidf(docs: Sequence[Doc], path: str) -> tuple[Predict, float]:
    """Weigh words and pairs of words by their frequency."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    found = fit_regression([doc.text for doc in docs], docs, vectorizer)
    words = found.best_estimator_[0].vocabulary_
    # The words, a number, an inverse frequency and a weight of each.
    return found.predict, (sum(map(len, words)) + 12 * len(words)) / 1e6


def fit_vectors(docs: Sequence[Doc], path: str) -> tuple[Predict, float]:
    """Average the vectors of the distinct words and bigrams."""
    nlp = spacy.blank("en")
    classifier = VectorClassifier(Path(path), exclusive=True)
    labels = sorted(docs[0].cats)
    classifier.fit(docs, path, labels)

    def predict(texts: Sequence[str]) -> Sequence[str]:
        found = classifier.label(list(nlp.tokenizer.pipe(texts)))
        return [max(x, key=x.__getitem__) if x else labels[0] for x in found]

    return predict, measure(Path(path))


def fit_encoder(docs: Sequence[Doc], path: str) -> tuple[Predict, float]:
    """Average the last layer of a transformer over the word pieces of a text."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModel.from_pretrained(path).eval()

    def embed(texts: Sequence[str]) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        X = np.zeros((len(texts), model.config.hidden_size), dtype="float32")
        for start in range(0, len(order), BATCH):
            some = order[start : start + BATCH]
            batch = tokenizer(
                [texts[i] for i in some],
                padding=True,
                truncation=True,
                max_length=MAX_PIECES,
                return_tensors="pt",
            )
            with torch.inference_mode():
                found = model(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None]
            mean = (found * mask).sum(1) / mask.sum(1)
            X[some] = torch.nn.functional.normalize(mean).numpy()
        return X

    return fit_frozen(embed, docs), measure(Path(path))


def fit_model2vec(docs: Sequence[Doc], path: str) -> tuple[Predict, float]:
    """Average the vectors of the word pieces of a text."""
    from model2vec import StaticModel

    model = StaticModel.from_pretrained(path)
    return fit_frozen(model.encode, docs), measure(Path(path))


def fit_frozen(embed: Callable[[Sequence[str]], np.ndarray], docs: Sequence[Doc]) -> Predict:
    """Fit a logistic regression to vectors of texts, standardised."""
    X = embed([doc.text for doc in docs])
    mean, deviation = X.mean(axis=0), X.std(axis=0) + 1e-8
    regression = fit_regression((X - mean) / deviation, docs)
    return lambda texts: regression.predict((embed(texts) - mean) / deviation)


def fit_regression(X: Any, docs: Sequence[Doc], *steps: Any) -> Any:
    """Fit a logistic regression, after other steps, whose C is chosen by cross-validation."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    pipeline = make_pipeline(*steps, LogisticRegression(max_iter=2000))
    return GridSearchCV(pipeline, {"logisticregression__C": CS}, cv=5).fit(X, read(docs))


def read(docs: Sequence[Doc]) -> list[str]:
    """Read the labels of texts."""
    return [max(doc.cats, key=doc.cats.__getitem__) for doc in docs]


def measure(path: Path) -> float:
    """Measure files in MB."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6


if __name__ == "__main__":
    typer.run(main)

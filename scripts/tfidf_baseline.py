"""Classify texts by TF-IDF of words and word pairs and a logistic regression: the row to beat.

C is chosen by cross-validation on the training set. Needs scikit-learn (requirements.txt). Writes
scores as JSON, which a study can name under `extra`.
"""

from pathlib import Path
from typing import Annotated

import spacy
import srsly
import typer
from spacy.tokens import DocBin
from spacy.vocab import Vocab
from wasabi import msg

from spacy_charlm.types import Score

CS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
NAME = "TF-IDF + logistic regression"


def main(
    train: Annotated[Path, typer.Argument(help="Training set, .spacy", exists=True)],
    evaluation: Annotated[Path, typer.Argument(help="Texts to score, .spacy", exists=True)],
    output: Annotated[Path, typer.Argument(help="JSON file to write")],
    folds: Annotated[int, typer.Option(help="Folds of the cross-validation")] = 5,
) -> None:
    """Fit, score, write."""
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import accuracy_score, f1_score
        from sklearn.model_selection import GridSearchCV
        from sklearn.pipeline import make_pipeline
    except ImportError:
        msg.fail(
            "This command needs scikit-learn, which is not installed.",
            "Install it: python -m pip install -r requirements.txt",
            exits=1,
        )
    vocab = spacy.blank("en").vocab
    texts, labels = read_docs(vocab, train)
    pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(max_iter=1000),
    )
    search = GridSearchCV(pipeline, {"logisticregression__C": CS}, cv=folds)
    search.fit(texts, labels)
    texts, labels = read_docs(vocab, evaluation)
    found = search.predict(texts)
    scores = [
        Score(NAME, metric, (float(value),), len(texts))
        for metric, value in (
            ("cats_macro_f", f1_score(labels, found, average="macro")),
            ("cats_micro_f", accuracy_score(labels, found)),
        )
    ]
    output.parent.mkdir(parents=True, exist_ok=True)
    srsly.write_json(output, [score.as_dict() for score in scores])
    c = search.best_params_["logisticregression__C"]
    msg.good(f"{NAME}: {scores[1].mean:.1%} of {len(texts):,} texts (C = {c}): {output}")


def read_docs(vocab: Vocab, path: Path) -> tuple[list[str], list[str]]:
    """Read texts and their labels.

    RETURNS (tuple[list[str], list[str]]): Text and highest category of each Doc.
    """
    docs = list(DocBin().from_disk(path).get_docs(vocab))
    return [doc.text for doc in docs], [max(doc.cats, key=doc.cats.__getitem__) for doc in docs]


if __name__ == "__main__":
    typer.run(main)

"""Classify texts by TF-IDF and a logistic regression: the row to beat.

Features are words and word pairs, or pieces of words of two to five characters. C is chosen on a
development set, or by cross-validation on the training set. Needs scikit-learn (requirements.txt).
Writes scores as JSON, which a study can name under `extra`.
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
NAMES = {
    False: "TF-IDF + logistic regression",
    True: "Character TF-IDF + logistic regression",
}


def main(
    train: Annotated[Path, typer.Argument(help="Training set, .spacy", exists=True)],
    output: Annotated[Path, typer.Argument(help="JSON file to write")],
    evaluation: Annotated[
        list[str], typer.Argument(help="Texts to score, .spacy; NAME=PATH for a column of a study")
    ],
    dev: Annotated[
        Path | None,
        typer.Option(help="Texts to choose C on; cross-validation without", exists=True),
    ] = None,
    chars: Annotated[bool, typer.Option("--chars", help="Pieces of words, not words")] = False,
    folds: Annotated[int, typer.Option(help="Folds of the cross-validation")] = 5,
) -> None:
    """Fit, score, write."""
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import accuracy_score, f1_score
        from sklearn.model_selection import GridSearchCV, PredefinedSplit
        from sklearn.pipeline import make_pipeline
    except ImportError:
        msg.fail(
            "This command needs scikit-learn, which is not installed.",
            "Install it: python -m pip install -r requirements.txt",
            exits=1,
        )
    vocab = spacy.blank("en").vocab
    texts, labels = read_docs(vocab, train)
    settings = {"analyzer": "char_wb", "ngram_range": (2, 5)} if chars else {"ngram_range": (1, 2)}
    pipeline = make_pipeline(
        TfidfVectorizer(sublinear_tf=True, **settings), LogisticRegression(max_iter=1000)
    )
    fit_texts, fit_labels, split = texts, labels, folds
    if dev is not None:
        dev_texts, dev_labels = read_docs(vocab, dev)
        fit_texts, fit_labels = texts + dev_texts, labels + dev_labels
        split = PredefinedSplit([-1] * len(texts) + [0] * len(dev_texts))
    grid = {"logisticregression__C": CS}
    search = GridSearchCV(pipeline, grid, cv=split, refit=False).fit(fit_texts, fit_labels)
    pipeline.set_params(**search.best_params_).fit(texts, labels)
    scores = []
    for text in evaluation:
        name, _, path = text.rpartition("=")
        conditions = {"set": name} if name else {}
        texts, labels = read_docs(vocab, Path(path))
        found = pipeline.predict(texts)
        for metric, value in (
            ("cats_macro_f", f1_score(labels, found, average="macro")),
            ("cats_micro_f", accuracy_score(labels, found)),
        ):
            values = (float(value),)
            scores.append(Score(NAMES[chars], metric, values, len(texts), conditions=conditions))
    output.parent.mkdir(parents=True, exist_ok=True)
    srsly.write_json(output, [score.as_dict() for score in scores])
    c = search.best_params_["logisticregression__C"]
    shown = ", ".join(f"{score.mean:.1%}" for score in scores if score.metric == "cats_micro_f")
    msg.good(f"{NAMES[chars]}: {shown} (C = {c}): {output}")


def read_docs(vocab: Vocab, path: Path) -> tuple[list[str], list[str]]:
    """Read texts and their labels.

    RETURNS (tuple[list[str], list[str]]): Text and highest category of each Doc.
    """
    docs = list(DocBin().from_disk(path).get_docs(vocab))
    return [doc.text for doc in docs], [max(doc.cats, key=doc.cats.__getitem__) for doc in docs]


if __name__ == "__main__":
    typer.run(main)

"""Probe: a linear classifier on frozen vectors shows what pretraining has learned."""

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.util import logger
from thinc.api import Config, fix_random_seed, get_current_ops, set_current_ops

from ..compat import require
from ..errors import Errors
from ..machine import use_blas
from ..pipeline.find_tok2vec import load_tok2vec, open_target
from ..training.fit_regression import N_FOLDS, STRENGTHS
from ..training.load_weights import load_into
from ..types import Score
from .labelled_texts import (
    OUTSIDE,
    Items,
    LabelledTexts,
    make_items,
    read_labelled,
    shuffle_labelled,
)
from .text_vectors import TokenReader, embed_items, read_by_target, read_by_tok2vec

PRETRAINED, RANDOM, GUESS = "pretrained tok2vec", "random weights", "most frequent label"


def probe(
    config: Config,
    weights: Path | None,
    train: Path,
    dev: Path | None = None,
    *,
    n_dev: int = 0,
    task: str = "auto",
    n_labels: int = 1000,
    draws: int = 3,
    seed: int = 0,
    limit_dev: int = 0,
    component: str | None = None,
    layer: str | None = None,
) -> list[Score]:
    """Fit logistic regressions on the vectors of a frozen tok2vec and score them.

    The pretrained tok2vec is compared with random weights, with the target vectors of the config
    (or else those of its vocab), and with the most frequent label. The vector of a text is the
    mean over its tokens. The training file is shuffled. Each draw takes the next `n_labels`
    texts, or the next tokens after the tokens have been shuffled as well.

    config (Config): Interpolated config with the tok2vec, for `spacy pretrain` or `spacy train`.
    weights (Optional[Path]): Weights from `spacy pretrain`; None for random weights only.
    train (Path): Labelled texts from which the labels are drawn; see `read_labelled`.
    dev (Optional[Path]): Labelled texts to score on.
    n_dev (int): Without `dev`: number of texts at the end of the shuffled training file to score
        on.
    task (str): "cats" for texts, "ents", "tag" or "pos" for tokens, "auto" for what the file has.
    n_labels (int): Labels per draw, of texts or of tokens. Recommended values: 1000 for texts,
        1000 to 10,000 for tokens.
    draws (int): Number of draws. They overlap only if the file is too small.
    seed (int): Seed of the shuffle, of the folds and of the random weights.
    limit_dev (int): Most texts to score on; 0 for all.
    component (Optional[str]): Component with the tok2vec; by default that of [pretraining], or
        "tok2vec".
    layer (Optional[str]): Layer in the model of that component; by default that of [pretraining].
    RETURNS (List[Score]): For each kind of vectors, accuracy (or micro_f and macro_f for "ents")
        with one value per draw, and the regularisation "C" that each draw chose.
    RAISES (ValueError): If config, weights or data do not fit, or there are too few labels.
    RAISES (ImportError): If scikit-learn is missing.
    """
    least = (("--n-labels", n_labels, 1), ("--draws", draws, 1), ("--limit-dev", limit_dev, 0))
    for name, value, expected in least:
        if value < expected:
            raise ValueError(Errors.E617.format(expected=expected, what=f"as {name}", found=value))
    if (dev is None) == (n_dev <= 0):
        raise ValueError(Errors.E619.format(found="neither" if dev is None else "both"))
    LinearProbe()  # fails early if scikit-learn is missing
    with _fast_ops():
        nlp, readers = _build_readers(config, weights, component, layer, seed)
        train_data = shuffle_labelled(read_labelled(train, nlp.vocab, task), seed)
        if dev is not None:
            dev_data = read_labelled(dev, nlp.vocab, train_data.task)
            dev_data = shuffle_labelled(dev_data, seed)
        else:
            train_data, dev_data = _split(train_data, n_dev, train)
        dev_items = make_items(
            dev_data.select(range(limit_dev or len(dev_data.texts))[: len(dev_data.texts)])
        )
        train_items, drawn = _draw(train_data, n_labels, draws, seed, train)
        train_X = embed_items(nlp, train_items, readers, "train")
        dev_X = embed_items(nlp, dev_items, readers, "dev")
    task = train_data.task
    unit = "texts" if task == "cats" else "tokens"
    n_classes = len(set(dev_items.labels.tolist()))
    facts: dict[str, str | float] = {"task": task, "classes": n_classes, "labels": n_labels}
    scores = []
    for name in readers:
        values: dict[str, list[float]] = {}
        for part in drawn:
            linear = LinearProbe(by_entity=task == "ents", seed=seed)
            linear.fit(train_X[name][part], train_items.labels[part])
            found = linear.score(dev_X[name], dev_items.labels)
            for metric, value in {**found, "C": linear.C}.items():
                values.setdefault(metric, []).append(value)
        conditions = {**facts, "width": train_X[name].shape[1]}
        scores += [
            Score(name, metric, tuple(some), len(dev_items), unit, conditions)
            for metric, some in values.items()
        ]
    if task != "ents":
        accuracies = _guess(train_items, drawn, dev_items)
        scores.append(Score(GUESS, "accuracy", accuracies, len(dev_items), unit, facts))
    return scores


class LinearProbe:
    """A logistic regression that chooses its regularisation on its own training labels.

    The vectors are standardised with the mean and the deviation of the training part. C, one of
    STRENGTHS, is chosen by five-fold cross-validation with folds stratified by label.

    by_entity (bool): Whether the labels are entities and OUTSIDE, which are scored by F1. All
        other labels are scored by accuracy.
    seed (int): Seed of the folds.
    RAISES (ImportError): If scikit-learn is missing.
    """

    def __init__(self, *, by_entity: bool = False, seed: int = 0) -> None:
        settings = {"extra": "probe", "what": "The probe"}
        self._linear = require("sklearn.linear_model", **settings)
        self._metrics = require("sklearn.metrics", **settings)
        self._selection = require("sklearn.model_selection", **settings)
        self._pipeline = require("sklearn.pipeline", **settings)
        self._preprocessing = require("sklearn.preprocessing", **settings)
        self._exceptions = require("sklearn.exceptions", **settings)
        self.by_entity = by_entity
        self.seed = seed
        self.C = 0.0

    def fit(self, X: np.ndarray, labels: np.ndarray) -> "LinearProbe":
        """Choose C and fit.

        X (ndarray): Vectors of the training part, (n, nO).
        labels (ndarray): Their labels, str (n,).
        RETURNS (LinearProbe): The probe itself.
        RAISES (ValueError): If there are too few labels to choose C.
        """
        counts = Counter(labels.tolist())
        common = [label for label, count in counts.most_common() if count > 1]
        if len(common) < 2:
            raise ValueError(Errors.E618.format(found=dict(counts.most_common(5)), n=len(labels)))
        model = self._pipeline.make_pipeline(
            self._preprocessing.StandardScaler(), self._linear.LogisticRegression(max_iter=1000)
        )
        folds = self._selection.StratifiedKFold(
            min(N_FOLDS, counts[common[0]]), shuffle=True, random_state=self.seed
        )
        search = self._selection.GridSearchCV(
            model,
            {"logisticregression__C": list(STRENGTHS)},
            scoring=self._score_fold,
            cv=folds,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self._exceptions.ConvergenceWarning)
            # Rare labels need not be in every fold.
            warnings.filterwarnings("ignore", message="The least populated class")
            search.fit(X, labels)
        self.C = search.best_params_["logisticregression__C"]
        self._model = search.best_estimator_
        return self

    def score(self, X: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Score the predictions for other vectors.

        X (ndarray): Vectors, (n, nO).
        labels (ndarray): Their labels, str (n,). Labels that the training part lacks count as
            errors.
        RETURNS (Dict[str, float]): "accuracy"; or "micro_f" and "macro_f" over the entity labels
            of the tokens, without OUTSIDE. Between 0 and 1.
        """
        predicted = self._model.predict(X)
        if not self.by_entity:
            return {"accuracy": float((predicted == labels).mean())}
        return {f"{name}_f": self._f1(labels, predicted, name) for name in ("micro", "macro")}

    def _score_fold(self, model: Any, X: np.ndarray, labels: np.ndarray) -> float:
        predicted = model.predict(X)
        if not self.by_entity:
            return float((predicted == labels).mean())
        return self._f1(labels, predicted, "micro")

    def _f1(self, labels: np.ndarray, predicted: np.ndarray, average: str) -> float:
        found = np.unique(np.concatenate([labels, predicted])).tolist()
        entities = [label for label in found if label != OUTSIDE]
        if not entities:
            return 0.0
        return float(
            self._metrics.f1_score(
                labels, predicted, labels=entities, average=average, zero_division=0
            )
        )


def _build_readers(
    config: Config, weights: Path | None, component: str | None, layer: str | None, seed: int
) -> tuple[Language, dict[str, TokenReader]]:
    readers: dict[str, TokenReader] = {}
    fix_random_seed(seed)
    nlp, random = load_tok2vec(config, component, layer)
    if weights is not None:
        # From a pipeline of its own, so that the two share neither parameters nor cached vectors.
        _, pretrained = load_tok2vec(config, component, layer)
        load_into(pretrained, weights)
        readers[PRETRAINED] = read_by_tok2vec(pretrained)
    readers[RANDOM] = read_by_tok2vec(random)
    target = open_target(config, nlp)
    if target is None:
        logger.warning("The config names no target vectors, so their row is left out.")
    else:
        readers[f"target {target.describe()['name']}"] = read_by_target(target, random)
    return nlp, readers


def _split(data: LabelledTexts, n_dev: int, path: Path) -> tuple[LabelledTexts, LabelledTexts]:
    n = len(data.texts)
    if n <= n_dev:
        raise ValueError(_too_few(n_dev + 1, "labelled texts", n, path, "--n-dev"))
    return data.select(range(n - n_dev)), data.select(range(n - n_dev, n))


def _draw(
    data: LabelledTexts, n_labels: int, draws: int, seed: int, path: Path
) -> tuple[Items, list[np.ndarray]]:
    """Draw labels: return the items of all draws, and the indices of the items of each draw."""
    items = make_items(data)
    if len(items) < n_labels:
        what = "labelled texts to draw from" if data.task == "cats" else "labelled tokens"
        raise ValueError(_too_few(n_labels, what, len(items), path, "--n-labels"))
    if len(set(items.labels.tolist())) < 2:
        found = dict(Counter(items.labels.tolist()))
        raise ValueError(Errors.E618.format(found=found, n=len(items)))
    order = np.arange(len(items))
    if data.task != "cats":  # because the tokens of one text are similar
        order = np.random.default_rng(seed).permutation(order)
    chosen = [
        order.take(range(k * n_labels, (k + 1) * n_labels), mode="wrap") for k in range(draws)
    ]
    used = np.unique(np.concatenate(chosen))
    return items.select(used), [np.searchsorted(used, part) for part in chosen]


def _guess(train: Items, drawn: Sequence[np.ndarray], dev: Items) -> tuple[float, ...]:
    """Compute the accuracy of the most frequent label of each draw."""
    guesses = [Counter(train.labels[part].tolist()).most_common(1)[0][0] for part in drawn]
    return tuple(float((dev.labels == guess).mean()) for guess in guesses)


def _too_few(expected: int, what: str, found: int, path: Path, option: str) -> str:
    found_there = f"{found} in '{path}'. Give more data, or lower {option}"
    return Errors.E617.format(expected=expected, what=what, found=found_there)


@contextmanager
def _fast_ops() -> Iterator[None]:
    """Build and run layers on the CPU with the matrix products of NumPy."""
    ops = get_current_ops()
    use_blas(Language)
    try:
        yield
    finally:
        set_current_ops(ops)

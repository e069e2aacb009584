"""What pretraining has learned: a linear classifier on frozen vectors and few labels."""

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
from ..training.load_weights import load_into
from .labelled_texts import (
    OUTSIDE,
    Items,
    LabelledTexts,
    make_items,
    read_labelled,
    shuffle_labelled,
)
from .text_vectors import Encoder, encode_by_target, encode_by_tok2vec, encode_items

# Small values suffice: the vectors are standardised and the labels are few.
STRENGTHS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.1, 1.0, 10.0)
N_FOLDS = 5


class LinearProbe:
    """A logistic regression that chooses its regularisation on its own training labels.

    The vectors are standardised by the mean and the deviation of the training part. C, one of
    STRENGTHS, is chosen by five-fold cross-validation, the folds stratified by label.

    by_entity (bool): Whether labels are entities beside OUTSIDE and are scored by F1; otherwise by
        accuracy.
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
        RAISES (ValueError): If the labels are too few to choose C.
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
            # Rare labels are not in every fold, and need not be.
            warnings.filterwarnings("ignore", message="The least populated class")
            search.fit(X, labels)
        self.C = search.best_params_["logisticregression__C"]
        self._model = search.best_estimator_
        return self

    def score(self, X: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Score on other vectors.

        X (ndarray): Vectors, (n, nO).
        labels (ndarray): Their labels, str (n,). Those never seen in training count as missed.
        RETURNS (Dict[str, float]): accuracy; or micro_f and macro_f over the tokens' entity
            labels, OUTSIDE left out. In per cent.
        """
        predicted = self._model.predict(X)
        if not self.by_entity:
            return {"accuracy": 100 * float((predicted == labels).mean())}
        return {
            f"{average}_f": 100 * self._f1(labels, predicted, average)
            for average in ("micro", "macro")
        }

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


PRETRAINED, RANDOM = "pretrained tok2vec", "random weights"


@dataclass
class Row:
    """The scores of one representation.

    name (str): What the vectors come from.
    width (int): Their width; 0 where there are none.
    scores (Dict[str, List[float]]): For each metric the score of each draw, in per cent.
    C (List[float]): The regularisation that each draw chose.
    """

    name: str
    width: int
    scores: dict[str, list[float]] = field(default_factory=dict)
    C: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, tuple[float, float | None]]:
        """Give mean and standard deviation (None for one draw) of each metric."""
        return {
            metric: (float(np.mean(x)), float(np.std(x, ddof=1)) if len(x) > 1 else None)
            for metric, x in self.scores.items()
        }


@dataclass
class Report:
    """What a probe found.

    task (str): "cats", "ents", "tag" or "pos".
    n_labels (int): Labels of each draw.
    n_dev (int): Texts or tokens of the development part.
    labels (List[str]): The labels of the development part.
    rows (List[Row]): One per representation, then the most frequent label.
    """

    task: str
    n_labels: int
    n_dev: int
    labels: list[str]
    rows: list[Row]


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
) -> Report:
    """Fit logistic regressions on the vectors of a frozen tok2vec and score them.

    The same is done for the target vectors of the config, or else the vectors of its vocab, and for
    the tok2vec with random weights. A text's vector is the mean over its tokens. The training file
    is shuffled; each draw takes the next `n_labels` of its texts, or of its tokens shuffled again.

    config (Config): Interpolated config with the tok2vec: for `spacy pretrain` or `spacy train`.
    weights (Optional[Path]): What `spacy pretrain` wrote; None for random weights only.
    train (Path): Labelled texts, of which the labels are drawn: see `read_labelled`.
    dev (Optional[Path]): Labelled texts to score on.
    n_dev (int): Where there is no `dev`: how many texts at the end of the shuffled training file
        are scored on.
    task (str): "cats" for texts, "ents", "tag" or "pos" for tokens, "auto" for what the file has.
    n_labels (int): Labels of a draw, of texts or of tokens. Recommended values: 1000 for texts,
        1000 to 10,000 for tokens.
    draws (int): How often labels are drawn. Draws overlap only where the file is too small.
    seed (int): Seed of the shuffle, of the folds and of the random weights.
    limit_dev (int): Texts to score on at most; 0 for all.
    component (Optional[str]): Component with the tok2vec; by default that of [pretraining], or
        "tok2vec".
    layer (Optional[str]): Layer in that component's model; by default that of [pretraining].
    RETURNS (Report): The scores.
    RAISES (ValueError): If config, weights or data do not fit, or labels are too few.
    RAISES (ImportError): If scikit-learn is missing.
    """
    least = (("--n-labels", n_labels, 1), ("--draws", draws, 1), ("--limit-dev", limit_dev, 0))
    for name, value, expected in least:
        if value < expected:
            raise ValueError(Errors.E617.format(expected=expected, what=f"as {name}", found=value))
    if (dev is None) == (n_dev <= 0):
        raise ValueError(Errors.E619.format(found="neither" if dev is None else "both"))
    LinearProbe()  # fails early where scikit-learn is missing
    with _fast_ops():
        nlp, encoders = _build_encoders(config, weights, component, layer, seed)
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
        train_X = encode_items(nlp, train_items, encoders, "train")
        dev_X = encode_items(nlp, dev_items, encoders, "dev")
    task = train_data.task
    rows = []
    for name in encoders:
        row = Row(name, train_X[name].shape[1])
        for part in drawn:
            linear = LinearProbe(by_entity=task == "ents", seed=seed)
            linear.fit(train_X[name][part], train_items.labels[part])
            for metric, value in linear.score(dev_X[name], dev_items.labels).items():
                row.scores.setdefault(metric, []).append(value)
            row.C.append(linear.C)
        rows.append(row)
    if task != "ents":
        rows.append(_guess(train_items, drawn, dev_items))
    labels = np.unique(dev_items.labels).tolist()
    return Report(task, n_labels, len(dev_items), labels, rows)


def _build_encoders(
    config: Config, weights: Path | None, component: str | None, layer: str | None, seed: int
) -> tuple[Language, dict[str, Encoder]]:
    encoders: dict[str, Encoder] = {}
    fix_random_seed(seed)
    nlp, random = load_tok2vec(config, component, layer)
    if weights is not None:
        # Of its own pipeline, so that the two share neither parameters nor cached vectors.
        _, pretrained = load_tok2vec(config, component, layer)
        load_into(pretrained, weights)
        encoders[PRETRAINED] = encode_by_tok2vec(pretrained)
    encoders[RANDOM] = encode_by_tok2vec(random)
    target = open_target(config, nlp)
    if target is None:
        logger.warning("The config names no target vectors: their row is left out.")
    else:
        encoders[f"target {target.describe()['name']}"] = encode_by_target(target, random)
    return nlp, encoders


def _split(data: LabelledTexts, n_dev: int, path: Path) -> tuple[LabelledTexts, LabelledTexts]:
    n = len(data.texts)
    if n <= n_dev:
        raise ValueError(_too_few(n_dev + 1, "labelled texts", n, path, "--n-dev"))
    return data.select(range(n - n_dev)), data.select(range(n - n_dev, n))


def _draw(
    data: LabelledTexts, n_labels: int, draws: int, seed: int, path: Path
) -> tuple[Items, list[np.ndarray]]:
    """Draw labels: the items of all draws, and which of them each draw has."""
    items = make_items(data)
    if len(items) < n_labels:
        what = "labelled texts to draw from" if data.task == "cats" else "labelled tokens"
        raise ValueError(_too_few(n_labels, what, len(items), path, "--n-labels"))
    if len(set(items.labels.tolist())) < 2:
        found = dict(Counter(items.labels.tolist()))
        raise ValueError(Errors.E618.format(found=found, n=len(items)))
    order = np.arange(len(items))
    if data.task != "cats":  # tokens of one text are alike
        order = np.random.default_rng(seed).permutation(order)
    chosen = [
        order.take(range(k * n_labels, (k + 1) * n_labels), mode="wrap") for k in range(draws)
    ]
    used = np.unique(np.concatenate(chosen))
    return items.select(used), [np.searchsorted(used, part) for part in chosen]


def _guess(train: Items, drawn: Sequence[np.ndarray], dev: Items) -> Row:
    """Score the most frequent label of each draw."""
    guesses = [Counter(train.labels[part].tolist()).most_common(1)[0][0] for part in drawn]
    accuracy = [100 * float((dev.labels == guess).mean()) for guess in guesses]
    return Row("most frequent label", 0, {"accuracy": accuracy})


def _too_few(expected: int, what: str, found: int, path: Path, option: str) -> str:
    found_there = f"{found} in '{path}'. Give more data, or lower {option}"
    return Errors.E617.format(expected=expected, what=what, found=found_there)


@contextmanager
def _fast_ops() -> Iterator[None]:
    """Build and run layers with NumPy's matrix products, on the CPU."""
    ops = get_current_ops()
    use_blas(Language)
    try:
        yield
    finally:
        set_current_ops(ops)

"""A logistic regression on frozen vectors: how much a linear classifier finds in them."""

import warnings
from collections import Counter
from typing import Any

import numpy as np

from ..compat import require
from ..errors import Errors
from .labelled_texts import OUTSIDE

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

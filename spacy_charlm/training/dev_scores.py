"""Scores of an objective at hidden words of development texts, or at these texts."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from spacy.tokens import Doc
from thinc.api import Model, fix_random_seed

from ..decoding.neighbours import Neighbours
from ..objectives.lmao import Prediction
from ..types import TargetBatch

EVALUATION = 2**31  # a step that no training reaches: every evaluation draws the same masks


def score_dev(model: Model, batches: Iterable[list[Doc]]) -> dict[str, float]:
    """Evaluate an objective on development texts. The same words are hidden each time.

    model (Model): The objective.
    batches (Iterable[List[Doc]]): The texts.
    RETURNS (Dict[str, float]): `dev_loss`, the mean loss at hidden words; `dev_cosine`, the mean
        cosine of prediction and target, for targets that are vectors; `dev_p_at_1` and
        `dev_p_at_10`, the share of words whose own target is the best, or among the ten best, of
        the candidates; `dev_masked`, the number of hidden words that have a target;
        `dev_candidates`, the number of candidates: the distinct target vectors of the texts, or all
        ids; `no_target`, the share of words without a target. If no hidden word has a target, only
        `dev_masked` and `no_target`. For an objective whose first part predicts texts, these are
        numbers and shares of texts. For spaCy's own objectives only `dev_loss`.
    """
    batches = list(batches)
    fix_random_seed(EVALUATION)
    model.attrs["restart"](EVALUATION)
    if "predict_hidden" not in model.attrs:
        return {"dev_loss": _score_other(model, batches)}
    ranks: Any = _VectorRanks(model) if model.attrs["kind"] == "vectors" else _IdRanks(model)
    losses: list[float] = []
    counts: list[int] = []
    tokens = without = 0
    for docs in batches:
        prediction, targets = model.attrs["predict_hidden"](docs)
        tokens += len(targets.rows)
        without += int((targets.rows < 0).all(axis=1).sum())
        ranks.add(prediction, targets)
        if len(prediction.vectors):
            losses.append(model.attrs["hidden_loss"](docs, prediction)[0])
            counts.append(len(prediction.vectors))
    no_target = without / max(tokens, 1)
    if not counts:
        return {"dev_masked": 0, "no_target": no_target}
    found, scores = ranks.finish()
    return {
        "dev_loss": sum(loss * n for loss, n in zip(losses, counts)) / sum(counts),
        **scores,
        "dev_p_at_1": float((found < 1).mean()),
        "dev_p_at_10": float((found < 10).mean()),
        "dev_masked": sum(counts),
        "no_target": no_target,
    }


class _VectorRanks:
    """Ranks of the right vectors among the distinct target vectors of all batches."""

    def __init__(self, model: Model) -> None:
        self._ops: Any = model.ops
        self._candidates: dict[bytes, int] = {}
        self._vectors: list[Any] = []
        self._rows: list[np.ndarray] = []

    def add(self, prediction: Prediction, targets: TargetBatch) -> None:
        """Keep the predictions of a batch."""
        self._number(targets.values)
        if len(prediction.vectors):
            numbers = self._number(prediction.targets.values)
            self._rows.append(numbers[self._ops.to_numpy(prediction.targets.rows)[:, 0]])
            self._vectors.append(prediction.vectors)

    def finish(self) -> tuple[Any, dict[str, float]]:
        """Return the ranks, from 0, and further scores."""
        data = np.frombuffer(b"".join(self._candidates), dtype="float32")
        neighbours = Neighbours(data.reshape(len(self._candidates), -1), self._ops)
        predicted, rows = self._ops.xp.concatenate(self._vectors), np.concatenate(self._rows)
        cosine = float(neighbours.cosine(predicted, rows).mean())
        scores = {"dev_cosine": cosine, "dev_candidates": len(neighbours)}
        return neighbours.rank(predicted, rows), scores

    def _number(self, values: Any) -> np.ndarray:
        """Number distinct vectors in the order in which they come, (nU,)."""
        known = self._candidates
        rows = [row.tobytes() for row in self._ops.to_numpy(values)]
        return np.array([known.setdefault(row, len(known)) for row in rows], dtype="int64")


class _IdRanks:
    """Ranks of the right ids among all ids. Logits are not kept: they would fill the memory."""

    def __init__(self, model: Model) -> None:
        self._xp: Any = model.ops.xp
        self._ranks: list[Any] = []
        self._n_ids = 0

    def add(self, prediction: Prediction, targets: TargetBatch) -> None:
        """Rank the predictions of a batch."""
        logits: Any = prediction.vectors
        self._n_ids = logits.shape[1]
        own = self._xp.take_along_axis(logits, prediction.targets.rows, axis=1)
        self._ranks.append((logits > own).sum(axis=1))

    def finish(self) -> tuple[Any, dict[str, float]]:
        """Return the ranks, from 0, and further scores."""
        return self._xp.concatenate(self._ranks), {"dev_candidates": self._n_ids}


def _score_other(model: Model, batches: list[list[Doc]]) -> float:
    """Average the loss over the batches, weighted by their words.

    PretrainCharacters and the L2 loss sum over a batch, so that their loss can be compared only
    among runs with one batch size.
    """
    losses = words = 0.0
    for docs in batches:
        prediction, _ = model(docs, is_train=False)
        size = sum(map(len, docs))
        losses += float(model.attrs["loss"](model.ops, docs, prediction)[0]) * size
        words += size
    return losses / max(words, 1)

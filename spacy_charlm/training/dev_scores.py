"""What an objective predicts at hidden words of development texts."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from spacy.tokens import Doc
from thinc.api import Model, fix_random_seed

from ..decoding.neighbours import Neighbours

EVALUATION = 2**31  # a step that no training reaches: its masks are those of every evaluation


@dataclass(frozen=True)
class DevScores:
    """Scores of one evaluation, at words that the mask hides.

    dev_loss (float): Mean loss.
    dev_cosine (float): Mean cosine of prediction and target.
    dev_p_at_1 (float): Share of them whose own vector is the nearest among the candidates.
    dev_p_at_10 (float): Share of them whose own vector is among the ten nearest.
    dev_masked (int): How many words are hidden and have a target.
    dev_candidates (int): Candidates: the distinct target vectors of the development texts.
    no_target (float): Share of the words of the development texts that have no target.
    """

    dev_loss: float
    dev_cosine: float
    dev_p_at_1: float
    dev_p_at_10: float
    dev_masked: int
    dev_candidates: int
    no_target: float

    def as_dict(self) -> dict[str, float]:
        """Return the scores by name."""
        return asdict(self)


def score_dev(model: Model, batches: Iterable[list[Doc]]) -> dict[str, float]:
    """Evaluate an objective on development texts; the same words are hidden each time.

    model (Model): The objective.
    batches (Iterable[List[Doc]]): The texts.
    RETURNS (Dict[str, float]): The fields of DevScores, without a loss where no hidden word has a
        target; of spaCy's own objectives, which say
        nothing of single words, the mean loss alone, as "dev_loss".
    """
    batches = list(batches)
    fix_random_seed(EVALUATION)
    model.attrs["restart"](EVALUATION)
    if "predict_hidden" not in model.attrs:
        return {"dev_loss": _score_other(model, batches)}
    ops: Any = model.ops
    candidates: dict[bytes, int] = {}
    vectors, rows, losses = [], [], []
    tokens = without = 0
    for docs in batches:
        prediction, targets = model.attrs["predict_hidden"](docs)
        _add(candidates, ops.to_numpy(targets.values))
        tokens += len(targets.rows)
        without += int((targets.rows < 0).all(axis=1).sum())
        if not len(prediction.vectors):
            continue
        numbers = _add(candidates, ops.to_numpy(prediction.targets.values))
        rows.append(numbers[ops.to_numpy(prediction.targets.rows)[:, 0]])
        vectors.append(prediction.vectors)
        losses.append((model.attrs["loss"](ops, docs, prediction)[0], len(rows[-1])))
    if not rows:
        return {"dev_masked": 0, "no_target": without / max(tokens, 1)}
    table = np.frombuffer(b"".join(candidates), dtype="float32").reshape(len(candidates), -1)
    predicted, own = ops.xp.concatenate(vectors), np.concatenate(rows)
    neighbours = Neighbours(table, ops)
    cosine, ranks = neighbours.cosine(predicted, own), neighbours.rank(predicted, own)
    n = len(own)
    return DevScores(
        dev_loss=sum(loss * weight for loss, weight in losses) / n,
        dev_cosine=float(cosine.mean()),
        dev_p_at_1=float((ranks < 1).mean()),
        dev_p_at_10=float((ranks < 10).mean()),
        dev_masked=n,
        dev_candidates=len(table),
        no_target=without / tokens,
    ).as_dict()


def _add(candidates: dict[bytes, int], values: np.ndarray) -> np.ndarray:
    """Number distinct vectors as they come; (nU,) numbers."""
    return np.array(
        [candidates.setdefault(row.tobytes(), len(candidates)) for row in values], dtype="int64"
    )


def _score_other(model: Model, batches: list[list[Doc]]) -> float:
    """Mean over the batches, by their words. PretrainCharacters and L2 sum over a batch, so that
    their loss tells only among runs with batches of one size.
    """
    losses = words = 0.0
    for docs in batches:
        prediction, _ = model(docs, is_train=False)
        size = sum(map(len, docs))
        losses += float(model.attrs["loss"](model.ops, docs, prediction)[0]) * size
        words += size
    return losses / max(words, 1)

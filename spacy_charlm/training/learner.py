"""One process of a pretraining: its part of each batch, its gradients, its copy of the weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from spacy.ml.models.multi_task import _RandomWords
from spacy.schemas import ConfigSchemaPretrain
from spacy.tokens import Doc
from spacy.training.pretrain import create_pretraining_model
from spacy.util import dot_to_object, load_model_from_config, registry
from thinc.api import (
    Config,
    CupyOps,
    Model,
    fix_random_seed,
    get_current_ops,
    set_gpu_allocator,
)

from ..card import CARD_ATTR
from ..errors import Errors
from ..objectives.lmao import scale_gradient
from ..objectives.predict_rows import Prediction
from ..types import TargetBatch
from .load_weights import load_into
from .optimizer import finish_update

Batch = list[Doc]
# What the targets of several batches become where a loss compares with all of them.
Gather = Callable[[Sequence[Any]], Any]


@dataclass(frozen=True)
class Result:
    """What a batch, or the sum of several, has come to.

    weight (float): Sum of the weights of the rows that count; the gradients are multiplied by it.
    loss (float): Sum of weight times mean loss.
    words (int): Tokens read.
    """

    weight: float = 0.0
    loss: float = 0.0
    words: int = 0

    def __add__(self, other: "Result") -> "Result":
        return Result(self.weight + other.weight, self.loss + other.loss, self.words + other.words)


class Learner:
    """An objective and its optimizer, as `spacy pretrain` sets them up.

    config (Config): Filled config, not interpolated.
    init (Optional[Path]): Weights for the tok2vec to go on from.
    """

    def __init__(self, config: Config, init: Path | None = None) -> None:
        self.seed = config.interpolate()["training"]["seed"] or 0
        fix_random_seed(self.seed)
        allocator = config.interpolate()["training"]["gpu_allocator"]
        if allocator and isinstance(get_current_ops(), CupyOps):
            set_gpu_allocator(allocator)
        config = config.copy()
        config["initialize"]["init_tok2vec"] = None  # it may be what is made here
        self.nlp = load_model_from_config(config)
        self.config = self.nlp.config.interpolate()
        settings: Any = registry.resolve(self.config["pretraining"], schema=ConfigSchemaPretrain)
        size = self.config["pretraining"]["batcher"].get("size")
        if isinstance(size, dict):
            raise ValueError(Errors.E528.format(found=size.get("@schedules")))
        self.max_epochs: int = settings["max_epochs"]
        self.component: str = settings["component"]
        self.batcher = settings["batcher"]
        self.optimizer = settings["optimizer"]
        self.model = create_pretraining_model(self.nlp, settings)
        self.model.attrs.setdefault("restart", _make_restart(self.model))
        self.corpus = self.resolve_corpus(settings["corpus"])
        if init is not None:
            tok2vec = self.model.get_ref("tok2vec")
            load_into(tok2vec, init)
            tok2vec.attrs.pop(CARD_ATTR, None)  # says what another run was

    def resolve_corpus(self, dotted: str) -> Any:
        """Build a reader that the config names.

        dotted (str): Such as "corpora.pretrain".
        RETURNS (Callable[[Language], Iterable[Doc]]): The reader.
        """
        return registry.resolve({"corpus": dot_to_object(self.config, dotted)})["corpus"]

    def compute(self, step: int, batches: Sequence[tuple[int, Batch]], n_parts: int) -> Result:
        """Compute the gradients of batches and add them up.

        step (int): The update; with the seed and the part it tells masks and dropout.
        batches (Sequence[Tuple[int, Batch]]): Parts of the step's batch with their numbers.
        n_parts (int): How many parts the step's batch has.
        RETURNS (Result): What `scale_gradients` needs.
        """
        return self.finish(self.start(step, batches), n_parts)

    def start(self, step: int, batches: Sequence[tuple[int, Batch]]) -> list[Any]:
        """Predict batches.

        RETURNS (List): Docs, prediction and backprop of each, for `finish`.
        """
        started = []
        for part, docs in batches:
            self._seed(step, part)
            prediction, backprop = self.model.begin_update(docs)
            started.append((docs, prediction, backprop))
        return started

    def finish(self, started: list[Any], n_parts: int, shared: Any = None) -> Result:
        """Compute losses and gradients of what `start` predicted.

        started (List): What `start` returned.
        n_parts (int): How many parts the step's batch has.
        shared (Optional[ndarray]): The targets of all parts, where the loss compares with them.
        RETURNS (Result): Their sum. Where there are several parts, each gradient is multiplied by
            its weight.
        """
        if shared is None and self.shares_targets and len(started) > 1:
            shared = join_targets([self.targets(started)])
        result = Result()
        for docs, prediction, backprop in started:
            words = sum(map(len, docs))
            weight = float(words)
            if isinstance(prediction, Prediction):
                weights: Any = prediction.weights
                weight = float(weights.sum())
                if shared is not None:
                    prediction = self._share(prediction, shared)
            loss, gradient = self.model.attrs["loss"](self.model.ops, docs, prediction)
            if weight:
                backprop(scale_gradient(gradient, weight) if n_parts > 1 else gradient)
            result += Result(weight, float(loss) * weight, words)
        return result

    def update(self, weight: float, n_parts: int) -> None:
        """Update the weights by the gradients.

        weight (float): Sum of the weights of all parts.
        n_parts (int): How many parts the step's batch has.
        """
        if n_parts > 1 and weight:
            for node in self.model.walk():
                for name in node.grad_names:
                    node.set_grad(name, node.get_grad(name) / weight)
        finish_update(self.model, self.optimizer)

    @property
    def shares_targets(self) -> bool:
        """Whether the loss compares a prediction with the targets of the whole step."""
        return bool(self.model.attrs.get("shares_targets"))

    def targets(self, started: list[Any]) -> np.ndarray:
        """Give the distinct targets of what `start` predicted, (nU, nO)."""
        to_numpy = self.model.ops.to_numpy
        return join_targets([to_numpy(prediction.targets.values) for _, prediction, _ in started])

    def _share(self, prediction: Prediction, shared: np.ndarray) -> Prediction:
        ops: Any = self.model.ops
        own = ops.to_numpy(prediction.targets.values)
        place = {row.tobytes(): i for i, row in enumerate(shared)}
        rows = np.array([place[row.tobytes()] for row in own], dtype="int32").reshape(-1, 1)
        rows = ops.asarray2i(rows)[prediction.targets.rows[:, 0]]
        return replace(prediction, targets=TargetBatch(ops.asarray2f(shared), rows))

    def _seed(self, step: int, part: int) -> None:
        key = np.random.SeedSequence([self.seed, step, part]).generate_state(1)
        fix_random_seed(int(key[0]))
        self.model.attrs["restart"](step, part)


def _make_restart(model: Model) -> Callable[..., None]:
    """Make an objective of spaCy forget the random words that it has drawn ahead."""
    cells = getattr(model._func, "__closure__", None) or ()
    found = [cell.cell_contents for cell in cells if isinstance(cell.cell_contents, _RandomWords)]

    def restart(*key: int) -> None:
        for words in found:
            words._cache.clear()

    return restart


def join_targets(values: Sequence[np.ndarray]) -> np.ndarray:
    """Join target vectors, each distinct one once, in an order that only they decide.

    values (Sequence[ndarray]): Vectors (n, nO) each.
    RETURNS (ndarray): Vectors (nU, nO).
    """
    filled = [rows for rows in values if len(rows)]
    return np.unique(np.concatenate(filled), axis=0) if filled else np.zeros((0, 0), "float32")

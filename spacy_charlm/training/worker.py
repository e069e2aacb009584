"""One process of a pretraining and its share of the corpus, driven step by step."""

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

from ..card import CARD_ATTR, write_card
from ..errors import Errors
from ..objectives.lmao import scale_gradient
from ..objectives.predict_rows import Prediction
from ..text.prefetch import Prefetch
from ..text.read_texts import list_files
from ..text.text_corpus import TextCorpus, read_docs
from ..types import TargetBatch
from .checkpoint import ArrayFile, load_snapshot, take_snapshot
from .dev_scores import score_dev
from .load_weights import load_into
from .optimizer import finish_update
from .rounds import Rounds, Scan, scan_corpus
from .settings import Settings, read_settings

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


class WorkerLost(RuntimeError):
    """A worker's process has ended; the run can go on from its last checkpoint."""


def count_parts(settings: Settings, n_workers: int) -> tuple[int, int]:
    """Share the batches of a step.

    settings (Settings): The section [charlm].
    n_workers (int): Number of processes.
    RETURNS (Tuple[int, int]): Batches of each worker, the same for all so that none has to wait,
        and of all together.
    """
    each = -(-settings.accumulate_gradient // n_workers)
    return each, each * n_workers


class Worker:
    """What `pretrain` drives: in its own process alone, or in several at once.

    config (Config): Filled config, not interpolated.
    init (Optional[Path]): Weights for the tok2vec to go on from.
    rank (int): Number of this process, from 0.
    n_workers (int): Number of processes.
    prefetch (int): Processes that tokenise ahead.
    """

    def __init__(
        self,
        config: Config,
        init: Path | None = None,
        *,
        rank: int = 0,
        n_workers: int = 1,
        prefetch: int = 0,
    ) -> None:
        self.learner = learner = Learner(config, init)
        self.settings = read_settings(learner.config)
        each, self.n_parts = count_parts(self.settings, n_workers)
        self._rounds = Rounds(
            learner.nlp,
            learner.corpus,
            learner.batcher,
            self.n_parts,
            tuple(range(rank * each, (rank + 1) * each)),
            self.settings.block_size,
            learner.seed,
            self._make_prefetch(prefetch),
        )
        self.nlp = learner.nlp
        self.seed = learner.seed
        self.component = learner.component
        self.max_epochs = learner.max_epochs
        self.target: dict[str, Any] | None = learner.model.attrs.get("target")
        self._pass: Any = iter(())
        self._round: list[list[tuple[int, list[Doc]]]] = []
        self._started: list[Any] = []
        # Read now, since what is read during a round does not outlive it.
        self._dev = self._read_dev() if rank == 0 else []

    @property
    def round_words(self) -> int:
        """Words of this round, in this worker's batches."""
        return sum(len(doc) for step in self._round for _, docs in step for doc in docs)

    @property
    def learn_rate(self) -> float:
        """The present learning rate."""
        return float(self.learner.optimizer.learn_rate)

    def start_pass(self, epoch: int, first: int) -> None:
        """Go to a round of a pass over the corpus."""
        self._pass = self._rounds.read(epoch, first)

    def next_round(self) -> int:
        """Read the next round.

        RETURNS (int): The number of its steps for this worker; -1 where the pass has ended.
        """
        self._round, self._started = [], []  # their Docs end with the round
        found = next(self._pass, None)
        self._round = found or []
        return -1 if found is None else len(self._round)

    def compute(self, step: int, i: int) -> Result:
        """Compute the gradients of this worker's batches.

        step (int): The update.
        i (int): The step of the round; past its last one there is nothing to compute.
        RETURNS (Result): Their weight, loss and words.
        """
        self.start(step, i)
        return self.finish()

    def start(self, step: int, i: int) -> np.ndarray:
        """Predict this worker's batches; RETURNS (ndarray): their distinct targets, (nU, nO)."""
        batches = self._round[i] if i < len(self._round) else []
        self._started = self.learner.start(step, batches)
        return self.learner.targets(self._started) if self.learner.shares_targets else np.zeros(0)

    def finish(self, shared: np.ndarray | None = None) -> Result:
        """Compute losses and gradients of what `start` predicted: see `Learner.finish`."""
        return self.learner.finish(self._started, self.n_parts, shared)

    def update(self, weight: float) -> None:
        """Update the weights: see `Learner.update`."""
        self.learner.update(weight, self.n_parts)

    def step(self, step: int, i: int) -> Result:
        """Compute and update, where there is no other worker."""
        result = self.compute(step, i)
        self.update(result.weight)
        return result

    def evaluate(self) -> dict[str, float]:
        """Score the averaged weights on the development texts: see `score_dev`."""
        learner = self.learner
        if not self._dev:
            return {}
        with learner.model.use_params(learner.optimizer.averages or {}):
            return score_dev(learner.model, self._dev)

    def snapshot(self) -> ArrayFile:
        """Copy what an update changes: see `take_snapshot`."""
        return take_snapshot(self.learner.model, self.learner.optimizer)

    def load(self, content: ArrayFile) -> None:
        """Load a checkpoint: see `load_snapshot`."""
        load_snapshot(content, self.learner.model, self.learner.optimizer)

    def weights(self) -> bytes:
        """Return the averaged weights of the tok2vec, as `spacy pretrain` writes them."""
        model = self.learner.model
        tok2vec = model.get_ref("tok2vec")
        # Objectives of spaCy write no card.
        tok2vec.attrs.setdefault(CARD_ATTR, write_card(tok2vec, objective=model.name))
        with model.use_params(self.learner.optimizer.averages or {}):
            return tok2vec.to_bytes()

    def head(self) -> bytes | None:
        """Return the averaged weights of the objective's head; None for objectives of spaCy."""
        model = self.learner.model
        if "predict_hidden" not in model.attrs:
            return None
        with model.use_params(self.learner.optimizer.averages or {}):
            return model.get_ref("output_layer").to_bytes()

    def scan(self) -> Scan | None:
        """Read the corpus once: see `scan_corpus`."""
        return scan_corpus(self.learner.nlp, self.learner.corpus)

    def close(self) -> None:
        """End the processes that tokenise."""
        if self._rounds.prefetch is not None:
            self._rounds.prefetch.close()

    def _read_dev(self) -> list[list[Doc]]:
        if self.settings.dev_corpus is None:
            return []
        corpus = self.learner.resolve_corpus(self.settings.dev_corpus)
        if isinstance(corpus, TextCorpus) and corpus.path is None:
            return []
        docs = read_docs(self.learner.nlp, corpus)
        return [list(batch) for batch in self.learner.batcher(docs)]

    def _make_prefetch(self, n_process: int) -> Prefetch | None:
        corpus = self.learner.corpus
        if n_process < 1 or not isinstance(corpus, TextCorpus) or corpus.path is None:
            return None
        # Docs in .spacy files are tokenised already.
        if any(path.name.endswith(".spacy") for path in list_files(corpus.path)):
            return None
        return Prefetch(self.learner.nlp, corpus, n_process)

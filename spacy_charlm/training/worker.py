"""Trainers: the protocol that `pretrain` drives, and the worker that computes in one process."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from spacy.language import Language
from spacy.ml.models.multi_task import build_masked_language_model
from spacy.schemas import ConfigSchemaPretrain
from spacy.tokens import Doc
from spacy.training.pretrain import create_pretraining_model
from spacy.util import dot_to_object, load_model_from_config, registry
from spacy.vocab import Vocab
from thinc.api import (
    Config,
    CupyOps,
    Model,
    fix_random_seed,
    get_current_ops,
    set_gpu_allocator,
)

from ..card import CARD_ATTR, write_card
from ..checks import Seed, check_setting
from ..errors import Errors
from ..objectives.lmao import Prediction, weigh_words
from ..text.prefetch import Prefetch
from ..text.read_texts import list_files
from ..text.text_corpus import TextCorpus, read_docs
from ..types import TargetBatch
from .checkpoint import ArrayFile, load_snapshot, take_snapshot
from .dev_scores import score_dev
from .load_weights import load_into
from .optimizer import finish_update
from .rounds import Batch, Rounds, Scan, scan_corpus
from .schedule import (
    AUTO,
    UnknownLength,
    choose_eval_frequency,
    count_passes,
    needs_updates,
    plan_updates,
)
from .settings import Settings, read_settings


@dataclass(frozen=True)
class Result:
    """Sums over the shards of a step.

    weight (float): Sum of the shards' weights, by which the sum of the gradients is divided.
    loss (float): Sum of weight times mean loss.
    words (int): Number of tokens.
    """

    weight: float = 0.0
    loss: float = 0.0
    words: int = 0

    def __add__(self, other: "Result") -> "Result":
        return Result(self.weight + other.weight, self.loss + other.loss, self.words + other.words)


class WorkerLost(RuntimeError):
    """The process of a worker has ended. The run can continue from its last checkpoint."""


class Trainer(Protocol):
    """What `pretrain` drives: a `Worker`, or a `Crew` of several in processes of their own."""

    nlp: Language
    settings: Settings
    seed: int
    component: str  # name of the component whose tok2vec is pretrained
    max_epochs: int  # passes over the texts
    n_updates: int | None  # of the run, about; None if not known or not asked for
    eval_frequency: int  # updates between two evaluations
    n_shards: int  # shards of the batch of a step
    target: Any  # description of the target, JSON-like; None for objectives of spaCy

    @property
    def learn_rate(self) -> float:
        """Current learning rate."""

    @property
    def round_words(self) -> int:
        """Number of tokens in the current round."""

    def scan(self) -> Scan | None:
        """Read the corpus once: see `scan_corpus`."""

    def start_pass(self, epoch: int, first: int) -> None:
        """Go to round number `first` of a pass over the corpus."""

    def next_round(self) -> int:
        """Read the next round and return its number of steps; -1 at the end of the pass."""

    def step(self, step: int, i: int) -> Result:
        """Make one update.

        step (int): Number of the update. It determines the masks and dropout.
        i (int): Number of the step in the current round.
        RETURNS (Result): Sums over all shards.
        """

    def evaluate(self) -> dict[str, float]:
        """Score the averaged weights on the development texts: see `score_dev`."""

    def snapshot(self) -> ArrayFile:
        """Copy all that updates change: see `take_snapshot`."""

    def load(self, content: ArrayFile) -> None:
        """Load a snapshot: see `load_snapshot`."""

    def weights(self) -> bytes:
        """Return the averaged weights of the tok2vec, as `spacy pretrain` writes them."""

    def head(self) -> bytes | None:
        """Return the averaged weights of the first head; None for objectives of spaCy."""

    def restart(self) -> None:
        """Replace all workers after one was lost. A checkpoint is loaded next."""

    def close(self) -> None:
        """End all processes."""


class Worker:
    """An objective, its optimizer, and one process's shards of the corpus: see `Trainer`.

    config (Config): Filled config, not interpolated.
    init (Optional[Path]): Weights from which the tok2vec starts.
    rank (int): Number of this process, from 0.
    n_workers (int): Number of processes that share each step.
    prefetch (int): Number of processes that tokenise ahead.
    RAISES (ValueError): If a setting, a path or the weights are wrong.
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
        training = config.interpolate().get("training", {})
        self.seed: int = training.get("seed") or 0
        check_setting("[training]", "seed", self.seed, Seed)
        fix_random_seed(self.seed)
        if training.get("gpu_allocator") and isinstance(get_current_ops(), CupyOps):
            set_gpu_allocator(training["gpu_allocator"])
        config = config.copy()
        # It may be the file that this run writes.
        config.setdefault("initialize", {})["init_tok2vec"] = None
        self.nlp = load_model_from_config(config)
        self.config = self.nlp.config.interpolate()
        size = self.config["pretraining"]["batcher"].get("size")
        if isinstance(size, dict):
            raise ValueError(Errors.E528.format(found=size.get("@schedules")))
        resolved: Any = registry.resolve(self.config["pretraining"], schema=ConfigSchemaPretrain)
        self.component: str = resolved["component"]
        self.batcher = resolved["batcher"]
        self.model = adapt_objective(_create_model(self.nlp, resolved), self.nlp.vocab)
        self.target = self.model.attrs.get("target")
        self.corpus = self._resolve_corpus(resolved["corpus"])
        if init is not None:
            tok2vec = self.model.get_ref("tok2vec")
            load_into(tok2vec, init)
            tok2vec.attrs.pop(CARD_ATTR, None)  # describes another run
        self.settings = read_settings(self.config)
        each, self.n_shards = count_shards(self.settings, n_workers)
        lang, epochs = self.nlp.lang or "xx", resolved["max_epochs"]
        self.max_epochs: int = epochs * count_passes(self.corpus, lang)
        self.optimizer = resolved["optimizer"]
        self.n_updates: int | None = None
        optimizer = self.config["pretraining"]["optimizer"]
        learn_rate = optimizer.get("learn_rate")
        is_auto = needs_updates(learn_rate)
        if is_auto or self.settings.eval_frequency == AUTO:
            try:
                self.n_updates = plan_updates(
                    self.corpus,
                    self.config["pretraining"]["batcher"],
                    self.settings,
                    lang=lang,
                    epochs=epochs,
                    n_shards=self.n_shards,
                )
            except UnknownLength:
                if is_auto:
                    raise
        self.eval_frequency = choose_eval_frequency(self.settings, self.n_updates)
        if is_auto:
            learn_rate["total_steps"] = self.n_updates
            self.optimizer = registry.resolve({"optimizer": optimizer})["optimizer"]
        self._rounds = Rounds(
            self.nlp,
            self.corpus,
            self.batcher,
            self.n_shards,
            range(rank * each, (rank + 1) * each),
            self.settings.block_size,
            self.seed,
            self._make_prefetch(prefetch),
        )
        self._pass: Iterator[list[list[tuple[int, Batch]]]] = iter(())
        self._round: list[list[tuple[int, Batch]]] = []
        self._predicted: list[Any] = []  # Docs, predictions and backprop of each shard
        # Read before the first round, because Docs made during a round end with it.
        self._dev = self._read_dev() if rank == 0 else []

    @property
    def learn_rate(self) -> float:
        """Current learning rate."""
        return float(self.optimizer.learn_rate)

    @property
    def round_words(self) -> int:
        """Number of tokens in this worker's shards of the current round."""
        return sum(len(doc) for step in self._round for _, docs in step for doc in docs)

    def scan(self) -> Scan | None:
        """Read the corpus once: see `scan_corpus`."""
        return scan_corpus(self.nlp, self.corpus)

    def start_pass(self, epoch: int, first: int) -> None:
        """Go to round number `first` of a pass over the corpus."""
        self._pass = self._rounds.read(epoch, first)

    def next_round(self) -> int:
        """Read the next round and return its number of steps; -1 at the end of the pass."""
        self._round, self._predicted = [], []  # their Docs end with the round
        found = next(self._pass, None)
        self._round = found or []
        return -1 if found is None else len(self._round)

    def step(self, step: int, i: int) -> Result:
        """Make one update without other workers: see `Trainer.step`."""
        targets = self.predict(step, i)
        result = self.compute(targets if len(self._predicted) > 1 and len(targets) else None)
        self.update(result.weight)
        return result

    def predict(self, step: int, i: int) -> np.ndarray:
        """Predict this worker's shards of a step.

        step (int): Number of the update. Together with the seed and the shard it determines the
            masks and dropout.
        i (int): Number of the step in the current round. After its last step there is no shard.
        RETURNS (ndarray): The distinct target vectors, (nU, nO), if the loss compares predictions
            with those of the whole step; otherwise empty.
        """
        self._predicted = []
        for shard, docs in self._round[i] if i < len(self._round) else []:
            key = np.random.SeedSequence([self.seed, step, shard]).generate_state(1)
            fix_random_seed(int(key[0]))
            self.model.attrs["restart"](step, shard)
            self._predicted.append((docs, *self.model.begin_update(docs)))
        if not self.model.attrs["shares_targets"]:
            return join_targets([])
        to_numpy = self.model.ops.to_numpy
        batches = [p.targets for _, found, _ in self._predicted for p in found.values()]
        return join_targets([to_numpy(batch.values) for batch in batches])

    def compute(self, shared: np.ndarray | None = None) -> Result:
        """Compute losses and gradients of the predicted shards.

        shared (Optional[ndarray]): Target vectors of all shards, if the loss compares predictions
            with them, (nU, nO).
        RETURNS (Result): Sums over the shards. If a step has several shards, the gradient of each
            is multiplied by its weight, until `update` divides by the sum of all weights.
        """
        ops, attrs = self.model.ops, self.model.attrs
        result = Result()
        for docs, predictions, backprop in self._predicted:
            weight = attrs["weigh"](docs, predictions)
            if shared is not None:
                predictions = {
                    name: share_targets(ops, prediction, shared)
                    for name, prediction in predictions.items()
                }
            loss, gradient = attrs["loss"](ops, docs, predictions)
            if weight:
                backprop(gradient * weight if self.n_shards > 1 else gradient)
            result += Result(weight, float(loss) * weight, sum(map(len, docs)))
        return result

    def update(self, weight: float) -> None:
        """Update the weights by the gradients.

        weight (float): Sum of the weights of all shards of the step.
        """
        if self.n_shards > 1 and weight:
            for node in self.model.walk():
                for name in node.grad_names:
                    node.set_grad(name, node.get_grad(name) / weight)
        finish_update(self.model, self.optimizer)

    def evaluate(self) -> dict[str, float]:
        """Score the averaged weights on the development texts: see `score_dev`."""
        if not self._dev:
            return {}
        with self._averaged():
            return score_dev(self.model, self._dev)

    def snapshot(self) -> ArrayFile:
        """Copy all that updates change: see `take_snapshot`."""
        return take_snapshot(self.model, self.optimizer)

    def load(self, content: ArrayFile) -> None:
        """Load a snapshot: see `load_snapshot`."""
        load_snapshot(content, self.model, self.optimizer)

    def weights(self) -> bytes:
        """Return the averaged weights of the tok2vec, as `spacy pretrain` writes them."""
        tok2vec = self.model.get_ref("tok2vec")
        # Objectives of spaCy write no card.
        tok2vec.attrs.setdefault(CARD_ATTR, write_card(tok2vec, objective=self.model.name))
        with self._averaged():
            return tok2vec.to_bytes()

    def head(self) -> bytes | None:
        """Return the averaged weights of the first head; None for objectives of spaCy."""
        if "predict_hidden" not in self.model.attrs:
            return None
        with self._averaged():
            return self.model.get_ref("output_layer").to_bytes()

    def restart(self) -> None:
        """Do nothing: if this process is lost, so is the run."""

    def close(self) -> None:
        """End the processes that tokenise."""
        if self._rounds.prefetch is not None:
            self._rounds.prefetch.close()

    def _averaged(self) -> AbstractContextManager[None]:
        return self.model.use_params(self.optimizer.averages or {})

    def _resolve_corpus(self, dotted: str) -> Any:
        return registry.resolve({"corpus": dot_to_object(self.config, dotted)})["corpus"]

    def _read_dev(self) -> list[Batch]:
        if self.settings.dev_corpus is None:
            return []
        corpus = self._resolve_corpus(self.settings.dev_corpus)
        if isinstance(corpus, TextCorpus) and corpus.path is None:
            return []
        return [list(batch) for batch in self.batcher(read_docs(self.nlp, corpus))]

    def _make_prefetch(self, n_process: int) -> Prefetch | None:
        corpus = self.corpus
        if n_process < 1 or not isinstance(corpus, TextCorpus) or corpus.path is None:
            return None
        # Docs in .spacy files are tokenised already.
        if any(path.name.endswith(".spacy") for path in list_files(corpus.path)):
            return None
        return Prefetch(self.nlp, corpus, n_process)


def count_shards(settings: Settings, n_workers: int) -> tuple[int, int]:
    """Divide the batches of a step among workers.

    settings (Settings): The section [charlm].
    n_workers (int): Number of processes.
    RETURNS (Tuple[int, int]): Shards of each worker, equal for all so that none has to wait, and of
        all together.
    """
    each = -(-settings.accumulate_gradient // n_workers)
    return each, each * n_workers


def join_targets(values: Sequence[np.ndarray]) -> np.ndarray:
    """Join target vectors without duplicates, in an order that depends on the vectors only.

    values (Sequence[ndarray]): Arrays of vectors, (n, nO) each.
    RETURNS (ndarray): The vectors, (nU, nO).
    """
    filled = [rows for rows in values if len(rows)]
    return np.unique(np.concatenate(filled), axis=0) if filled else np.zeros((0, 0), "float32")


def share_targets(ops: Any, prediction: Prediction, shared: np.ndarray) -> Prediction:
    """Replace the targets of a prediction by those of the whole step.

    ops (Ops): The backend.
    prediction (Prediction): Predictions of a shard.
    shared (ndarray): Target vectors of all shards, this one's among them, (nU, nO).
    RETURNS (Prediction): The same predictions, with `shared` as `targets.values`.
    """
    index = {row.tobytes(): i for i, row in enumerate(shared)}
    own = ops.to_numpy(prediction.targets.values)
    numbers = np.array([index[row.tobytes()] for row in own], dtype="int32").reshape(-1, 1)
    rows = ops.asarray2i(numbers)[prediction.targets.rows[:, 0]]
    return replace(prediction, targets=TargetBatch(ops.asarray2f(shared), rows))


def _create_model(nlp: Language, pretraining: dict[str, Any]) -> Model:
    try:
        return create_pretraining_model(nlp, pretraining)
    except ValueError as err:
        # spaCy's error names the component, but not what is wrong, such as a missing file.
        cause = err.__context__
        if isinstance(cause, ValueError) and str(cause).startswith("[charlm "):
            raise cause from None
        raise


def adapt_objective(model: Model, vocab: Vocab) -> Model:
    """Give an objective of spaCy the attributes that a trainer needs: see `build_lmao`.

    spaCy's masked language models draw 10,000 random words ahead. To make the masks of a step
    depend on its seed alone, `restart` builds the masked language model again around the same
    layers.

    model (Model): An objective, initialised.
    vocab (Vocab): The vocab with which it was built.
    RETURNS (Model): The objective; our own are returned unchanged.
    """
    if "restart" in model.attrs:
        return model
    attrs = {"weigh": weigh_words, "shares_targets": False, "restart": lambda *key: None}
    model.attrs.update(attrs)
    if not model.has_ref("wrapped"):
        return model
    lexemes: Any = list(islice((_Lexeme(x.text, x.prob) for x in vocab if x.prob), 10_000))
    wrapped = model.get_ref("wrapped")
    masked = model

    def forward(model: Model, docs: list[Doc], is_train: bool) -> Any:
        return masked(docs, is_train)

    def restart(*key: int) -> None:
        nonlocal masked
        masked = build_masked_language_model(lexemes, wrapped)

    return Model(
        model.name,
        forward,
        layers=[wrapped],
        refs={name: model.get_ref(name) for name in model.ref_names},
        attrs={**model.attrs, "restart": restart},
    )


class _Lexeme(NamedTuple):
    """What spaCy's masked language model reads of a lexeme."""

    text: str
    prob: float

"""One process of a pretraining and its share of the corpus, driven step by step."""

from pathlib import Path
from typing import Any

import numpy as np
from spacy.tokens import Doc
from thinc.api import Config

from ..card import CARD_ATTR, write_card
from ..read_docs import read_docs
from .array_file import ArrayFile
from .checkpoint import load_snapshot, take_snapshot
from .dev_scores import score_dev
from .learner import Learner, Result
from .prefetch import Prefetch
from .read_texts import list_files
from .rounds import Rounds, Scan, scan_corpus
from .settings import Settings, read_settings
from .text_corpus import TextCorpus


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

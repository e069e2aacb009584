"""Several workers that share each step, each of them a process of Ray."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from spacy.cli._util import import_code
from spacy.util import load_model_from_config
from thinc.api import Config, Model, require_gpu

from ..compat import require
from ..machine import THREAD_VARIABLES
from ..quantized import VECTOR_TABLE
from .checkpoint import ArrayFile
from .rounds import Scan
from .settings import read_settings
from .worker import Result, Worker, WorkerLost, count_shards, join_targets


class RayWorker(Worker):
    """A worker in a process of Ray.

    Ray offers the methods of an object, but not its attributes: `get` returns those. Gradients and
    parameters travel as one float32 array (n,).
    """

    def __init__(self) -> None:
        """Do nothing: Ray would hide the cause of an error in here. Call `set_up` next."""

    def set_up(
        self,
        rank: int,
        config: str,
        init: Path | None,
        folder: str,
        n_workers: int,
        prefetch: int,
        use_gpu: bool,
        code: Path | None,
    ) -> None:
        """Build the worker.

        rank (int): Number of this worker, from 0.
        config (str): Filled config, not interpolated.
        init (Optional[Path]): Weights from which the tok2vec starts.
        folder (str): The folder to which relative paths of the config refer.
        n_workers (int): Number of workers.
        prefetch (int): Number of processes that tokenise ahead.
        use_gpu (bool): Whether to compute on the GPU that Ray gives this worker.
        code (Optional[Path]): Python file with functions that the config names.
        """
        if os.path.isdir(folder):
            os.chdir(folder)
        import_code(code)
        if use_gpu:
            require_gpu(0)
        filled = Config().from_str(config, interpolate=False)
        super().__init__(filled, init, rank=rank, n_workers=n_workers, prefetch=prefetch)
        self.busy = 0.0  # seconds spent in `timed`

    def get(self, name: str) -> Any:
        """Return an attribute."""
        return getattr(self, name)

    def timed(self, name: str, *args: Any) -> Any:
        """Call a method and add the time that it takes to `busy`."""
        start = time.monotonic()
        try:
            return getattr(self, name)(*args)
        finally:
            self.busy += time.monotonic() - start

    def compute_flat(self, shared: np.ndarray | None) -> tuple[Result, np.ndarray]:
        """Compute losses and gradients: see `Worker.compute`; return the gradients as well."""
        return self.compute(shared), self._flatten(Model.get_grad, Model.has_grad)

    def update_flat(self, weight: float, *gradients: np.ndarray) -> None:
        """Add up the gradients of all workers, in their order, and update the weights."""
        self._unflatten(sum(gradients[1:], gradients[0]), Model.set_grad)
        self.update(weight)

    def get_params(self) -> np.ndarray:
        """Return all parameters."""
        return self._flatten(Model.get_param, Model.has_param)

    def average_params(self, *params: np.ndarray) -> None:
        """Set the parameters to the mean of those of all workers."""
        self._unflatten(sum(params[1:], params[0]) / len(params), Model.set_param)

    def _flatten(
        self, get: Callable[[Model, str], Any], has: Callable[[Model, str], bool | None]
    ) -> np.ndarray:
        to_numpy = self.model.ops.to_numpy
        arrays = [
            to_numpy(get(node, name)).ravel()
            if has(node, name)
            else np.zeros(node.get_param(name).size, dtype="float32")
            for node, name in self._list_params()
        ]
        return np.concatenate(arrays)

    def _unflatten(self, flat: np.ndarray, put: Callable[[Model, str, Any], None]) -> None:
        ops: Any = self.model.ops
        start = 0
        for node, name in self._list_params():
            shape, size = node.get_param(name).shape, node.get_param(name).size
            put(node, name, ops.asarray(flat[start : start + size].reshape(shape).copy()))
            start += size

    def _list_params(self) -> list[tuple[Model, str]]:
        return [
            (node, name)
            for node in self.model.walk()
            for name in node.param_names
            if node.has_param(name) and node.name != VECTOR_TABLE  # not trained
        ]


class Crew:
    """Workers on this machine, or on the cluster at RAY_ADDRESS: see `Trainer`.

    Each worker reads the corpus and tokenises its own blocks. Gradients go through Ray's object
    store and are added up in the order of the workers, each weighted by the rows that count. The
    number of workers therefore changes results by rounding only. If `average_every` is above 1,
    each worker makes that many updates of its own before their weights are averaged.

    config (Config): Filled config, not interpolated.
    init (Optional[Path]): Weights from which the tok2vec starts.
    n_workers (int): Number of workers.
    prefetch (int): Number of processes that tokenise ahead, for each worker.
    use_gpu (bool): Whether each worker has a GPU of its own.
    code (Optional[Path]): Python file with functions that the config names.
    RAISES (ImportError): If Ray is missing.
    RAISES (ValueError): If a worker cannot be built.
    """

    def __init__(
        self,
        config: Config,
        init: Path | None = None,
        *,
        n_workers: int,
        prefetch: int = 0,
        use_gpu: bool = False,
        code: Path | None = None,
    ) -> None:
        self._ray = require("ray", extra="ray", what="--workers")
        self.nlp = load_model_from_config(config)
        self.settings = read_settings(self.nlp.config.interpolate())
        self.n_workers = n_workers
        self.n_shards = count_shards(self.settings, n_workers)[1]
        self._started_ray = not self._ray.is_initialized()
        if self._started_ray:
            local = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": n_workers}
            self._ray.init(include_dashboard=False, log_to_driver=False, logging_level=40, **local)
        threads = str(max(1, (os.cpu_count() or 1) // n_workers))
        variables = {name: os.environ.get(name, threads) for name in THREAD_VARIABLES}
        self._options = {
            "num_cpus": 1,
            "num_gpus": int(use_gpu),
            "runtime_env": {"env_vars": variables},
        }
        self._arguments = (config.to_str(), init, os.getcwd(), n_workers, prefetch, use_gpu, code)
        self._workers: list[Any] = []
        self._seconds = 0.0  # of all steps
        self.restart()

    def restart(self) -> None:
        """Start all workers; stop those that are left after one was lost."""
        for worker in self._workers:
            self._ray.kill(worker)
        actor = self._ray.remote(**self._options)(RayWorker)
        self._workers = [actor.remote() for _ in range(self.n_workers)]
        self._get(
            [
                worker.set_up.remote(rank, *self._arguments)
                for rank, worker in enumerate(self._workers)
            ]
        )
        self.seed = self._first("get", "seed")
        self.component = self._first("get", "component")
        self.max_epochs = self._first("get", "max_epochs")
        self.n_updates = self._first("get", "n_updates")
        self.eval_frequency = self._first("get", "eval_frequency")
        self.target = self._first("get", "target")
        self._n_apart = 0  # updates since the weights were averaged

    @property
    def learn_rate(self) -> float:
        """Current learning rate."""
        return self._first("get", "learn_rate")

    @property
    def round_words(self) -> int:
        """Number of tokens in the current round."""
        return sum(self._all("get", "round_words"))

    @property
    def communication(self) -> float:
        """Share of the steps' time in which not even the slowest worker computes."""
        busy = max(self._all("get", "busy"))
        return max(0.0, 1 - busy / self._seconds) if self._seconds else 0.0

    def scan(self) -> Scan | None:
        """Read the corpus once: see `scan_corpus`."""
        return self._first("scan")

    def start_pass(self, epoch: int, first: int) -> None:
        """Go to round number `first` of a pass over the corpus."""
        self._all("start_pass", epoch, first)

    def next_round(self) -> int:
        """Read the next round and return the steps of the worker that has most."""
        return max(self._all("next_round"))

    def step(self, step: int, i: int) -> Result:
        """Make one update: see `Trainer.step`."""
        start = time.monotonic()
        step_ = self._step_apart if self._is_apart else self._step_together
        result = step_(step, i)
        self._seconds += time.monotonic() - start
        return result

    def evaluate(self) -> dict[str, float]:
        """Score the averaged weights on the development texts: see `score_dev`."""
        self._average()
        return self._first("evaluate")

    def snapshot(self) -> ArrayFile:
        """Copy all that updates change. All workers have the same."""
        self._average()
        return self._first("snapshot")

    def load(self, content: ArrayFile) -> None:
        """Load a snapshot into all workers."""
        self._all("load", self._ray.put(content))

    def weights(self) -> bytes:
        """Return the averaged weights of the tok2vec, as `spacy pretrain` writes them."""
        self._average()
        return self._first("weights")

    def head(self) -> bytes | None:
        """Return the averaged weights of the first head; None for objectives of spaCy."""
        return self._first("head")

    def close(self) -> None:
        """Stop the workers, and Ray if it was started here."""
        for worker in self._workers:
            self._ray.kill(worker)
        if self._started_ray:
            self._ray.shutdown()

    @property
    def _is_apart(self) -> bool:
        return self.settings.average_every > 1

    def _step_together(self, step: int, i: int) -> Result:
        targets = self._all("timed", "predict", step, i)
        shared = self._ray.put(join_targets(targets)) if any(map(len, targets)) else None
        calls = [
            worker.timed.options(num_returns=2).remote("compute_flat", shared)
            for worker in self._workers
        ]
        result = sum(self._get([call[0] for call in calls]), Result())
        # The gradients stay in the store; each worker fetches those of the others.
        gradients = [call[1] for call in calls]
        for worker in self._workers:
            worker.timed.remote("update_flat", result.weight, *gradients)
        return result

    def _step_apart(self, step: int, i: int) -> Result:
        results = self._all("timed", "step", step, i)
        self._n_apart += 1
        if self._n_apart % self.settings.average_every == 0:
            self._average()
        return sum(results, Result())

    def _average(self) -> None:
        if self._is_apart and self._n_apart:
            params = [worker.get_params.remote() for worker in self._workers]
            self._all("average_params", *params)
            self._n_apart = 0

    def _first(self, name: str, *args: Any) -> Any:
        return self._get(getattr(self._workers[0], name).remote(*args))

    def _all(self, name: str, *args: Any) -> list[Any]:
        return self._get([getattr(worker, name).remote(*args) for worker in self._workers])

    def _get(self, references: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(references)
        except errors.RayActorError as err:
            raise WorkerLost(str(err).splitlines()[0]) from err
        except errors.RayTaskError as err:
            raise err.cause from err

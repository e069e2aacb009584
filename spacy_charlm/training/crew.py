"""Several workers, each a process of Ray, that make one step together."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from spacy.cli._util import import_code
from spacy.util import load_model_from_config
from thinc.api import Config, Model, require_gpu

from ..compat import require
from .checkpoint import ArrayFile
from .rounds import Scan
from .settings import read_settings
from .worker import Result, Worker, WorkerLost, count_parts, join_targets


class RayWorker(Worker):
    """A `Worker` as `Crew` drives it."""

    def __init__(self) -> None:
        """Wait for `set_up`: of an error in here Ray would not pass on the cause."""

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
    ) -> tuple[int, str, int, dict[str, Any] | None]:
        """Build the worker.

        rank (int): Number of this worker, from 0.
        config (str): Filled config, not interpolated.
        init (Optional[Path]): Weights for the tok2vec to go on from.
        folder (str): Where the relative paths of the config begin.
        n_workers (int): Number of workers.
        prefetch (int): Processes that tokenise ahead.
        use_gpu (bool): Whether to compute on the GPU that Ray gives this worker.
        code (Optional[Path]): Python file with functions of the config.
        RETURNS (Tuple): Seed, component, passes and target.
        """
        if os.path.isdir(folder):
            os.chdir(folder)
        import_code(code)
        if use_gpu:
            require_gpu(0)
        filled = Config().from_str(config, interpolate=False)
        super().__init__(filled, init, rank=rank, n_workers=n_workers, prefetch=prefetch)
        self._busy = 0.0
        return self.seed, self.component, self.max_epochs, self.target

    def start(self, step: int, i: int) -> np.ndarray:
        """Predict this worker's batches: see `Worker.start`."""
        with self._measured():
            return super().start(step, i)

    def finish_flat(self, shared: np.ndarray | None) -> tuple[Result, np.ndarray]:
        """Compute losses and gradients: see `Worker.finish`.

        RETURNS (Tuple[Result, ndarray]): Their sum and all gradients, float32 (n,).
        """
        with self._measured():
            return self.finish(shared), self._flatten(Model.get_grad, Model.has_grad)

    def apply_flat(self, weight: float, *gradients: np.ndarray) -> None:
        """Add up the gradients of all workers, in their order, and update the weights."""
        with self._measured():
            self._put(sum(gradients[1:], gradients[0]), Model.set_grad)
            self.update(weight)

    def step_alone(self, step: int, i: int) -> Result:
        """Make an update by this worker's own batches."""
        with self._measured():
            return self.step(step, i)

    def get_params(self) -> np.ndarray:
        """Return all weights, float32 (n,)."""
        return self._flatten(Model.get_param, Model.has_param)

    def average_params(self, *params: np.ndarray) -> None:
        """Take the mean of the weights of all workers."""
        self._put(sum(params[1:], params[0]) / len(params), Model.set_param)

    def get_learn_rate(self) -> float:
        """Return the present learning rate."""
        return self.learn_rate

    def get_round_words(self) -> int:
        """Return the words of this round."""
        return self.round_words

    def get_busy(self) -> float:
        """Return the seconds spent on computing."""
        return self._busy

    @contextmanager
    def _measured(self) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self._busy += time.monotonic() - start

    def _flatten(
        self, get: Callable[[Model, str], Any], has: Callable[[Model, str], bool | None]
    ) -> np.ndarray:
        to_numpy = self.learner.model.ops.to_numpy
        parts = [
            to_numpy(get(node, name)).ravel()
            if has(node, name)
            else np.zeros(node.get_param(name).size, dtype="float32")
            for node, name in self._params()
        ]
        return np.concatenate(parts)

    def _put(self, flat: np.ndarray, put: Callable[[Model, str, Any], None]) -> None:
        ops: Any = self.learner.model.ops
        start = 0
        for node, name in self._params():
            shape, size = node.get_param(name).shape, node.get_param(name).size
            put(node, name, ops.asarray(flat[start : start + size].reshape(shape).copy()))
            start += size

    def _params(self) -> list[tuple[Model, str]]:
        return [
            (node, name)
            for node in self.learner.model.walk()
            for name in node.param_names
            if node.has_param(name)
        ]


THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Crew:
    """Workers on this machine, or on the cluster at RAY_ADDRESS, driven like a single `Worker`.

    Each reads the corpus and tokenises its own blocks. Gradients go through Ray's object store and
    are added up in the order of the workers, each weighted by the rows that count, so that their
    number makes no difference beyond rounding. Where `average_every` is above 1, each worker makes
    that many updates of its own before their weights are averaged.

    config (Config): Filled config, not interpolated.
    init (Optional[Path]): Weights for the tok2vec to go on from.
    n_workers (int): Number of workers.
    prefetch (int): Processes that tokenise ahead, for each worker.
    use_gpu (bool): Whether each worker has a GPU of its own.
    code (Optional[Path]): Python file with functions of the config, which each worker imports.
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
        self.n_parts = count_parts(self.settings, n_workers)[1]
        self._started_ray = not self._ray.is_initialized()
        if self._started_ray:
            local = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": n_workers}
            self._ray.init(include_dashboard=False, log_to_driver=False, logging_level=40, **local)
        threads = str(max(1, (os.cpu_count() or 1) // n_workers))
        self._options = {
            "num_cpus": 1,
            "num_gpus": int(use_gpu),
            "runtime_env": {"env_vars": {name: os.environ.get(name, threads) for name in THREADS}},
        }
        self._arguments = (config.to_str(), init, os.getcwd(), n_workers, prefetch, use_gpu, code)
        self._workers: list[Any] = []
        self.busy = self.wall = 0.0  # seconds of the slowest worker, and of all steps
        self.restart()

    def restart(self) -> None:
        """Start all workers, in the place of those that are left after one was lost."""
        for worker in self._workers:
            self._ray.kill(worker)
        actor = self._ray.remote(**self._options)(RayWorker)
        self._workers = [actor.remote() for _ in range(self.n_workers)]
        facts = self._get(
            [
                worker.set_up.remote(rank, *self._arguments)
                for rank, worker in enumerate(self._workers)
            ]
        )
        self.seed, self.component, self.max_epochs, self.target = facts[0]
        self._local_steps = 0

    def start_pass(self, epoch: int, first: int) -> None:
        """Go to a round of a pass: see `Worker.start_pass`."""
        self._all(lambda worker: worker.start_pass.remote(epoch, first))

    def next_round(self) -> int:
        """Read the next round; RETURNS (int): the steps of the worker that has most."""
        return max(self._all(lambda worker: worker.next_round.remote()))

    def step(self, step: int, i: int) -> Result:
        """Make one step: see `Worker.step`."""
        start = time.monotonic()
        result = self._step_apart(step, i) if self._is_local else self._step_together(step, i)
        self.wall += time.monotonic() - start
        return result

    def evaluate(self) -> dict[str, float]:
        """Score the weights: see `Worker.evaluate`."""
        self._average()
        return self._get(self._workers[0].evaluate.remote())

    def snapshot(self) -> ArrayFile:
        """Copy what an update changes, at the first worker: the others have the same."""
        self._average()
        return self._get(self._workers[0].snapshot.remote())

    def load(self, content: ArrayFile) -> None:
        """Load a checkpoint into all workers."""
        reference = self._ray.put(content)
        self._all(lambda worker: worker.load.remote(reference))

    def weights(self) -> bytes:
        """Return the averaged weights of the tok2vec."""
        self._average()
        return self._get(self._workers[0].weights.remote())

    def head(self) -> bytes | None:
        """Return the averaged weights of the head: see `Worker.head`."""
        return self._get(self._workers[0].head.remote())

    def scan(self) -> Scan | None:
        """Read the corpus once: see `Worker.scan`."""
        return self._get(self._workers[0].scan.remote())

    @property
    def learn_rate(self) -> float:
        """The present learning rate."""
        return self._get(self._workers[0].get_learn_rate.remote())

    @property
    def round_words(self) -> int:
        """Words of this round, in the batches of all workers."""
        return sum(self._all(lambda worker: worker.get_round_words.remote()))

    @property
    def communication(self) -> float:
        """Share of the steps' time in which even the slowest worker did not compute."""
        self._sync()
        return max(0.0, 1 - self.busy / self.wall) if self.wall else 0.0

    def close(self) -> None:
        """Stop the workers, and Ray where it was started here."""
        for worker in self._workers:
            self._ray.kill(worker)
        if self._started_ray:
            self._ray.shutdown()

    @property
    def _is_local(self) -> bool:
        return self.settings.average_every > 1

    def _step_together(self, step: int, i: int) -> Result:
        shared = None
        targets = self._all(lambda worker: worker.start.remote(step, i))
        if any(len(values) for values in targets):
            shared = self._ray.put(join_targets(targets))
        calls = [
            worker.finish_flat.options(num_returns=2).remote(shared) for worker in self._workers
        ]
        result = sum((part for part in self._get([call[0] for call in calls])), Result())
        # The gradients stay in the store; each worker fetches those of the others.
        gradients = [call[1] for call in calls]
        for worker in self._workers:
            worker.apply_flat.remote(result.weight, *gradients)
        return result

    def _step_apart(self, step: int, i: int) -> Result:
        results = self._all(lambda worker: worker.step_alone.remote(step, i))
        self._local_steps += 1
        if self._local_steps % self.settings.average_every == 0:
            self._average()
        return sum(results, Result())

    def _average(self) -> None:
        if self._is_local and self._local_steps:
            params = [worker.get_params.remote() for worker in self._workers]
            self._all(lambda worker: worker.average_params.remote(*params))
            self._local_steps = 0

    def _sync(self) -> None:
        self.busy = max(self._all(lambda worker: worker.get_busy.remote()))

    def _all(self, call: Callable[[Any], Any]) -> list[Any]:
        return self._get([call(worker) for worker in self._workers])

    def _get(self, references: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(references)
        except errors.RayActorError as err:
            raise WorkerLost(str(err).splitlines()[0]) from err
        except errors.RayTaskError as err:
            raise err.cause from err

"""Several workers, each a process of Ray, that make one step together."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spacy.util import load_model_from_config
from thinc.api import Config

from ..compat import require
from .array_file import ArrayFile
from .learner import Result, join_targets
from .ray_worker import RayWorker
from .rounds import Scan
from .settings import read_settings
from .worker import WorkerLost, count_parts

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

"""A worker in a process of its own: gradients and weights travel as one flat array."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from spacy.cli._util import import_code
from thinc.api import Config, Model, require_gpu

from .learner import Result
from .worker import Worker


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

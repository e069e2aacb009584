"""The runs of a study as trials of Ray Tune, on this machine or on a cluster."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..compat import require
from .run import Run, RunFailed
from .search import TRIAL_THREADS
from .study import Processes, Queue

RETRIES = 2  # of a run whose worker has died
FAILED = "failed"


def run_on_ray(queue: Queue, *, jobs: int, gpu_id: int, show: Callable[[], None]) -> None:
    """Run what a queue has as trials of Ray Tune, on the cluster at RAY_ADDRESS if it is set.

    Ray chooses the machines. They share a file system, on which the paths of the study are the
    same. What a run is, which runs can begin, and what is proposed next is decided here, by the
    queue, as without Ray.

    queue (Queue): The runs.
    jobs (int): Runs at a time; 0 for one per core of the cluster. The cores are shared among them.
    gpu_id (int): -1 for the CPU; otherwise each run has a GPU of its own.
    show (Callable): Called when a run begins or ends.
    RAISES (ImportError): If Ray Tune is missing.
    """
    what = "`charlm study --ray`"
    ray = require("ray", extra="search", what=what)
    tune = require("ray.tune", extra="search", what=what)
    search = require("ray.tune.search", extra="search", what=what)
    folder = os.getcwd()

    class Runs(search.Searcher):  # type: ignore[name-defined, misc]
        """Hands out the runs of the queue."""

        def __init__(self) -> None:
            super().__init__(metric=FAILED, mode="min")
            self._runs: dict[str, Run] = {}
            self._shown = 0.0

        def suggest(self, trial_id: str) -> Any:
            run = queue.take()
            if run is not None:
                self._runs[trial_id] = run
            if run is not None or time.monotonic() > self._shown + 1:
                self._shown = time.monotonic()
                show()
            if run is None:
                return search.Searcher.FINISHED if queue.is_done else None
            return {"run": run, "title": run.title}

        def on_trial_complete(
            self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
        ) -> None:
            found = "Ray failed" if error or not result else result[FAILED]
            queue.end(self._runs.pop(trial_id), RunFailed(found) if found else None)
            show()

    # The study has files of its own for the scores. Ctrl-C stops it, as without Ray.
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    ray.init(ignore_reinit_error=True, log_to_driver=False, logging_level=logging.ERROR)
    try:
        cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        cores = [n for n in cores if n] or [1]  # a cluster that grows has none yet
        queue.jobs = jobs = jobs or sum(cores)
        threads = max(1, min(sum(cores) // jobs, *cores))

        def execute(config: dict[str, Any]) -> None:
            run = config["run"]
            processes = Processes(threads if run.trial is None else TRIAL_THREADS)
            try:
                os.chdir(folder)  # Ray runs each trial in a folder of its own
                run.execute(processes, 0 if gpu_id >= 0 else -1)
            except Exception as err:  # noqa: BLE001  Ray would only say that a worker has failed
                tune.report({FAILED: str(err) or type(err).__name__})
            else:
                tune.report({FAILED: ""})

        resources = {"cpu": threads, "gpu": 1 if gpu_id >= 0 else 0}
        tune.Tuner(
            tune.with_resources(execute, resources),
            tune_config=tune.TuneConfig(
                search_alg=Runs(), num_samples=-1, max_concurrent_trials=jobs
            ),
            run_config=tune.RunConfig(
                name="ray",
                storage_path=str(Path(queue.study.output).resolve()),
                failure_config=tune.FailureConfig(max_failures=RETRIES),
                verbose=0,
            ),
        ).fit()
        if not queue.is_done:
            raise KeyboardInterrupt
    finally:
        ray.shutdown()

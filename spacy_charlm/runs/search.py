"""A search: trials of one row of a study, whose configs are drawn from a space."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..compat import require
from ..errors import Errors
from ..files import write_whole
from .run import Run
from .space import CHOICES, INTEGERS, LOG, Setting, Space, Values

RANDOM, TPE = "random", "tpe"
ENGINES = (RANDOM, TPE)
TOP = 3  # trials whose mean is shown beside the best one
# Trials of one round know nothing of each other. A round does not depend on how many trials run at
# a time, so that the same seed gives the same trials on every machine.
ROUND = 8
# Every trial has one thread, for the same reason: sums of floats depend on the number.
TRIAL_THREADS = 1
PROPOSALS, BEST = "proposals.json", "best.cfg"


class Outcome(NamedTuple):
    """The result of a trial.

    values (Dict[str, Any]): The drawn settings.
    score (Optional[float]): Its best score in training; None if it failed.
    """

    values: Values
    score: float | None


class Engine(Protocol):
    """Proposes the settings of trials."""

    def propose(self, number: int, outcomes: Sequence[Outcome]) -> Values:
        """Propose the settings of a trial.

        number (int): Number of the trial, from 0.
        outcomes (Sequence[Outcome]): The results of all trials of earlier rounds.
        RETURNS (Dict[str, Any]): Values by path.
        """
        ...


class RandomEngine:
    """Random search: each trial is drawn independently of all others.

    space (Space): The space.
    seed (int): Seed of the search.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._seed = space, seed

    def propose(self, number: int, outcomes: Sequence[Outcome]) -> Values:
        """Draw the settings of a trial."""
        return self._space.draw(np.random.default_rng([self._seed, number]))


class TPEEngine:
    """Tree-structured Parzen estimator (Bergstra et al., 2011), by optuna.

    The first round is random. Later ones prefer values that are more frequent among the good trials
    than among the others.

    space (Space): The space.
    seed (int): Seed of the search.
    RAISES (ImportError): If optuna is missing.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._seed = space, seed
        self._random = RandomEngine(space, seed)
        self._optuna = require("optuna", extra="search", what="The engine 'tpe' of a search")

    def propose(self, number: int, outcomes: Sequence[Outcome]) -> Values:
        """Propose the settings of a trial."""
        known = [outcome for outcome in outcomes if outcome.score is not None]
        if number < ROUND or not known:
            return self._random.propose(number, outcomes)
        optuna = self._optuna
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        seed = int(np.random.default_rng([self._seed, number]).integers(2**31))
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=1)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        varied = {setting.path: setting for setting in self._space.settings}
        for outcome in known:
            kinds = {path: self._distribution(varied[path]) for path in outcome.values}
            # A choice may be a section, so optuna gets its number.
            numbers = {
                path: varied[path].values.index(value) if varied[path].kind == CHOICES else value
                for path, value in outcome.values.items()
            }
            study.add_trial(
                optuna.trial.create_trial(params=numbers, distributions=kinds, value=outcome.score)
            )
        trial = study.ask()

        def choose(setting: Setting) -> Any:
            low, high = setting.values[0], setting.values[-1]
            if setting.kind == CHOICES:
                numbers = list(range(len(setting.values)))
                return setting.values[trial.suggest_categorical(setting.path, numbers)]
            if setting.kind == INTEGERS:
                return trial.suggest_int(setting.path, low, high)
            is_log = setting.kind == LOG
            return setting.shorten(trial.suggest_float(setting.path, low, high, log=is_log))

        return self._space.choose(choose)

    def _distribution(self, setting: Setting) -> Any:
        kinds = self._optuna.distributions
        low, high = setting.values[0], setting.values[-1]
        if setting.kind == CHOICES:
            return kinds.CategoricalDistribution(list(range(len(setting.values))))
        if setting.kind == INTEGERS:
            return kinds.IntDistribution(low, high)
        return kinds.FloatDistribution(low, high, log=setting.kind == LOG)


class Halving(NamedTuple):
    """Early stopping of bad trials.

    At each rung a trial goes on if it is among the best 1/eta of the trials of earlier rounds that
    have come that far. Trials of the first round are not stopped. After ASHA (Li et al., "A System
    for Massively Parallel Hyperparameter Tuning", 2020), which compares with all trials that
    happen to be further, so that its result depends on the number of workers.

    eta (int): One of this many trials goes on.
    first (float): The first rung, as a share of the steps. Each further one is eta times as far.
    """

    eta: int = 3
    first: float = 0.1

    def list_rungs(self) -> list[float]:
        """List the rungs as shares of the steps, all below 1."""
        rungs = [self.first]
        while rungs[-1] * self.eta < 1:
            rungs.append(round(rungs[-1] * self.eta, 9))  # 0.3, not 0.30000000000000004
        return rungs

    def find_least(self, curves: Sequence[Sequence[tuple[float, float]]]) -> dict[float, float]:
        """Find the scores that a trial needs to go on.

        curves (Sequence[Sequence[Tuple[float, float]]]): For each earlier trial, the share of the
            steps and the best score so far, by evaluation.
        RETURNS (Dict[float, float]): The least score by rung.
        """
        least = {}
        for rung in self.list_rungs():
            reached = [next((y for x, y in curve if x >= rung), None) for curve in curves]
            scores = sorted((y for y in reached if y is not None), reverse=True)
            if scores:
                least[rung] = scores[(len(scores) - 1) // self.eta]
        return least


@dataclass
class Search:
    """The trials of a row, and then the best config with several seeds.

    task (str): Name of the group.
    name (str): Name of the row.
    title (str): Name for messages.
    sources (List[Run]): The pretrainings that its runs start from, that of the trials first.
    folder (Path): Folder of the row.
    space (Space): What is varied.
    engine (Engine): Proposes the settings of each trial.
    n_trials (int): Number of trials.
    metric (str): The score in training that is compared: "score", or one of the pipeline's scores.
    halving (Optional[Halving]): Early stopping of bad trials.
    make_trial (Callable): Makes the run of a trial from its number, its settings, and the scores
        that it needs to go on.
    make_best (Callable): Makes the runs of the best settings, one per seed.
    n_seeds (int): The number of these seeds.
    chosen (bool): Whether to go on with it; otherwise only what is complete is shown.
    facts (Dict[str, Any]): What decides the trials, to recognise those of another search.
    trials (List[Run]): The trials so far.
    values (List[Dict[str, Any]]): Their settings.
    best (List[Run]): The runs of the best settings; empty until all trials have ended.
    is_over (bool): Whether no more runs will begin.
    """

    task: str
    name: str
    title: str
    sources: list[Run]
    folder: Path
    space: Space
    engine: Engine
    n_trials: int
    metric: str
    halving: Halving | None
    make_trial: Callable[[int, Values, Mapping[float, float]], Run]
    make_best: Callable[[Values], list[Run]]
    n_seeds: int
    chosen: bool = True
    facts: dict[str, Any] = field(default_factory=dict)
    trials: list[Run] = field(default_factory=list)
    values: list[Values] = field(default_factory=list)
    best: list[Run] = field(default_factory=list)
    is_over: bool = False

    @property
    def source(self) -> Run | None:
        """The pretraining that the trials start from."""
        return self.sources[0] if self.sources else None

    def check(self) -> None:
        """Check what does not depend on the drawn values: the config, files, scores, the folder.

        RAISES (ValueError): If the config of the row is not valid, a file is missing, the pipeline
            has no such score, or the folder has the trials of another search.
        """
        for run in self.make_best({}):
            run.check_files()
        trial = self.make_trial(0, {}, {})
        trial.validate()
        names = trial.list_scores()
        if self.metric not in names:
            expected = ", ".join(names)
            raise ValueError(
                Errors.E679.format(row=self.title, expected=expected, found=self.metric)
            )
        self._read_proposals()

    def n_to_come(self) -> int:
        """Return the number of runs that will begin and are not known yet."""
        if self.is_over or not self.chosen:
            return 0
        return self.n_trials - len(self.trials) + self.n_seeds

    def advance(self, ended: Mapping[str, str]) -> list[Run]:
        """Find the runs that can begin now because all earlier ones have ended.

        ended (Mapping[str, str]): Runs that have ended, by title.
        RETURNS (List[Run]): The trials of the next round, or the runs of the best settings, or
            nothing. No run is returned twice.
        """
        if self.is_over or not all(run.title in ended for run in self.trials):
            return []
        return self._go_on(self._read_proposals(), self.n_trials)

    def recall(self) -> list[Run]:
        """Find the runs that earlier calls have made, without beginning any."""
        try:
            known = self._read_proposals()
        except ValueError:  # those of another search
            known = []
        found: list[Run] = []
        while runs := self._go_on(known, min(len(known), self.n_trials)):
            found += runs
        return found

    def describe_end(self) -> str:
        """Describe why a search that is over has no best settings."""
        n_open = sum(not run.is_trained() and not run.describe_failure() for run in self.trials)
        if n_open:
            return f"{n_open} of {len(self.trials)} trials were ended; run the study again"
        return f"none of {len(self.trials)} trials has a score"

    def _go_on(self, known: list[Values], n_trials: int) -> list[Run]:
        """Begin the next round, or the runs of the best settings, if nothing is in the way."""
        if self.is_over:
            return []
        if all(run.is_trained() or run.describe_failure() for run in self.trials):
            if len(self.trials) < n_trials:
                return self._begin_round(known, n_trials)
            number = self.rank()[:1]
            if len(self.trials) == self.n_trials and number:
                self.best = self.make_best(self.values[number[0]])
                self.best[0].config.to_disk(self.folder / BEST, interpolate=False)
        self.is_over = True
        return self.best

    def rank(self) -> list[int]:
        """Return the numbers of the trials that have a score, best first."""
        scores = {i: run.best_score() for i, run in enumerate(self.trials)}
        ranked = [(i, score) for i, score in scores.items() if score is not None]
        return [i for i, _ in sorted(ranked, key=lambda pair: -pair[1])]

    def _begin_round(self, known: list[Values], n_trials: int) -> list[Run]:
        first = len(self.trials)
        # The last round of an earlier call with fewer trials may have been shorter.
        begin, end = first // ROUND * ROUND, min(first // ROUND * ROUND + ROUND, n_trials)
        if isinstance(self.engine, RandomEngine) and self.halving is None:
            begin, end = 0, n_trials
        earlier = self.trials[:begin]
        outcomes = [Outcome(x, run.best_score()) for x, run in zip(self.values, earlier)]
        least: dict[float, float] = {}
        if self.halving is not None:
            least = self.halving.find_least([run.best_so_far() for run in earlier])
        for number in range(first, end):
            some = known[number] if number < len(known) else self.engine.propose(number, outcomes)
            self.values.append(some)
            self.trials.append(self.make_trial(number, some, least))
        if len(self.values) > len(known):
            self.folder.mkdir(parents=True, exist_ok=True)
            content = json.dumps({**self.facts, "trials": self.values}, indent=2)
            write_whole(self.folder / PROPOSALS, [content.encode("utf8")])
        return self.trials[first:]

    def _read_proposals(self) -> list[Values]:
        """Read the settings of the trials that an earlier call has begun."""
        path = self.folder / PROPOSALS
        if not path.is_file():
            return []
        # Not by srsly, which reads 0.003464 as 0.0034639999999999996: another config.
        found = json.loads(path.read_text(encoding="utf8"))
        trials: list[Values] = found.pop("trials", [])
        if found != json.loads(json.dumps(self.facts)):
            changed = [name for name in self.facts if found.get(name) != self.facts[name]]
            raise ValueError(Errors.E678.format(path=path, changed=", ".join(changed)))
        return trials

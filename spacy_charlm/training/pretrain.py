"""The pretraining loop, which can be stopped, resumed, watched and evaluated."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wasabi import msg

from ..card import complete_card
from ..errors import Errors
from ..files import lock_folder, remove_parts, write_whole
from ..machine import resident_megabytes
from .checkpoint import (
    PATTERN,
    RunState,
    compare_origins,
    describe_origin,
    find_checkpoints,
    read_checkpoint,
    require_checkpoints,
    write_checkpoint,
)
from .progress import ProgressBar, above_bar, clock
from .run_log import RunLog
from .schedule import check_schedule, read_schedule
from .worker import Result, Trainer, WorkerLost

BEST, LAST, LOG, CHECKPOINTS = "model-best.bin", "model-last.bin", "log.jsonl", "checkpoints"
HEADS = {BEST: "head-best.bin", LAST: "head-last.bin"}
CURVE = "curve.png"  # learning curves, which the command draws at the end
WRITTEN = (BEST, LAST, *HEADS.values(), LOG, CURVE)  # files of a run, besides checkpoints
MAX_LOST = 3  # workers lost without a checkpoint in between, after which a run gives up
N_UPDATES = 5  # of a dry run


@dataclass(frozen=True)
class Outcome:
    """How a pretraining run ended.

    progress (RunState): Updates, words, best score.
    stopped (bool): Whether it was stopped before its end and can be resumed.
    """

    progress: RunState
    stopped: bool


def pretrain(trainer: Trainer, output: Path, *, resume: bool = False) -> Outcome:
    """Pretrain a tok2vec.

    trainer (Trainer): A `Worker` or a `Crew`, built from a config whose section [charlm] has the
        settings of the run.
    output (Path): Folder for model-best.bin, model-last.bin, log.jsonl and checkpoints. It is
        locked until the run ends.
    resume (bool): Whether to continue from the newest checkpoint there.
    RETURNS (Outcome): How the run ended.
    RAISES (ValueError): If config, texts or checkpoint do not fit, or another run is using the
        folder. Nothing is overwritten.
    RAISES (OSError): If a file cannot be written. Files written before stay.
    """
    if resume:
        require_checkpoints(output / CHECKPOINTS)  # before a folder is created
    with lock_folder(output):
        if not resume:
            _check_unused(output)
        remove_parts(output, WRITTEN)
        remove_parts(output / CHECKPOINTS, [PATTERN])
        newest: list[Path] | None = None
        n_lost = 0
        while True:
            try:
                return Pretraining(trainer, output, resume=resume).run()
            except WorkerLost as err:
                found = find_checkpoints(output / CHECKPOINTS)
                n_lost = n_lost + 1 if found[-1:] == newest else 1
                newest = found[-1:]
                if n_lost > MAX_LOST:
                    raise ValueError(Errors.E530.format(n=n_lost, reason=err, path=output)) from err
                msg.warn(Errors.W520.format(reason=err))
                trainer.restart()
                resume = bool(found)


def _check_unused(output: Path) -> None:
    """Raise an error if a folder has any file that a run writes."""
    found = [name for name in WRITTEN if (output / name).exists()]
    found += [f"{CHECKPOINTS}/{path.name}" for path in find_checkpoints(output / CHECKPOINTS)]
    if found:
        raise ValueError(Errors.E525.format(path=output, found=", ".join(found)))


def dry_run(trainer: Trainer) -> list[tuple[str, str]]:
    """Check config, texts, vectors and weights, and measure some updates.

    trainer (Trainer): A `Worker` or a `Crew`. Its weights are changed.
    RETURNS (List[Tuple[str, str]]): Names and values: texts, words, updates, time, memory.
    RAISES (ValueError): The errors of `pretrain`.
    """
    start = time.monotonic()
    scan = trainer.scan()
    scanned = time.monotonic() - start
    trainer.start_pass(0, 0)
    n_steps = trainer.next_round()
    if n_steps < 1:
        raise ValueError(Errors.E527)
    measured = words = 0.0
    for i in range(min(n_steps, N_UPDATES + 1)):
        start = time.monotonic()
        result = trainer.step(i, i)
        if i or n_steps == 1:  # the first update also builds tables
            measured += time.monotonic() - start
            words += result.words
    lines = [("words/s", f"{words / measured:,.0f}")]
    learn_rate = trainer.nlp.config.interpolate()["pretraining"]["optimizer"].get("learn_rate")
    updates = max_steps = trainer.settings.max_steps
    if scan is not None:
        rounds = max(1.0, scan.characters / (trainer.settings.block_size * trainer.n_shards))
        total = rounds * trainer.round_words
        all_updates = rounds * n_steps * trainer.max_epochs
        updates = trainer.n_updates or min(round(all_updates), max_steps or round(all_updates))
        seconds = total * trainer.max_epochs * measured / words * min(1, updates / all_updates)
        lines = [
            ("texts", f"{scan.texts:,}"),
            ("blank", f"{scan.blank:,}"),
            ("characters", f"{scan.characters:,}"),
            ("words in a pass, about", f"{total:,.0f}"),
            ("passes", f"{trainer.max_epochs:,}"),
            ("updates, about", f"{updates:,}"),
            *_describe_schedule(learn_rate, updates),
            ("updates between evaluations", f"{trainer.eval_frequency:,}"),
            ("time to read the texts", clock(scanned)),
            ("time to train, about", clock(seconds)),
            *lines,
        ]
    if updates and (warning := check_schedule(learn_rate, updates)):
        msg.warn(warning)
    scores = trainer.evaluate()
    if "dev_masked" in scores:
        lines.append(("masked words in the development texts", f"{scores['dev_masked']:,}"))
    lines.append(("memory, MB", f"{resident_megabytes():,.0f}"))
    return lines


def _describe_schedule(learn_rate: Any, updates: int) -> list[tuple[str, str]]:
    warmup, total = read_schedule(learn_rate, updates) or (None, None)
    if warmup is None:
        return []
    return [
        ("updates of the warm-up", f"{warmup:,}"),
        ("updates until the learning rate is zero", f"{total:,}"),
    ]


class Pretraining:
    """One run: see `pretrain`."""

    def __init__(self, trainer: Trainer, output: Path, *, resume: bool) -> None:
        self.trainer = trainer
        self.output = output
        self.settings = trainer.settings
        self.progress = RunState()
        self._has_warned = False
        found = read_checkpoint(output / CHECKPOINTS) if resume else None
        self.scan = trainer.scan()
        self.origin = describe_origin(
            trainer.nlp.config.interpolate(),
            trainer.nlp.vocab.vectors,
            seed=trainer.seed,
            n_shards=trainer.n_shards,
            target=trainer.target,
            scan=self.scan,
        )
        if found is not None:
            lines = compare_origins(found.settings["origin"], self.origin)
            if lines:
                path = find_checkpoints(output / CHECKPOINTS)[-1]
                lines = [f"  {line}" for line in lines]
                raise ValueError(Errors.E526.format(path=path, lines="\n".join(lines)))
            trainer.load(found)
            self.progress = RunState(**found.settings["progress"])
        # Sums since the last line of the log, without evaluations.
        self._sum, self._seconds = Result(), 0.0
        self._scores: list[tuple[float, int]] = []
        self._saved_step = self.progress.step if resume else -1

    def run(self) -> Outcome:
        """Train to the end, or until a signal arrives."""
        progress = self.progress
        trainer, path = self.trainer, self.output / LOG
        if self._saved_step < 0:
            # From here on, a run that is killed can be resumed.
            self._write_checkpoint()
        log = RunLog(path, progress.step, trainer.nlp, trainer.component, self.settings.logger)
        bar = ProgressBar("Pretraining", self._share_done(0), progress.words)
        complete = False
        try:
            with catch_signals() as signals:
                try:
                    finished = self._train(signals, log, bar)
                except ValueError:
                    # Such as a loss of nan. The weights are still those of the last good update.
                    if self._saved_step != progress.step:
                        self._save(log, evaluate=False)
                    elif not progress.step:
                        # Nothing was learned: the folder can be used after the correction.
                        for file in (path, *find_checkpoints(self.output / CHECKPOINTS)):
                            file.unlink()
                    raise
                stopped = not finished and bool(signals)
                if self._saved_step != progress.step:
                    self._save(log, evaluate=not stopped)
            complete = True
        finally:
            bar.close(done=complete)
            log.close()
        return Outcome(progress, stopped)

    def _train(self, signals: list[int], log: RunLog, bar: ProgressBar) -> bool:
        """Train to the end of the last pass; return False if the run ends before it."""
        progress, trainer = self.progress, self.trainer
        last = time.monotonic()
        while progress.epoch < trainer.max_epochs:
            trainer.start_pass(progress.epoch, progress.round)
            while True:
                if signals or self._is_over():
                    return False
                n_steps = trainer.next_round()
                if n_steps < 0:
                    break
                while progress.round_step < n_steps:
                    if signals or self._is_over():
                        return False
                    result = trainer.step(progress.step, progress.round_step)
                    now = time.monotonic()
                    progress.seconds += now - last
                    self._seconds += now - last
                    last = now
                    progress.step += 1
                    progress.round_step += 1
                    progress.words += result.words
                    self._sum += result
                    mean = result.loss / result.weight if result.weight else 0.0
                    bar.update(self._share_done(n_steps), progress.words, f"loss {mean:.4f}")
                    if progress.step % self.trainer.eval_frequency == 0:
                        self._save(log)
                        last = time.monotonic()
                progress.round += 1
                progress.round_step = 0
            if progress.round == 0 or progress.step == 0:
                raise ValueError(Errors.E527)
            progress.epoch += 1
            progress.round = 0
        return True

    def _is_over(self) -> bool:
        progress, settings = self.progress, self.settings
        if settings.max_steps and progress.step >= settings.max_steps:
            return True
        waited = progress.step - progress.best_step
        return bool(settings.patience and progress.scores and waited >= settings.patience)

    def _save(self, log: RunLog, *, evaluate: bool = True) -> None:
        """Evaluate, write weights, a checkpoint and a line of the log."""
        progress = self.progress
        start = time.monotonic()
        scores = self.trainer.evaluate() if evaluate else {}
        if scores.get("dev_masked") == 0 and not self._has_warned:
            self._has_warned = True
            with above_bar():
                msg.warn(Errors.W522)
        score = -scores["dev_loss"] if "dev_loss" in scores else None
        is_best = score is not None and (progress.best_score is None or score > progress.best_score)
        if score is not None and is_best:
            progress.best_score, progress.best_step, progress.scores = score, progress.step, scores
        progress.seconds += time.monotonic() - start
        weights = self._complete(self.trainer.weights(), scores)
        head = self.trainer.head()
        for name in [BEST, LAST] if is_best else [LAST]:
            if head is not None:
                write_whole(self.output / HEADS[name], [head])
            write_whole(self.output / name, [weights])
        total = self._sum
        line = {
            "step": progress.step,
            "epoch": progress.epoch,
            "words": progress.words,
            "seconds": round(progress.seconds, 3),
            "words_per_second": round(total.words / max(self._seconds, 1e-9), 1),
            "learn_rate": float(self.trainer.learn_rate),
            "loss": total.loss / total.weight if total.weight else 0.0,
            "memory_mb": resident_megabytes(),
            **scores,
        }
        if score is not None:
            self._scores.append((score, progress.step))
            line.update(best=is_best, score=score)
        self._sum, self._seconds = Result(), 0.0
        # Before the checkpoint: a resumed run removes later lines, and would not write this one.
        log.write(line, self._scores)
        self._write_checkpoint()

    def _write_checkpoint(self) -> None:
        folder, snapshot = self.output / CHECKPOINTS, self.trainer.snapshot()
        write_checkpoint(folder, snapshot, self.progress, self.origin, self.settings.keep_last)
        self._saved_step = self.progress.step

    def _complete(self, weights: bytes, scores: dict[str, float]) -> bytes:
        """Add facts about the run to the card of the weights, and a digest."""
        facts = {
            "command": "charlm pretrain",
            "config": self.origin["config"],
            "corpus": asdict(self.scan) if self.scan else None,
            "updates": self.progress.step,
            "words": self.progress.words,
            "scores": scores,
        }
        return complete_card(weights, facts)

    def _share_done(self, n_steps: int) -> float:
        """Return the share of the run that is done, by steps or by characters."""
        progress, settings = self.progress, self.settings
        shares = [0.0]
        if settings.max_steps:
            shares.append(progress.step / settings.max_steps)
        if self.scan is not None:
            rounds = self.scan.characters / (self.settings.block_size * self.trainer.n_shards)
            rounds_done = progress.round + (progress.round_step / n_steps if n_steps else 0)
            # The last round of a pass is shorter.
            done = progress.epoch + min(rounds_done / rounds, 1.0)
            shares.append(done / self.trainer.max_epochs)
        return min(max(shares), 1.0)


@contextmanager
def catch_signals() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM, which ends preempted machines. A second one raises.

    YIELDS (List[int]): The signals received so far.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught  # only the main thread receives signals
        return

    def note(number: int, frame: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)
        with above_bar():
            msg.warn("Stopping after this update. A second signal stops at once, without saving.")

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, note) for number in numbers]
    try:
        yield caught
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)

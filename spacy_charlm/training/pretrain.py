"""Pretraining that one can stop, resume, watch and judge."""

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
from ..files import make_folder, write_whole
from ..machine import resident_megabytes
from .checkpoint import (
    Progress,
    compare_origins,
    describe_origin,
    find_checkpoints,
    get_step,
    read_checkpoint,
    write_checkpoint,
)
from .progress import ShowProgress, clock
from .rounds import Scan
from .run_log import RunLog
from .worker import Result, WorkerLost


@contextmanager
def catch_signals() -> Iterator[list[int]]:
    """Collect Ctrl-C and the signal that ends a preempted machine; a second Ctrl-C raises.

    YIELDS (List[int]): The signals that have come.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught  # only the main thread is told of signals
        return

    def note(number: int, frame: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)
        msg.warn("Stopping after this update; once more stops at once, without saving.")

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, note) for number in numbers]
    try:
        yield caught
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)


N_UPDATES = 5


def dry_run(worker: Any) -> list[tuple[str, str]]:
    """Check config, texts, vectors and weights, and measure some updates.

    worker (Worker): Who would compute. Its weights are changed.
    RETURNS (List[Tuple[str, str]]): Names and values: texts, words, updates, time, memory.
    RAISES (ValueError): What `pretrain` would raise.
    """
    start = time.monotonic()
    scan = worker.scan()
    scanned = time.monotonic() - start
    worker.start_pass(0, 0)
    n_steps = worker.next_round()
    if n_steps < 1:
        raise ValueError(Errors.E527)
    measured = words = 0.0
    for i in range(min(n_steps, N_UPDATES + 1)):
        start = time.monotonic()
        result = worker.step(i, i)
        if i or n_steps == 1:  # the first one builds tables
            measured += time.monotonic() - start
            words += result.words
    lines = [("words/s", f"{words / measured:,.0f}")]
    if scan is not None:
        rounds = max(1.0, scan.characters / (worker.settings.block_size * worker.n_parts))
        total = rounds * worker.round_words
        steps = rounds * n_steps * worker.max_epochs
        lines = [
            ("texts", f"{scan.texts:,}"),
            ("blank", f"{scan.blank:,}"),
            ("characters", f"{scan.characters:,}"),
            ("words in a pass, about", f"{total:,.0f}"),
            ("passes", f"{worker.max_epochs:,}"),
            ("updates, about", f"{steps:,.0f}"),
            ("time to read the texts", clock(scanned)),
            ("time to train, about", clock(total * worker.max_epochs * measured / words)),
            *lines,
        ]
    scores = worker.evaluate()
    if "dev_masked" in scores:
        lines.append(("words behind masks in the development texts", f"{scores['dev_masked']:,}"))
    lines.append(("memory, MB", f"{resident_megabytes():,.0f}"))
    return lines


BEST, LAST, LOG, CHECKPOINTS = "model-best.bin", "model-last.bin", "log.jsonl", "checkpoints"
MAX_LOSSES = 3  # workers lost with no checkpoint between them: the next would be lost, too
HEADS = {BEST: "head-best.bin", LAST: "head-last.bin"}


@dataclass(frozen=True)
class Outcome:
    """What a pretraining has come to.

    progress (Progress): Updates, words, best score.
    stopped (bool): Whether it was stopped before its end and may be resumed.
    """

    progress: Progress
    stopped: bool


def pretrain(worker: Any, output: Path, *, resume: bool = False) -> Outcome:
    """Pretrain a tok2vec.

    worker (Worker | Crew): Who computes; it has the config, whose section [charlm] is ours.
    output (Path): Folder for model-best.bin, model-last.bin, log.jsonl and checkpoints.
    resume (bool): Whether to go on from the newest checkpoint there.
    RETURNS (Outcome): How it ended.
    RAISES (ValueError): If config, texts or checkpoint do not fit; nothing is overwritten.
    RAISES (OSError): If the output cannot be written; what was written stays.
    """
    newest: list[Path] | None = None
    losses = 0
    while True:
        try:
            return Pretraining(worker, output, resume=resume).run()
        except WorkerLost as err:
            found = find_checkpoints(output / CHECKPOINTS)
            losses = losses + 1 if found[-1:] == newest else 1
            newest = found[-1:]
            if losses > MAX_LOSSES:
                raise ValueError(Errors.E530.format(n=losses, reason=err, path=output)) from err
            msg.warn(Errors.W520.format(reason=err))
            worker.restart()
            resume = bool(found)


class Pretraining:
    """One run: see `pretrain`."""

    def __init__(self, worker: Any, output: Path, *, resume: bool) -> None:
        self.worker = worker
        self.output = output
        self.settings = worker.settings
        self.progress = Progress()
        found = None
        if resume:
            found = read_checkpoint(output / CHECKPOINTS)
        elif _is_begun(output):
            raise ValueError(Errors.E525.format(path=output))
        make_folder(output)
        self.scan: Scan | None = worker.scan()
        self.origin = describe_origin(worker, self.scan)
        if found is not None:
            lines = compare_origins(found.settings["origin"], self.origin)
            if lines:
                path = find_checkpoints(output / CHECKPOINTS)[-1]
                lines = [f"  {line}" for line in lines]
                raise ValueError(Errors.E526.format(path=path, lines="\n".join(lines)))
            worker.load(found)
            self.progress = Progress(**found.settings["progress"])
        # Since the last line of the log, evaluations left out.
        self._sum, self._seconds = Result(), 0.0
        self._scores: list[tuple[float, int]] = []
        self._saved_step = self.progress.step if resume else -1

    def run(self) -> Outcome:
        """Train to the end, or until a signal comes."""
        progress = self.progress
        worker, path = self.worker, self.output / LOG
        log = RunLog(path, progress.step, worker.nlp, worker.component, self.settings.logger)
        show = ShowProgress("Pretraining", self._share_done(0), progress.words)
        whole = False
        try:
            with catch_signals() as signals:
                if self._saved_step < 0:
                    # From here on a kill leaves something to resume from.
                    self._write_checkpoint()
                try:
                    finished = self._train(signals, log, show)
                except ValueError:
                    # Such as a loss that is no number: the weights are those of the update before.
                    if self._saved_step != progress.step:
                        self._save(log, evaluate=False)
                    raise
                stopped = not finished and bool(signals)
                if self._saved_step != progress.step:
                    self._save(log, evaluate=not stopped)
            whole = True
        finally:
            show.close(done=whole)
            log.close()
        return Outcome(progress, stopped)

    def _train(self, signals: list[int], log: RunLog, show: ShowProgress) -> bool:
        """Run to the end of the last pass; False where the run ends before it."""
        progress, worker = self.progress, self.worker
        last = time.monotonic()
        while progress.epoch < worker.max_epochs:
            worker.start_pass(progress.epoch, progress.round)
            while True:
                if signals or self._is_over():
                    return False
                n_steps = worker.next_round()
                if n_steps < 0:
                    break
                while progress.round_step < n_steps:
                    if signals or self._is_over():
                        return False
                    result = worker.step(progress.step, progress.round_step)
                    now = time.monotonic()
                    progress.seconds += now - last
                    self._seconds += now - last
                    last = now
                    progress.step += 1
                    progress.round_step += 1
                    progress.words += result.words
                    self._sum += result
                    mean = result.loss / result.weight if result.weight else 0.0
                    show.update(self._share_done(n_steps), progress.words, f"loss {mean:.4f}")
                    if progress.step % self.settings.eval_frequency == 0:
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
        scores = self.worker.evaluate() if evaluate else {}
        score = -scores["dev_loss"] if "dev_loss" in scores else None
        is_best = score is not None and (progress.best_score is None or score > progress.best_score)
        if score is not None and is_best:
            progress.best_score, progress.best_step, progress.scores = score, progress.step, scores
        progress.seconds += time.monotonic() - start
        weights = self._complete(self.worker.weights(), scores)
        head = self.worker.head()
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
            "learn_rate": float(self.worker.learn_rate),
            "loss": total.loss / total.weight if total.weight else 0.0,
            "memory_mb": resident_megabytes(),
            **scores,
        }
        if score is not None:
            self._scores.append((score, progress.step))
            line.update(best=is_best, score=score)
        self._sum, self._seconds = Result(), 0.0
        # Before the checkpoint: a resumed run removes lines after it, and would not write this one.
        log.write(line, self._scores)
        self._write_checkpoint()

    def _write_checkpoint(self) -> None:
        folder, snapshot = self.output / CHECKPOINTS, self.worker.snapshot()
        write_checkpoint(folder, snapshot, self.progress, self.origin, self.settings.keep_last)
        self._saved_step = self.progress.step

    def _complete(self, weights: bytes, scores: dict[str, float]) -> bytes:
        """Put what only this command knows onto the card, and a digest."""
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
        """Share of the run that is done, by steps or by characters."""
        progress, settings = self.progress, self.settings
        shares = [0.0]
        if settings.max_steps:
            shares.append(progress.step / settings.max_steps)
        if self.scan is not None:
            rounds = self.scan.characters / (self.settings.block_size * self.worker.n_parts)
            inside = progress.round + (progress.round_step / n_steps if n_steps else 0)
            # The last round of a pass is a short one.
            done = progress.epoch + min(inside / rounds, 1.0)
            shares.append(done / self.worker.max_epochs)
        return min(max(shares), 1.0)


def _is_begun(output: Path) -> bool:
    """Whether a run has left weights there, or somebody else has."""
    checkpoints = find_checkpoints(output / CHECKPOINTS)
    if checkpoints:
        # A run whose only checkpoint is its first one ended before its first save was whole.
        return get_step(checkpoints[-1]) > 0
    return (output / LAST).exists()

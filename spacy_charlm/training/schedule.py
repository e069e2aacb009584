"""How long a pretraining run is, and the learning rate that follows from it."""

from collections.abc import Iterable, Iterator, Mapping
from math import ceil
from typing import Any, Literal, TypeAlias

from thinc.api import warmup_linear

from ..errors import Errors
from ..text.text_corpus import CorpusSize, TextCorpus
from .settings import Settings

Auto: TypeAlias = Literal["auto"]
AUTO: Auto = "auto"
SCHEDULE = "spacy-charlm.warmup_linear.v1"
SCHEDULES = (SCHEDULE, "warmup_linear.v1")
MAX_WARMUP = 250  # updates; as a share of the run, the divisor below
WARMUP_DIVISOR = 10
# Batchers whose size is a number of words.
WORD_BATCHERS = ("spacy.batch_by_words.v1", "spacy.batch_by_padded.v1")
# About 20 evaluations per run, but not after a few updates only, nor after hours.
N_EVALUATIONS = 20
MIN_EVAL, MAX_EVAL, DEFAULT_EVAL = 25, 1_000, 500
# Differences between total_steps and the updates of a run that do not matter.
SHORTEST, LONGEST = 0.8, 1.5


def create_warmup_linear_v1(
    initial_rate: float,
    total_steps: int | Auto = AUTO,
    warmup_steps: int | Auto = AUTO,
    corpus: Any = None,
    batch_words: int = 3000,
    epochs: int = 1,
    lang: str = "xx",
) -> Iterable[float]:
    """Create thinc's `warmup_linear.v1`, a warm-up and then a linear decline, as long as the run.

    Nothing is read before the second value, because `spacy train` creates this schedule as well.
    `charlm pretrain` counts the updates itself, as it knows the number of workers and of batches
    per update.

    initial_rate (float): Learning rate after the warm-up.
    total_steps (int | "auto"): Updates after which the rate reaches zero. "auto" estimates those of
        the run from `corpus`.
    warmup_steps (int | "auto"): Updates of the warm-up. "auto" for a tenth of all, at most 250.
    corpus (Optional[TextCorpus]): The texts of the run, such as ${corpora.pretrain}.
    batch_words (int): Words of an update, such as ${pretraining.batcher.size}.
    epochs (int): Calls of the reader, such as ${pretraining.max_epochs}.
    lang (str): Code of the language, such as ${nlp.lang}; its tokenizer splits a sample.
    RETURNS (Iterable[float]): The learning rate of each update.
    RAISES (ValueError): If there is no `TextCorpus` to estimate the updates from, or a number is
        out of range.
    """
    for name, value, lowest in (
        ("total_steps", total_steps, 0),
        ("warmup_steps", warmup_steps, 0),
        ("batch_words", batch_words, 1),
        ("epochs", epochs, 0),
    ):
        if value != AUTO and not (isinstance(value, int) and value >= lowest):
            raise ValueError(Errors.E576.format(name=name, lowest=lowest, value=value))
    if total_steps == AUTO and not isinstance(corpus, TextCorpus):
        raise ValueError(Errors.E575.format(found=type(corpus).__name__))

    def generate() -> Iterator[float]:
        yield initial_rate if warmup_steps == 0 else 0.0
        total = total_steps
        if total == AUTO:
            size = corpus.measure(lang)
            words = size.words * corpus.count_passes(lang) * epochs
            total = ceil(words / size.fill_batch(batch_words))
        warmup = choose_warmup(total) if warmup_steps == AUTO else warmup_steps
        rates = iter(warmup_linear(initial_rate, warmup, total))
        next(rates)
        yield from rates

    return generate()


def choose_warmup(total: int) -> int:
    """Choose the number of updates of a warm-up.

    total (int): Updates of the run.
    RETURNS (int): A tenth of them, at least 1 and at most 250.
    """
    return min(MAX_WARMUP, max(1, total // WARMUP_DIVISOR))


def choose_eval_frequency(settings: Settings, total: int | None) -> int:
    """Choose how many updates lie between two evaluations, unless the settings say it.

    settings (Settings): The section [charlm].
    total (Optional[int]): Updates of the run; None if they are not known.
    RETURNS (int): A twentieth of them, at least 25 and at most 1,000; 500 if they are not known.
    """
    if settings.eval_frequency != AUTO:
        return settings.eval_frequency
    if total is None:
        return DEFAULT_EVAL
    return min(MAX_EVAL, max(MIN_EVAL, total // N_EVALUATIONS))


class UnknownLength(ValueError):
    """The updates of a run cannot be estimated from its corpus or its batcher."""


def count_passes(corpus: Any, lang: str) -> int:
    """Count the passes over the texts that one call of a reader makes.

    corpus (Callable): A reader of [corpora].
    lang (str): Code of the language.
    RETURNS (int): The passes of a `TextCorpus`; 1 for other readers.
    """
    return corpus.count_passes(lang) if isinstance(corpus, TextCorpus) else 1


def plan_updates(
    corpus: Any,
    batcher: Mapping[str, Any],
    settings: Settings,
    *,
    lang: str,
    epochs: int,
    n_shards: int = 1,
) -> int:
    """Estimate the updates of `charlm pretrain`, for which the corpus is read once.

    corpus (Callable): A reader of [corpora].
    batcher (Mapping[str, Any]): The block of the batcher.
    settings (Settings): The section [charlm].
    lang (str): Code of the language.
    epochs (int): Calls of the reader.
    n_shards (int): Batches of an update.
    RETURNS (int): The updates, about; the same ones whenever the texts and settings are the same.
    RAISES (UnknownLength): If the reader is no `TextCorpus`, or the batcher does not count words.
    """
    if not isinstance(corpus, TextCorpus):
        raise UnknownLength(Errors.E575.format(found=type(corpus).__name__))
    if batcher.get("@batchers") not in WORD_BATCHERS:
        found, expected = batcher.get("@batchers"), " or ".join(WORD_BATCHERS)
        raise UnknownLength(Errors.E577.format(expected=expected, found=found))
    size = corpus.measure(lang)
    n_passes = epochs * corpus.count_passes(lang)
    updates = n_passes * _count_steps(size, batcher["size"], n_shards, settings.block_size)
    return min(updates, settings.max_steps or updates)


def _count_steps(size: CorpusSize, batch_words: int, n_shards: int, block_size: int) -> int:
    """Count the steps of a pass: see `rounds`."""
    blocks = size.characters / block_size
    batches = size.words / size.fill_batch(batch_words) / blocks
    # A round is as long as its longest block. The last one may have a part of a block only.
    rounds, rest = divmod(blocks, n_shards)
    return int(rounds) * ceil(batches) + ceil(min(rest, 1.0) * batches)


def needs_updates(learn_rate: Any) -> bool:
    """Tell whether a schedule has to know the updates of the run.

    learn_rate (Any): The block of a schedule, interpolated; or a number.
    RETURNS (bool): Whether it is ours and has no number of steps.
    """
    block = learn_rate if isinstance(learn_rate, dict) else {}
    return block.get("@schedules") == SCHEDULE and block.get("total_steps", AUTO) == AUTO


def read_schedule(learn_rate: Any, updates: int) -> tuple[int, int] | None:
    """Read a schedule with a warm-up.

    learn_rate (Any): The block of a schedule, interpolated; or a number.
    updates (int): Updates of the run, which take the place of "auto".
    RETURNS (Optional[Tuple[int, int]]): The updates of the warm-up, and those after which the rate
        is zero; None for any other schedule.
    """
    if not isinstance(learn_rate, dict) or learn_rate.get("@schedules") not in SCHEDULES:
        return None
    total, warmup = (learn_rate.get(name, AUTO) for name in ("total_steps", "warmup_steps"))
    total = updates if total == AUTO else total
    return (choose_warmup(total) if warmup == AUTO else warmup), total


def check_schedule(learn_rate: Any, updates: int) -> str | None:
    """Compare a schedule with the length of a run.

    learn_rate (Any): The block of the schedule, interpolated; or a number.
    updates (int): Updates of the run.
    RETURNS (Optional[str]): A message if the warm-up does not end before the run, or if the rate
        does not reach zero about where the run ends.
    """
    warmup, total = read_schedule(learn_rate, updates) or (0, updates)
    if warmup >= max(updates, 2):
        return Errors.W660.format(warmup=warmup, updates=updates)
    if not SHORTEST * updates <= total <= LONGEST * updates:
        return Errors.W661.format(total=total, updates=updates)
    return None

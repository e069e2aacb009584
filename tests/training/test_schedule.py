"""How long a run is: what is estimated must be what the two commands then do."""

import pytest
import spacy
import srsly
from spacy.training.pretrain import pretrain as spacy_pretrain
from spacy.util import registry
from thinc.api import warmup_linear

from spacy_charlm.text.text_corpus import CorpusSize, TextCorpus
from spacy_charlm.training.checkpoint import find_checkpoints, read_arrays
from spacy_charlm.training.optimizer import SelfSteppingOptimizer, create_adam_v1
from spacy_charlm.training.pretrain import CHECKPOINTS, LOG, dry_run
from spacy_charlm.training.schedule import (
    check_schedule,
    choose_eval_frequency,
    choose_warmup,
    create_warmup_linear_v1,
    plan_updates,
    read_schedule,
)
from spacy_charlm.training.settings import Settings
from spacy_charlm.training.worker import Worker

RATE = "pretraining.optimizer.learn_rate"
# About 480 words, 6 batches of 80: 3 passes.
AUTO = {
    f"{RATE}.total_steps": "auto",
    f"{RATE}.warmup_steps": "auto",
    "charlm.eval_frequency": "auto",
    "corpora.pretrain.min_words": 1200,
    "pretraining.max_epochs": 1,
    "pretraining.batcher.size": 80,
    "pretraining.batcher.tolerance": 0.0,
    "charlm.block_size": 1_000_000,
}


class Corpus(TextCorpus):
    """A reader that must not be read, or of a given size."""

    def __init__(self, size=None, **settings):
        super().__init__("texts.txt", **settings)
        self.size = size

    def measure(self, lang):
        assert self.size is not None, "read too early"
        return self.size


def first(rates, n):
    rates = iter(rates)
    return [next(rates) for _ in range(n)]


@pytest.mark.parametrize("warmup, total", [(20, 60), (0, 5), (7, 3), (1, 0)])
def test_schedule_with_numbers_is_that_of_thinc(warmup, total):
    ours = create_warmup_linear_v1(0.1, total, warmup)
    assert first(ours, 70) == first(warmup_linear(0.1, warmup, total), 70)


def test_schedule_reads_nothing_before_its_second_value():
    corpus = Corpus(min_words=100)
    optimizer = create_adam_v1(create_warmup_linear_v1(0.1, corpus=corpus, batch_words=10))
    assert optimizer.learn_rate == 0.0
    corpus.size = CorpusSize(characters=200, words=40)
    rates = [0.0]
    for _ in range(12):
        super(SelfSteppingOptimizer, optimizer).step_schedules()
        rates.append(optimizer.learn_rate)
    # Three passes of 40 words, 12 updates in all.
    assert rates == first(warmup_linear(0.1, 1, 12), 13)
    assert rates[-1] == 0.0 < rates[-2]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({}, "charlm E575.*found NoneType"),
        ({"corpus": 3}, "charlm E575.*found int"),
        ({"total_steps": -1}, "charlm E576.*total_steps of 0 or more, but found -1"),
        ({"total_steps": 9, "warmup_steps": -1}, "charlm E576.*warmup_steps"),
        ({"total_steps": 9, "batch_words": 0}, "charlm E576.*batch_words of 1 or more"),
    ],
)
def test_schedule_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        create_warmup_linear_v1(0.1, **settings)


@pytest.mark.parametrize(
    "total, warmup, between", [(1, 1, 25), (34, 3, 25), (1080, 108, 54), (10**6, 250, 1000)]
)
def test_schedule_chooses_warmup_and_evaluations(total, warmup, between):
    assert choose_warmup(total) == warmup
    assert choose_eval_frequency(Settings(), total) == between
    assert choose_eval_frequency(Settings(eval_frequency=7), total) == 7
    assert choose_eval_frequency(Settings(), None) == 500


@pytest.mark.parametrize(
    "words, n_shards, block_size, max_steps, updates",
    [
        (1000, 1, 10**6, 0, 10),
        (1001, 1, 10**6, 0, 11),
        (1000, 4, 10**6, 0, 10),  # one block: three shards are empty
        (1000, 4, 1000, 0, 4),  # five blocks of two steps: a full round, and one with one block
        (1000, 1, 10**6, 7, 7),
        (1000, 1, 10**6, 70, 10),
    ],
)
def test_schedule_counts_the_updates_of_rounds(words, n_shards, block_size, max_steps, updates):
    settings = Settings(block_size=block_size, max_steps=max_steps)
    batcher = {"@batchers": "spacy.batch_by_words.v1", "size": 100}
    corpus = Corpus(CorpusSize(words * 5, words))
    found = plan_updates(corpus, batcher, settings, lang="en", epochs=1, n_shards=n_shards)
    assert found == updates
    if not max_steps:
        corpus.min_words = 2 * words + 1  # three passes in each of two calls of the reader
        more = plan_updates(corpus, batcher, settings, lang="en", epochs=2, n_shards=n_shards)
        assert more == 6 * updates


@pytest.mark.parametrize(
    "learn_rate, updates, code",
    [
        (0.001, 5, None),
        ({"@schedules": "constant.v1", "rate": 0.1}, 5, None),
        ({"@schedules": "warmup_linear.v1", "warmup_steps": 250, "total_steps": 134}, 134, "W660"),
        ({"@schedules": "warmup_linear.v1", "warmup_steps": 13, "total_steps": 134}, 134, None),
        ({"@schedules": "warmup_linear.v1", "warmup_steps": 13, "total_steps": 134}, 300, "W661"),
        ({"@schedules": "warmup_linear.v1", "warmup_steps": 13, "total_steps": 134}, 60, "W661"),
        ({"@schedules": "spacy-charlm.warmup_linear.v1"}, 1, None),
        ({"@schedules": "spacy-charlm.warmup_linear.v1", "warmup_steps": 250}, 134, "W660"),
    ],
)
def test_schedule_is_compared_with_the_run(learn_rate, updates, code):
    message = check_schedule(learn_rate, updates)
    assert (message or "").startswith(f"[charlm {code}]" if code else "")
    assert (message is None) == (code is None)


def test_schedule_reads_numbers():
    assert read_schedule({"@schedules": "spacy-charlm.warmup_linear.v1"}, 500) == (50, 500)
    assert read_schedule(0.1, 500) is None


def test_schedule_plans_what_charlm_pretrain_does(tiny, capsys):
    worker = Worker(tiny.config(AUTO))
    assert worker.max_epochs == 3 and worker.eval_frequency == 25
    lines = dict(dry_run(worker))
    worker.close()
    planned = worker.n_updates
    assert lines["passes"] == "3" and lines["updates, about"] == f"{planned}"
    assert lines["updates of the warm-up"] == f"{planned // 10}"
    assert lines["updates until the learning rate is zero"] == f"{planned}"
    assert "W66" not in capsys.readouterr().out
    progress = tiny.run("out", AUTO).progress
    assert progress.step == pytest.approx(planned, abs=3) and progress.epoch == 3
    last = list(srsly.read_jsonl(tiny.folder / "out" / LOG))[-1]
    assert last["learn_rate"] < 0.0005


@pytest.mark.parametrize(
    "overrides, code",
    [
        ({f"{RATE}.warmup_steps": 250, f"{RATE}.total_steps": 3800}, "W660"),
        ({f"{RATE}.warmup_steps": 2, f"{RATE}.total_steps": 3800}, "W661"),
        ({f"{RATE}.warmup_steps": 2, f"{RATE}.total_steps": 4, "charlm.max_steps": 4}, None),
    ],
)
@pytest.mark.parametrize("is_thincs", [False, True])
def test_schedule_of_a_dry_run_is_compared(overrides, code, is_thincs, tiny, capsys):
    config = tiny.config({**AUTO, **overrides})
    if is_thincs:
        block = config["pretraining"]["optimizer"]["learn_rate"]
        keys = ("initial_rate", "warmup_steps", "total_steps")
        block = {"@schedules": "warmup_linear.v1", **{key: block[key] for key in keys}}
        config["pretraining"]["optimizer"]["learn_rate"] = block
    worker = Worker(config)
    lines = dict(dry_run(worker))
    worker.close()
    assert int(lines["updates of the warm-up"]) == overrides[f"{RATE}.warmup_steps"]
    output = " ".join(capsys.readouterr().out.split())
    assert ("W66" in output) == (code is not None) and (code or "") in output


def test_schedule_resumes_exactly(tiny):
    """Also if evaluations come more often, and with more passes than planned first."""
    tiny.run("whole", AUTO)
    tiny.run("other", {**AUTO, "charlm.eval_frequency": 5}, die_at=12)
    tiny.run("other", AUTO, resume=True)
    whole, other = (
        read_arrays(find_checkpoints(tiny.folder / name / CHECKPOINTS)[-1]).arrays
        for name in ("whole", "other")
    )
    assert all((whole[name] == other[name]).all() for name in whole)
    more = tiny.run("other", {**AUTO, "pretraining.max_epochs": 2}, resume=True).progress
    assert more.epoch == 6


def test_schedule_reaches_zero_in_spacy_pretrain(tiny, monkeypatch):
    """The reader repeats the texts, and the learning rate ends where they end."""
    rates = []
    call = SelfSteppingOptimizer.__call__

    def watch(self, *args, **kwargs):
        result = call(self, *args, **kwargs)
        rates.append((self._steps, float(self.learn_rate)))
        return result

    monkeypatch.setattr(SelfSteppingOptimizer, "__call__", watch)
    (tiny.folder / "out").mkdir()
    spacy_pretrain(tiny.config(AUTO).interpolate(), tiny.folder / "out")
    log = list(srsly.read_jsonl(tiny.folder / "out" / "log.jsonl"))
    pass_words = sum(len(doc) for doc in TextCorpus(tiny.folder / "raw.txt")(spacy.blank("en")))
    assert log[-1]["nr_word"] == 3 * pass_words
    rates = dict(rates)
    peak = max(rates.values())
    assert peak == 0.002 and rates[max(rates)] < peak / 5
    assert rates[max(rates) - 3] > 0


def test_schedule_needs_no_text_in_spacy_train(tiny):
    """spaCy resolves [pretraining] whenever a pipeline is initialised."""
    config = tiny.config({**AUTO, "paths.raw_text": str(tiny.folder / "gone.txt")})
    pretraining = registry.resolve(config.interpolate()["pretraining"])
    assert pretraining["optimizer"].learn_rate == 0.0


@pytest.mark.parametrize(
    "blocks, code",
    [
        ({"corpora.pretrain": {"@readers": "spacy.PlainTextCorpus.v1"}}, "E575"),
        ({"pretraining.batcher": {"@batchers": "spacy.batch_by_sequence.v1", "size": 9}}, "E577"),
    ],
)
def test_schedule_needs_a_corpus_and_a_batcher_that_count_words(blocks, code, tiny):
    """With numbers, and no number of updates between evaluations, they need not count."""
    if code == "E575":
        blocks["corpora.pretrain"].update(path=str(tiny.folder / "raw.txt"), min_length=0)
        blocks["corpora.pretrain"]["max_length"] = 0
    numbers = {f"{RATE}.total_steps": 60, f"{RATE}.warmup_steps": 2}
    overrides = {"charlm.eval_frequency": "auto"}
    for more, fails in (({f"{RATE}.total_steps": "auto"}, True), (numbers, False)):
        config = tiny.config({**overrides, **more}, blocks)
        if fails:
            with pytest.raises(ValueError, match=f"charlm {code}"):
                Worker(config)
        else:
            worker = Worker(config)
            assert worker.n_updates is None and worker.eval_frequency == 500
            worker.close()

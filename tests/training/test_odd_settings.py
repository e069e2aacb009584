"""Unusual settings that `spacy pretrain` accepts, and runs that end early."""

import os
import signal

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.util import registry
from typer.testing import CliRunner

from spacy_charlm.cli import app
from spacy_charlm.training.checkpoint import find_checkpoints
from spacy_charlm.training.pretrain import CHECKPOINTS, dry_run, pretrain
from spacy_charlm.training.worker import Worker, WorkerLost

CHARACTERS = {
    "pretraining.objective": {
        "@architectures": "spacy.PretrainCharacters.v1",
        "maxout_pieces": 2,
        "hidden_size": 4,
        "n_characters": 2,
    }
}


@registry.tokenizers("test_split.v1")
def create_split():
    """Create a tokenizer that has no vocab and cannot be pickled."""
    return lambda nlp: lambda text: Doc(nlp.vocab, words=text.split())


SPLIT = {"nlp.tokenizer": {"@tokenizers": "test_split.v1"}}


@pytest.mark.parametrize(
    "name, settings",
    [
        ("dev.spacy", {"@readers": "spacy.Corpus.v1", "gold_preproc": False}),
        ("dev.jsonl", {"@readers": "spacy.JsonlCorpus.v1"}),
    ],
)
def test_pretrain_is_judged_on_texts_of_spacys_readers(name, settings, tiny):
    nlp = spacy.blank("en")
    texts = (tiny.folder / "dev.txt").read_text(encoding="utf8").splitlines()
    DocBin(docs=[nlp.make_doc(text) for text in texts]).to_disk(tiny.folder / "dev.spacy")
    lines = "".join(f'{{"text": "{text}"}}\n' for text in texts)
    (tiny.folder / "dev.jsonl").write_text(lines, encoding="utf8")
    block = {"corpora.pretrain_dev": {**settings, "path": str(tiny.folder / name)}}
    tiny.run("out", {"charlm.max_steps": 8}, blocks=block)
    tiny.run("plain", {"charlm.max_steps": 8})
    found, expected = tiny.result("out")["log"], tiny.result("plain")["log"]
    assert [line["dev_masked"] for line in found] == [line["dev_masked"] for line in expected]


def test_pretrain_takes_any_tokenizer(tiny):
    assert tiny.run("out", {"charlm.max_steps": 4}, blocks=SPLIT).progress.step == 4
    with pytest.raises(ValueError, match="charlm E529.*function"):
        Worker(tiny.config(blocks=SPLIT), prefetch=1)


def test_pretrain_asks_for_no_gpu_memory_on_the_cpu(tiny, monkeypatch):
    asked = []
    monkeypatch.setattr("spacy_charlm.training.worker.set_gpu_allocator", asked.append)
    worker = Worker(tiny.config({"system.gpu_allocator": "pytorch"}))
    worker.close()
    assert worker.config["training"]["gpu_allocator"] == "pytorch" and not asked


def test_pretrain_gives_up_where_workers_are_lost_again_and_again(tiny):
    class LosesItself(Worker):
        restarts = 0

        def step(self, step, i):
            if step == 6:
                raise WorkerLost("It was killed.")
            return super().step(step, i)

        def restart(self):
            self.restarts += 1

    worker = LosesItself(tiny.config())
    with pytest.raises(ValueError, match="E530.*4 were lost.*It was killed"):
        pretrain(worker, tiny.folder / "out")
    assert worker.restarts == 3 and find_checkpoints(tiny.folder / "out" / CHECKPOINTS)


def test_pretrain_gives_up_where_workers_are_lost_before_they_begin(tiny):
    class NeverReads(Worker):
        restarts = 0

        def scan(self):
            if self.restarts > 9:
                raise AssertionError("for ever")
            raise WorkerLost("It was killed.")

        def restart(self):
            self.restarts += 1

    worker = NeverReads(tiny.config())
    with pytest.raises(ValueError, match="E530.*4 were lost"):
        pretrain(worker, tiny.folder / "out")
    assert worker.restarts == 3


def test_dry_run_of_spacys_objective(tiny):
    lines = dict(dry_run(Worker(tiny.config(blocks=CHARACTERS))))
    assert "words/s" in lines and not any("masks" in name for name in lines)


def test_dry_run_without_a_doc(tiny):
    with pytest.raises(ValueError, match="charlm E527"):
        dry_run(Worker(tiny.config({"corpora.pretrain.min_length": 1000})))


def test_pretrain_cli_is_stopped_before_its_first_update(tiny, monkeypatch):
    pytest.importorskip("matplotlib", reason="needs the extra plots")
    next_round = Worker.next_round

    def stop(self):
        os.kill(os.getpid(), signal.SIGINT)
        return next_round(self)

    monkeypatch.setattr(Worker, "next_round", stop)
    output = tiny.folder / "out"
    result = CliRunner().invoke(app, tiny.arguments(output))
    assert result.exit_code == 130 and "--resume" in result.output, result.output
    monkeypatch.undo()
    assert CliRunner().invoke(app, tiny.arguments(output, "--resume")).exit_code == 0
    assert (output / "model-last.bin").read_bytes() == tiny.whole()["last"]

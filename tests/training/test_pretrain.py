import errno
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import spacy
import srsly
from numpy.testing import assert_array_equal
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config, registry

from spacy_charlm import files
from spacy_charlm.card import read_card, read_weights
from spacy_charlm.evaluation.inspect_weights import load_pretrained
from spacy_charlm.objectives.losses import CosineLoss
from spacy_charlm.pipeline.find_tok2vec import get_tok2vec
from spacy_charlm.training import pretrain
from spacy_charlm.training.checkpoint import find_checkpoints, read_checkpoint
from spacy_charlm.training.pretrain import BEST, CHECKPOINTS, LAST, LOG, WRITTEN
from spacy_charlm.training.worker import Worker

TRAIN = Path(__file__).parents[2] / "configs" / "train" / "textcat.cfg"


def write_corpora(tiny):
    """Write the texts for other readers, lists, and static vectors for spaCy's objective."""
    (tiny.folder / "lists").mkdir()
    (tiny.folder / "lists" / "cities.txt").write_text("Leeds\nOld Leeds", encoding="utf8")
    texts = (tiny.folder / "raw.txt").read_text(encoding="utf8").splitlines()
    srsly.write_jsonl(tiny.folder / "raw.jsonl", [{"text": text} for text in texts])
    nlp = spacy.blank("en")
    DocBin(docs=[nlp.make_doc(text) for text in texts]).to_disk(tiny.folder / "raw.spacy")
    for i, word in enumerate(tiny.WORDS):
        nlp.vocab.set_vector(word, np.random.default_rng(i).normal(size=4).astype("float32"))
    nlp.to_disk(tiny.folder / "vectors")


def make_reader(tiny, name, suffix, **settings):
    path = str(tiny.folder / f"raw.{suffix}")
    return {"corpora.pretrain": {"@readers": name, "path": path, **settings}}


@registry.readers("test_lazy_reader.v1")
def create_lazy_reader(path: str):
    """Create a reader that draws from the global random generators."""

    def read(nlp):
        for text in Path(path).read_text(encoding="utf8").splitlines():
            words = text.split()
            yield nlp.make_doc(" ".join(words[np.random.randint(len(words)) :]))

    return read


PLAIN_ADAM = {
    "@optimizers": "Adam.v1",
    "learn_rate": {
        "@schedules": "warmup_linear.v1",
        "warmup_steps": 20,
        "total_steps": 60,
        "initial_rate": 0.01,
    },
}
VECTORS = {
    "@architectures": "spacy.PretrainVectors.v1",
    "maxout_pieces": 2,
    "hidden_size": 8,
    "loss": "cosine",
}
CHARACTERS = {
    "@architectures": "spacy.PretrainCharacters.v1",
    "maxout_pieces": 2,
    "hidden_size": 8,
    "n_characters": 2,
}
CONTRASTIVE = {"@misc": "spacy-charlm.ContrastiveLoss.v1", "temperature": 0.1}
SPACYS_EMBED = {
    "@architectures": "spacy.MultiHashEmbed.v2",
    "width": 8,
    "attrs": ["NORM", "SHAPE"],
    "rows": [50, 20],
    "include_static_vectors": False,
}

# What a run may be made of: overrides and blocks.
RUNS = {
    "plain": lambda tiny: ({}, {}),
    "accumulates": lambda tiny: ({"charlm.accumulate_gradient": 3}, {}),
    "contrastive": lambda tiny: (
        {"charlm.accumulate_gradient": 2},
        {"pretraining.objective.loss": CONTRASTIVE},
    ),
    "one round": lambda tiny: ({"charlm.block_size": 1_000_000}, {}),
    "a text a round": lambda tiny: ({"charlm.block_size": 1, "charlm.max_steps": 40}, {}),
    "no averages": lambda tiny: ({"pretraining.optimizer.use_averages": False}, {}),
    "Adam.v1": lambda tiny: ({}, {"pretraining.optimizer": PLAIN_ADAM}),
    "PretrainVectors": lambda tiny: (
        {"paths.vectors": str(tiny.folder / "vectors")},
        {"pretraining.objective": VECTORS},
    ),
    "PretrainCharacters": lambda tiny: (
        {"charlm.accumulate_gradient": 2},
        {"pretraining.objective": CHARACTERS},
    ),
    "MultiHashEmbed": lambda tiny: ({}, {"components.tok2vec.model.embed": SPACYS_EMBED}),
    "table": lambda tiny: (
        {},
        {
            "components.tok2vec.model.embed.table": {
                "@misc": "spacy-charlm.VectorTable.v1",
                "path": str(tiny.folder / "vectors.txt"),
                "width": 3,
            }
        },
    ),
    "lexicons": lambda tiny: (
        {},
        {
            "components.tok2vec.model.embed.lexicons": {
                "@misc": "spacy-charlm.Lexicons.v1",
                "names": ["cities"],
                "path": str(tiny.folder / "lists"),
            }
        },
    ),
    "JsonlCorpus": lambda tiny: ({}, make_reader(tiny, "spacy.JsonlCorpus.v1", "jsonl")),
    "PlainTextCorpus": lambda tiny: ({}, make_reader(tiny, "spacy.PlainTextCorpus.v1", "txt")),
    "lazy reader": lambda tiny: ({}, make_reader(tiny, "test_lazy_reader.v1", "txt")),
    ".spacy": lambda tiny: (
        {"paths.raw_text": str(tiny.folder / "raw.spacy"), "corpora.pretrain.max_length": 5},
        {},
    ),
}


# Resumed equals uninterrupted.


@pytest.mark.parametrize("name", RUNS)
def test_pretrain_resumed_equals_uninterrupted(name, tiny):
    write_corpora(tiny)
    overrides, blocks = RUNS[name](tiny)
    whole = tiny.run("whole", overrides, blocks=blocks)
    assert whole.progress.epoch == 3 or whole.progress.step == 40
    assert not whole.stopped
    for die_at in (whole.progress.step // 2 + 1, whole.progress.step - 1):
        resume = (tiny.folder / "parts").exists()
        assert tiny.run("parts", overrides, blocks=blocks, resume=resume, die_at=die_at) is None
    parts = tiny.run("parts", overrides, blocks=blocks, resume=True)
    whole.progress.seconds = parts.progress.seconds
    assert parts == whole
    assert tiny.result("parts") == tiny.result("whole")


def test_pretrain_resumed_from_each_of_its_first_steps(tiny):
    """Some batches have no target, including the first one."""
    (tiny.folder / "vectors.txt").write_text("Leeds 1 2 3\nold 3 2 1\n")
    texts = ["a cat slept", "the old cat", "a red dog", "Leeds", "the rain", "rain in Leeds"]
    (tiny.folder / "raw.txt").write_text("\n".join(texts))
    overrides = {
        "corpora.pretrain.shuffle": False,
        "pretraining.batcher.size": 2,
        "charlm.eval_frequency": 1,
        "paths.dev_text": None,
    }
    for optimizer in ({}, {"pretraining.optimizer": PLAIN_ADAM}):
        tiny.run("whole", overrides, blocks=optimizer)
        log = srsly.read_jsonl(tiny.folder / "whole" / LOG)
        assert [line["loss"] > 0 for line in log] == [False, True, False, True, True, False] * 3
        for step in range(0, 18, 1 + 2 * bool(optimizer)):
            resume = step > 0
            tiny.run("parts", overrides, blocks=optimizer, resume=resume, die_at=step)
        tiny.run("parts", overrides, blocks=optimizer, resume=True)
        assert tiny.result("parts") == tiny.result("whole")
        for name in ("parts", "whole"):
            (tiny.folder / name).rename(tiny.folder / f"{name} of {len(optimizer)}")


# Kills.

KILLS = """
import json, os, random, signal, sys, time
from pathlib import Path

from spacy.util import load_config

from spacy_charlm.card import read_weights
from spacy_charlm.training.checkpoint import find_checkpoints, read_checkpoint
from spacy_charlm.training.pretrain import BEST, CHECKPOINTS, LAST, pretrain
from spacy_charlm.training.worker import Worker

config_path, folder, way, n_kills = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
rng = random.Random(way)


def die_at_write(count):
    # Before and after each call that changes a file, and in the middle of a write.
    left, fsync, replace, unlink, open_ = [count], os.fsync, os.replace, Path.unlink, Path.open

    def tick():
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    class File:
        def __init__(self, file_):
            self.file_ = file_

        def __enter__(self):
            return self

        def __exit__(self, *args):
            self.file_.close()
            tick()

        def __getattr__(self, name):
            return getattr(self.file_, name)

        def write(self, chunk):
            half = len(chunk) // 2
            self.file_.write(chunk[:half])
            self.file_.flush()
            tick()
            self.file_.write(chunk[half:])

    def open_file(self, mode="r", *args, **kwargs):
        file_ = open_(self, mode, *args, **kwargs)
        return File(file_) if set(mode) & set("wa") else file_

    def wrap(call):
        def wrapped(*args):
            tick()
            call(*args)
            tick()

        return wrapped

    os.fsync, os.replace, Path.unlink = wrap(fsync), wrap(replace), wrap(unlink)
    Path.open = open_file


def attempt(output, count, seconds):
    child = os.fork()
    if not child:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            resume = bool(find_checkpoints(output / CHECKPOINTS))
            worker = Worker(load_config(config_path, interpolate=False))
            if count:
                die_at_write(count)
            pretrain(worker, output, resume=resume)
            code = 0
        finally:
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0
    # All files that exist are complete.
    if find_checkpoints(output / CHECKPOINTS):
        read_checkpoint(output / CHECKPOINTS)
    for name in (BEST, LAST):
        if (output / name).exists():
            read_weights((output / name).read_bytes(), name)
    return os.WIFSIGNALED(status)


start = time.monotonic()
attempt(folder / "whole", 0, None)
needed = time.monotonic() - start
kills = runs = halves = 0
while kills < n_kills:
    output = folder / f"parts{runs}"
    n = 0
    while attempt(
        output,
        rng.randrange(1, 300) if way == "write" else 0,
        rng.uniform(0, needed) if way == "moment" else None,
    ):
        n += 1
        halves += any(output.rglob("*.part"))
        if n == 40:  # let the next attempt finish
            way = "none"
    kills, runs = kills + n, runs + 1
print(json.dumps({"kills": kills, "runs": runs, "halves": halves}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("way", ["moment", "write"])
@pytest.mark.parametrize("n_kills", [2, pytest.param(40, marks=pytest.mark.slow)])
def test_pretrain_killed_equals_uninterrupted(way, n_kills, tiny):
    """SIGKILL at random moments, and at random writes of weights, log and checkpoints."""
    tiny.config({"charlm.eval_frequency": 3}).to_disk(tiny.folder / "config.cfg")
    (tiny.folder / "kills.py").write_text(KILLS, encoding="utf8")
    args = [sys.executable, "kills.py", "config.cfg", ".", way, str(n_kills)]
    done = subprocess.run(args, cwd=tiny.folder, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts["kills"] >= n_kills
    assert way == "moment" or counts["halves"]
    whole = tiny.result("whole")
    assert len(whole["log"]) > 10
    for i in range(counts["runs"]):
        assert tiny.result(f"parts{i}") == whole


RACES = """
import json, os, random, re, signal, sys, time
from pathlib import Path

from spacy.util import load_config

from spacy_charlm.card import read_weights
from spacy_charlm.training.checkpoint import find_checkpoints, read_checkpoint
from spacy_charlm.training.pretrain import BEST, CHECKPOINTS, LAST, pretrain
from spacy_charlm.training.worker import Worker

n_races, rng = int(sys.argv[1]), random.Random(0)
worker = Worker(load_config("config.cfg", interpolate=False))


def start(output):
    child = os.fork()
    if not child:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            resume = bool(find_checkpoints(output / CHECKPOINTS))
            pretrain(worker, output, resume=resume)
            code = 0
        except ValueError as err:
            Path(f"error-{os.getpid()}").write_text(str(err))
            code = 3
        finally:
            os._exit(code)
    return child


def wait(child):
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return "killed"
    return {0: "finished", 3: "refused"}[os.WEXITSTATUS(status)]


begin = time.monotonic()
assert wait(start(Path("whole"))) == "finished"
needed = time.monotonic() - begin
n_runs, counts = 0, {"killed": 0, "finished": 0, "refused": 0}
for i in range(n_races):
    output = Path(f"race{n_runs}")
    children = [start(output)]
    time.sleep(rng.uniform(0, needed / 3))
    children.append(start(output))
    time.sleep(rng.uniform(0, needed / 3))
    for child in (children[:1], children, [], children[1:])[i % 4]:
        os.kill(child, signal.SIGKILL)
    ended = dict(zip(children, map(wait, children)))
    for child, other in (children, children[::-1]):
        counts[ended[child]] += 1
        if ended[child] == "refused":
            assert ended[other] != "refused", ended
            error = Path(f"error-{child}").read_text()
            # E525: the other one had begun and was killed in between.
            if "E525" not in error:
                assert re.search(f"E531.*(process {other} on|just began)", error), error
    for path in find_checkpoints(output / CHECKPOINTS)[-1:]:
        read_checkpoint(path.parent)
    for name in (BEST, LAST):
        if (output / name).exists():
            read_weights((output / name).read_bytes(), name)
    n_runs += "finished" in ended.values()
print(json.dumps({"runs": n_runs, **counts}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("n_races", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_pretrain_two_processes_in_one_folder(n_races, tiny):
    """One of them works, the other one says who holds the folder, and nothing mixes."""
    tiny.config().to_disk(tiny.folder / "config.cfg")
    args = [sys.executable, "-c", RACES, str(n_races)]
    done = subprocess.run(args, cwd=tiny.folder, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts["runs"] and counts["killed"] and counts["refused"], counts
    for i in range(counts["runs"]):
        assert tiny.result(f"race{i}") == tiny.whole()


# Faults: a clear error, and what was good stays.


def read_folder(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("n_syncs", [1, 4, 12, 13, 19, 25])
def test_pretrain_on_a_disk_that_fills_up(n_syncs, tiny, monkeypatch):
    """The error names the file, and the run can be resumed once there is room."""
    fsync, calls = os.fsync, []

    def fail(descriptor):
        calls.append(descriptor)
        if len(calls) >= n_syncs:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", fail)
        with pytest.raises(OSError, match="charlm E520.*parts.*No space left on device"):
            tiny.run("parts")
    folder = tiny.folder / "parts"
    assert not list(folder.rglob("*.part"))
    resume = bool(find_checkpoints(folder / CHECKPOINTS))
    if resume:
        before = read_checkpoint(folder / CHECKPOINTS).settings["progress"]["step"]
        assert before < tiny.whole()["log"][-1]["step"]
    tiny.run("parts", resume=resume)
    assert tiny.result("parts") == tiny.whole()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_pretrain_on_a_full_disk(tiny, monkeypatch):
    """The first file to be written is a checkpoint, before any update."""
    folder = tiny.folder / "out" / CHECKPOINTS
    folder.mkdir(parents=True)
    (folder / f"step-000000000.safetensors.{os.getpid()}.part").symlink_to("/dev/full")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="E520.*step-0.*No space"):
        patch.setattr(pretrain, "remove_parts", lambda *args: None)
        tiny.run("out")
    assert tiny.run("out").progress.step > 30


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_pretrain_whose_log_finds_no_room(tiny, monkeypatch):
    tiny.run("out", die_at=6)
    before = read_checkpoint(tiny.folder / "out" / CHECKPOINTS).settings["progress"]["step"]
    path = Path.open

    def open_full(self, mode="r", *args, **kwargs):
        return path(Path("/dev/full") if mode == "a" else self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(OSError, match="charlm E520.*log.jsonl.*No space left"):
        tiny.run("out", resume=True)
    assert before == read_checkpoint(tiny.folder / "out" / CHECKPOINTS).settings["progress"]["step"]


@pytest.mark.parametrize("below", ["", "deeper"])
def test_pretrain_where_no_folder_can_be(below, tiny):
    (tiny.folder / "file").write_text("text")
    with pytest.raises(OSError, match="charlm E520.*file"):
        tiny.run(Path("file") / below)


def test_pretrain_keeps_to_an_empty_folder(tiny):
    """An existing run is not overwritten, and cannot be resumed without its checkpoints."""
    tiny.run("out", die_at=6)
    before = read_folder(tiny.folder / "out")
    with pytest.raises(ValueError, match="charlm E525.*Add --resume"):
        tiny.run("out")
    assert read_folder(tiny.folder / "out") == before
    for path in find_checkpoints(tiny.folder / "out" / CHECKPOINTS):
        path.unlink()
    with pytest.raises(ValueError, match="charlm E525"):
        tiny.run("out")
    for output in ("out", "none"):
        with pytest.raises(ValueError, match="charlm E522"):
            tiny.run(output, resume=True)
    assert not (tiny.folder / "none").exists()
    assert (tiny.folder / "out" / LAST).read_bytes() == before[Path(LAST)]


@pytest.mark.parametrize("name", [*WRITTEN, f"{CHECKPOINTS}/step-000000000.safetensors"])
def test_pretrain_replaces_no_file_that_was_there(name, tiny):
    """Not even a single one of the names that a run writes."""
    path = tiny.folder / "out" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"the user's")
    (tiny.folder / "out" / "notes.part").write_bytes(b"the user's")
    before = read_folder(tiny.folder / "out")
    with pytest.raises(ValueError, match=rf"charlm E525.*{name}.*Add --resume"):
        tiny.run("out")
    assert read_folder(tiny.folder / "out") == before


def test_pretrain_resumes_where_nothing_was_saved(tiny):
    """A run that ended before its first save: what the kill has left of that save is removed."""
    tiny.run("out", die_at=3)
    folder = tiny.folder / "out"
    (folder / LAST).write_bytes(b"of a save that a kill has cut")
    leftovers = [
        folder / f"{LAST}.1.part",
        folder / CHECKPOINTS / "step-000000004.safetensors.1.part",
    ]
    for path in [*leftovers, folder / "notes.1.part"]:
        path.write_bytes(b"half of somethi")
    tiny.run("out", resume=True)
    assert tiny.result("out") == tiny.whole()
    assert [path.name for path in folder.rglob("*.part")] == ["notes.1.part"]


def change_input_vectors(tiny):
    nlp = spacy.load(tiny.folder / "vectors")
    nlp.vocab.set_vector("cat", np.ones(4, dtype="float32"))
    nlp.to_disk(tiny.folder / "vectors")


def change_misspellings(tiny):
    (tiny.folder / "misspellings.tsv").write_text("hte\tthe\nctas\tcats\n")


@pytest.mark.parametrize(
    "change, match",
    [
        (change_input_vectors, r"vectors: checkpoint '\w+', now '\w+'"),
        (change_misspellings, r"files\.\S+\.misspellings: checkpoint '\w+', now '\w+'"),
        (lambda tiny: (tiny.folder / "misspellings.tsv").unlink(), r"misspellings"),
    ],
)
def test_pretrain_resumed_with_other_files_of_the_same_name(change, match, tiny):
    write_corpora(tiny)
    (tiny.folder / "misspellings.tsv").write_text("hte\tthe\nct\tcat\n")
    overrides = {"paths.vectors": str(tiny.folder / "vectors")}
    typos = {
        "@misc": "spacy-charlm.Typos.v1",
        "misspellings": str(tiny.folder / "misspellings.tsv"),
    }
    masking = {
        "@misc": "spacy-charlm.TypoMasking.v1",
        "typos": typos,
        "masking": {"@misc": "spacy-charlm.WordMasking.v1"},
    }
    blocks = {"pretraining.objective.masking": masking}
    tiny.run("out", overrides, blocks=blocks, die_at=6)
    change(tiny)
    with pytest.raises(ValueError, match=match):
        tiny.run("out", overrides, blocks=blocks, resume=True)


def change_text(tiny):
    path = tiny.folder / "raw.txt"
    path.write_text(path.read_text() + "\nOne more text.")


def change_vectors(tiny):
    path = tiny.folder / "vectors.txt"
    path.write_text(path.read_text().replace("the ", "the 1").replace("a ", "a -"))


OTHERS = {
    "text": (change_text, {}, r"texts\.digest: checkpoint '\w+', now '\w+'"),
    "vectors": (change_vectors, {}, r"target\.digest"),
    "limit": (None, {"corpora.pretrain.limit": 50}, r"limit: checkpoint 0, now 50"),
    "learning rate": (
        None,
        {"pretraining.optimizer.learn_rate.total_steps": 70},
        "total_steps: checkpoint 60, now 70",
    ),
    "dropout": (None, {"pretraining.dropout": 0.2}, r"pretraining\.dropout: checkpoint 0.1"),
    "width": (None, {"components.tok2vec.model.embed.width": 6}, "embed.width: checkpoint 8"),
    "seed": (None, {"system.seed": 1}, "seed: checkpoint 0, now 1"),
    "variable": (None, {"vars.rate": 0.01}, "initial_rate: checkpoint 0.002, now 0.01"),
    "batch": (None, {"pretraining.batcher.size": 41}, "size: checkpoint 40, now 41"),
    "accumulation": (None, {"charlm.accumulate_gradient": 2}, "checkpoint 1, now 2"),
    "block": (None, {"charlm.block_size": 501}, "block_size: checkpoint 500, now 501"),
    "language": (None, {"nlp.lang": "de"}, "nlp.lang: checkpoint 'en', now 'de'"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_pretrain_resumed_with_something_else(name, tiny):
    change, overrides, match = OTHERS[name]
    base = {"vars": {"rate": 0.002}}
    variable = {"pretraining.optimizer.learn_rate.initial_rate": "${vars.rate}"}

    def blocks(overrides):
        return {"vars": {"rate": overrides.get("vars.rate", 0.002)}}

    assert base == blocks({})
    tiny.overrides.update(variable)
    tiny.run("out", blocks=base, die_at=6)
    before = read_folder(tiny.folder / "out")
    if change:
        change(tiny)
    plain = {key: value for key, value in overrides.items() if not key.startswith("vars")}
    with pytest.raises(ValueError, match=rf"E526(.|\n)*step-000000004\.safetensors(.|\n)*{match}"):
        tiny.run("out", plain, blocks=blocks(overrides), resume=True)
    assert read_folder(tiny.folder / "out") == before


def test_pretrain_resumed_elsewhere(tiny, tmp_path_factory, monkeypatch):
    """Neither the paths of texts and vectors nor the number of evaluations matter."""
    whole = tiny.whole()
    tiny.run("out", die_at=6)
    other = tmp_path_factory.mktemp("other")
    for name in ("raw.txt", "vectors.txt", "out"):
        (tiny.folder / name).rename(other / name)
    monkeypatch.chdir(other)
    tiny.folder = other
    overrides = {
        "paths.raw_text": "raw.txt",
        "paths.target_vectors": str(other / "vectors.txt"),
        "paths.dev_text": None,
        "charlm.eval_frequency": 7,
        "charlm.keep_last": 1,
    }
    tiny.run("out", overrides, resume=True)
    assert tiny.result("out")["arrays"] == whole["arrays"]
    assert len(find_checkpoints(other / "out" / CHECKPOINTS)) == 1
    assert str(other).encode() not in (other / "out" / LAST).read_bytes()


def test_pretrain_resumed_from_a_damaged_checkpoint(tiny):
    tiny.run("out", die_at=10)
    folder = tiny.folder / "out" / CHECKPOINTS
    older, newest = find_checkpoints(folder)
    newest.write_bytes(newest.read_bytes()[:-1])
    before = read_folder(tiny.folder / "out")
    with pytest.raises(ValueError, match=rf"E521.*Remove {newest.name} .*\({older.name}\)"):
        tiny.run("out", resume=True)
    assert read_folder(tiny.folder / "out") == before
    newest.unlink()
    tiny.run("out", resume=True)
    assert tiny.result("out") == tiny.whole()


def test_pretrain_saves_before_a_loss_that_is_no_number(tiny, monkeypatch):
    plain, calls = CosineLoss.__call__, []

    def spoiled(self, *args):
        value, gradient = plain(self, *args)
        calls.append(1)
        return (np.nan if len(calls) == 7 else value), gradient

    with monkeypatch.context() as patch:
        patch.setattr(CosineLoss, "__call__", spoiled)
        with pytest.raises(ValueError, match="charlm E305"):
            tiny.run("out", {"charlm.eval_frequency": 100})
    checkpoint = read_checkpoint(tiny.folder / "out" / CHECKPOINTS)
    assert checkpoint.settings["progress"]["step"] == 6
    weights = read_weights((tiny.folder / "out" / LAST).read_bytes(), LAST)
    assert read_card(weights)["updates"] == 6
    assert all(np.isfinite(array).all() for array in checkpoint.arrays.values())
    tiny.run("out", resume=True)
    assert tiny.result("out")["last"] == tiny.whole()["last"]


@pytest.mark.parametrize("reader", ["TextCorpus", "other"])
def test_pretrain_of_nothing(reader, tiny):
    """All texts are shorter than `min_length`, as is only found when they are tokenised."""
    write_corpora(tiny)
    blocks = None
    if reader == "other":
        blocks = make_reader(tiny, "spacy.JsonlCorpus.v1", "jsonl", min_length=100)
    overrides = {"corpora.pretrain.min_length": 100}
    with pytest.raises(ValueError, match="charlm E527"):
        tiny.run("out", overrides, blocks=blocks)
    assert not (tiny.folder / "out" / LAST).exists()
    tiny.run("out")  # the folder can be used after the correction


def test_pretrain_refuses_a_batcher_that_grows(tiny):
    batcher = {
        "@batchers": "spacy.batch_by_words.v1",
        "discard_oversize": False,
        "tolerance": 0.2,
        "size": {"@schedules": "compounding.v1", "start": 10, "stop": 50, "compound": 1.1},
    }
    with pytest.raises(ValueError, match="charlm E528.*compounding.v1"):
        tiny.run("out", blocks={"pretraining.batcher": batcher})


# Ends.


def test_pretrain_ends_after_max_steps_and_goes_on(tiny):
    end = tiny.whole()["log"][-1]["step"]
    for steps in (1, 9, 9, 10, 1_000):
        overrides = {"charlm.max_steps": steps}
        resume = steps != 1
        outcome = tiny.run("out", overrides, resume=resume)
        assert outcome.progress.step == min(steps, end) and not outcome.stopped
        card = read_card(read_weights((tiny.folder / "out" / LAST).read_bytes(), LAST))
        assert card["updates"] == outcome.progress.step
    assert tiny.result("out")["last"] == tiny.whole()["last"]


def test_pretrain_goes_on_for_more_passes(tiny):
    for n_passes in (1, 1, 2, 3, 3):
        resume = (tiny.folder / "out").exists()
        outcome = tiny.run("out", {"pretraining.max_epochs": n_passes}, resume=resume)
        assert outcome.progress.epoch == n_passes
    assert outcome.progress.words == tiny.whole()["log"][-1]["words"]
    assert tiny.result("out")["arrays"] == tiny.whole()["arrays"]
    before = read_folder(tiny.folder / "out")
    tiny.run("out", resume=True)  # after the end
    assert read_folder(tiny.folder / "out") == before


def test_pretrain_ends_without_patience(tiny):
    """A high learning rate makes the development loss rise."""
    overrides = {
        "pretraining.max_epochs": 100,
        "charlm.patience": 12,
        "pretraining.optimizer.learn_rate.initial_rate": 0.2,
        "pretraining.optimizer.grad_clip": 0.0,
    }
    progress = tiny.run("out", overrides).progress
    assert progress.step == progress.best_step + 12 and progress.epoch < 99
    lines = list(srsly.read_jsonl(tiny.folder / "out" / LOG))
    best = max(lines, key=lambda line: line["score"])
    assert (best["step"], best["score"]) == (progress.best_step, pytest.approx(progress.best_score))
    assert [line for line in lines if line["best"]][-1] == best
    card = read_card(read_weights((tiny.folder / "out" / BEST).read_bytes(), BEST))
    assert card["updates"] == progress.best_step
    assert card["scores"]["dev_loss"] == -progress.best_score
    resumed = tiny.run("out", overrides, resume=True).progress
    assert resumed.step == progress.step


@pytest.mark.parametrize("number, at", [(signal.SIGINT, 6), (signal.SIGTERM, 5)])
def test_pretrain_stopped_by_a_signal(number, at, tiny, monkeypatch):
    """The run ends after an update or between two rounds, and is saved."""
    step, calls = Worker.step, []

    def stop(self, *args):
        calls.append(args)
        result = step(self, *args)
        if len(calls) == at:
            os.kill(os.getpid(), number)
        return result

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as patch:
        patch.setattr(Worker, "step", stop)
        outcome = tiny.run("out")
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert outcome.stopped and outcome.progress.step == at
    progress = read_checkpoint(tiny.folder / "out" / CHECKPOINTS).settings["progress"]
    assert progress["step"] == at
    assert not tiny.run("out", resume=True).stopped
    assert tiny.result("out")["last"] == tiny.whole()["last"]


def test_pretrain_second_signal_stops_at_once(tiny, monkeypatch):
    step, calls = Worker.step, []

    def stop(self, *args):
        calls.append(args)
        if len(calls) == 6:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *args)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Worker, "step", stop)
    with pytest.raises(KeyboardInterrupt):
        tiny.run("out")
    assert read_checkpoint(tiny.folder / "out" / CHECKPOINTS).settings["progress"]["step"] == 4
    assert signal.getsignal(signal.SIGINT) is before


# What is written.


def test_pretrain_writes_weights_card_and_log(tiny):
    progress = tiny.run("out").progress
    folder = tiny.folder / "out"
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted([CHECKPOINTS, LOG, BEST, LAST, "head-best.bin", "head-last.bin"])
    assert len(find_checkpoints(folder / CHECKPOINTS)) == 2
    card = read_card(read_weights((folder / LAST).read_bytes(), LAST))
    assert card["command"] == "charlm pretrain"
    assert card["config"]["components"]["tok2vec"]["model"]["embed"]["width"] == 8
    assert card["config"]["pretraining"]["objective"]["masking"]["seed"] == 0
    assert card["corpus"]["texts"] == 60 and card["corpus"]["blank"] == 0
    assert card["updates"] == progress.step and card["words"] == progress.words
    assert card["target"]["name"] == "vectors.txt" and card["versions"]["spacy-charlm"]
    assert str(tiny.folder) not in json.dumps(card)
    lines = list(srsly.read_jsonl(folder / LOG))
    assert [line["step"] for line in lines[:-1]] == list(range(4, progress.step, 4))
    assert lines[-1]["step"] == progress.step and lines[-1]["epoch"] == 3
    for line in lines:
        assert line["words"] > 0 and line["words_per_second"] > 0 and line["memory_mb"] >= 0
        assert 0 <= line["dev_p_at_1"] <= line["dev_p_at_10"] <= 1
        assert 0 < line["no_target"] < 1 and -1 <= line["dev_cosine"] <= 1
        assert line["dev_candidates"] <= 14 and line["dev_masked"] > 0
        assert line["score"] == -line["dev_loss"]
    assert lines[-1]["loss"] < lines[0]["loss"]
    rates = [line["learn_rate"] for line in lines]
    assert np.argmax(rates) == 4 and rates[4] == pytest.approx(0.0019)


def test_pretrain_warns_where_no_development_word_has_a_target(tiny, capsys):
    (tiny.folder / "dev.txt").write_text("zzzz yyyy xxxx\n" * 20, encoding="utf8")
    tiny.run("out", {"charlm.max_steps": 12})
    assert capsys.readouterr().out.count("W522") == 1
    out = tiny.folder / "out"
    assert (out / LAST).is_file() and not (out / BEST).exists()


def test_pretrain_counts_the_time_of_an_evaluation_once(tiny, monkeypatch):
    from spacy_charlm.training import pretrain as module

    now = [0.0]
    step, evaluate = Worker.step, Worker.evaluate

    def spend(call, seconds):
        def spent(*args):
            now[0] += seconds
            return call(*args)

        return spent

    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(Worker, "step", spend(step, 1))
    monkeypatch.setattr(Worker, "evaluate", spend(evaluate, 100))
    progress = tiny.run("out", {"charlm.max_steps": 9}).progress
    assert progress.seconds == 9 + 3 * 100
    assert [line["seconds"] for line in srsly.read_jsonl(tiny.folder / "out" / LOG)][0] == 104


def test_pretrain_runs_are_equal_for_one_seed_only(tiny):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        tiny.run(name, {"system.seed": seed, "pretraining.max_epochs": 1})
    assert tiny.result("a") == tiny.result("b")
    assert tiny.result("a")["arrays"] != tiny.result("c")["arrays"]


def test_pretrain_weights_bring_their_table(tiny):
    _, blocks = RUNS["table"](tiny)
    tiny.run("whole", blocks=blocks)
    (tiny.folder / "vectors.txt").rename(tiny.folder / "targets.txt")
    with pytest.raises(ValueError, match="charlm E290.*vectors.txt"):
        tiny.run("again", {"paths.target_vectors": str(tiny.folder / "targets.txt")}, blocks=blocks)
    nlp = load_pretrained(tiny.folder / "whole" / LAST)
    (table,) = (node for node in get_tok2vec(nlp).walk() if node.name == "vector_table")
    assert table.get_param("E").shape == (14, 3) and table.get_param("E").dtype == "int8"


def test_pretrain_goes_on_from_given_weights(tiny):
    tiny.run("first")
    once = {"charlm.max_steps": 1, "pretraining.optimizer.use_averages": False}
    tiny.run("second", once, init=tiny.folder / "first" / LAST)
    tiny.run("other", once)
    losses = [
        next(srsly.read_jsonl(tiny.folder / name / LOG))["loss"]
        for name in ("first", "second", "other")
    ]
    assert losses[1] != losses[2]
    first, second, other = (
        read_weights((tiny.folder / name / LAST).read_bytes(), LAST)["params"][-1]["b"]
        for name in ("first", "second", "other")
    )
    # The learning rate of the first update is zero.
    assert_array_equal(second, first)
    assert not np.array_equal(other, first)
    with pytest.raises(ValueError, match="charlm E502"):
        tiny.run("third", init=tiny.folder / "none.bin")


@pytest.mark.parametrize("name", ["PretrainVectors", "PretrainCharacters"])
def test_pretrain_card_of_spacys_objectives(name, tiny):
    """The card has nothing from the card of the initial weights."""
    write_corpora(tiny)
    tiny.run("first", {"charlm.max_steps": 4})
    overrides, blocks = RUNS[name](tiny)
    overrides["charlm.max_steps"] = 4
    tiny.run("out", overrides, blocks=blocks, init=tiny.folder / "first" / LAST)
    card = read_card(read_weights((tiny.folder / "out" / LAST).read_bytes(), LAST))
    assert card["objective"] == "masked-language-model" and "target" not in card
    assert card["updates"] == 4 and list(card["scores"]) == ["dev_loss"]


@pytest.mark.parametrize("weights", [BEST, LAST])
def test_pretrain_weights_load_into_train(weights, tiny):
    tiny.run("out")
    path = tiny.folder / "out" / weights
    docs = []
    for i, text in enumerate((tiny.folder / "dev.txt").read_text().splitlines()):
        doc = spacy.blank("en").make_doc(text)
        doc.cats = {"A": float(i % 2), "B": 1.0 - i % 2}
        docs.append(doc)
    DocBin(docs=docs).to_disk(tiny.folder / "train.spacy")
    shared = {k: v for k, v in tiny.overrides.items() if k.startswith("components")}
    overrides = {
        **shared,
        "paths.train": str(tiny.folder / "train.spacy"),
        "paths.dev": str(tiny.folder / "train.spacy"),
        "paths.init_weights": str(path),
        "training.max_steps": 2,
        "training.eval_frequency": 1,
    }
    config = load_config(TRAIN, overrides=overrides)
    # One config may have the sections of both commands.
    ours = tiny.config()
    for section in ("pretraining", "charlm"):
        config[section] = ours[section]
    config["corpora"]["pretrain"] = ours["corpora"]["pretrain"]
    config["paths"]["raw_text"] = config["paths"]["target_vectors"] = None
    config["charlm"]["logger"] = {"@loggers": "spacy.ConsoleLogger.v1"}
    nlp = init_nlp(config)
    params = read_weights(path.read_bytes(), weights)["params"]
    for node, loaded in zip(nlp.get_pipe("tok2vec").model.walk(), params):
        for name in node.param_names:
            assert_array_equal(node.get_param(name), loaded[name])
    (tiny.folder / "trained").mkdir()
    train(nlp, tiny.folder / "trained", stdout=io.StringIO(), stderr=io.StringIO())
    assert set(spacy.load(tiny.folder / "trained" / "model-last")("the cat").cats) == {"A", "B"}


@pytest.mark.parametrize("prefetch", [0, 1])
def test_pretrain_memory_stays_flat(prefetch, tiny):
    """None of 6,000 new words is kept after its round."""
    lines = ["the " + " ".join(f"w{i}x{j}" for j in range(10)) for i in range(600)]
    (tiny.folder / "raw.txt").write_text("\n".join(lines), encoding="utf8")
    overrides = {"charlm.block_size": 5_000, "pretraining.batcher.size": 200}
    worker = Worker(tiny.config(overrides), prefetch=prefetch)
    sizes = []
    for epoch in range(2):
        worker.start_pass(epoch, 0)
        while worker.next_round() >= 0:
            worker.step(len(sizes), 0)
            sizes.append(len(worker.nlp.vocab.strings))
        sizes.append(len(worker.nlp.vocab.strings))
    worker.close()
    half = len(sizes) // 2
    assert half > 5 and sizes[half - 1] == sizes[-1]
    assert max(sizes) < sizes[-1] + 2_000


@pytest.mark.slow
def test_pretrain_resident_memory_stays_flat(tiny):
    """With 400,000 new words, the second half needs no more memory than the first."""
    lines = ["the " + " ".join(f"w{i}x{j}" for j in range(20)) for i in range(5_000)]
    (tiny.folder / "raw.txt").write_text("\n".join(lines), encoding="utf8")
    overrides = {
        "charlm.block_size": 50_000,
        "pretraining.batcher.size": 2_000,
        "pretraining.max_epochs": 4,
        "charlm.eval_frequency": 10,
    }
    tiny.run("out", overrides)
    memory = [line["memory_mb"] for line in srsly.read_jsonl(tiny.folder / "out" / LOG)]
    half = len(memory) // 2
    assert max(memory[half:]) < max(memory[:half]) + 10


def test_pretrain_with_a_logger_of_spacy(tiny, capsys):
    for i, name in enumerate(("spacy.ConsoleLogger.v1", "spacy.ConsoleLogger.v3")):
        logger = {"@loggers": name}
        tiny.run(f"out{i}", {"charlm.max_steps": 8}, blocks={"charlm.logger": logger})
        output = capsys.readouterr().out
        assert "LOSS TOK2VEC" in output and "P@10" not in output
        assert len(list(srsly.read_jsonl(tiny.folder / f"out{i}" / LOG))) == 2


def test_pretrain_without_the_section_charlm(tiny):
    config = tiny.config()
    del config["charlm"]
    worker = Worker(config)
    assert worker.eval_frequency == 25 and worker.evaluate() == {}


@pytest.mark.parametrize("dev", ["no corpus", "no path", "too small"])
def test_pretrain_without_development_texts(dev, tiny):
    (tiny.folder / "small.txt").write_text("the")
    overrides = {
        "no corpus": {"charlm.dev_corpus": None},
        "no path": {"paths.dev_text": None},
        "too small": {"paths.dev_text": str(tiny.folder / "small.txt")},
    }[dev]
    progress = tiny.run("out", {**overrides, "charlm.patience": 4, "charlm.max_steps": 12}).progress
    assert progress.step == 12 and progress.best_score is None
    assert not (tiny.folder / "out" / BEST).exists()
    for line in srsly.read_jsonl(tiny.folder / "out" / LOG):
        assert "score" not in line and "dev_loss" not in line and "best" not in line

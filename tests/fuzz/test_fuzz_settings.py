"""Odd settings, command lines and studies end in an error that says what is wrong, or work.

Each input is made from its number alone, so `check_config(NUMBER, ...)` repeats a failure.
"""

import math
import traceback

import numpy as np
import pytest
import spacy
import srsly
import typer
from catalogue import RegistryError
from spacy.util import registry
from thinc.config import ConfigValidationError
from typer.testing import CliRunner

from spacy_charlm.cli import app
from spacy_charlm.cli.show_errors import CODE
from spacy_charlm.runs.study import read_study
from tests.conftest import CONFIGS, TinyPretraining

NAMES = sorted(path.stem for path in (CONFIGS / "pretrain").glob("*.cfg"))
BLOCKS = [
    "spacy-charlm.StaticVectors.v1",
    "spacy-charlm.CosineLoss.v1",
    "spacy-charlm.CrossEntropyLoss.v1",
    "spacy-charlm.WordMasking.v1",
    "spacy-charlm.Typos.v1",
    "spacy-charlm.Nothing.v1",
]
HUGE = (10**9, 2**32, 2**63, 10**30, 1e308, -(2**63))
ODD = (0, -1, 0.5, math.nan, math.inf, "", "abc", "3", "é\0", None, [], [0], [-1], ["a"], [[]], {})
ODD_VALUES = [*ODD, True, False, 1, 3, {"a": 5}, *HUGE, *([huge] for huge in HUGE)]
PLAIN_VALUES = [1, 2, 5, 0.1, 0.5, [3], [5], True, False, None]
TEXTS = ["", " ", "abc", "0", "-1", "2.5", "nan", "1e308", "é", "a,b", ",", "--", "9" * 30, "[]"]
DOCS = ["the cat saw a dog", "", "rain"]


def pick(rng, values):
    return values[int(rng.integers(len(values)))]


def name_block(rng):
    return {"@misc": pick(rng, BLOCKS)}


def find_leaves(block, is_ours=False, where=()):
    """Find the settings of our blocks, those that hold a block included."""
    names = [value for key, value in block.items() if key.startswith("@")]
    is_ours = str(names[0]).startswith("spacy-charlm") if names else is_ours
    for key, value in block.items():
        if is_ours:
            yield (*where, key)
        if isinstance(value, dict):
            yield from find_leaves(value, is_ours, (*where, key))


def change(rng, config, everything=False):
    """Replace one to three settings by odd values; return what was changed."""
    changes = {}
    for _ in range(int(rng.integers(1, 4))):
        leaves = list(find_leaves(config, everything))
        if not leaves:
            break
        *parents, last = leaf = pick(rng, leaves)
        block = config
        for parent in parents:
            block = block[parent]
        value = pick(rng, PLAIN_VALUES if rng.random() < 0.6 else ODD_VALUES)
        value = name_block(rng) if rng.random() < 0.1 else value
        if last.startswith("@"):
            value = str(value)  # spaCy fails on other names
        block[pick(rng, ["x", last, last, last, last, last])] = value
        changes[".".join(leaf)] = value
    return changes


def is_said(error):
    """Whether an error tells the user what to do, instead of being a defect."""
    if isinstance(error, (ConfigValidationError, RegistryError)):
        return True
    return isinstance(error, (ValueError, OSError, ImportError)) and bool(CODE.match(str(error)))


def blame(error, number, changes):
    """Fail the test if an error is a defect."""
    if not is_said(error):
        message = "".join(traceback.format_exception(error)[-4:])
        pytest.fail(f"input {number}, changed {changes}:\n{message}")


def check_config(number, files, nlp, configs):
    """Build the embed layer and the objective of a changed config, and predict."""
    rng = np.random.default_rng([1, number])
    config = srsly.json_loads(configs[pick(rng, NAMES)])
    changes = change(rng, config)
    try:
        tok2vec = registry.resolve({"block": config["embed"]})["block"]
        objective = registry.resolve({"block": config["objective"]})["block"]
        docs = list(nlp.pipe(DOCS))
        tok2vec.initialize(X=docs)
        model = objective(nlp.vocab, tok2vec)
        model.initialize(X=docs)
        model.predict(docs)
    except Exception as error:  # noqa: BLE001 - every kind of error is judged
        blame(error, number, changes)
        return False
    return True


def find_commands(command, path=()):
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from find_commands(inner, (*path, name))
    else:
        yield path, command


COMMANDS = sorted(find_commands(typer.main.get_command(app)), key=lambda pair: pair[0])


def make_arguments(rng, pool, path, command):
    """Make a command line of files from the pool and odd values."""
    words = []
    for parameter in command.params:
        is_argument = parameter.param_type_name == "argument"
        if is_argument or (parameter.name != "help" and rng.random() < 0.2):
            option = [] if is_argument else [parameter.opts[0]]
            if getattr(parameter, "is_flag", False):
                words += option
                continue
            value = str(pick(rng, pool)) if rng.random() < 0.7 else pick(rng, TEXTS)
            if parameter.name in ("workers", "prefetch", "jobs"):
                value = pick(rng, ["0", "-1", "abc", ""])  # starts no process
            words += [*option, value]
    if rng.random() < 0.3:
        words += [f"--{pick(rng, ['paths.x', 'training.seed', 'nlp', 'a.b.c'])}", pick(rng, TEXTS)]
    if path == ("doctor",):
        words.append("--no-measure")
    return [*path, *words]


def check_command(number, files, nlp, configs):
    rng = np.random.default_rng([2, number])
    arguments = make_arguments(rng, files, *pick(rng, COMMANDS))
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        message = "".join(traceback.format_exception(result.exception)[-4:])
        pytest.fail(f"input {number}, {arguments}:\n{message}")
    assert result.exit_code in (0, 1, 2), f"input {number}, {arguments}: {result.output}"
    return result.exit_code == 0


STUDY = {
    "title": "Tiny",
    "vars": {"seeds": "0,1", "steps": 2},
    "blocks": {"one": {"components.tok2vec.model.embed.rows": [3]}},
    "pretrain": {
        "config": str(CONFIGS / "pretrain" / "cosine.cfg"),
        "seeds": "${seeds}",
        "settings": {"charlm.max_steps": "${steps}", "paths.raw_text": "raw.txt"},
        "rows": {"a": {"settings": {"training.seed": 3}}, "b": {"blocks": ["one"]}},
    },
    "train": {
        "textcat": {
            "config": str(CONFIGS / "train" / "textcat.cfg"),
            "evaluate": "dev.spacy",
            "rows": {"a": {"from": "a"}, "b": None},
        }
    },
}


def check_study(number, files, nlp, configs):
    """Read a changed study; nothing is run."""
    rng = np.random.default_rng([3, number])
    study = srsly.json_loads(srsly.json_dumps(STUDY))
    changes = change(rng, study, everything=True)
    path = files[0].parent / "fuzz.yml"
    srsly.write_yaml(path, study)
    try:
        read_study(path, files[0].parent / "runs")
    except Exception as error:  # noqa: BLE001 - every kind of error is judged
        blame(error, number, changes)
        return False
    return True


@pytest.fixture
def material(tmp_path, keep_ops, monkeypatch):
    """Files of all kinds, most of them wrong, a pipeline, and the blocks of tiny configs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    tiny = TinyPretraining(tmp_path)
    configs = {}
    for name in NAMES:
        config = tiny.config(name=name).interpolate()
        embed = {**config["components"]["tok2vec"]["model"]["embed"], "cache_size": 20}
        objective = config["pretraining"]["objective"]
        configs[name] = srsly.json_dumps({"embed": embed, "objective": objective})
    tiny.config().to_disk(tmp_path / "tiny.cfg", interpolate=False)
    contents = {
        "binary.bin": b"\x80\xff\x00\x01" * 9,
        "empty.cfg": b"",
        "part.cfg": b'[nlp]\nlang = "en"\n',
        "wrong.cfg": b"[nlp]\nlang = 3\n[training]\nseed = -1\n",
        "study.yml": b"groups:\n  a: 3\n",
        "list.yml": b"- 3\n",
        "wrong.jsonl": b'{"text": 3}\n[]\n',
        "gzip.jsonl.gz": b"\x1f\x8b\x08\x00abc",
        "docs.spacy": b"no docs",
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    names = ["raw.txt", "vectors.txt", "tiny.cfg", "missing", "missing/x.bin", *contents]
    files = [tmp_path / name for name in names] + [tmp_path]
    return files, spacy.blank("en"), configs


RUNS = [(check_config, 450), (check_command, 100), (check_study, 50)]


@pytest.mark.parametrize("check, n", RUNS, ids=[check.__name__ for check, _ in RUNS])
def test_fuzz_settings(check, n, material):
    outcomes = [check(number, *material) for number in range(n)]
    assert 0 < sum(outcomes) < n, "some work and some do not"


SLOW = [(check_config, 10_000), (check_command, 500), (check_study, 500)]


@pytest.mark.slow
@pytest.mark.parametrize("check, n", SLOW, ids=[check.__name__ for check, _ in SLOW])
def test_fuzz_settings_many(check, n, material):
    for number in range(1_000, 1_000 + n):
        check(number, *material)

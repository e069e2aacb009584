"""Searches, with a stand-in for spaCy's commands."""

import csv
import json
import math
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import srsly
from spacy.util import load_config

from spacy_charlm.cli import app
from spacy_charlm.runs import search as search_module
from spacy_charlm.runs.run import ERROR, FINISHED
from spacy_charlm.runs.search import (
    BEST,
    PROPOSALS,
    ROUND,
    Halving,
    Outcome,
    RandomEngine,
    TPEEngine,
)
from spacy_charlm.runs.space import read_space
from spacy_charlm.runs.study import read_study, run_study

pytestmark = pytest.mark.usefixtures("keep_ops")
CONFIG = """
[paths]
init_weights = null
train = null

[system]
seed = 0

[nlp]
lang = "en"
pipeline = ["textcat"]

[components]

[components.textcat]
factory = "textcat"
threshold = 0.5

[training]
max_steps = 100
seed = ${system.seed}
dropout = 0.1
patience = 10

[training.optimizer]
@optimizers = "Adam.v1"
learn_rate = 0.01
"""
# Evaluates every 10 steps; the score is best with a dropout of 0.3 and a learning rate of 0.01.
FAKE = """
import json, math, pathlib, re, sys, time
path = pathlib.Path(sys.argv[2])
print("began", flush=True)
if sys.argv[1] == "evaluate":
    output = pathlib.Path(sys.argv[sys.argv.index("--output") + 1])
    output.write_text(json.dumps({"textcat": {"cats_macro_f": 0.5}}))
    sys.exit()
find = lambda name: re.search(rf"^{name} = (.+)$", path.read_text(), re.MULTILINE)[1]
dropout, rate = float(find("dropout")), float(find("learn_rate"))
if dropout > 0.48:
    reason = pathlib.Path("reason")
    sys.exit(reason.read_text() if reason.exists() else "the reason")
(path.parent / "model-last").mkdir(parents=True, exist_ok=True)
score = 1 - abs(dropout - 0.3) - abs(math.log10(rate) + 2) / 10
with open(json.loads(find("output_file")), "w") as file_:
    for step in range(0, 101, 10):
        found = score * step / 100
        line = {"step": step, "score": found, "scores": {"cats_macro_f": 100 * found}}
        file_.write(json.dumps(line) + "\\n")
        file_.flush()
        if pathlib.Path("slow").exists():
            time.sleep(float(pathlib.Path("slow").read_text()))
"""
STUDY = """
title: A search
vars: {trials: 12, seeds: "0,1", engine: random}
train:
  textcat:
    config: train.cfg
    seeds: ${seeds}
    metric: cats_macro_f
    evaluate: eval.spacy
    space:
      training.dropout: {range: [0.1, 0.4]}
      training.optimizer.learn_rate: {log: [0.001, 0.1]}
      training.patience: [5, 10, 20]
    search: {engine: "${engine}", trials: "${trials}"}
    rows:
      plain:
"""


@pytest.fixture
def folder(tmp_path, stand_in):
    (tmp_path / "train.cfg").write_text(CONFIG)
    (tmp_path / "eval.spacy").write_bytes(b"docs")
    return stand_in(FAKE)


def run(text=STUDY, output="out", jobs=2, **variables):
    Path("study.yml").write_text(text)
    study = read_study(Path("study.yml"), Path(output), variables=variables)
    return run_study(study, jobs=jobs)


def proposals(output="out"):
    # Not by srsly, which reads 0.003464 as 0.0034639999999999996.
    return json.loads((Path(output) / "textcat" / "plain" / PROPOSALS).read_text())["trials"]


def trials():
    with Path("out/trials.csv").open() as file_:
        return [line for line in csv.DictReader(file_) if line["trial"]]


def test_search_runs_trials_and_then_the_best_with_each_seed(folder):
    study = run()
    assert not study.errors
    lines = trials()
    assert [int(line["trial"]) for line in lines] == list(range(12))
    best = max(lines, key=lambda line: float(line["score"]))
    path = Path("out/textcat/plain")
    for seed in (0, 1):
        config = load_config(path / f"seed-{seed}" / "config.cfg")
        assert config["system"]["seed"] == seed
        for name in ("dropout", "patience"):
            assert config["training"][name] == json.loads(best[f"training.{name}"])
        rate = config["training"]["optimizer"]["learn_rate"]
        assert rate == float(best["training.optimizer.learn_rate"])
    assert load_config(path / BEST)["training"]["dropout"] == float(best["training.dropout"])
    assert best["scores by step"].startswith("0: 0.0000; 10: ")
    scores = {score.conditions["set"]: score.values for score in study.scores()}
    ranked = sorted((float(line["score"]) for line in lines), reverse=True)
    assert scores["best of 12"] == (pytest.approx(ranked[0]),)
    assert scores["top 3"] == pytest.approx(ranked[:3])
    assert scores["textcat"] == (0.5, 0.5)


@pytest.mark.parametrize("engine", ["random", "tpe"])
def test_search_has_the_same_trials_with_any_number_of_workers(folder, engine, monkeypatch):
    if engine == "tpe":
        pytest.importorskip("optuna")
    monkeypatch.setattr(search_module, "ROUND", 4)
    run(output="one", jobs=1, engine=engine, trials=10)
    run(output="four", jobs=4, engine=engine, trials=10)
    assert proposals("one") == proposals("four")
    assert len({str(values) for values in proposals("one")}) == 10


def test_tpe_finds_better_trials_than_random_search():
    """The score has its maximum at x = 0.3 and y = 0.01; the choice has no influence."""
    pytest.importorskip("optuna")
    section = {"x": {"range": [0.0, 1.0]}, "y": {"log": [0.00001, 1.0]}, "z": ["a", {"b": 1}]}
    space = read_space(section, Path("study.yml"), "row")

    def search(build, seed):
        engine, outcomes = build(space, seed), []
        for start in range(0, 48, ROUND):
            drawn = [engine.propose(start + i, list(outcomes)) for i in range(ROUND)]
            for values in drawn:
                score = -abs(values["x"] - 0.3) - abs(math.log10(values["y"]) + 2) / 5
                outcomes.append(Outcome(values, score))
        return np.mean([outcome.score for outcome in outcomes[24:]])

    random = [search(RandomEngine, seed) for seed in range(5)]
    tpe = [search(TPEEngine, seed) for seed in range(5)]
    assert min(tpe) > max(random)


@pytest.mark.parametrize("engine", ["random", "tpe"])
def test_search_goes_on_where_it_was(folder, engine, monkeypatch):
    if engine == "tpe":
        pytest.importorskip("optuna")
    monkeypatch.setattr(search_module, "ROUND", 3)
    run(output="at-once", trials=8, engine=engine)
    run(trials=5, engine=engine)
    times = {path: path.stat().st_mtime_ns for path in Path("out").rglob("trial-*/log.txt")}
    first = proposals()
    study = run(trials=8, engine=engine)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert proposals()[:5] == first and proposals() == proposals("at-once")
    assert len([title for title in study.seconds if "trial" in title]) == 3
    assert not run(trials=8, engine=engine).seconds


def test_search_records_trials_that_fail(folder):
    text = STUDY.replace("[0.1, 0.4]", "[0.4, 0.55]")
    study = run(text)
    failed = [line for line in trials() if line["error"]]
    assert failed and len(failed) < 12 and all("the reason" in line["error"] for line in failed)
    assert all(float(line["training.dropout"]) > 0.48 for line in failed)
    assert len([score for score in study.scores() if score.conditions["set"] == "textcat"]) == 1
    assert not run(text).seconds  # no trial is run twice


def test_search_tries_again_when_the_disk_was_full(folder):
    text = STUDY.replace("[0.1, 0.4]", "[0.5, 0.6]")
    (folder / "reason").write_text("OSError: [Errno 28] No space left on device")
    study = run(text, trials=3)
    assert "3 of 3 trials were ended; run the study again" in study.errors["textcat: plain"]
    assert len(study.errors) == 4 and not list(Path("out").rglob(ERROR))
    (folder / "reason").unlink()
    run(text, trials=3)
    assert len(list(Path("out").rglob(ERROR))) == 3


def test_search_records_configs_that_are_not_valid(folder):
    text = STUDY.replace("[5, 10, 20]", "[5, -1.5]")
    run(text)
    lines = trials()
    assert {line["training.patience"] for line in lines if "E675" in line["error"]} == {"-1.5"}
    assert not any(
        (path / "log.txt").exists()
        for path in Path("out").rglob("trial-*")
        if (path / ERROR).exists()
    )


def test_search_stops_bad_trials(folder, monkeypatch):
    monkeypatch.setattr(search_module, "ROUND", 4)
    text = STUDY.replace('"${trials}"}', '"${trials}", stop: {eta: 2, first: 0.3}, seed: 1}')
    (folder / "slow").write_text("0.3")
    run(text, jobs=4)
    paths = sorted(Path("out/textcat/plain").glob("trial-*"))
    stopped = {
        int(path.name[-3:]): srsly.read_json(path / FINISHED).get("stopped") for path in paths
    }
    assert all(stopped[number] is None for number in range(4))
    assert {step for step in stopped.values() if step} <= {30, 60}
    assert 2 <= sum(step is not None for step in stopped.values()) <= 7
    lines = {int(line["trial"]): line["scores by step"] for line in trials()}
    for number, step in stopped.items():
        assert lines[number].split("; ")[-1].startswith(f"{step or 100}: ")
    # The best one has not been stopped.
    best = max(trials(), key=lambda line: float(line["score"]))
    assert stopped[int(best["trial"])] is None
    (folder / "slow").unlink()
    assert not run(text, jobs=4).seconds


def test_search_starts_from_a_pretraining_and_keeps_other_rows(folder):
    """`--only` runs a row, with the pretraining of each seed, and shows what others have."""
    rows = """
      plain:
      loaded: {from: weights}
"""
    group = """
pretrain:
  config: train.cfg
  command: train
  seeds: "0,1"
  rows:
    weights:
    other:
train:"""
    text = STUDY.replace("\ntrain:", group).replace("\n      plain:\n", rows)
    Path("study.yml").write_text(text)

    def run_only(*only):
        study = read_study(Path("study.yml"), Path("out"), variables={"trials": 3}, only=only)
        return run_study(study, jobs=2)

    study = run_only("loaded")
    assert not study.errors and study.n_runs() == len(study.seconds) == 2 + 3 + 2
    for seed in (0, 1):
        config = load_config(Path(f"out/textcat/loaded/seed-{seed}/config.cfg"))
        assert f"weights/seed-{seed}" in config["paths"]["init_weights"]
    study = run_only("plain")
    assert study.n_runs() == len(study.seconds) == 3 + 2
    assert {line["row"] for line in trials()} == {"plain", "loaded"}
    assert {score.source for score in study.scores()} == {"plain", "loaded"}


def test_search_is_skipped_if_its_pretraining_fails(folder):
    group = """
pretrain:
  config: train.cfg
  command: train
  settings: {training.dropout: 0.5}
  rows:
    weights:
train:"""
    text = STUDY.replace("\ntrain:", group).replace("      plain:", "      plain: {from: weights}")
    study = run(text)
    assert study.errors["textcat: plain"] == "pretrain: weights (seed 0) failed"
    assert study.n_runs() == 1 and not study.searches[0].trials


def test_search_compares_another_score(folder):
    """Those by name are in per cent in the file."""
    study = run(STUDY.replace('"${trials}"}', '"${trials}", metric: cats_macro_f}'), trials=3)
    assert all(0.5 < float(line["score"]) <= 1.0 for line in trials())
    assert {"best of 3", "top 3"} < {score.conditions["set"] for score in study.scores()}


def test_command_draws_searches_and_names_what_has_failed(folder, capsys):
    """A row has choices of its own, and a setting that is not drawn as long as it is not run."""
    rows = """plain:
      other:
        space:
          training.patience: [7]
          training.optimizer.eps: {log: [1.0e-9, 1.0e-7], when: {training.patience: 7}}
"""
    Path("train.cfg").write_text(CONFIG + "eps = 1e-8\n")
    Path("study.yml").write_text(
        STUDY.replace("[0.1, 0.4]", "[0.4, 0.55]").replace("plain:\n", rows)
    )
    for only, n in ((["--only", "plain"], 8), ([], 16)):
        with pytest.raises(SystemExit):
            app(["study", "study.yml", "out", "--jobs", "2", "--set", "trials=6", *only])
        for name in ("search", "parallel"):
            assert Path(f"out/{name}-textcat.png").stat().st_size > 10_000
        out = " ".join(capsys.readouterr().out.split())
        assert "the reason (log: out/textcat/plain/trial-" in out and f" of {n} runs" in out


def test_halving_finds_the_scores_that_a_trial_needs():
    halving = Halving(eta=3, first=0.1)
    assert halving.list_rungs() == pytest.approx([0.1, 0.3, 0.9])
    curves = [[(0.1, i / 10), (0.5, i / 5)] for i in range(7)] + [[(0.05, 9.0)]]
    least = halving.find_least(curves)
    assert list(least.values()) == pytest.approx([0.4, 0.8])
    assert halving.find_least([]) == {}


def test_space_draws_every_kind():
    space = read_space(
        {
            "a": ["x", {"@y": 1}],
            "b": {"integers": [1, 3]},
            "c": {"log": [0.001, 10], "when": {"b": [2, 3]}},
            "d": {"range": [-1, 1]},
        },
        Path("study.yml"),
        "row",
    )
    drawn = [space.draw(np.random.default_rng(seed)) for seed in range(300)]
    assert {str(values["a"]) for values in drawn} == {"x", "{'@y': 1}"}
    assert {values["b"] for values in drawn} == {1, 2, 3}
    assert all(("c" in values) == (values["b"] > 1) for values in drawn)
    c = [values["c"] for values in drawn if "c" in values]
    assert 0.001 <= min(c) < 0.002 and 5 < max(c) <= 10 and 0.03 < np.median(c) < 0.3
    d = [values["d"] for values in drawn]
    assert min(d) < -0.9 and max(d) > 0.9
    assert all(value == float(f"{value:.4g}") for value in d)


WRONG = [
    ("training.dropout: {range: [0.1, 0.4]}", "training.dropuot: [1]", "E676.*training.dropuot"),
    ("{range: [0.1, 0.4]}", "{range: [0.4, 0.1]}", "E677.*two numbers.*training.dropout.*0.4"),
    ("{log: [0.001, 0.1]}", "{log: [0, 0.1]}", "E677.*above 0"),
    ("[5, 10, 20]", "{integers: [1, 2.5]}", "E677.*two whole numbers"),
    ("[5, 10, 20]", "[]", "E677.*a list of values.*patience"),
    ("[5, 10, 20]", "7", "E677.*a list, or one of choices"),
    ("[5, 10, 20]", "{choice: [7]}", "E677.*exactly one of choices.*choice"),
    ("[5, 10, 20]", "{choices: [7], when: {x.y: 1}}", "E677.*earlier settings.*x.y"),
    ("[5, 10, 20]", "{choices: [7], when: {training.dropout: 2}}", "E677.*in `when`.*2"),
    ('"${trials}"}', '"${trials}", metric: ents_f}', "E679.*plain.*score, cats_macro_auc.*ents_f"),
    ("engine: random", "engine: grid", "E670.*engine.*random, tpe.*grid"),
    ("trials: 12", "trials: none", "E677.*`trials`, a whole number from 1.*none"),
    ("trials: 12", "trials: 0", "E677.*`trials`"),
    ('"${trials}"}', '"${trials}", stop: now}', "E677.*'asha'.*now"),
    ('"${trials}"}', '"${trials}", stop: {eta: 1}}', "E677.*'asha'"),
    ("max_steps = 100", "max_steps = 0", "E677.*`training.max_steps` above 0 for `stop`"),
    (
        "[5, 10, 20]",
        "{choices: [7], when: {training.dropout: 0.2}}\n      a.b: [{c: 1}]",
        "E676.*a.b",
    ),
    ("evaluate: eval.spacy", "evaluate: no.spacy", "E674.*no.spacy"),
    ('seeds: "0,1"', "seeds: []", "E677.*at least one seed"),
    ("train.cfg", "train.cfg\n    command: pretrain", "E673.*train.*pretrain"),
    ("    search:", "    sort:", "E670.*sort"),
    ("evaluate: eval.spacy", "settings: {paths.train: no.spacy}", "E674.*no.spacy"),
]


@pytest.mark.parametrize("old, new, match", WRONG)
def test_search_names_what_is_wrong(folder, old, new, match):
    assert old in STUDY + CONFIG
    Path("train.cfg").write_text(CONFIG.replace(old, new))
    text = STUDY.replace('"${trials}"}', '"${trials}", stop: asha}') if "stop" in match else STUDY
    with pytest.raises(ValueError, match=match):
        run(text.replace(old, new))
    assert not Path("out/textcat").exists()


def test_search_without_a_space_and_the_folder_of_another_search(folder):
    text = STUDY[: STUDY.index("    space:")] + STUDY[STUDY.index("    search:") :]
    with pytest.raises(ValueError, match="E677.*at least one setting"):
        run(text)
    with pytest.raises(ValueError, match="E677.*at least one setting"):
        run(text.replace("    search:", "    space:\n    search:"))
    with pytest.raises(ValueError, match="E677.*`search` beside `space`"):
        run(STUDY[: STUDY.index("    search:")] + STUDY[STUDY.index("    rows:") :])
    run(trials=2)
    before = proposals()
    with pytest.raises(ValueError, match=f"E678.*{PROPOSALS}.*space"):
        run(STUDY.replace("[5, 10, 20]", "[5, 10]"), trials=2)
    assert proposals() == before


def test_search_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"E601.*optuna.*spacy-charlm\[search\]"):
        run(engine="tpe")


DRIVER = """
import os, sys
from pathlib import Path
from spacy_charlm.runs.study import read_study, run_study
os.environ["PYTHONPATH"] = "fake"  # for the trainings
run_study(read_study(Path("study.yml"), Path("out")), jobs=2)
"""


PATH = {"PYTHONPATH": os.pathsep.join(sys.path)}


def find_finished():
    """When each run of the search has ended."""
    found = {}
    for path in Path("out/textcat/plain").glob("*"):
        with suppress(OSError):  # no such file, or it is just being removed
            found[path] = (path / FINISHED).stat().st_mtime_ns
    return found


@pytest.mark.slow
def test_search_survives_being_killed(folder, monkeypatch):
    """SIGKILL at ten moments: in the end no trial is missing, and none has been run again."""
    monkeypatch.delenv("PYTHONPATH")
    Path("study.yml").write_text(STUDY.replace("trials: 12", "trials: 40"))
    Path("driver.py").write_text(DRIVER)
    (folder / "slow").write_text("0.1")
    rng = np.random.default_rng(0)
    finished = {}
    for _ in range(10):
        process = subprocess.Popen([sys.executable, "driver.py"], env={**os.environ, **PATH})
        first = len(finished)
        deadline = time.monotonic() + 60
        while len(find_finished()) <= first and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(rng.random())
        process.kill()
        process.wait()
        now = find_finished()
        assert finished.items() <= now.items()
        finished = now
    assert 10 <= len(finished) < 42
    subprocess.run([sys.executable, "driver.py"], env={**os.environ, **PATH}, check=True)
    assert finished.items() <= find_finished().items() and len(find_finished()) == 42
    search = read_study(Path("study.yml"), Path("other")).searches[0]
    assert proposals() == [search.engine.propose(number, ()) for number in range(40)]

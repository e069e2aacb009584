"""Searches with real trainings: in processes, and as trials of Ray Tune on two local workers."""

import csv
import json
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin
from spacy.util import load_model_from_config
from thinc.api import Config

from spacy_charlm.runs import search as search_module
from spacy_charlm.runs.search import PROPOSALS
from spacy_charlm.runs.study import read_study, run_study

CONFIG = """
[paths]
init_weights = null
train = "train.spacy"
dev = "train.spacy"

[system]
seed = 0

[nlp]
lang = "en"
pipeline = ["textcat"]

[components]

[components.textcat]
factory = "textcat"

[components.textcat.model]
@architectures = "spacy.TextCatBOW.v3"
exclusive_classes = true
ngram_size = 1
no_output_layer = false
length = 1000

[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.train}

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${paths.dev}

[training]
max_steps = 6
eval_frequency = 2
seed = ${system.seed}
dropout = 0.1

[training.optimizer]
@optimizers = "Adam.v1"
learn_rate = 0.01
"""
STUDY = """
title: A search on Ray
train:
  textcat:
    config: train.cfg
    seeds: "0,1"
    metric: cats_macro_f
    evaluate: train.spacy
    space:
      training.optimizer.learn_rate: {log: [0.001, 0.1]}
      training.eval_frequency: [2, 3, 0]
    search: {trials: 6, seed: 3}
    rows:
      plain:
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nlp = spacy.blank("en")
    docs = [nlp(text) for text in ("good film", "bad film", "good book", "bad book")]
    for doc in docs:
        doc.cats = {"good": float(doc[0].text == "good"), "bad": float(doc[0].text == "bad")}
    DocBin(docs=docs).to_disk("train.spacy")
    config = Config().from_str(CONFIG, interpolate=False)
    load_model_from_config(config, auto_fill=True).config.to_disk("train.cfg", interpolate=False)
    Path("study.yml").write_text(STUDY, encoding="utf8")


@pytest.mark.slow
def test_search_ends_bad_trainings_early(folder, monkeypatch):
    """With a learning rate of almost zero, a training misses its first rung."""
    monkeypatch.setattr(search_module, "ROUND", 2)
    config = CONFIG.replace("max_steps = 6", "max_steps = 4000\npatience = 0")
    config = config.replace("eval_frequency = 2", "eval_frequency = 100")
    config = Config().from_str(config, interpolate=False)
    load_model_from_config(config, auto_fill=True).config.to_disk("train.cfg", interpolate=False)
    text = STUDY.replace("{log: [0.001, 0.1]}", "[0.1, 1.0e-12]")
    text = text.replace("      training.eval_frequency: [2, 3, 0]\n", "")
    text = text.replace("seed: 3", "seed: 3, stop: {eta: 2, first: 0.1}")
    Path("study.yml").write_text(text, encoding="utf8")
    study = run_study(read_study(Path("study.yml"), Path("out")), jobs=2)
    assert not study.errors
    rates, steps = [], []
    for number in range(6):
        path = Path("out", "textcat", "plain", f"trial-{number:03}")
        rates.append(Config().from_disk(path / "config.cfg")["training"]["optimizer"]["learn_rate"])
        steps.append(len((path / "curve.jsonl").read_text().splitlines()))
    bad = [i for i, rate in enumerate(rates) if rate < 0.1]
    assert 0.1 in rates[:2] and any(i > 1 for i in bad)
    assert all((steps[i] < 41) == (i in bad and i > 1) for i in range(6))


@pytest.mark.slow
def test_search_on_ray_has_the_same_trials_as_without(folder):
    """Also: a trial that fails is recorded, and what is complete is not run again."""
    pytest.importorskip("ray.tune", reason="needs the extra search")

    def run(output, **settings):
        study = run_study(read_study(Path("study.yml"), Path(output)), jobs=2, **settings)
        with Path(output, "trials.csv").open() as file_:
            return study, list(csv.DictReader(file_))

    states = []
    study, found = run("on-ray", ray=True, show=lambda active, done, left: states.append(len(done)))
    assert max(states) == len(found) == 8
    assert {"0"} == {line["training.eval_frequency"] for line in found if line["error"]}
    assert len(study.errors) == len([line for line in found if line["error"]]) > 0
    assert len(study.scores()) == 3
    again, _ = run("on-ray", ray=True)
    assert not again.seconds
    _, expected = run("here")
    columns = ("trial", "training.optimizer.learn_rate", "training.eval_frequency", "score")
    assert [[line[key] for key in columns] for line in found] == [
        [line[key] for key in columns] for line in expected
    ]
    trials = [
        json.loads(Path(output, "textcat", "plain", PROPOSALS).read_text())["trials"]
        for output in ("on-ray", "here")
    ]
    assert trials[0] == trials[1]

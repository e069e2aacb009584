import shutil
from functools import partial

import numpy as np
import pytest
import spacy
import srsly
from spacy.tokens import DocBin
from spacy.training import Example
from thinc.api import fix_random_seed
from typer.testing import CliRunner

from spacy_charlm.cli import app
from spacy_charlm.evaluation.reliability import CONFIDENCE, TEXTS, Answers
from spacy_charlm.training.calibrate import calibrate

pytest.importorskip("matplotlib", reason="needs the extra plots")

WORDS = {"pos": "a wonderful and lovely film", "neg": "an awful and terrible film"}
# Two in three labels are right.
TEXTS_AND_LABELS = [
    (text, label if i % 3 else other)
    for i in range(6)
    for (label, text), other in zip(WORDS.items(), ("neg", "pos"))
]
MODELS = {
    "spacys": "spacy.TextCatReduce.v1",
    "ours": "spacy-charlm.TextCatMean.v1",
}
MODEL = {"exclusive_classes": True, "tok2vec": {"@architectures": "spacy.HashEmbedCNN.v2"}}
TOK2VEC = {"pretrained_vectors": None, "width": 16, "depth": 1, "embed_size": 100}
TOK2VEC |= {"window_size": 1, "maxout_pieces": 2, "subword_features": True}
REDUCE = {f"use_reduce_{name}": name == "mean" for name in ("first", "last", "max", "mean")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pipeline of spaCy's parts and a calibrated one of ours, trained on right labels only."""
    folder = tmp_path_factory.mktemp("reliability")
    vocab = spacy.blank("en")
    docs = []
    for text, label in TEXTS_AND_LABELS:
        docs.append(vocab.make_doc(text))
        docs[-1].cats = {name: float(name == label) for name in WORDS}
    DocBin(docs=docs).to_disk(folder / "dev.spacy")
    records = [{"text": text, "label": label} for text, label in TEXTS_AND_LABELS]
    srsly.write_jsonl(folder / "dev.jsonl", records)
    srsly.write_jsonl(folder / "other.jsonl", [{**one, "label": "good"} for one in records])
    for name, architecture in MODELS.items():
        fix_random_seed(0)
        nlp = spacy.blank("en")
        model = {"@architectures": architecture, **MODEL, **(REDUCE if name == "spacys" else {})}
        model["tok2vec"] = {**MODEL["tok2vec"], **TOK2VEC}
        nlp.add_pipe("textcat", config={"model": model})
        examples = [
            Example.from_dict(
                nlp.make_doc(text), {"cats": {other: float(other == label) for other in WORDS}}
            )
            for label, text in WORDS.items()
        ]
        optimizer = nlp.initialize(partial(list, examples))
        for _ in range(60):
            nlp.update(examples, sgd=optimizer)
        if name == "ours":
            calibrate(nlp, [Example(nlp.make_doc(doc.text), doc) for doc in docs])
        nlp.to_disk(folder / name)
    spacy.blank("en").to_disk(folder / "blank")
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["reliability", *map(str, arguments)])


def read_scores(path):
    """Read the scores of all texts and those of the bins, by pipeline and metric."""
    whole, bins = {}, {}
    for s in srsly.read_json(path)["scores"]:
        key = (s["source"], s["metric"])
        if CONFIDENCE in s["conditions"]:
            bins.setdefault(key, {})[s["conditions"][CONFIDENCE]] = s["values"]
        else:
            whole[key] = s["values"]
    return whole, bins


@pytest.mark.parametrize("data", ["dev.spacy", "dev.jsonl"])
def test_reliability_compares_pipelines(data, folder, tmp_path):
    pipelines = (folder / "spacys", folder / "ours")
    result = run(*pipelines, folder / data, "--uncalibrated", "--output", tmp_path)
    assert result.exit_code == 0, result.output
    for part in ("spacys", "ours, uncalibrated", "ECE", "66.7"):
        assert part in result.output
    assert (tmp_path / "reliability.png").stat().st_size > 10_000
    whole, bins = read_scores(tmp_path / "reliability.json")
    sources = ("spacys", "ours, uncalibrated", "ours")
    assert list(dict.fromkeys(source for source, _ in whole)) == list(sources)
    for source in sources:
        assert whole[source, "accuracy"] == pytest.approx([2 / 3])
        assert sum(values[0] for values in bins[source, TEXTS].values()) == pytest.approx(1)
    before, after = (
        {metric: whole[source, metric][0] for metric in ("ECE", "loss", "above 0.99")}
        for source in sources[1:]
    )
    assert before["ECE"] > 0.2 > 0.1 > after["ECE"] and before["loss"] > after["loss"]
    assert after["above 0.99"] == 0
    assert list(bins["ours", "accuracy"].values()) == [pytest.approx([2 / 3])]


def test_reliability_takes_the_seeds_of_a_training_together(folder, tmp_path):
    for seed in (0, 1):
        shutil.copytree(folder / "ours", tmp_path / "mine" / f"seed-{seed}" / "model-best")
    result = run(tmp_path / "mine", folder / "dev.spacy", "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert "2 seeds" in result.output and "uncalibrated" not in result.output
    whole, _ = read_scores(tmp_path / "reliability.json")
    assert {len(values) for values in whole.values()} == {2}


def test_reliability_computes_its_scores():
    """Two bins: one sure and half right, the other half sure and all right."""
    answers = Answers(np.array([1.0, 0.995, 0.5, 0.5]), np.array([1, 0, 1, 1], bool), np.ones(4))
    found = answers.summarise()
    assert found.pop("ECE") == pytest.approx((0.995 + 1) / 4)
    assert found == {"accuracy": 0.75, "above 0.99": 0.5, "loss": 1.0}


@pytest.mark.parametrize(
    "pipeline, data, message",
    [
        ("missing", "dev.spacy", "charlm E661"),
        ("blank", "dev.spacy", "charlm E572"),
        ("ours", "other.jsonl", "charlm E573"),
        ("ours", "missing.spacy", "charlm E613"),
    ],
)
def test_reliability_says_what_is_wrong(pipeline, data, message, folder):
    result = run(folder / pipeline, folder / data)
    assert result.exit_code == 1 and message in result.output, result.output

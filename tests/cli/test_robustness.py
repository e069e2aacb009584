import shutil

import pytest
import spacy
import srsly
from spacy.tokens import DocBin
from spacy.training import Example
from thinc.api import fix_random_seed
from typer.testing import CliRunner

from spacy_charlm.cli import app
from spacy_charlm.evaluation.robustness import find_members

pytest.importorskip("matplotlib", reason="needs the extra plots")

TEXTS = [("a wonderful and lovely film", "pos"), ("an awful and terrible film", "neg")] * 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pipeline without a part of ours, and texts with labels."""
    folder = tmp_path_factory.mktemp("robustness")
    fix_random_seed(0)
    nlp = spacy.blank("en")
    textcat = nlp.add_pipe("textcat")
    examples = []
    for text, label in TEXTS:
        cats = {"pos": float(label == "pos"), "neg": float(label == "neg")}
        examples.append(Example.from_dict(nlp.make_doc(text), {"cats": cats}))
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(10):
        nlp.update(examples, sgd=optimizer)
    assert textcat.labels
    nlp.to_disk(folder / "spacys")
    nlp.to_disk(folder / "again")
    DocBin(docs=[example.reference for example in examples]).to_disk(folder / "dev.spacy")
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["robustness", *map(str, arguments)])


def test_robustness_compares_pipelines_of_spacy(folder, tmp_path):
    output = tmp_path / "output"
    result = run(
        folder / "spacys",
        folder / "again",
        *("--data", folder / "dev.spacy", "--rates", "0.5,1.0", "--seeds", 2),
        *("--kinds", "mixed,drop", "--output", output),
    )
    assert result.exit_code == 0, result.output
    for part in ("spacys", "again", "textcat", "mixed", "drop", "50%", "100%"):
        assert part in result.output
    assert (output / "robustness.png").stat().st_size > 10_000
    curves = srsly.read_json(output / "robustness.json")
    assert [curve["kind"] for curve in curves] == ["mixed", "drop"] * 2
    for curve in curves:
        assert curve["rates"] == [0.0, 0.5, 1.0] and list(map(len, curve["scores"])) == [1, 2, 2]
        assert curve["scores"][0] == [1.0] and sum(curve["scores"][2]) < 2
    # The same pipeline under another name meets the same typos.
    assert [curve["scores"] for curve in curves[:2]] == [curve["scores"] for curve in curves[2:]]


def test_robustness_takes_the_seeds_of_a_training_together(folder, tmp_path):
    for seed in (0, 1):
        for name in ("model-best", "model-last"):
            shutil.copytree(folder / "spacys", tmp_path / "ours" / f"seed-{seed}" / name)
    assert find_members(str(tmp_path / "ours")) == [
        str(tmp_path / "ours" / f"seed-{seed}" / "model-best") for seed in (0, 1)
    ]
    assert find_members("en_core_web_sm") == ["en_core_web_sm"]
    output = tmp_path / "output"
    result = run(
        tmp_path / "ours",
        *("--data", folder / "dev.spacy", "--rates", "0.5", "--seeds", 3, "--output", output),
    )
    assert result.exit_code == 0, result.output
    (curve,) = srsly.read_json(output / "robustness.json")
    assert list(map(len, curve["scores"])) == [2, 6]


@pytest.mark.parametrize(
    "pipeline, data, more, message",
    [
        ("missing", "dev.spacy", [], "charlm E661"),
        ("spacys", "missing.spacy", [], "charlm E660"),
        ("spacys", "dev.spacy", ["--kinds", "other"], "charlm E701"),
        ("spacys", "dev.spacy", ["--kinds", "natural"], "charlm E701"),
        ("spacys", "dev.spacy", ["--rates", "2"], "charlm E700"),
        ("spacys", "dev.spacy", ["--misspellings", "missing.tsv"], "missing.tsv"),
    ],
)
def test_robustness_says_what_is_wrong(pipeline, data, more, message, folder):
    result = run(folder / pipeline, "--data", folder / data, *more)
    assert result.exit_code == 1 and message in result.output, result.output


@pytest.mark.parametrize("option, value", [("--rates", "many"), ("--seeds", 0), ("--limit", -1)])
def test_robustness_refuses_options(option, value, folder):
    result = run(folder / "spacys", "--data", folder / "dev.spacy", option, value)
    assert result.exit_code == 2 and option in result.output

import shutil

import numpy as np
import pytest
import spacy
import srsly
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from thinc.api import fix_random_seed
from typer.testing import CliRunner

from spacy_charlm.cli import app
from spacy_charlm.evaluation.robustness import EDITED, find_members

pytest.importorskip("matplotlib", reason="needs the extra plots")

TEXTS = [("a wonderful and lovely film", "pos"), ("an awful and terrible film", "neg")] * 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pipeline of spaCy's own parts, and texts with labels."""
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
    DocBin(docs=[nlp.make_doc(text) for text, _ in TEXTS]).to_disk(folder / "no_cats.spacy")
    (folder / "damaged.spacy").write_bytes(b"no DocBin")
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["robustness", *map(str, arguments)])


def read_curves(path):
    """Read the values of each rate, by pipeline, kind and metric."""
    curves = {}
    for s in srsly.read_json(path)["scores"]:
        key = (s["source"], s["conditions"]["typos"], s["metric"])
        curves.setdefault(key, {})[s["conditions"]["rate"]] = s["values"]
    return curves


def test_robustness_compares_pipelines_of_spacy(folder, tmp_path):
    output = tmp_path / "output"
    result = run(
        folder / "spacys",
        folder / "again",
        *(folder / "dev.spacy", "--rates", "0.5,1.0", "--seeds", 2),
        *("--kinds", "mixed,drop", "--output", output),
    )
    assert result.exit_code == 0, result.output
    for part in ("spacys", "again", "textcat", "mixed", "drop", "50%", "100%"):
        assert part in result.output
    assert (output / "robustness.png").stat().st_size > 10_000
    curves = read_curves(output / "robustness.json")
    names = [(source, kind) for source in ("spacys", "again") for kind in ("mixed", "drop")]
    assert list(dict.fromkeys(key[:2] for key in curves)) == names
    for source, kind in names:
        curve, edited = (curves[source, kind, metric] for metric in ("cats_score", EDITED))
        assert {rate: len(values) for rate, values in curve.items()} == {0.0: 1, 0.5: 2, 1.0: 2}
        assert curve[0.0] == [1.0] and sum(curve[1.0]) < 2
        # Nothing can be dropped from the word "a".
        assert np.mean(edited[1.0]) == (1.0 if kind == "mixed" else 0.9)
        assert edited[0.0] == [0] and 0.3 < np.mean(edited[0.5]) < 0.7
    # The same pipeline under another name meets the same typos.
    for kind in ("mixed", "drop"):
        assert curves["spacys", kind, "cats_score"] == curves["again", kind, "cats_score"]


def test_robustness_takes_the_seeds_of_a_training_together(folder, tmp_path):
    for seed in (0, 1):
        for name in ("model-best", "model-last"):
            shutil.copytree(folder / "spacys", tmp_path / "ours" / f"seed-{seed}" / name)
    assert find_members(str(tmp_path / "ours")) == [
        str(tmp_path / "ours" / f"seed-{seed}" / "model-best") for seed in (0, 1)
    ]
    assert find_members("en_core_web_sm") == ["en_core_web_sm"]
    seed = tmp_path / "ours" / "seed-1"  # what `spacy train` wrote is one pipeline
    assert find_members(str(seed)) == [str(seed / "model-best")]
    output = tmp_path / "output"
    result = run(
        tmp_path / "ours",
        *(folder / "dev.spacy", "--rates", "0.5", "--seeds", 3, "--output", output),
    )
    assert result.exit_code == 0, result.output
    curve = read_curves(output / "robustness.json")["ours", "mixed", "cats_score"]
    assert list(map(len, curve.values())) == [2, 6]


def test_robustness_scores_every_component(tmp_path):
    """NER, spans, tags, morphology, lemmas and sentences: pipelines without a part of ours."""
    nlp = spacy.blank("en")
    for name in ("ner", "spancat", "tagger", "morphologizer", "trainable_lemmatizer", "senter"):
        nlp.add_pipe(name)
    doc = Doc(
        nlp.vocab,
        words=["Anna", "likes", "Leeds", "."],
        spaces=[True, True, False, False],
        tags=["NNP", "VBZ", "NNP", "."],
        pos=["PROPN", "VERB", "PROPN", "PUNCT"],
        morphs=["Number=Sing", "Tense=Pres", "Number=Sing", ""],
        lemmas=["Anna", "like", "Leeds", "."],
        sent_starts=[True, False, False, False],
        ents=["B-PER", "O", "B-LOC", "O"],
    )
    doc.spans["sc"] = [Span(doc, 0, 1, label="PER")]
    examples = [Example(nlp.make_doc(doc.text), doc)]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(30):
        nlp.update(examples, sgd=optimizer)
    nlp.to_disk(tmp_path / "pipeline")
    (tmp_path / "data").mkdir()
    DocBin(docs=[doc], store_user_data=True).to_disk(tmp_path / "data" / "dev.spacy")
    result = run(
        tmp_path / "pipeline",
        tmp_path / "data",
        *("--kinds", "missing_space", "--rates", "1.0", "--seeds", 1, "--output", tmp_path),
    )
    assert result.exit_code == 0, result.output
    curves = {key[2]: curve for key, curve in read_curves(tmp_path / "robustness.json").items()}
    assert EDITED in curves and curves.pop(EDITED)
    expected = {"ents_f", "spans_sc_f", "tag_acc", "pos_acc", "morph_acc", "lemma_acc", "sents_f"}
    assert set(curves) == expected
    # What is spacy evaluate's score at 0; without spaces the entities are missed, not left out.
    assert curves["ents_f"] == {0.0: [1.0], 1.0: [0.0]}
    assert "spans F (sc)" in result.output and "not all words can take it" in result.output


@pytest.mark.parametrize(
    "pipeline, data, more, message",
    [
        ("missing", "dev.spacy", [], "charlm E661"),
        ("spacys", "no_cats.spacy", [], "charlm E660"),
        ("spacys", "damaged.spacy", [], "charlm E660"),
        ("spacys", "dev.spacy", ["--kinds", "mixed, other"], "mixed"),
        ("spacys", "dev.spacy", ["--rates=-0.1,0.2"], "charlm E700"),
        ("spacys", "missing.spacy", [], "charlm E660"),
        ("spacys", "dev.spacy", ["--kinds", "other"], "charlm E701"),
        ("spacys", "dev.spacy", ["--kinds", "natural"], "charlm E701"),
        ("spacys", "dev.spacy", ["--rates", "2"], "charlm E700"),
        ("spacys", "dev.spacy", ["--misspellings", "missing.tsv"], "missing.tsv"),
    ],
)
def test_robustness_says_what_is_wrong(pipeline, data, more, message, folder):
    result = run(folder / pipeline, folder / data, *more)
    assert result.exit_code == 1 and message in result.output, result.output


@pytest.mark.parametrize("damage", ["", "[nlp]\nlang = 3\n", "no config"])
def test_robustness_checks_all_pipelines_before_the_first_typo(
    damage, folder, tmp_path, monkeypatch
):
    shutil.copytree(folder / "spacys", tmp_path / "damaged")
    (tmp_path / "damaged" / "config.cfg").write_text(damage)
    monkeypatch.setattr("spacy_charlm.evaluation.robustness._score_noisy", pytest.fail)
    result = run(folder / "spacys", tmp_path / "damaged", folder / "dev.spacy")
    assert result.exit_code == 1 and "charlm E661" in result.output, result.output


@pytest.mark.parametrize("option, value", [("--rates", "many"), ("--seeds", 0), ("--limit", -1)])
def test_robustness_refuses_options(option, value, folder):
    result = run(folder / "spacys", folder / "dev.spacy", option, value)
    assert result.exit_code == 2 and option in result.output

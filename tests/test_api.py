"""The public Python API."""

import importlib.metadata
import subprocess
import sys

import numpy as np
import pytest
import spacy
import srsly
from numpy.testing import assert_allclose

import spacy_charlm
from spacy_charlm.training.pretrain import BEST


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A folder with the result of the tiny pretraining, made through the API."""
    from thinc.api import get_current_ops, set_current_ops

    from tests.conftest import TinyPretraining

    ops = get_current_ops()
    tiny = TinyPretraining(tmp_path_factory.mktemp("api"))
    path = tiny.folder / "tiny.cfg"
    tiny.config().to_disk(path, interpolate=False)
    outcome = spacy_charlm.pretrain(
        str(path), tiny.folder / "out", overrides={"pretraining.max_epochs": 2}
    )
    set_current_ops(ops)
    assert not outcome.stopped and outcome.progress.words > 500
    return tiny


def test_api_names_are_documented_with_an_example():
    assert set(spacy_charlm.__all__) <= set(dir(spacy_charlm))
    assert spacy_charlm.__version__ == importlib.metadata.version("spacy-charlm")
    for name in set(spacy_charlm.__all__) - {"__version__"}:
        text = getattr(spacy_charlm, name).__doc__
        assert "Example:" in text and f"spacy_charlm.{name}(" in text
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        spacy_charlm.nothing  # noqa: B018


def test_api_is_imported_when_it_is_used():
    code = "import sys, spacy_charlm; print('spacy' in sys.modules, 'numpy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


def test_api_loads_weights_into_a_blank_pipeline(pretrained):
    nlp = spacy_charlm.load(str(pretrained.folder / "out" / BEST))
    assert nlp.pipe_names == ["tok2vec"] and nlp.lang == "en"
    doc = nlp("the old cat")
    assert doc.tensor.shape == (3, 8) and doc.tensor.any(axis=1).all()
    assert nlp("the oldd cat").tensor[1].any()
    with pytest.raises(ValueError, match="E50"):
        spacy_charlm.load(pretrained.folder / "raw.txt")
    with pytest.raises(ValueError, match="E502.*model-last.bin"):
        spacy_charlm.load(pretrained.folder / "out" / "missing.bin")


def test_api_embeds_texts_and_tokens(pretrained, tmp_path):
    path = pretrained.folder / "out" / BEST
    nlp = spacy_charlm.load(path)
    texts = ["the cat saw a dog", "", "rain"]
    X = spacy_charlm.embed(texts, nlp)
    assert X.shape == (3, 8) and X.dtype == "float32" and not X[1].any()
    tokens = spacy_charlm.embed(texts, nlp, "token")
    assert [len(rows) for rows in tokens] == [5, 0, 1]
    assert_allclose(X[0], tokens[0].mean(axis=0), rtol=1e-5)
    assert_allclose(tokens[0], nlp(texts[0]).tensor, rtol=1e-5)
    nlp.to_disk(tmp_path / "nlp")
    for model in (path, str(path), tmp_path / "nlp", str(tmp_path / "nlp")):
        assert_allclose(spacy_charlm.embed(texts, model), X, rtol=1e-6)
    assert spacy_charlm.embed([], nlp).shape == (0, 8)
    with pytest.raises(ValueError, match="E620"):
        spacy_charlm.embed(texts, spacy.blank("en"))
    with pytest.raises(ValueError, match="E621.*'rain'"):
        spacy_charlm.embed("rain", nlp)
    with pytest.raises(ValueError, match="E622.*'doc'"):
        spacy_charlm.embed(texts, nlp, "doc")
    with pytest.raises(ValueError, match="E502.*missing.bin"):
        spacy_charlm.embed(texts, pretrained.folder / "out" / "missing.bin")


def test_api_finds_nearest_words(pretrained):
    found = spacy_charlm.nearest_words(
        ["catt", "dog"], pretrained.folder / "out" / BEST, pretrained.folder / "vectors.txt", k=3
    )
    assert list(found) == ["catt", "dog"]
    assert all(len(words) == 3 and words[0][1] >= words[-1][1] for words in found.values())
    assert found["dog"][0][0] in pretrained.WORDS


def test_api_adds_typos():
    text = "  The plot is thin, but the actors are\nwonderful, don't you think?  "
    assert spacy_charlm.add_typos(text, rate=0) == text
    found = spacy_charlm.add_typos(text, rate=1, seed=3)
    assert found == spacy_charlm.add_typos(text, rate=1, seed=3) != text
    assert found != spacy_charlm.add_typos(text, rate=1, seed=4)
    assert found.count(" ") == text.count(" ") and "\n" in found
    swapped = spacy_charlm.add_typos("abcd " * 200, rate=0.5, kinds=["swap"])
    share = np.mean([word != "abcd" for word in swapped.split()])
    assert 0.4 < share < 0.6 and {"".join(sorted(word)) for word in swapped.split()} == {"abcd"}


def test_api_probes(pretrained):
    pytest.importorskip("sklearn", reason="needs the extra probe")
    path = pretrained.folder / "labelled.jsonl"
    words = pretrained.WORDS
    records = [
        {"text": f"{words[i % 7]} {'cat' if i % 2 else 'rain'}", "label": "ab"[i % 2]}
        for i in range(60)
    ]
    srsly.write_jsonl(path, records)
    scores = spacy_charlm.probe(
        pretrained.folder / "tiny.cfg",
        pretrained.folder / "out" / BEST,
        path,
        n_dev=20,
        n_labels=20,
        draws=2,
    )
    sources = [score.source for score in scores]
    assert "random weights" in sources and all(len(score.values) == 2 for score in scores)


@pytest.mark.parametrize("name, value", [("workers", 0), ("workers", "2"), ("prefetch", -3)])
def test_api_pretrain_names_a_wrong_number_of_processes(name, value, tmp_path):
    with pytest.raises(ValueError, match=f"charlm E560.*`{name}` of pretrain"):
        spacy_charlm.pretrain(tmp_path / "none.cfg", tmp_path / "out", **{name: value})

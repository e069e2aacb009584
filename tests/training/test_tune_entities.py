import io
import random
import re

import pytest
import spacy
from numpy.testing import assert_array_equal
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from thinc.api import Config, get_current_ops, set_current_ops

from spacy_charlm.training.init_config import ConfigOptions, init_config
from spacy_charlm.training.tune_entities import BIASES, create_tune_entities_v1, tune_entities

NAMES = [f"{a}{b}{c}" for a in "KMPT" for b in "aeiou" for c in ("rst", "ln", "nd")]
SMALL = {
    "components.tok2vec.model.embed.width": 16,
    "components.tok2vec.model.embed.filters": [8, 8],
    "components.tok2vec.model.embed.ngram_rows": 100,
    "components.tok2vec.model.encode.depth": 1,
    "training.max_steps": 45,
    "training.eval_frequency": 15,
    "training.batcher.size": 60,
}
LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": 16, "upstream": "*"}
NER = {
    "factory": "charlm_ner",
    "model": {"@architectures": "spacy-charlm.CRF.v1", "tok2vec": LISTENER},
}
TUNE = {"@callbacks": "spacy-charlm.tune_entities.v1"}


def make_doc(vocab, rng, names):
    """Words in lower case and names, of which some look like other words."""
    words = [rng.choice(["saw", "left", "the", "old", "house"]) for _ in range(6)]
    doc = Doc(vocab, words=words[:2] + [rng.choice(names)] + words[2:])
    name = [Span(doc, 2, 3, label="PER")] if rng.random() < 0.9 else []
    doc.set_ents(name)
    return doc


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("data"), random.Random(0)
    vocab = spacy.blank("xx").vocab
    lower = [name.lower() for name in NAMES]
    for part, n, names in (("train", 20, NAMES[:6]), ("dev", 40, NAMES[6:] + lower)):
        DocBin(docs=[make_doc(vocab, rng, names) for _ in range(n)]).to_disk(
            folder / f"{part}.spacy"
        )
    return folder


def run(folder, output, callback=None):
    config = init_config(ConfigOptions(lang="xx", task="ner", objective="none"))
    paths = {f"paths.{name}": str(folder / f"{name}.spacy") for name in ("train", "dev")}
    text = config.to_str(interpolate=False)
    config = Config().from_str(text, interpolate=False, overrides={**SMALL, **paths})
    config["nlp"]["pipeline"] = ["tok2vec", "charlm_ner"]
    config["components"]["charlm_ner"] = NER
    del config["components"]["ner"]
    config["training"]["before_to_disk"] = callback
    nlp = init_nlp(config)
    output.mkdir()
    log = io.StringIO()
    train(nlp, output, stdout=log, stderr=log)
    return log.getvalue()


@pytest.fixture(scope="module")
def trained(folder):
    """Train with and without the callback; return the logs and the folders."""
    logs = {}
    before = get_current_ops()
    for name, callback in (("plain", None), ("tuned", TUNE)):
        logs[name] = run(folder, folder / name, callback)
    set_current_ops(before)
    return logs, {name: folder / name / "model-best" for name in logs}


def read_examples(nlp, folder):
    docs = DocBin().from_disk(folder / "dev.spacy").get_docs(nlp.vocab)
    return [Example(Doc(nlp.vocab, words=[t.text for t in doc]), doc) for doc in docs]


def get_layer(nlp):
    return nlp.get_pipe("charlm_ner").model.get_ref("crf")


def set_bias(nlp, bias):
    layer = get_layer(nlp)
    layer.set_param("bias", layer.ops.alloc1f(1) + bias)


def get_params(nlp):
    return [
        node.get_param(name)
        for _, pipe in nlp.pipeline
        for node in pipe.model.walk()
        for name in node.param_names
        if name != "bias"
    ]


def test_tune_entities_changes_nothing_but_the_bias(folder, trained, keep_ops):
    logs, paths = trained
    rows = [re.findall(r"^ +\d+ +\d+ .*$", log, re.MULTILINE) for log in logs.values()]
    assert rows[0] == rows[1] and len(rows[0]) == 4  # every evaluation is the same
    plain, tuned = (spacy.load(path) for path in paths.values())
    for expected, found in zip(get_params(plain), get_params(tuned), strict=True):
        assert_array_equal(expected, found)
    bias = float(get_layer(tuned).get_param("bias")[0])
    assert float(get_layer(plain).get_param("bias")[0]) == 0 and bias < 0
    # The bias is the best one by spaCy's own scorer, and the same wherever it is computed again.
    scores = {}
    for other in BIASES:
        set_bias(tuned, other)
        scores[other] = tuned.evaluate(read_examples(tuned, folder))["ents_f"] or 0.0
    assert scores[bias] == max(scores.values()) > scores[0]
    assert min(abs(b) for b in BIASES if scores[b] == scores[bias]) == abs(bias)
    for nlp in (plain, tuned):
        assert tune_entities(nlp, read_examples(nlp, folder)) == {"charlm_ner": bias}
        assert float(get_layer(nlp).get_param("bias")[0]) == bias


def test_tune_entities_is_neutral_without_entities(folder, trained, keep_ops):
    nlp = spacy.load(trained[1]["tuned"])
    bare = [
        Example(eg.predicted, Doc(nlp.vocab, words=[t.text for t in eg.predicted]))
        for eg in read_examples(nlp, folder)
    ]
    outside = [Example(eg.predicted, eg.predicted.copy()) for eg in bare]
    for eg in outside:
        eg.reference.set_ents([])
    other = read_examples(nlp, folder)
    for eg in other:
        eg.reference.set_ents([Span(eg.reference, 0, 1, label="OTHER")])
    for examples in ([], bare, outside, other):
        set_bias(nlp, -2.0)
        assert tune_entities(nlp, examples) == {"charlm_ner": 0.0}
        assert float(get_layer(nlp).get_param("bias")[0]) == 0


def test_tune_entities_of_some_components_and_then_another_callback(folder, trained, keep_ops):
    nlp = spacy.load(trained[1]["plain"])
    called = []
    callback = create_tune_entities_v1(limit=10, then=lambda nlp: called.append(nlp) or nlp)
    assert callback(nlp) is nlp and called == [nlp]
    set_bias(nlp, 1.5)
    nlp.config["training"]["frozen_components"] = ["charlm_ner"]
    callback(nlp)
    assert float(get_layer(nlp).get_param("bias")[0]) == 1.5
    assert tune_entities(nlp, [], exclude=["charlm_ner"]) == {}


def test_tune_entities_says_what_is_wrong():
    nlp = spacy.blank("xx")
    nlp.add_pipe("ner")
    with pytest.raises(ValueError, match="E766.*ner"):
        tune_entities(nlp, [])
    with pytest.raises(ValueError, match="E560.*-1"):
        create_tune_entities_v1(limit=-1)

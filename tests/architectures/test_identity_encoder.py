import numpy as np
import pytest
import spacy
from numpy.testing import assert_allclose
from spacy.training import Example

from spacy_charlm.evaluation.inspect_weights import inspect_weights
from spacy_charlm.training.load_weights import create_load_weights_v1

IDENTITY = {
    "@architectures": "spacy-charlm.IdentityEncoder.v1",
    "width": "${components.tok2vec.model.embed.width}",
}
HEADS = {
    "textcat": "spacy-charlm.TextCatMean.v1",
    "tagger": "spacy.Tagger.v2",
    "ner": "spacy.TransitionBasedParser.v2",
}
LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": 8, "upstream": "*"}
TEXTS = ["a good film", "a bad film"]


def make_nlp(tok2vec):
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config={"model": tok2vec})
    for name, head in HEADS.items():
        extra = {"exclusive_classes": True} if name == "textcat" else {}
        if name == "ner":
            extra = {"state_type": "ner", "extra_state_tokens": False, "hidden_width": 8}
            extra |= {"maxout_pieces": 2, "use_upper": True}
        model = {"@architectures": head, "tok2vec": LISTENER, **extra}
        nlp.add_pipe(name, config={"model": model})
    examples = []
    for i, text in enumerate(TEXTS):
        labels = {"cats": {"x": float(i), "y": 1.0 - i}, "tags": ["D", "A", "N"]}
        labels["entities"] = [(0, 1, "ART")]
        examples.append(Example.from_dict(nlp.make_doc(text), labels))
    nlp.initialize(lambda: examples)
    return nlp, examples


def test_identity_encoder_from_pretraining_to_a_pipeline(tiny, tmp_path):
    tiny.run("run", blocks={"components.tok2vec.model.encode": IDENTITY})
    weights = tmp_path / "run" / "model-last.bin"
    config = tiny.config(blocks={"components.tok2vec.model.encode": IDENTITY}).interpolate()
    tok2vec = config["components"]["tok2vec"]["model"]
    found = inspect_weights(weights)
    assert "spacy-charlm.IdentityEncoder.v1" in str(found)
    nlp, examples = make_nlp(tok2vec)
    nlp = create_load_weights_v1(weights)(nlp)
    before = [token.vector for token in nlp("a a b")]
    assert_allclose(before[0], before[1])  # the context plays no part
    optimizer = nlp.create_optimizer()
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    assert not np.allclose(nlp("a").tensor[0], before[0])  # the gradient arrives
    nlp.to_disk(tmp_path / "nlp")
    loaded = spacy.load(tmp_path / "nlp")
    pairs = [loaded.pipe([*TEXTS, "", " "], n_process=2), nlp.pipe([*TEXTS, "", " "])]
    for doc, expected in zip(*pairs, strict=True):
        assert doc.cats == pytest.approx(expected.cats)
    assert loaded(TEXTS[1]).cats["x"] > 0.6 > loaded(TEXTS[0]).cats["x"]
    assert [token.tag_ for token in loaded(TEXTS[1])] == ["D", "A", "N"]

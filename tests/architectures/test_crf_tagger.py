import numpy as np
import pytest
from numpy.testing import assert_allclose

from spacy_charlm.architectures.char_cnn import build_char_cnn_v1
from spacy_charlm.architectures.crf_tagger import build_crf_v1
from spacy_charlm.layers.crf import compute_loss
from tests.sample_docs import DOCS, SMALL

TAGS = np.array([3, 4, 0, 1, 2, -1, 1, -1, 1, 1])  # B I L O U of one label; -1 is not known
HIDDEN = pytest.mark.parametrize("hidden_width", [0, 3])


def make_model(ops, hidden_width):
    model = build_crf_v1(build_char_cnn_v1(**SMALL), hidden_width)
    for node in model.walk():
        node.ops = ops
    for name in ("output_layer", "crf"):
        model.get_ref(name).set_dim("nO", 5)
    model.initialize(X=DOCS)
    return model


@HIDDEN
def test_crf_tagger_gradient_of_the_loss(ops64, check_gradients, hidden_width):
    model = make_model(ops64, hidden_width)

    def run(backprop=False):
        scores, back = model.begin_update(DOCS)
        loss, gradient = compute_loss(ops64, scores, TAGS)
        if backprop:
            back(gradient)
        return loss

    check_gradients(model, run)


@HIDDEN
def test_crf_tagger_round_trip_and_sizes(ops, hidden_width):
    model = make_model(ops, hidden_width)
    copy = build_crf_v1(build_char_cnn_v1(**SMALL), hidden_width).from_bytes(model.to_bytes())
    scores, others = (each.predict(DOCS).emissions for each in (model, copy))
    assert scores.dataXd.shape == (len(TAGS), 5)
    assert ops.to_numpy(scores.lengths).tolist() == [len(doc) for doc in DOCS]
    assert_allclose(ops.to_numpy(scores.dataXd), ops.to_numpy(others.dataXd), atol=1e-5)
    width = hidden_width or SMALL["width"]
    refs = [model.get_ref(name) for name in ("output_layer", "crf")]
    output, transitions = (
        sum(node.get_param(name).size for name in node.param_names if name != "bias")
        for node in refs
    )
    nL = 1  # the numbers that the docstring gives
    assert output == (width + 1) * (4 * nL + 1)
    assert transitions == (2 * nL + 1) ** 2 + 8 * nL + 2
    assert model.get_ref("tok2vec").name == model.layers[0].name

"""What a step is made of: shards with weights, and random numbers that only the step decides."""

import numpy as np
import pytest
import spacy
from numpy.testing import assert_allclose
from spacy.ml.models.multi_task import build_masked_language_model
from thinc.api import Linear, Model, chain, fix_random_seed, list2array

from spacy_charlm.training import worker as module
from spacy_charlm.training.worker import Worker, adapt_objective


@pytest.fixture
def gradients(monkeypatch):
    """The gradients of each update, which changes nothing."""
    found = []

    def keep(model, optimizer):
        nodes = [(node, name) for node in model.walk() for name in node.grad_names]
        found.append(np.concatenate([node.get_grad(name).ravel() for node, name in nodes]))
        for node, name in nodes:
            node.set_grad(name, np.zeros_like(node.get_grad(name)))

    monkeypatch.setattr(module, "finish_update", keep)
    return found


@pytest.mark.parametrize("n_shards", [1, 3])
def test_worker_weights_the_gradients_of_shards(n_shards, tiny, gradients):
    """Shards count by their rows: the gradient is that of the mean loss over all rows."""
    worker = Worker(tiny.config({"charlm.accumulate_gradient": n_shards}))
    worker.start_pass(0, 0)
    worker.next_round()
    attrs, weights = worker.model.attrs, []
    weigh = attrs["weigh"]
    attrs["weigh"] = lambda *args: weights.append(weigh(*args)) or weights[-1]
    result = worker.step(0, 0)
    worker.close()
    assert len(weights) == n_shards == len(set(weights))
    assert result.weight == pytest.approx(sum(weights))
    losses = []
    for shard in range(n_shards):
        left = iter(np.eye(n_shards)[shard])  # all other shards count nothing
        attrs["weigh"] = lambda *args, left=left: float(next(left))
        losses.append(worker.step(0, 0).loss)
    whole, *parts = gradients
    mean = sum(w * part for w, part in zip(weights, parts)) / sum(weights)
    assert_allclose(whole, mean, rtol=1e-4, atol=1e-7)
    assert np.abs(whole).max() > 1e-3
    assert result.loss == pytest.approx(sum(w * loss for w, loss in zip(weights, losses)))


def test_adapt_objective_restarts_the_random_words_of_spacys_objectives():
    nlp = spacy.blank("en")
    docs = [nlp.make_doc(" ".join(["a text of some words"] * 100))]
    read = Model("read", lambda model, docs, is_train: ([doc.text for doc in docs], None))
    model = adapt_objective(build_masked_language_model(nlp.vocab, read), nlp.vocab)
    assert model.attrs["weigh"](docs, None) == 500 and not model.attrs["shares_targets"]

    def run(restart):
        if restart:
            model.attrs["restart"](0, 0)
        fix_random_seed(3)
        return model.predict(docs)

    first = run(restart=True)
    assert "[MASK]" in first[0] and run(restart=True) == first
    # Without a restart the second batch gets the words that the first one has left.
    assert run(restart=False) != first


def test_adapt_objective_leaves_other_models_alone():
    ours = Model("ours", lambda *args: None, attrs={"restart": print})
    assert adapt_objective(ours, spacy.blank("en").vocab) is ours and "weigh" not in ours.attrs
    other = chain(list2array(), Linear(2, 2))
    assert adapt_objective(other, spacy.blank("en").vocab) is other
    other.attrs["restart"](1, 2)

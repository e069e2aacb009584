"""Updates on two backends from equal weights; one backend is CuPy if there is a GPU."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from thinc.api import CupyOps, NumpyOps, set_current_ops
from thinc.util import has_cupy_gpu, to_numpy

from spacy_charlm.training.worker import Worker

NEEDS_GPU = pytest.mark.skipif(not has_cupy_gpu, reason="needs CuPy and a GPU")
OTHERS = [
    pytest.param(lambda: NumpyOps(use_blis=True), id="blis"),
    pytest.param(CupyOps, id="cupy", marks=NEEDS_GPU),
]


def update(tiny, ops, weights=None, name="cosine"):
    """Make two updates; return the weights before, loss, parameters and weights after."""
    set_current_ops(ops)
    # All configs select NumPy's BLAS.
    worker = Worker(
        tiny.config({"pretraining.dropout": 0.0}, {"nlp.before_creation": None}, name=name)
    )
    model = worker.model
    if weights is not None:
        model.from_bytes(weights)
    before = model.to_bytes()
    worker.start_pass(0, 0)
    worker.next_round()
    result = worker.step(0, 0)
    worker.step(1, 1)
    parameters = {
        (i, name): to_numpy(node.get_param(name))
        for i, node in enumerate(model.walk())
        for name in node.param_names
    }
    worker.close()
    return before, result.loss / result.weight, parameters, model.to_bytes()


@pytest.mark.parametrize("make_ops", OTHERS)
@pytest.mark.parametrize("name", ["cosine", "squared_error", "contrastive"])
def test_devices_agree_on_whole_updates(tiny, make_ops, name):
    weights, loss, parameters, saved = update(tiny, NumpyOps(use_blis=False), name=name)
    _, found_loss, found, found_saved = update(tiny, make_ops(), weights, name=name)
    assert abs(loss - found_loss) < 1e-4 and np.isfinite(loss)
    assert parameters.keys() == found.keys()
    for key, value in parameters.items():
        assert_allclose(found[key], value, atol=1e-4, err_msg=str(key))
    # Weights saved on one backend load on the other.
    _, other_loss, _, _ = update(tiny, NumpyOps(use_blis=False), found_saved, name=name)
    _, own_loss, _, _ = update(tiny, make_ops(), saved, name=name)
    assert abs(other_loss - own_loss) < 1e-3

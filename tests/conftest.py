import numpy as np
import pytest
from thinc.api import CupyOps, NumpyOps, get_current_ops, set_current_ops
from thinc.util import has_cupy_gpu

NEEDS_GPU = pytest.mark.skipif(not has_cupy_gpu, reason="needs CuPy and a GPU")


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests marked slow, too")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow: run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(params=["numpy", pytest.param("cupy", marks=NEEDS_GPU)])
def ops(request):
    return NumpyOps() if request.param == "numpy" else CupyOps()


@pytest.fixture
def ops64():
    """The backend that computes in float64 where it is given float64."""
    before = get_current_ops()
    ops = NumpyOps(use_blis=False)
    set_current_ops(ops)
    yield ops
    set_current_ops(before)


@pytest.fixture
def check_gradients(ops64):
    """Compare the gradients of a model's parameters with central differences, in float64.

    Takes an initialised model, a function from () to the loss that also goes back through the
    model where it is told to, and the tolerance. HashEmbed adds up its gradients in float32.
    """

    def check(model, run, n_values=6, tolerance=1e-7, step=1e-6):
        rng = np.random.default_rng(0)
        for node in model.walk():
            for name in node.param_names:
                node.set_param(name, node.get_param(name).astype("float64"))
                if node.has_grad(name):
                    node.set_grad(name, np.zeros_like(node.get_param(name)))
        run(backprop=True)
        for node in model.walk():
            for name in node.param_names:
                gradient, values = node.get_grad(name), node.get_param(name)
                if node.name != "hashembed":
                    assert gradient.dtype == np.float64, f"{node.name}.{name}"
                used = np.flatnonzero(gradient)
                assert used.size, f"{node.name}.{name} has no gradient"
                some = np.append(rng.choice(used, n_values), rng.choice(gradient.size, n_values))
                for i in np.unique(some):
                    place = np.unravel_index(i, values.shape)
                    kept = values[place]
                    values[place] = kept + step
                    above = run()
                    values[place] = kept - step
                    below = run()
                    values[place] = kept
                    numeric = (above - below) / (2 * step)
                    allowed = 1e-5 if node.name == "hashembed" else tolerance
                    assert abs(numeric - gradient[place]) <= allowed * max(1, abs(numeric)), (
                        f"{node.name}.{name}{place}: {gradient[place]}, numeric {numeric}"
                    )

    return check

import pytest
from thinc.api import CupyOps, NumpyOps
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

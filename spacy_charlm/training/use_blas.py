"""Matrix products by NumPy's BLAS: a callback for `nlp.before_creation`."""

from collections.abc import Callable

from spacy.language import Language
from thinc.api import NumpyOps, get_current_ops, set_current_ops


def create_use_blas_v1() -> Callable[[type[Language]], type[Language]]:
    """Create a callback that lets NumPy compute the matrix products of a pipeline on the CPU.

    thinc takes BLIS, on one core. NumPy's OpenBLAS uses all cores (OPENBLAS_NUM_THREADS says how
    many) and is the faster of the two on most machines. The results are the same up to rounding.
    It changes nothing on a GPU or where another package brings its own operations.

    RETURNS (Callable[[Type[Language]], Type[Language]]): The callback.
    """
    return use_blas


def use_blas(lang_cls: type[Language]) -> type[Language]:
    """Make NumPy's BLAS the default of every model that is built from here on."""
    if type(get_current_ops()) is NumpyOps:
        set_current_ops(NumpyOps(use_blis=False))
    return lang_cls

"""Optional packages, imported where they are used and nowhere else."""

import importlib
from typing import Any

from .errors import Errors


def require(module: str, *, extra: str, what: str) -> Any:
    """Import an optional module, or say which extra brings it.

    module (str): Dotted name of the module, such as "matplotlib.pyplot".
    extra (str): The extra of this package that installs it, such as "plots".
    what (str): What needs it, the beginning of the error's sentence.
    RETURNS (module): The imported module.
    RAISES (ImportError): If the package is missing.
    """
    try:
        return importlib.import_module(module)
    except ImportError as err:
        package = module.split(".")[0]
        raise ImportError(Errors.E601.format(what=what, package=package, extra=extra)) from err

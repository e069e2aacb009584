"""Other packages: their versions, and optional ones, imported only where they are used."""

import importlib
import importlib.metadata
from functools import cache
from typing import Any

from .errors import Errors

# Packages whose versions belong to a result: recorded with weights, benchmarks and reports.
PACKAGES = ("spacy-charlm", "spacy", "thinc", "numpy", "blis")


@cache  # reads a file, and every update writes the versions
def find_version(package: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def require(module: str, *, extra: str, what: str) -> Any:
    """Import an optional module, or raise an error that names the extra to install.

    module (str): Dotted name of the module, such as "matplotlib.pyplot".
    extra (str): The extra of this package that installs it, such as "plots".
    what (str): What needs it: the beginning of the error's sentence.
    RETURNS (module): The imported module.
    RAISES (ImportError): If the package is missing.
    """
    try:
        return importlib.import_module(module)
    except ImportError as err:
        package = module.split(".")[0]
        raise ImportError(Errors.E601.format(what=what, package=package, extra=extra)) from err

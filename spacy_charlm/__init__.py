"""Character-level pretraining for spaCy. The functions of `spacy_charlm.api` are available here."""

from typing import Any

__all__ = [
    "__version__",
    "add_typos",
    "embed",
    "label_entities",
    "label_texts",
    "load",
    "nearest_words",
    "pretrain",
    "probe",
    "train_vectors",
]


def __getattr__(name: str) -> Any:
    # Imported on first use: spaCy imports this package at the start of each of its commands.
    if name == "__version__":
        from .compat import find_version

        return find_version("spacy-charlm")
    if name in __all__:
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]

"""Docs from any reader of [corpora], ours or spaCy's."""

from collections.abc import Iterator
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example


def read_docs(nlp: Language, corpus: Any) -> Iterator[Doc]:
    """Read a corpus as Docs: readers of spaCy give Examples.

    nlp (Language): The pipeline.
    corpus (Callable): A reader of [corpora].
    YIELDS (Doc): The Docs.
    """
    for item in corpus(nlp):
        yield item.reference if isinstance(item, Example) else item

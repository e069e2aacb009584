"""A static table of words from a transformer."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import spacy
from spacy.tokens import Doc
from spacy.vectors import Vectors
from thinc.api import NumpyOps

from ..errors import Errors
from .transformer_vectors import TransformerVectors

BATCH = 256


def distil_vectors(
    target: TransformerVectors,
    words: Sequence[str],
    output: Path,
    lang: str = "en",
    show: Callable[[float, int], None] = lambda done, words: None,
) -> int:
    """Encode words one by one, and write their vectors as spaCy does.

    target (TransformerVectors): The model, its layer and pooling.
    words (Sequence[str]): The words.
    output (Path): Folder to write to, which `spacy init vectors` could have written.
    lang (str): Language of the pipeline that is written.
    show (Callable[[float, int], None]): Told the share that is done, and the words.
    RETURNS (int): Words that have a vector: those without a word piece are left out.
    """
    nlp = spacy.blank(lang)
    target.open(nlp.vocab)
    found: list[str] = []
    rows = []
    for start in range(0, len(words), BATCH):
        docs = [
            Doc(nlp.vocab, words=[word], spaces=[False]) for word in words[start : start + BATCH]
        ]
        batch = target(NumpyOps(), docs)
        kept: list[bool] = (np.asarray(batch.rows)[:, 0] >= 0).tolist()  # type: ignore[assignment]
        found += [doc[0].text for doc, has in zip(docs, kept) if has]
        rows.append(np.asarray(batch.values))
        show(min(1.0, (start + BATCH) / len(words)), start + len(docs))
    if not found:
        raise ValueError(Errors.E727.format(n=len(words)))
    values = np.concatenate(rows)
    nlp.vocab.vectors = Vectors(strings=nlp.vocab.strings, data=values, keys=found)
    nlp.to_disk(output)
    return len(found)

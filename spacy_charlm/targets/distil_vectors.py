"""Make a table of word vectors from a transformer."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.tokens import Doc
from spacy.vectors import Vectors
from thinc.api import NumpyOps

from ..errors import Errors
from .transformer_vectors import TransformerVectors

BATCH = 256  # words


def distil_vectors(
    target: TransformerVectors,
    words: Sequence[str],
    output: Path,
    lang: str = "en",
    show: Callable[[float, int], None] = lambda done, words: None,
) -> int:
    """Encode each word alone and write the vectors in the format of `spacy init vectors`.

    target (TransformerVectors): The model, its layer and pooling.
    words (Sequence[str]): The words.
    output (Path): Folder to write to.
    lang (str): Language of the pipeline that is written.
    show (Callable[[float, int], None]): Called after each batch with the share of the words that is
        done, between 0 and 1, and their number.
    RETURNS (int): Number of words with a vector. Words without a word piece are left out.
    RAISES (ValueError): If no word has a vector.
    """
    nlp = spacy.blank(lang)
    target.open(nlp.vocab)
    encoded: list[str] = []
    rows = []
    for start in range(0, len(words), BATCH):
        docs = [
            Doc(nlp.vocab, words=[word], spaces=[False]) for word in words[start : start + BATCH]
        ]
        batch = target(NumpyOps(), docs)
        has_vector: Any = np.asarray(batch.rows)[:, 0] >= 0
        encoded += [doc[0].text for doc, has in zip(docs, has_vector) if has]
        rows.append(np.asarray(batch.values))
        show(min(1.0, (start + BATCH) / len(words)), start + len(docs))
    if not encoded:
        raise ValueError(Errors.E727.format(n=len(words)))
    values = np.concatenate(rows)
    nlp.vocab.vectors = Vectors(strings=nlp.vocab.strings, data=values, keys=encoded)
    nlp.to_disk(output)
    return len(encoded)

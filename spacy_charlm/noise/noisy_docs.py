"""Docs with typos, whose labels stay where they are."""

from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example

from .typos import Typos

ATTRS = ["TAG", "POS", "MORPH", "LEMMA", "DEP", "HEAD", "SENT_START"]
ENTITY = ["ENT_IOB", "ENT_TYPE", "ENT_KB_ID", "ENT_ID"]


def make_noisy_doc(doc: Doc, typos: Typos, rng: np.random.Generator) -> Doc:
    """Write a Doc anew with typos: as many tokens, the same labels.

    doc (Doc): The Doc, which stays as it is.
    typos (Typos): What makes the typos.
    rng (Generator): Where chance comes from.
    RETURNS (Doc): Its copy. White space is never edited.
    """
    words = [token.text for token in doc]
    edit = [i for i, word in enumerate(words) if not word.isspace()]
    for i, word in zip(edit, typos([words[i] for i in edit], rng)):
        words[i] = word
    noisy = Doc(doc.vocab, words=words, spaces=[bool(token.whitespace_) for token in doc])
    if len(doc):
        attrs: list[int | str] = [
            attr for attr in ATTRS if doc.has_annotation({"HEAD": "DEP"}.get(attr, attr))
        ]
        attrs += ENTITY
        values: Any = doc.to_array(attrs)
        noisy.from_array(attrs, values)
    noisy.cats = dict(doc.cats)
    for key, group in doc.spans.items():
        noisy.spans[key] = [
            Span(noisy, span.start, span.end, label=span.label, kb_id=span.kb_id, span_id=span.id)
            for span in group
        ]
    noisy.user_data = dict(doc.user_data)
    return noisy


def make_noisy_example(
    nlp: Language, example: Example, typos: Typos, rng: np.random.Generator
) -> Example:
    """Write an Example anew with typos, tokenised by the pipeline.

    nlp (Language): The pipeline.
    example (Example): The Example, which stays as it is.
    typos (Typos): What makes the typos.
    rng (Generator): Where chance comes from.
    RETURNS (Example): Noisy text beside the labels of the clean one.
    """
    noisy = make_noisy_doc(example.reference, typos, rng)
    return Example(nlp.make_doc(noisy.text), noisy)

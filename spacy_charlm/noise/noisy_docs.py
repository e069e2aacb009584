"""Docs with typos, whose labels stay where they are."""

from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example

from .spaces import change_spaces, drop_misfits
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
) -> tuple[Example, int]:
    """Write an Example anew with typos, tokenised by the pipeline.

    Where spaces are missing or too many the labels keep the tokens that were meant, which spaCy
    aligns with those of the text. An entity that ends inside a token of the text cannot be found
    there: it is given up, its tokens count as not annotated.

    nlp (Language): The pipeline.
    example (Example): The Example, which stays as it is.
    typos (Typos): What makes the typos.
    rng (Generator): Where chance comes from.
    RETURNS (Tuple[Example, int]): Noisy text beside the labels of the clean one, and how many
        entities are given up.
    """
    noisy = make_noisy_doc(example.reference, typos, rng)
    if not typos.edits_spaces:
        return Example(nlp.make_doc(noisy.text), noisy), 0
    words = [token.text for token in noisy]
    spaces = [bool(token.whitespace_) for token in noisy]
    typed = nlp.make_doc(change_spaces(words, spaces, typos.kinds, typos.rate, rng))
    dropped = drop_misfits(noisy, typed)
    return Example(typed, noisy), dropped

"""Entities and spans that no tokens fit any more, since the text has become another one."""

import numpy as np
from spacy.tokens import Doc, Span, SpanGroup


def drop_misfits(doc: Doc, typed: Doc) -> int:
    """Give up the entities and spans whose ends are inside a token of another Doc.

    The tokens of such an entity count as not annotated, rather than as outside of an entity.

    doc (Doc): The Doc with labels, which is changed.
    typed (Doc): The same characters with other spaces and tokens.
    RETURNS (int): How many entities and spans are given up.
    """
    if not doc.ents and not doc.spans:
        return 0
    own, theirs = _edges(doc), set(_edges(typed))

    def fits(span: Span) -> bool:
        return own[span.start] in theirs and own[span.end] in theirs

    dropped = 0
    misfits = [Span(doc, ent.start, ent.end, label=ent.label) for ent in doc.ents if not fits(ent)]
    if misfits:
        kept = [ent for ent in doc.ents if fits(ent)]
        doc.set_ents(kept, missing=misfits, default="unmodified")
        dropped += len(misfits)
    for key, group in list(doc.spans.items()):
        spans = [span for span in group if fits(span)]
        dropped += len(group) - len(spans)
        doc.spans[key] = SpanGroup(doc, name=group.name, attrs=dict(group.attrs), spans=spans)
    return dropped


def _edges(doc: Doc) -> list[int]:
    """Characters, without white space, before each token and after the last one; (nT + 1,)."""
    sizes = [sum(not char.isspace() for char in token.text) for token in doc]
    return [0, *np.cumsum(sizes).tolist()]

"""Spaces that are missing, or too many: the text changes, and with it the tokens."""

from collections.abc import Sequence

import numpy as np
from spacy.tokens import Doc, Span

MISSING, EXTRA = "missing_space", "extra_space"
SPACE_KINDS = (MISSING, EXTRA)


def change_spaces(
    words: Sequence[str],
    spaces: Sequence[bool],
    kinds: Sequence[str],
    rate: float,
    rng: np.random.Generator,
) -> str:
    """Write a text with other spaces.

    words (Sequence[str]): The words, nW of them.
    spaces (Sequence[bool]): Whether a space follows each of them.
    kinds (Sequence[str]): Each word draws one; of those that are not SPACE_KINDS nothing is made.
    rate (float): Share of words with an edit, of those that can take it: a space behind the word,
        or two characters between which one fits.
    rng (Generator): Where chance comes from.
    RETURNS (str): The text.
    """
    drawn = rng.integers(0, len(kinds), len(words)).tolist()
    rolls = rng.random((len(words), 2)).tolist()
    parts = []
    for word, space, kind, (roll, place) in zip(words, spaces, drawn, rolls):
        edit = kinds[kind] if roll < rate else ""
        if edit == EXTRA and len(word) > 1 and not any(map(str.isspace, word)):
            at = 1 + int(place * (len(word) - 1))
            word = f"{word[:at]} {word[at:]}"
        parts.append(word + (" " if space and edit != MISSING else ""))
    return "".join(parts)


def drop_misfits(doc: Doc, other: Doc) -> int:
    """Give up the entities whose ends are inside a token of another Doc of the same characters.

    Their tokens count as not annotated, rather than as outside of an entity.

    doc (Doc): The Doc with entities, which is changed.
    other (Doc): The same characters with other spaces and tokens.
    RETURNS (int): How many entities are given up.
    """
    own, theirs = _edges(doc), set(_edges(other))
    misfits = [
        Span(doc, ent.start, ent.end, label=ent.label)
        for ent in doc.ents
        if own[ent.start] not in theirs or own[ent.end] not in theirs
    ]
    if misfits:
        given_up = {(span.start, span.end) for span in misfits}
        kept = [ent for ent in doc.ents if (ent.start, ent.end) not in given_up]
        doc.set_ents(kept, missing=misfits, default="unmodified")
    return len(misfits)


def _edges(doc: Doc) -> list[int]:
    """Characters, without white space, before each token and after the last one; (nT + 1,)."""
    sizes = [sum(not char.isspace() for char in token.text) for token in doc]
    return [0, *np.cumsum(sizes).tolist()]

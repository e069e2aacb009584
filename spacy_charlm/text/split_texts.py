"""Docs of at most so many tokens from texts of any length, without losing a character."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy
from spacy.attrs import NORM, ORTH, SPACY
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.types import Ints2d

from .read_texts import Text, Words

# The tokenizer refuses texts above nlp.max_length, tries its rules again at every character of a
# run without white space, and is quadratic on runs of marks that it strips one by one.
MAX_BLOCK = 100_000
MAX_RUN = 1_000
MAX_MARKS = 32

ENDERS = frozenset(".!?…。！？।؟")
CLOSERS = frozenset(("'", "''", '"', ")", "]", "}", "’", "”", "»", "」", "』", "）"))

_MARKS = re.compile(rf"[^\w\s]{{{MAX_MARKS}}}(?=[^\w\s])")
_RUN = re.compile(r"\S+")


class MakesDocs(Protocol):
    """A pipeline, or what of it makes Docs."""

    vocab: Any
    max_length: Any

    @property
    def make_doc(self) -> Callable[[str], Doc]:
        """Tokenise a text."""


def make_pieces(nlp: MakesDocs, text: Text, max_length: int) -> Iterator[Doc]:
    """Make the Docs of one text.

    nlp (Language | DocMaker): Whose tokenizer and vocab make the Docs.
    text (str, Words or Doc): The text; it is not tokenised again if it has tokens.
    max_length (int): Most tokens of a Doc; 0 for no limit.
    YIELDS (Doc): The text, or its pieces in their order.
    """
    if isinstance(text, Words):
        text = Doc(nlp.vocab, words=text.words, spaces=text.spaces)
    if isinstance(text, Doc):
        # Slower than make_doc, but keeps the annotations that a .spacy file may bring.
        for start, end in _find_pieces(text, max_length):
            whole = end - start == len(text)
            piece = text if whole else text[start:end].as_doc()
            piece.has_unknown_spaces = text.has_unknown_spaces
            yield piece
        return
    for block in _cut_blocks(text, min(MAX_BLOCK, max(1, nlp.max_length))):
        docs = [nlp.make_doc(part) for part in _cut_runs(block)]
        if len(docs) == 1 and (not max_length or len(docs[0]) <= max_length):
            yield docs[0]
            continue
        # (nT, 3) each; without NORM "ca" would no longer be the "can" of "can't".
        parts = [doc.to_array([ORTH, SPACY, NORM]) for doc in docs]
        rows: Ints2d = parts[0] if len(parts) == 1 else numpy.vstack(parts)  # type: ignore[assignment]
        doc = docs[0] if len(parts) == 1 else make_doc(nlp.vocab, rows)
        for start, end in _find_pieces(doc, max_length):
            yield make_doc(nlp.vocab, rows[start:end])


def make_doc(vocab: Vocab, rows: Ints2d) -> Doc:
    """Make a Doc of tokens.

    vocab (Vocab): Whose strings hold the words and norms.
    rows (Ints2d): ORTH, SPACY and NORM of each token, uint64 (nT, 3).
    RETURNS (Doc): The Doc.
    """
    words, spaces = rows[:, 0].tolist(), rows[:, 1].tolist()
    return Doc(vocab, words=words, spaces=spaces).from_array([NORM], rows[:, 2:])


def find_end(doc: Doc, start: int, max_length: int) -> int:
    """Find where the piece of a Doc that begins at a token should end.

    doc (Doc): The Doc, with more than `max_length` tokens from `start` on.
    start (int): The first token of the piece.
    max_length (int): Most tokens of the piece; it gets more than half of them.
    RETURNS (int): The token after the piece's last one.
    """
    limit = start + max_length
    for end in range(limit, start + max_length // 2, -1):
        if "\n" in doc[end - 1].text:
            return end
        follower = doc[end].text
        if follower in CLOSERS or ENDERS.issuperset(follower):
            if not doc[end - 1].whitespace_:
                continue
        i = end - 1
        # A quotation mark that stands free opens the next sentence.
        while i > start and doc[i].text in CLOSERS and not doc[i - 1].whitespace_:
            i -= 1
        if ENDERS.issuperset(doc[i].text):
            return end
    return limit


def _find_pieces(doc: Doc, max_length: int) -> Iterator[tuple[int, int]]:
    start = 0
    while max_length and len(doc) - start > max_length:
        end = find_end(doc, start, max_length)
        yield start, end
        start = end
    yield start, len(doc)


def _cut_blocks(text: str, size: int) -> Iterator[str]:
    start = 0
    while len(text) - start > size:
        limit = start + size
        end = next((i for i in range(limit, start, -1) if text[i - 1].isspace()), limit)
        yield text[start:end]
        start = end
    yield text[start:]


def _cut_runs(text: str) -> list[str]:
    # Jumping from space to space is twice as fast here as str.split or a regular expression.
    start = 0
    while len(text) - start > MAX_MARKS:
        start = text.rfind(" ", start, start + MAX_MARKS + 1) + 1
        if not start:
            break
    else:
        return [text]
    # For `re` the underscore is a letter, for the tokenizer a mark.
    cuts = [match.end() for match in _MARKS.finditer(text.replace("_", "-"))]
    parts = []
    for start, end in zip([0, *cuts], [*cuts, len(text)]):
        begin = start
        for run in _RUN.finditer(text, start, end):
            for cut in range(run.start() + MAX_RUN, run.end(), MAX_RUN):
                parts.append(text[begin:cut])
                begin = cut
        parts.append(text[begin:end])
    return parts

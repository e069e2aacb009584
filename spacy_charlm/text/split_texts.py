"""Tokenise texts of any length and split them into Docs, without losing a character."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy
from spacy.attrs import NORM, ORTH, SPACY
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.types import Ints2d

from .read_texts import Text, Words

# spaCy's tokenizer refuses texts above nlp.max_length. It applies its rules again at every
# character of a run without white space, and takes quadratic time on a run of marks.
MAX_BLOCK = 100_000
MAX_RUN = 1_000
MAX_MARKS = 32

ENDERS = frozenset(".!?…。！？।؟")
CLOSERS = frozenset(("'", "''", '"', ")", "]", "}", "’", "”", "»", "」", "』", "）"))

_MARKS = re.compile(rf"[^\w\s]{{{MAX_MARKS}}}(?=[^\w\s])")
_RUN = re.compile(r"\S+")


class TextTokenizer(Protocol):
    """A pipeline, or the tokenizer of one."""

    vocab: Any
    max_length: Any

    @property
    def make_doc(self) -> Callable[[str], Doc]:
        """Tokenise a text."""


def split_text(nlp: TextTokenizer, text: Text, max_length: int) -> Iterator[Doc]:
    """Tokenise a text and split it into chunks.

    nlp (Language | BoundedTokenizer): The tokenizer and its vocab.
    text (str, Words or Doc): The text. Words and Docs keep their tokens.
    max_length (int): Most tokens of a chunk; 0 for no limit.
    YIELDS (Doc): The chunks in their order; the whole text if it is short enough.
    """
    if isinstance(text, Words):
        text = Doc(nlp.vocab, words=text.words, spaces=text.spaces)
    if isinstance(text, Doc):
        # Slower than make_doc, but keeps the annotations of a .spacy file.
        for start, end in _find_chunks(text, max_length):
            is_whole = end - start == len(text)
            chunk = text if is_whole else text[start:end].as_doc()
            chunk.has_unknown_spaces = text.has_unknown_spaces
            yield chunk
        return
    for block in _cut_blocks(text, min(MAX_BLOCK, max(1, nlp.max_length))):
        docs = [nlp.make_doc(part) for part in _cut_runs(block)]
        if len(docs) == 1 and (not max_length or len(docs[0]) <= max_length):
            yield docs[0]
            continue
        # (nT, 3). Without NORM, the "ca" of "can't" would lose its norm "can".
        rows: Any = numpy.vstack([doc.to_array([ORTH, SPACY, NORM]) for doc in docs])
        doc = docs[0] if len(docs) == 1 else make_doc(nlp.vocab, rows)
        for start, end in _find_chunks(doc, max_length):
            yield make_doc(nlp.vocab, rows[start:end])


def make_doc(vocab: Vocab, rows: Ints2d) -> Doc:
    """Make a Doc from an array of tokens.

    vocab (Vocab): The vocab, whose strings include the words and norms.
    rows (Ints2d): ORTH, SPACY and NORM of each token, uint64 (nT, 3).
    RETURNS (Doc): The Doc.
    """
    words, spaces = rows[:, 0].tolist(), rows[:, 1].tolist()
    return Doc(vocab, words=words, spaces=spaces).from_array([NORM], rows[:, 2:])


def find_end(doc: Doc, start: int, max_length: int) -> int:
    """Find the end of a chunk: the last sentence end or line break in its second half.

    doc (Doc): The Doc, with more than `max_length` tokens from `start` on.
    start (int): Index of the first token of the chunk.
    max_length (int): Most tokens of the chunk, which gets more than half as many.
    RETURNS (int): Index of the token after the chunk; `start + max_length` if no sentence ends.
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
        # A quotation mark between two spaces opens the next sentence.
        while i > start and doc[i].text in CLOSERS and not doc[i - 1].whitespace_:
            i -= 1
        if ENDERS.issuperset(doc[i].text):
            return end
    return limit


def _find_chunks(doc: Doc, max_length: int) -> Iterator[tuple[int, int]]:
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
    # Jumping from space to space is twice as fast as str.split or a regular expression.
    start = 0
    while len(text) - start > MAX_MARKS:
        start = text.rfind(" ", start, start + MAX_MARKS + 1) + 1
        if not start:
            break
    else:
        return [text]
    # The underscore is a letter for `re`, but a mark for the tokenizer.
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

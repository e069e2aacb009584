"""What makes Docs of endless texts without filling the memory with their words."""

import gc
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from spacy.tokens import Doc
from spacy.vocab import Vocab

MAX_LEXEMES = 200_000  # new words that a vocab takes in before a fresh one takes its place


class DocMaker:
    """A copy of a tokenizer, renewed when its vocab has taken in many words.

    A memory zone would empty the vocab as well, but its hash tables keep a place for every word
    that was ever in them, and the tokenizer keeps no cache in it. Where the tokenizer cannot be
    copied or has no vocab of its own, or its vocab has vectors that layers read, a zone has to do.

    tokenizer (Callable[[str], Doc]): The tokenizer of a pipeline.
    max_length (int): Longest text that it takes, in characters.
    vocab (Vocab): The pipeline's.
    """

    def __init__(self, tokenizer: Any, max_length: int, vocab: Vocab) -> None:
        self.max_length = max_length
        self._source = None if vocab.vectors.size else copy_tokenizer(tokenizer)
        self._set(tokenizer, vocab)
        if self._source is not None:
            self._renew()

    @contextmanager
    def zone(self) -> Iterator[None]:
        """Make Docs that may not be used after this block."""
        if self._source is None:
            with self.vocab.memory_zone():
                yield
            return
        if len(self.vocab) - self._before > MAX_LEXEMES:
            self._renew()
            gc.collect()  # tokenizer and vocab hold each other
        yield

    def _renew(self) -> None:
        tokenizer = pickle.loads(self._source or b"")
        self._set(tokenizer, tokenizer.vocab)

    def _set(self, tokenizer: Callable[[str], Doc], vocab: Vocab) -> None:
        self.make_doc = tokenizer
        self.vocab = vocab
        self._before = len(self.vocab)


def copy_tokenizer(tokenizer: Any) -> bytes | None:
    """Pickle a tokenizer with its vocab; None where that cannot be, or it has no vocab."""
    if not hasattr(tokenizer, "vocab"):
        return None
    # Tokenizers of other packages may hold what pickle cannot take, and say so in various ways.
    try:
        return pickle.dumps(tokenizer)
    except (pickle.PicklingError, TypeError, AttributeError, NotImplementedError):
        return None

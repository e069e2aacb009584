"""Tokenise ahead in other processes, in the same order whatever their number."""

import gc
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeAlias

import numpy as np
from spacy.attrs import NORM, ORTH, SPACY
from spacy.language import Language
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.types import Ints2d

from ..errors import Errors
from .read_texts import Text
from .split_texts import make_doc
from .text_corpus import Counts, TextCorpus

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


AHEAD = 2  # rounds in the queue per process


@dataclass(frozen=True)
class Tokens:
    """Docs without a vocab, cheap to send.

    strings (List[str]): Every word and norm once.
    rows (Ints2d): ORTH, SPACY and NORM of each token, uint64 (nT, 3).
    lengths (List[int]): Tokens per Doc.
    """

    strings: list[str]
    rows: Ints2d
    lengths: list[int]

    def make_docs(self, vocab: Vocab) -> Iterator[Doc]:
        """Make the Docs in a vocab."""
        for string in self.strings:
            vocab.strings.add(string)
        start = 0
        for length in self.lengths:
            yield make_doc(vocab, self.rows[start : start + length])
            start += length


Round: TypeAlias = list[list[Text]]


class Prefetch:
    """Processes that tokenise while this one trains.

    nlp (Language): The pipeline whose tokenizer makes the words.
    corpus (TextCorpus): The reader whose settings split the texts.
    n_process (int): Number of processes.
    RAISES (ValueError): If the tokenizer cannot be sent to them.
    """

    def __init__(self, nlp: Language, corpus: TextCorpus, n_process: int) -> None:
        self.n_process = n_process
        tokenizer = copy_tokenizer(nlp.tokenizer)
        if tokenizer is None:
            raise ValueError(Errors.E529.format(found=type(nlp.tokenizer).__name__))
        # Spawned, not forked: a fork of a process that holds threads or a GPU may hang.
        self._pool = ProcessPoolExecutor(
            n_process,
            mp_context=get_context("spawn"),
            initializer=_start,
            initargs=(tokenizer, nlp.max_length, corpus),
        )

    def tokenise(self, rounds: Iterable[Round]) -> Iterator[list[Tokens]]:
        """Tokenise rounds of texts, a bounded number of them ahead.

        rounds (Iterable[List[List[Text]]]): Blocks of texts.
        YIELDS (List[Tokens]): The same rounds in the same order.
        """
        waiting: deque[Future[list[Tokens]]] = deque()
        source = iter(rounds)
        try:
            for blocks in islice(source, AHEAD * self.n_process):
                waiting.append(self._pool.submit(_tokenise, blocks))
            while waiting:
                done = waiting.popleft().result()
                for blocks in islice(source, 1):
                    waiting.append(self._pool.submit(_tokenise, blocks))
                yield done
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """Stop the processes."""
        self._pool.shutdown(wait=False, cancel_futures=True)


_PROCESS: dict[str, Any] = {}  # what a child process keeps between its tasks


def _start(copy: bytes, max_length: int, corpus: TextCorpus) -> None:
    tokenizer = pickle.loads(copy)
    _PROCESS["maker"] = DocMaker(tokenizer, max_length, tokenizer.vocab)
    _PROCESS["corpus"] = corpus


def _tokenise(blocks: Round) -> list[Tokens]:
    maker, corpus = _PROCESS["maker"], _PROCESS["corpus"]
    with maker.zone():
        return [_pack(maker, corpus, block) for block in blocks]


def _pack(maker: Any, corpus: TextCorpus, block: list[Text]) -> Tokens:
    docs = list(corpus.make_docs(maker, block, Counts()))
    rows = [doc.to_array([ORTH, SPACY, NORM]).reshape(-1, 3) for doc in docs]
    joined: Any = np.concatenate(rows) if rows else np.zeros((0, 3), dtype="uint64")
    keys = np.unique(joined[:, [0, 2]]).tolist()
    strings = [maker.vocab.strings[key] for key in keys if key]
    return Tokens(strings, joined, [len(doc) for doc in docs])

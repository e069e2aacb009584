"""Tokenise ahead in other processes. The order does not depend on their number."""

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

MAX_LEXEMES = 200_000  # new words in a vocab before a fresh copy replaces it
ROUNDS_AHEAD = 2  # rounds in the queue, per process
Round: TypeAlias = list[list[Text]]  # blocks of texts


class BoundedTokenizer:
    """A tokenizer whose vocab does not grow without limit.

    It works on a copy of the pipeline's tokenizer and makes a fresh copy when the vocab has grown
    by MAX_LEXEMES words. spaCy's memory zones also remove the words, but the hash tables never
    shrink, and the tokenizer caches nothing within a zone. They are used only if the tokenizer
    cannot be copied, has no vocab of its own, or has a vocab with vectors, which layers read.

    tokenizer (Callable[[str], Doc]): The tokenizer of a pipeline.
    max_length (int): Longest text that it accepts, in characters.
    vocab (Vocab): The vocab of the pipeline.
    """

    def __init__(self, tokenizer: Any, max_length: int, vocab: Vocab) -> None:
        self.max_length = max_length
        self._pickled = None if vocab.vectors.size else pickle_tokenizer(tokenizer)
        self._set(tokenizer, vocab)
        if self._pickled is not None:
            self._renew()

    @contextmanager
    def memory_zone(self) -> Iterator[None]:
        """Begin a block whose Docs must not be used after it."""
        if self._pickled is None:
            with self.vocab.memory_zone():
                yield
            return
        if len(self.vocab) - self._n_lexemes > MAX_LEXEMES:
            self._renew()
            gc.collect()  # the old tokenizer and its vocab refer to each other
        yield

    def _renew(self) -> None:
        tokenizer = pickle.loads(self._pickled or b"")
        self._set(tokenizer, tokenizer.vocab)

    def _set(self, tokenizer: Callable[[str], Doc], vocab: Vocab) -> None:
        self.make_doc = tokenizer
        self.vocab = vocab
        self._n_lexemes = len(self.vocab)


def pickle_tokenizer(tokenizer: Any) -> bytes | None:
    """Pickle a tokenizer with its vocab. None if it has no vocab or cannot be pickled."""
    if not hasattr(tokenizer, "vocab"):
        return None
    # The tokenizer of another package may hold anything. Each of these errors can result.
    try:
        return pickle.dumps(tokenizer)
    except (pickle.PicklingError, TypeError, AttributeError, NotImplementedError):
        return None


@dataclass(frozen=True)
class Tokens:
    """Docs without a vocab, which are cheap to send to another process.

    strings (List[str]): The distinct words and norms.
    rows (Ints2d): ORTH, SPACY and NORM of each token, uint64 (nT, 3).
    lengths (List[int]): Tokens per Doc.
    """

    strings: list[str]
    rows: Ints2d
    lengths: list[int]

    def make_docs(self, vocab: Vocab) -> Iterator[Doc]:
        """Make the Docs with a vocab."""
        for string in self.strings:
            vocab.strings.add(string)
        start = 0
        for length in self.lengths:
            yield make_doc(vocab, self.rows[start : start + length])
            start += length


class Prefetch:
    """Processes that tokenise while this one trains.

    nlp (Language): The pipeline whose tokenizer is used.
    corpus (TextCorpus): The reader whose settings determine how texts are split.
    n_process (int): Number of processes.
    RAISES (ValueError): If the tokenizer cannot be sent to other processes.
    """

    def __init__(self, nlp: Language, corpus: TextCorpus, n_process: int) -> None:
        self.n_process = n_process
        pickled = pickle_tokenizer(nlp.tokenizer)
        if pickled is None:
            raise ValueError(Errors.E529.format(found=type(nlp.tokenizer).__name__))
        # Spawned, because a fork of a process with threads or a GPU may hang.
        self._pool = ProcessPoolExecutor(
            n_process,
            mp_context=get_context("spawn"),
            initializer=_start,
            initargs=(pickled, nlp.max_length, corpus),
        )

    def tokenise(self, rounds: Iterable[Round]) -> Iterator[list[Tokens]]:
        """Tokenise rounds of texts, a limited number of them ahead.

        rounds (Iterable[List[List[Text]]]): Rounds, each of them blocks of texts.
        YIELDS (List[Tokens]): The blocks of each round, in the same order.
        """
        waiting: deque[Future[list[Tokens]]] = deque()
        source = iter(rounds)
        try:
            for blocks in islice(source, ROUNDS_AHEAD * self.n_process):
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


_STATE: dict[str, Any] = {}  # what a child process keeps between its tasks


def _start(pickled: bytes, max_length: int, corpus: TextCorpus) -> None:
    tokenizer = pickle.loads(pickled)
    _STATE["tokenizer"] = BoundedTokenizer(tokenizer, max_length, tokenizer.vocab)
    _STATE["corpus"] = corpus


def _tokenise(blocks: Round) -> list[Tokens]:
    tokenizer: BoundedTokenizer = _STATE["tokenizer"]
    with tokenizer.memory_zone():
        return [_pack(tokenizer, _STATE["corpus"], block) for block in blocks]


def _pack(tokenizer: BoundedTokenizer, corpus: TextCorpus, block: list[Text]) -> Tokens:
    docs = list(corpus.make_docs(tokenizer, block, Counts()))
    arrays = [doc.to_array([ORTH, SPACY, NORM]).reshape(-1, 3) for doc in docs]
    rows: Any = np.concatenate([np.zeros((0, 3), dtype="uint64"), *arrays])
    keys = np.unique(rows[:, [0, 2]]).tolist()
    strings = [tokenizer.vocab.strings[key] for key in keys if key]
    return Tokens(strings, rows, [len(doc) for doc in docs])

"""Tokenise ahead in other processes, in the same order whatever their number."""

import pickle
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
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
from .doc_maker import DocMaker, copy_tokenizer
from .make_pieces import make_doc
from .read_texts import Text
from .text_corpus import Counts, TextCorpus

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

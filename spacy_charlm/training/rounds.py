"""A corpus in rounds of blocks: any run finds its place again, any process its share.

A block is as many texts as make `block_size` characters. A round is one block for each part of a
step's batch, and ends when all of them are used up. A place in the corpus is pass, round and step,
and what comes before it is read again, but not tokenised.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import fix_random_seed

from ..errors import Errors
from ..text.prefetch import DocMaker, Prefetch, Tokens
from ..text.read_texts import Text
from ..text.text_corpus import Counts, TextCorpus, get_characters, read_docs

Batch = list[Doc]


@dataclass(frozen=True)
class Scan:
    """What reading a corpus once, without tokenising it, has shown.

    texts (int): Texts that are not blank.
    blank (int): Lines and records with nothing but white space.
    characters (int): Their characters.
    digest (str): Digest of all of them in the order of the first pass.
    """

    texts: int
    blank: int
    characters: int
    digest: str


@dataclass
class Rounds:
    """Batches of a corpus in a fixed order.

    nlp (Language): The pipeline whose tokenizer makes the Docs.
    corpus (Callable): A reader of [corpora]. With `spacy-charlm.TextCorpus.v1` texts are found
        again without tokenising, and memory stays flat; others are read as they are.
    batcher (Callable): A batcher of spaCy, started anew for each block.
    n_parts (int): Batches of one step.
    parts (Tuple[int, ...]): Which of them this process takes.
    block_size (int): Characters of a block.
    seed (int): Seed of the order that other readers take from the global generators.
    prefetch (Optional[Prefetch]): Processes that tokenise ahead.
    """

    nlp: Language
    corpus: Any
    batcher: Callable[[Iterable[Doc]], Iterable[Batch]]
    n_parts: int = 1
    parts: tuple[int, ...] = (0,)
    block_size: int = 1_000_000
    seed: int = 0
    prefetch: Prefetch | None = None

    def __post_init__(self) -> None:
        """Make what makes the Docs."""
        self._maker = DocMaker(self.nlp.tokenizer, self.nlp.max_length, self.nlp.vocab)

    def read(self, epoch: int, first: int = 0) -> Iterator[list[list[tuple[int, Batch]]]]:
        """Read the rounds of a pass.

        epoch (int): The pass, from 0.
        first (int): Rounds to leave out at its beginning.
        YIELDS (List[List[Tuple[int, Batch]]]): For each step of the round the batches of this
            process's parts with their numbers, of which some may be missing at the end. Their Docs
            live until the next round is asked for.
        """
        blocks = _read_blocks(self._read_texts(epoch), self.block_size, partial(self._seed, epoch))
        rounds = self._group(blocks)
        rounds = islice(rounds, first, None)
        if self.prefetch is not None and isinstance(self.corpus, TextCorpus):
            yield from self._zoned(self.prefetch.tokenise(rounds))
        else:
            yield from self._zoned(rounds)

    def _zoned(self, rounds: Iterable[list[Any]]) -> Iterator[list[list[tuple[int, Batch]]]]:
        for blocks in rounds:
            # Docs of other readers have a vocab already.
            have_docs = any(isinstance(b, list) and isinstance(b[0], Doc) for b in blocks)
            with nullcontext() if have_docs else self._maker.zone():
                parts = [list(self.batcher(self._make_docs(block))) for block in blocks]
                n_steps = max(map(len, parts), default=0)
                yield [
                    [(number, part[i]) for number, part in zip(self.parts, parts) if i < len(part)]
                    for i in range(n_steps)
                ]

    def _read_texts(self, epoch: int) -> Iterator[Text]:
        if isinstance(self.corpus, TextCorpus):
            return self.corpus.read(self.nlp.vocab, epoch, Counts())
        return read_docs(self.nlp, self.corpus)

    def _seed(self, epoch: int, block: int) -> None:
        """Tell what a reader draws while it reads a block: updates between blocks draw, too."""
        key = np.random.SeedSequence([self.seed, epoch, block]).generate_state(1)
        fix_random_seed(int(key[0]))

    def _make_docs(self, block: Any) -> Iterable[Doc]:
        if isinstance(block, Tokens):
            return block.make_docs(self._maker.vocab)
        if isinstance(self.corpus, TextCorpus):
            return self.corpus.make_docs(self._maker, block, Counts())
        return block

    def _group(self, blocks: Iterator[list[Text]]) -> Iterator[list[list[Text]]]:
        while group := list(islice(blocks, self.n_parts)):
            yield [group[part] for part in self.parts if part < len(group)]


def scan_corpus(nlp: Language, corpus: Any) -> Scan | None:
    """Read a corpus once: a bad record is found now and not after a day.

    nlp (Language): The pipeline.
    corpus (Callable): A reader of [corpora].
    RETURNS (Optional[Scan]): What was found; None for readers other than TextCorpus.
    RAISES (ValueError): If a text cannot be read, or there is none.
    """
    if not isinstance(corpus, TextCorpus):
        return None
    counts, digest = Counts(), hashlib.blake2b(digest_size=16)
    texts = characters = 0
    for text in corpus.read(nlp.vocab, 0, counts):
        content = get_characters(text)
        digest.update(content.encode("utf8", "surrogatepass"))
        digest.update(b"\0")
        texts += 1
        characters += len(content)
    if not texts:
        raise ValueError(Errors.E105.format(path=corpus.path, counts=counts))
    return Scan(texts, counts.blank, characters, digest.hexdigest())


def _read_blocks(
    texts: Iterator[Text], size: int, start: Callable[[int], None]
) -> Iterator[list[Text]]:
    block: list[Text] = []
    characters = number = 0
    start(number)
    for text in texts:
        block.append(text)
        characters += len(get_characters(text))
        if characters >= size:
            yield block
            block, characters, number = [], 0, number + 1
            start(number)
    if block:
        yield block

"""A corpus in rounds of blocks, so that a run can be resumed and shared among processes.

The batch of a step consists of shards. A block is a series of texts with at least `block_size`
characters; a round is one block per shard. A shard's batches are made from its block, and the round
ends when all blocks are used up. A position in the corpus is a pass, a round and a step. To return
to it, the texts before it are read again, but not tokenised.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import fix_random_seed

from ..errors import Errors
from ..text.prefetch import BoundedTokenizer, Prefetch, Tokens
from ..text.read_texts import Text
from ..text.split_texts import TextTokenizer
from ..text.text_corpus import Counts, TextCorpus, get_characters, read_docs

Batch = list[Doc]


@dataclass(frozen=True)
class Scan:
    """Result of reading a corpus once, without tokenising it.

    texts (int): Number of texts that are not blank.
    blank (int): Number of lines and records that contain only white space.
    characters (int): Number of characters of the texts.
    digest (str): Digest of the texts in the order of the first pass.
    """

    texts: int
    blank: int
    characters: int
    digest: str


@dataclass
class Rounds:
    """Batches of a corpus in a fixed order.

    nlp (Language): The pipeline whose tokenizer makes the Docs.
    corpus (Callable): A reader of [corpora]. With `spacy-charlm.TextCorpus.v1` texts are skipped
        without tokenising them, and memory stays flat. Other readers yield Docs.
    batcher (Callable): A batcher of spaCy, called once for each block.
    n_shards (int): Number of shards of a step's batch.
    shards (Sequence[int]): The shards that this process takes.
    block_size (int): Number of characters of a block.
    seed (int): Seed for readers that draw from the global random generators.
    prefetch (Optional[Prefetch]): Processes that tokenise ahead.
    """

    nlp: Language
    corpus: Any
    batcher: Callable[[Iterable[Doc]], Iterable[Batch]]
    n_shards: int = 1
    shards: Sequence[int] = (0,)
    block_size: int = 1_000_000
    seed: int = 0
    prefetch: Prefetch | None = None

    def __post_init__(self) -> None:
        """Create the tokenizer."""
        self._tokenizer = BoundedTokenizer(self.nlp.tokenizer, self.nlp.max_length, self.nlp.vocab)

    def read(self, epoch: int, first: int = 0) -> Iterator[list[list[tuple[int, Batch]]]]:
        """Read the rounds of a pass.

        epoch (int): Number of the pass, from 0.
        first (int): Number of rounds to skip at its beginning.
        YIELDS (List[List[Tuple[int, Batch]]]): For each step of the round this process's shards:
            their numbers and batches. Towards the end of a round some may be missing. The Docs must
            not be used after the next round has been requested.
        """
        blocks = self._read_blocks(epoch)
        groups = iter(lambda: list(islice(blocks, self.n_shards)), [])
        own = ([group[i] for i in self.shards if i < len(group)] for group in groups)
        rounds: Iterable[list[Any]] = islice(own, first, None)
        if self.prefetch is not None and isinstance(self.corpus, TextCorpus):
            rounds = self.prefetch.tokenise(rounds)
        for round_ in rounds:
            # Docs of other readers and of .spacy files have a vocab already. A batch has one vocab.
            have_docs = any(
                isinstance(text, Doc) for b in round_ if isinstance(b, list) for text in b
            )
            tokenizer = self.nlp if have_docs else self._tokenizer
            with nullcontext() if have_docs else self._tokenizer.memory_zone():
                shards = [list(self.batcher(self._make_docs(block, tokenizer))) for block in round_]
                n_steps = max(map(len, shards), default=0)
                yield [
                    [(n, batches[i]) for n, batches in zip(self.shards, shards) if i < len(batches)]
                    for i in range(n_steps)
                ]

    def _read_texts(self, epoch: int) -> Iterator[Text]:
        if isinstance(self.corpus, TextCorpus):
            return self.corpus.read(self.nlp.vocab, epoch, Counts())
        return read_docs(self.nlp, self.corpus)

    def _read_blocks(self, epoch: int) -> Iterator[list[Text]]:
        block: list[Text] = []
        n_characters = n_blocks = 0
        self._reseed(epoch, n_blocks)
        for text in self._read_texts(epoch):
            block.append(text)
            n_characters += len(get_characters(text))
            if n_characters >= self.block_size:
                yield block
                block, n_characters, n_blocks = [], 0, n_blocks + 1
                self._reseed(epoch, n_blocks)
        if block:
            yield block

    def _reseed(self, epoch: int, block: int) -> None:
        """Seed what a reader draws during a block, because updates between blocks draw as well."""
        key = np.random.SeedSequence([self.seed, epoch, block]).generate_state(1)
        fix_random_seed(int(key[0]))

    def _make_docs(self, block: Any, tokenizer: TextTokenizer) -> Iterable[Doc]:
        if isinstance(block, Tokens):
            return block.make_docs(tokenizer.vocab)
        if isinstance(self.corpus, TextCorpus):
            return self.corpus.make_docs(tokenizer, block, Counts())
        return block


def scan_corpus(nlp: Language, corpus: Any) -> Scan | None:
    """Read a corpus once, so that a bad record is found at the start of a run, not hours later.

    nlp (Language): The pipeline.
    corpus (Callable): A reader of [corpora].
    RETURNS (Optional[Scan]): The result; None for readers other than TextCorpus.
    RAISES (ValueError): If a record cannot be read, or there is no text.
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

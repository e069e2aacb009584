"""A corpus reader for raw text, for [corpora.pretrain]."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import ensure_path
from spacy.vocab import Vocab
from wasabi import msg

from ..errors import Errors
from .read_texts import Text, list_files, read_texts
from .split_texts import MakesDocs, make_pieces


def read_docs(nlp: Language, corpus: Any) -> Iterator[Doc]:
    """Read a corpus as Docs: readers of spaCy give Examples.

    nlp (Language): The pipeline.
    corpus (Callable): A reader of [corpora].
    YIELDS (Doc): The Docs.
    """
    for item in corpus(nlp):
        yield item.reference if isinstance(item, Example) else item


@dataclass
class Counts:
    """What one pass over a corpus has met so far.

    texts (int): Texts that were used.
    words (int): Their tokens.
    docs (int): The Docs that were made of them.
    split (int): How many of the texts became more than one Doc.
    blank (int): Skipped lines and records with nothing but white space.
    short (int): Skipped texts with fewer than `min_length` tokens.
    """

    texts: int = 0
    words: int = 0
    docs: int = 0
    split: int = 0
    blank: int = 0
    short: int = 0

    def __str__(self) -> str:
        return (
            f"{self.texts:,} texts, {self.words:,} words; {self.split:,} texts split (in all "
            f"{self.docs:,} Docs), {self.blank + self.short:,} skipped "
            f"({self.blank:,} blank, {self.short:,} too short)"
        )


def create_text_corpus_v1(
    path: str | Path | None,
    min_length: int = 0,
    max_length: int = 500,
    limit: int = 0,
    shuffle: bool = False,
    seed: int = 0,
    buffer_size: int = 10_000,
) -> Callable[[Language], Iterable[Doc]]:
    """Create a reader of raw text for `spacy pretrain`.

    The settings are those of TextCorpus.

    path (Optional[Path]): A .txt, .jsonl, .txt.gz, .jsonl.gz or .spacy file, or a folder of these.
    min_length (int): Fewest tokens of a text; shorter ones are skipped. 0 recommended.
    max_length (int): Most tokens of a Doc; longer texts are split. 0 for no limit; 100 to 500.
    limit (int): Number of texts to read, before splitting. 0 for all.
    shuffle (bool): Whether to mix the texts, in another order in each pass.
    seed (int): Seed of the order.
    buffer_size (int): Number of texts to mix at a time, 10,000 recommended.
    RETURNS (Callable[[Language], Iterable[Doc]]): The reader.
    RAISES (ValueError): If a setting is out of range.
    """
    return TextCorpus(
        path,
        min_length=min_length,
        max_length=max_length,
        limit=limit,
        shuffle=shuffle,
        seed=seed,
        buffer_size=buffer_size,
    )


class TextCorpus:
    """Read texts, cut the long ones, and say at the end of each pass what was met.

    Every character of a text that is not skipped is in one of its Docs: the Docs' `text`, joined
    without anything between them, is the text. (Words without `spaces` are followed by a space
    each, as in any Doc.) A text is split after the last sentence end or line break in the second
    half of what fits into a Doc, and at the limit where there is none.

    Two cuts come before the tokenizer. A text above 100,000 characters is cut into blocks, after
    white space where there is some, and no Doc holds parts of two blocks. Inside a block, what has
    no white space in it is cut every 1,000 characters, and marks (neither letter, digit nor white
    space) every 32; there a token ends, but not a Doc. Words and .spacy files have their tokens
    already and are not cut.

    Nothing is opened before the first pass, since `spacy train` creates this reader, too.

    path (Optional[Path]): A .txt, .jsonl, .txt.gz, .jsonl.gz or .spacy file, or a folder of these.
    min_length (int): Fewest tokens of a text; shorter ones are skipped and counted.
    max_length (int): Most tokens of a Doc; longer texts are split. 0 for no limit; 100 to 500.
    limit (int): Number of texts to read that are not blank, before splitting and mixing, so that
        each pass has the same ones. 0 for all.
    shuffle (bool): Whether to mix the texts, in another order in each pass.
    seed (int): Seed of the order; with the number of the pass it tells the order.
    buffer_size (int): Number of texts, not Docs, to mix at a time: what is held in memory.
    RAISES (ValueError): If a setting is out of range.
    """

    def __init__(
        self,
        path: str | Path | None,
        *,
        min_length: int = 0,
        max_length: int = 500,
        limit: int = 0,
        shuffle: bool = False,
        seed: int = 0,
        buffer_size: int = 10_000,
    ) -> None:
        for name, value, lowest in (
            ("min_length", min_length, 0),
            ("max_length", max_length, 0),
            ("limit", limit, 0),
            ("buffer_size", buffer_size, 1),
        ):
            if value < lowest:
                raise ValueError(Errors.E111.format(name=name, lowest=lowest, value=value))
        self.path = ensure_path(path)
        self.min_length = min_length
        self.max_length = max_length
        self.limit = limit
        self.shuffle = shuffle
        self.seed = seed
        self.buffer_size = buffer_size
        self.n_passes = 0
        self.counts = Counts()

    def __call__(self, nlp: Language) -> Iterator[Doc]:
        """Read the texts once.

        nlp (Language): The pipeline whose tokenizer and vocab make the Docs.
        YIELDS (Doc): The Docs. The pieces of one text follow each other.
        RAISES (ValueError): If a file cannot be read, or if no Doc comes out.
        RAISES (FileNotFoundError): If nothing is at the path.
        """
        self.counts = counts = Counts()
        texts = self.read(nlp.vocab, self.n_passes, counts)
        self.n_passes += 1
        yield from self.make_docs(nlp, texts, counts)
        if not counts.docs:
            raise ValueError(Errors.E105.format(path=self.path, counts=counts))
        msg.info(f"{self.path}: {counts}")

    def read(self, vocab: Vocab, n_pass: int, counts: Counts) -> Iterator[Text]:
        """Read the texts of a pass in its order, without tokenising them.

        vocab (Vocab): Where the strings of .spacy files go.
        n_pass (int): Number of the pass, from 0; with the seed it tells the order.
        counts (Counts): Where blank texts are counted.
        YIELDS (str, Words or Doc): The texts that are not blank.
        RAISES (ValueError): If a file cannot be read.
        RAISES (FileNotFoundError): If nothing is at the path.
        """
        if self.path is None:
            raise ValueError(Errors.E101)
        rng = random.Random(f"{self.seed}, {n_pass}")
        texts = _skip_blank(_read_files(list_files(self.path), vocab), counts)
        if self.limit:
            texts = islice(texts, self.limit)
        return shuffle_texts(texts, self.buffer_size, rng) if self.shuffle else texts

    def make_docs(self, nlp: MakesDocs, texts: Iterable[Text], counts: Counts) -> Iterator[Doc]:
        """Tokenise and split texts.

        nlp (Language | DocMaker): Whose tokenizer and vocab make the Docs.
        texts (Iterable[Text]): What `read` gave.
        counts (Counts): Where they are counted.
        YIELDS (Doc): The Docs. The pieces of one text follow each other.
        """
        for text in texts:
            yield from self._count_pieces(make_pieces(nlp, text, self.max_length), counts)

    def _count_pieces(self, pieces: Iterator[Doc], counts: Counts) -> Iterator[Doc]:
        held: list[Doc] = []
        n_words = 0
        for piece in pieces:
            held.append(piece)
            n_words += len(piece)
            if len(held) > 1 and n_words >= self.min_length:
                break
        if n_words < self.min_length:
            counts.short += 1
            return
        counts.texts += 1
        counts.split += len(held) > 1
        for docs in (held, pieces):
            for doc in docs:
                counts.docs += 1
                counts.words += len(doc)
                yield doc


def shuffle_texts(texts: Iterable[Text], size: int, rng: random.Random) -> Iterator[Text]:
    """Mix a stream through a buffer: each new text takes the place of a random one, which leaves.

    texts (Iterable[Text]): The stream.
    size (int): Number of texts that the buffer holds.
    rng (random.Random): Where the order comes from.
    YIELDS (Text): The same texts in another order.
    """
    buffer: list[Text] = []
    for text in texts:
        if len(buffer) < size:
            buffer.append(text)
            continue
        i = rng.randrange(size)
        text, buffer[i] = buffer[i], text
        yield text
    rng.shuffle(buffer)
    yield from buffer


def _read_files(paths: list[Path], vocab: Vocab) -> Iterator[Text]:
    for path in paths:
        yield from read_texts(path, vocab)


def get_characters(text: Text) -> str:
    """Get the characters of a text, without the spaces between words that came as words."""
    if isinstance(text, str):
        return text
    return text.text if isinstance(text, Doc) else "".join(text.words)


def _skip_blank(texts: Iterable[Text], counts: Counts) -> Iterator[Text]:
    for text in texts:
        characters = get_characters(text)
        if not characters or characters.isspace():
            counts.blank += 1
        else:
            yield text

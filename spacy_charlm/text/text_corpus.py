"""Read raw text as Docs."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, TypeVar

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import ensure_path
from spacy.vocab import Vocab
from wasabi import msg

from ..checks import Count, Range, Seed, Size, checked
from ..errors import Errors
from .read_texts import SingleWord, Text, Words, list_files, read_texts
from .spelling_index import SpellingIndex
from .split_texts import TextTokenizer, split_text
from .word_list import read_word_list

T = TypeVar("T")

# Sample from which words are estimated: the ratio of tokens to characters varies little.
SAMPLE = 500  # texts
SAMPLE_LENGTH = 1_000  # characters of each
MAX_PASSES = 50  # over a small text, whatever min_words is


def read_docs(nlp: Language, corpus: Any) -> Iterator[Doc]:
    """Read the Docs of any corpus.

    nlp (Language): The pipeline.
    corpus (Callable[[Language], Iterable[Doc | Example]]): A reader of [corpora].
    YIELDS (Doc): The Docs; of Examples the references.
    """
    for item in corpus(nlp):
        yield item.reference if isinstance(item, Example) else item


@dataclass
class Counts:
    """Counts of one pass over a corpus, up to now.

    texts (int): Texts that were not skipped.
    words (int): Their tokens.
    docs (int): Their Docs.
    split (int): How many of them were split into several Docs.
    blank (int): Texts that were skipped because they have nothing but white space.
    short (int): Texts that were skipped because they have fewer than `min_length` tokens.
    single (int): Single words that were mixed in. No other number includes them.
    """

    texts: int = 0
    words: int = 0
    docs: int = 0
    split: int = 0
    blank: int = 0
    short: int = 0
    single: int = 0

    def __str__(self) -> str:
        mixed = f"; and {self.single:,} single words" if self.single else ""
        return (
            f"{self.texts:,} texts, {self.words:,} words; {self.split:,} texts split (in all "
            f"{self.docs:,} Docs), {self.blank + self.short:,} skipped "
            f"({self.blank:,} blank, {self.short:,} too short){mixed}"
        )


@dataclass(frozen=True)
class CorpusSize:
    """Size of one pass over a corpus.

    characters (int): Number of characters, counted.
    words (int): Number of tokens, estimated from a sample of the texts.
    doc_words (float): Length of the Doc of an average token, estimated from the same sample.
    """

    characters: int
    words: int
    doc_words: float = 0.0

    def fill_batch(self, limit: int) -> float:
        """Estimate how many tokens `spacy.batch_by_words.v1` puts into a batch.

        limit (int): The size of the batcher.
        RETURNS (float): The tokens: on average, half of the next Doc would still fit.
        """
        return max(limit - self.doc_words / 2, limit / 2)


class TextCorpus:
    """A reader of raw text for [corpora.pretrain] that splits long texts and counts.

    Nothing is lost: joined without separator, the `text` of the Docs of a text is that text. (Words
    without `spaces` are followed by one space each, as in any Doc.) Long texts are split after the
    last sentence end or line break in the second half of a Doc, or at `max_length` if there is
    none. Each pass ends with a line of counts.

    Two cuts are made before the tokenizer, which is slow on extreme texts. A text of more than
    100,000 characters is cut into blocks, after white space if possible, and a Doc never crosses a
    block. Within a block, a token ends after 1,000 characters without white space and after 32
    marks in a row (neither letters, digits nor white space). Texts that are split into words
    already and .spacy files are not cut.

    Single words can be mixed into the texts, so that a tok2vec also learns the vectors of words
    and names that the texts lack. Each is a Doc of one token, as it is in the list. After each text
    follow as many as make up their share of the tokens so far. They are drawn from the whole list
    alike, none of them twice before all have been read once, and a pass continues where the one
    before it has ended. To know their number, the reader measures the texts before its first pass,
    which reads all of them once.

    With `words_alike`, each drawn word is followed by words of the list with a similar spelling, as
    Docs of their own and with no text between them, so that one batch has them all. The contrastive
    loss then tells them apart, as in Chen et al., "Imputing Out-of-Vocabulary Embeddings with LOVE
    Makes Language Models Robust with Little Cost" (2022). The most similar ones are taken, see
    `SpellingIndex`, and random words where there are too few. They may come more than once before
    all words have been drawn.

    The constructor opens no file, because `spacy train` creates this reader as well.

    path (Optional[Path]): A .txt, .jsonl, .txt.gz, .jsonl.gz or .spacy file, or a folder of these.
    min_length (int): Fewest tokens of a text. Shorter texts are skipped. 0 is recommended.
    max_length (int): Most tokens of a Doc; longer texts are split. 0 for no limit. Recommended
        values: 100 to 500.
    limit (int): Number of texts to read that are not blank, before splitting and shuffling. Each
        pass reads the same ones. 0 for all.
    shuffle (bool): Whether to shuffle the texts, in another order in each pass.
    seed (int): Seed of the order. Together with the number of the pass it determines the order.
    buffer_size (int): Number of texts that are held in memory and shuffled. 10,000 is recommended.
    min_words (int): Tokens to read at least, about: one call of the reader makes as many passes
        over a smaller text as that takes, at most 50. Recommended values: 0, for one pass, where
        each text is needed once; 3,000,000 for pretraining. Single words count.
    words (Optional[Path]): Words to mix in: a folder of spaCy vectors in default mode, a file in
        GloVe or word2vec text format, or a file with a word per line. Keys with white space, such
        as bigrams, are left out. None for texts alone.
    words_share (float): Share of the tokens that are single words, those that are alike included.
        0.1 is recommended.
    words_alike (int): Words with a similar spelling that follow each drawn word. Recommended
        values: 0, or 2 to 8 with the contrastive loss.
    RAISES (ValueError): If a setting is out of range, or there is `words_alike` without `words`.
    """

    @checked("spacy-charlm.TextCorpus.v1")
    def __init__(
        self,
        path: str | Path | None,
        *,
        min_length: Count = 0,
        max_length: Count = 500,
        limit: Count = 0,
        shuffle: bool = False,
        seed: Seed = 0,
        buffer_size: Size = 10_000,
        min_words: Count = 0,
        words: str | Path | None = None,
        words_share: Annotated[float, Range(0, 0.9)] = 0.1,
        words_alike: Annotated[int, Range(0, 100)] = 0,
    ) -> None:
        if words_alike and words is None:
            raise ValueError(Errors.E330.format(found=words_alike))
        self.path = ensure_path(path)
        self.min_length = min_length
        self.max_length = max_length
        self.limit = limit
        self.shuffle = shuffle
        self.seed = seed
        self.buffer_size = buffer_size
        self.min_words = min_words
        self.words = ensure_path(words)
        self.words_share = words_share
        self.words_alike = words_alike
        self.n_passes = 0
        self.counts = Counts()
        self._sizes: dict[str, CorpusSize] = {}  # of the texts alone, by language
        self._word_list: list[str] = []
        self._spellings: SpellingIndex | None = None  # created by the first pass that needs it

    def __call__(self, nlp: Language) -> Iterator[Doc]:
        """Read the texts once, or as often as `min_words` demands.

        nlp (Language): The pipeline whose tokenizer is used.
        YIELDS (Doc): The Docs. The chunks of a text follow each other.
        RAISES (ValueError): If a file cannot be read, or all texts are skipped.
        RAISES (FileNotFoundError): If the path does not exist.
        """
        for _ in range(self.count_passes(nlp.lang or "xx")):
            yield from self._read_pass(nlp)

    def _read_pass(self, nlp: Language) -> Iterator[Doc]:
        self.counts = counts = Counts()
        texts = self.read(nlp.vocab, self.n_passes, counts)
        self.n_passes += 1
        yield from self.make_docs(nlp, texts, counts)
        if not counts.docs:
            raise ValueError(Errors.E105.format(path=self.path, counts=counts))
        msg.info(f"{self.path}: {counts}")

    def read(self, vocab: Vocab, n_pass: int, counts: Counts) -> Iterator[Text]:
        """Read the texts of a pass in its order, without tokenising them.

        vocab (Vocab): The vocab for the Docs of .spacy files.
        n_pass (int): Number of the pass, from 0.
        counts (Counts): Counts the blank texts.
        YIELDS (str, Words or Doc): The texts that are not blank, and after them single words.
        RAISES (ValueError): If a file cannot be read.
        RAISES (FileNotFoundError): If the path does not exist.
        """
        if self.path is None:
            raise ValueError(Errors.E101)
        rng = random.Random(f"{self.seed}, {n_pass}")
        texts = self._read_in_order(self.path, vocab, counts)
        texts = shuffle_texts(texts, self.buffer_size, rng) if self.shuffle else texts
        return texts if self.words is None else self._mix_words(texts, vocab.lang or "xx", n_pass)

    def _mix_words(self, texts: Iterable[Text], lang: str, n_pass: int) -> Iterator[Text]:
        size = self._measure_texts(lang)
        total = self._count_words(size)
        groups = self._draw_groups(n_pass, total)
        n_characters = n_words = 0
        for text in texts:
            yield text
            n_characters += len(get_characters(text))
            # Whatever the order of the texts, the whole pass has `total` words. A group is not cut
            # in two by the next text, only the last one of the pass is cut short.
            while n_words < n_characters * total // size.characters:
                group = next(groups)[: total - n_words]
                n_words += len(group)
                for word in group:
                    yield SingleWord([word], [False])

    def _count_words(self, size: CorpusSize) -> int:
        """Count the single words of a pass over texts of some size."""
        if self.words is None:
            return 0
        return int(size.words * self.words_share / (1 - self.words_share))

    def _draw_groups(self, n_pass: int, total: int) -> Iterator[list[str]]:
        """Draw words for a pass of `total` words, each with those that are alike."""
        words = self._read_words()
        n_alike = min(self.words_alike, len(words) - 1)
        rng = random.Random(f"{self.seed}, alike, {n_pass}")
        n_groups = -(-total // (n_alike + 1))
        for row in self._draw_rows(n_pass * n_groups):
            alike = self._draw_alike(row, n_alike, rng) if n_alike else []
            yield [words[i] for i in (row, *alike)]

    def _draw_rows(self, start: int) -> Iterator[int]:
        """Draw rows of the list from position `start` of an endless series of shuffled lists."""
        n_rows = len(self._read_words())
        cycle, start = divmod(start, n_rows)
        while True:
            shuffled = list(range(n_rows))
            random.Random(f"{self.seed}, words, {cycle}").shuffle(shuffled)
            yield from shuffled[start:]
            cycle, start = cycle + 1, 0

    def _draw_alike(self, row: int, n: int, rng: random.Random) -> list[int]:
        words = self._read_words()
        if self._spellings is None:
            self._spellings = SpellingIndex(words)
        alike = self._spellings.find(row, n, rng)
        while len(alike) < n:
            other = rng.randrange(len(words))
            if other != row and other not in alike:
                alike.append(other)
        return alike

    def _read_words(self) -> list[str]:
        if self.words is not None and not self._word_list:
            self._word_list = read_word_list(self.words)
        return self._word_list

    def _read_in_order(self, path: Path, vocab: Vocab, counts: Counts) -> Iterator[Text]:
        texts = _read_files(list_files(path), vocab, counts)
        return islice(texts, self.limit) if self.limit else texts

    def measure(self, lang: str) -> CorpusSize:
        """Count the characters and estimate the words of one pass, which reads all texts.

        Single words are words like others here. The result depends on nothing but the texts and
        the settings.

        lang (str): Code of the language, whose default tokenizer splits a sample of the texts.
        RETURNS (CorpusSize): The size of one pass.
        RAISES (ValueError): If a file cannot be read, or there is no text.
        RAISES (FileNotFoundError): If the path does not exist.
        """
        size = self._measure_texts(lang)
        n_words = self._count_words(size)
        if not n_words:
            return size
        listed = self._read_words()
        characters = size.characters + round(n_words * sum(map(len, listed)) / len(listed))
        words = size.words + n_words
        return CorpusSize(characters, words, (size.words * size.doc_words + n_words) / words)

    def _measure_texts(self, lang: str) -> CorpusSize:
        if lang not in self._sizes:
            self._sizes[lang] = self._measure(spacy.blank(lang))
        return self._sizes[lang]

    def _measure(self, nlp: Language) -> CorpusSize:
        if self.path is None:
            raise ValueError(Errors.E101)
        counts = Counts()
        texts = self._read_in_order(self.path, nlp.vocab, counts)
        characters = 0

        def read_starts() -> Iterator[tuple[Text, int]]:
            """Yield the start of each text and the length of the whole; count characters."""
            nonlocal characters
            for text in texts:
                whole = len(get_characters(text))
                characters += whole
                yield (text[:SAMPLE_LENGTH] if isinstance(text, str) else text), whole

        sample = draw_sample(read_starts(), SAMPLE, random.Random(0))
        if not sample:
            raise ValueError(Errors.E105.format(path=self.path, counts=counts))
        n_characters = n_words = 0
        total = squares = 0.0  # of the tokens of whole texts
        for start, whole in sample:
            length = len(nlp.make_doc(start)) if isinstance(start, str) else _count_tokens(start)
            length = length if length >= self.min_length else 0
            n_characters += len(get_characters(start))
            n_words += length
            whole_length = length * whole / len(get_characters(start))
            total += whole_length
            squares += whole_length * min(whole_length, self.max_length or whole_length)
        words = max(1, round(characters * n_words / n_characters))
        return CorpusSize(characters, words, squares / max(total, 1.0))

    def count_passes(self, lang: str) -> int:
        """Count the passes over the texts that one call makes: see `min_words`.

        lang (str): Code of the language: see `measure`.
        RETURNS (int): The passes. If `min_words` is 0, nothing is read.
        """
        if not self.min_words:
            return 1
        return min(MAX_PASSES, -(-self.min_words // self.measure(lang).words))

    def make_docs(self, nlp: TextTokenizer, texts: Iterable[Text], counts: Counts) -> Iterator[Doc]:
        """Tokenise and split texts.

        nlp (Language | BoundedTokenizer): The tokenizer and its vocab.
        texts (Iterable[Text]): The texts from `read`.
        counts (Counts): Counts the texts and their Docs.
        YIELDS (Doc): The Docs. The chunks of a text follow each other.
        """
        for text in texts:
            if isinstance(text, SingleWord):
                counts.single += 1
                yield Doc(nlp.vocab, words=text.words, spaces=text.spaces)
                continue
            yield from self._count_chunks(split_text(nlp, text, self.max_length), counts)

    def _count_chunks(self, chunks: Iterator[Doc], counts: Counts) -> Iterator[Doc]:
        # Chunks are held back only until it is known whether to skip the text and whether it is
        # split, so that a long text is not in memory as a whole.
        held: list[Doc] = []
        n_words = 0
        for chunk in chunks:
            held.append(chunk)
            n_words += len(chunk)
            if len(held) > 1 and n_words >= self.min_length:
                break
        if n_words < self.min_length:
            counts.short += 1
            return
        counts.texts += 1
        counts.split += len(held) > 1
        for doc in chain(held, chunks):
            counts.docs += 1
            counts.words += len(doc)
            yield doc


def shuffle_texts(texts: Iterable[Text], size: int, rng: random.Random) -> Iterator[Text]:
    """Shuffle a stream with a buffer. Each new text replaces a random one, which is yielded.

    texts (Iterable[Text]): The stream.
    size (int): Number of texts in the buffer.
    rng (random.Random): The generator.
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


def draw_sample(items: Iterable[T], size: int, rng: random.Random) -> list[T]:
    """Draw from a stream of any length, of which only the sample is held in memory.

    Each item has the same chance to be in the sample (algorithm R).

    items (Iterable[T]): The stream.
    size (int): Number of items to draw.
    rng (random.Random): The generator.
    RETURNS (List[T]): The sample; the whole stream, in its order, if it is not longer.
    """
    sample: list[T] = []
    for number, item in enumerate(items):
        place = number if number < size else rng.randrange(number + 1)
        if place < size:
            sample[place : place + 1] = [item]
    return sample


def get_characters(text: Text) -> str:
    """Get the characters of a text; of Words without the spaces between them."""
    if isinstance(text, str):
        return text
    return text.text if isinstance(text, Doc) else "".join(text.words)


def _count_tokens(text: Words | Doc) -> int:
    return len(text) if isinstance(text, Doc) else len(text.words)


def _read_files(paths: list[Path], vocab: Vocab, counts: Counts) -> Iterator[Text]:
    for text in chain.from_iterable(read_texts(path, vocab) for path in paths):
        characters = get_characters(text)
        if not characters or characters.isspace():
            counts.blank += 1
        else:
            yield text

"""The words of raw text as numbers, in a file: each text is tokenised once, whatever its size."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from spacy.attrs import IS_SPACE, LOWER, ORTH
from spacy.language import Language

from ..errors import Errors
from ..text.prefetch import BoundedTokenizer
from ..text.text_corpus import Counts, TextCorpus

IDS, LENGTHS = "words.bin", "lengths.bin"
BLOCK = 1_000_000  # tokens that are in memory at a time


@dataclass(frozen=True)
class TokenFile:
    """Texts as ids of their words, mapped into memory.

    words (List[str]): Each distinct word, by id: in the order in which they first occur.
    ids (ndarray): The words of all texts, text after text, int32 (nT,).
    starts (ndarray): Where each text begins, and the end of the last one, int64 (nD + 1,).
    """

    words: list[str]
    ids: np.ndarray
    starts: np.ndarray

    @property
    def n_texts(self) -> int:
        """Number of texts."""
        return len(self.starts) - 1

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Iterate over the texts in blocks: the first text of each, and the one after its last."""
        first = 0
        while first < self.n_texts:
            end = int(np.searchsorted(self.starts, self.starts[first] + BLOCK, side="right")) - 1
            end = min(max(end, first + 1), self.n_texts)
            yield first, end
            first = end


def write_tokens(
    nlp: Language,
    corpus: TextCorpus,
    folder: Path,
    *,
    lower: bool = True,
    max_words: int = 0,
    show: Callable[[float, int], None] = lambda done, words: None,
) -> TokenFile:
    """Tokenise the texts once and write the ids of their words. White space is left out.

    nlp (Language): Its tokenizer splits the texts.
    corpus (TextCorpus): The texts, which must not be split (`max_length = 0`).
    folder (Path): Folder for the files.
    lower (bool): Whether words are read in lower case.
    max_words (int): Words after which to stop reading; 0 for all texts.
    show (Callable[[float, int], None]): Called with the share of the characters that is done,
        between 0 and 1, and the number of words.
    RETURNS (TokenFile): The texts that have words.
    RAISES (ValueError): If a file cannot be read, or there is no word.
    """
    size = corpus.measure(nlp.lang or "xx")
    counts, maker = Counts(), BoundedTokenizer(nlp.tokenizer, nlp.max_length, nlp.vocab)
    attr = LOWER if lower else ORTH
    id_of: dict[int, int] = {}
    words: list[str] = []
    total = characters = 0
    with (folder / IDS).open("wb") as ids_file, (folder / LENGTHS).open("wb") as lengths_file:
        for text in corpus.read(nlp.vocab, 0, counts):
            with maker.memory_zone():
                n_words = 0
                for doc in corpus.make_docs(maker, [text], counts):
                    found = doc.to_array([attr, IS_SPACE])
                    keys = found[found[:, 1] == 0, 0].tolist()
                    for key in keys:
                        if key not in id_of:
                            id_of[key] = len(words)
                            words.append(maker.vocab.strings[key])
                    ids_file.write(np.array([id_of[key] for key in keys], dtype="int32").tobytes())
                    n_words += len(keys)
                    characters += len(doc.text)
            if n_words:
                lengths_file.write(np.int64(n_words).tobytes())
            total += n_words
            show(min(1.0, characters / size.characters), total)
            if max_words and total >= max_words:
                break
    if not total:
        raise ValueError(Errors.E105.format(path=corpus.path, counts=counts))
    return read_tokens(folder, words)


def read_tokens(folder: Path, words: list[str]) -> TokenFile:
    """Map the files of `write_tokens` into memory.

    folder (Path): Folder of the files.
    words (List[str]): Each distinct word, by id.
    RETURNS (TokenFile): The texts.
    """
    lengths = np.fromfile(folder / LENGTHS, dtype="int64")
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.memmap(folder / IDS, dtype="int32", mode="r")
    return TokenFile(words, ids, starts)

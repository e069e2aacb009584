"""Which words and bigrams get a vector, and the n-grams of each text."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import Errors
from .tokens import TokenFile

BAG_IDS, BAG_LENGTHS = "ngrams.bin", "ngram_lengths.bin"
JOINER = " "  # between the words of a bigram; no token contains one
# Distinct n-grams that are counted at a time. Above this number rare ones are forgotten.
MAX_COUNTED = 20_000_000


@dataclass(frozen=True)
class NgramVocab:
    """The n-grams that get a vector, the most frequent first.

    codes (ndarray): Code of each n-gram, see `encode_ngrams`, int64 (nV,).
    names (List[str]): Its words, joined by a space.
    counts (ndarray): Number of texts that contain it, int64 (nV,).
    n_texts (int): Number of texts that were counted.
    """

    codes: np.ndarray
    names: list[str]
    counts: np.ndarray
    n_texts: int

    def __len__(self) -> int:
        return len(self.names)

    def idf(self) -> np.ndarray:
        """Inverse document frequency: the log of texts per text with the n-gram, float32 (nV,)."""
        return np.log((1 + self.n_texts) / self.counts).astype("float32")


@dataclass(frozen=True)
class Bags:
    """The distinct n-grams of each text, mapped into memory.

    rows (ndarray): Rows of the vocab, ascending within a text, int32.
    starts (ndarray): Where each text begins, and the end of the last one, int64 (nD + 1,).
    """

    rows: np.ndarray
    starts: np.ndarray


def count_ngrams(tokens: TokenFile, max_ngram: int, min_count: int, max_rows: int) -> NgramVocab:
    """Choose the n-grams that occur in most texts.

    tokens (TokenFile): The texts.
    max_ngram (int): 1 for words, 2 for words and bigrams.
    min_count (int): Texts that must contain an n-gram.
    max_rows (int): Most n-grams to keep.
    RETURNS (NgramVocab): The n-grams by descending frequency; of equals the first ones.
    RAISES (ValueError): If no n-gram occurs in so many texts.
    """
    codes, counts = np.zeros(0, dtype="int64"), np.zeros(0, dtype="int64")
    waiting: list[tuple[np.ndarray, np.ndarray]] = []
    n_waiting, least = 0, 1
    for first, end in tokens.blocks():
        _, found = _find_distinct(tokens, first, end, max_ngram)
        waiting.append(np.unique(found, return_counts=True))
        n_waiting += len(waiting[-1][0])
        if n_waiting > len(codes):
            codes, counts = _add_counts([(codes, counts), *waiting])
            waiting, n_waiting = [], 0
        while len(codes) > MAX_COUNTED:
            least += 1
            codes, counts = codes[counts >= least], counts[counts >= least]
    codes, counts = _add_counts([(codes, counts), *waiting])
    kept = np.flatnonzero(counts >= min_count)
    if not len(kept):
        raise ValueError(Errors.E251.format(least=min_count, most=int(counts.max(initial=0))))
    kept = kept[np.argsort(-counts[kept], kind="stable")[:max_rows]]
    names = name_ngrams(codes[kept], tokens.words)
    return NgramVocab(codes[kept], names, counts[kept], tokens.n_texts)


def write_bags(
    tokens: TokenFile,
    vocab: NgramVocab,
    max_ngram: int,
    folder: Path,
    show: Callable[[float, int], None] = lambda done, words: None,
) -> Bags:
    """Write the distinct n-grams of each text that are in the vocab.

    tokens (TokenFile): The texts.
    vocab (NgramVocab): The n-grams to keep.
    max_ngram (int): As for `count_ngrams`.
    folder (Path): Folder for the files.
    show (Callable[[float, int], None]): Called with the share that is done and the words.
    RETURNS (Bags): The n-grams. A text may have none.
    """
    order = np.argsort(vocab.codes)
    codes = vocab.codes[order]
    with (folder / BAG_IDS).open("wb") as ids_file, (folder / BAG_LENGTHS).open("wb") as lengths:
        for first, end in tokens.blocks():
            text_of, found = _find_distinct(tokens, first, end, max_ngram)
            place = np.searchsorted(codes, found).clip(max=len(codes) - 1)
            known = codes[place] == found
            rows, text_of = order[place[known]], text_of[known]
            rows = rows[np.lexsort((rows, text_of))]
            ids_file.write(rows.astype("int32").tobytes())
            lengths.write(np.bincount(text_of, minlength=end - first).astype("int64").tobytes())
            show(end / tokens.n_texts, int(tokens.starts[end]))
    return read_bags(folder)


def read_bags(folder: Path) -> Bags:
    """Map the files of `write_bags` into memory."""
    lengths = np.fromfile(folder / BAG_LENGTHS, dtype="int64")
    starts = np.concatenate([[0], np.cumsum(lengths)])
    if not starts[-1]:
        return Bags(np.zeros(0, dtype="int32"), starts)
    return Bags(np.memmap(folder / BAG_IDS, dtype="int32", mode="r"), starts)


def encode_ngrams(ids: np.ndarray, is_first: np.ndarray, max_ngram: int, n_words: int) -> list:
    """Give each n-gram of some tokens a number.

    ids (ndarray): The words of the tokens, (nT,).
    is_first (ndarray): Whether a token begins a text, bool (nT,).
    max_ngram (int): 1 for words, 2 for words and bigrams.
    n_words (int): Number of distinct words.
    RETURNS (List[Tuple[ndarray, ndarray]]): For words and for bigrams: the tokens that end one, and
        its code. The code of a word is its id; that of a bigram follows from both ids.
    """
    ids = ids.astype("int64")
    found = [(np.arange(len(ids)), ids)]
    if max_ngram == 2:
        last = np.flatnonzero(~is_first[1:]) + 1
        found.append((last, (ids[last - 1] + 1) * n_words + ids[last]))
    return found


def _find_distinct(
    tokens: TokenFile, first: int, end: int, max_ngram: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the distinct n-grams of each text of a block: its number in the block, and the code."""
    starts = tokens.starts[first : end + 1] - tokens.starts[first]
    ids = np.asarray(tokens.ids[tokens.starts[first] : tokens.starts[end]])
    text_of = np.repeat(np.arange(end - first), np.diff(starts))
    is_first = np.zeros(len(ids), dtype=bool)
    is_first[starts[:-1]] = True
    texts, codes = [], []
    for last, code in encode_ngrams(ids, is_first, max_ngram, len(tokens.words)):
        order = np.lexsort((code, text_of[last]))
        t, c = text_of[last][order], code[order]
        new = np.ones(len(t), dtype=bool)
        new[1:] = (t[1:] != t[:-1]) | (c[1:] != c[:-1])
        texts.append(t[new])
        codes.append(c[new])
    return np.concatenate(texts), np.concatenate(codes)


def _add_counts(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    codes, inverse = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    counts = np.bincount(inverse, np.concatenate([part[1] for part in parts]), len(codes))
    return codes, counts.astype("int64")


def name_ngrams(codes: np.ndarray, words: list[str]) -> list[str]:
    """Spell out n-grams.

    codes (ndarray): Their codes, see `encode_ngrams`.
    words (List[str]): Each distinct word, by id.
    RETURNS (List[str]): The words of each, joined by a space.
    """
    names = []
    for code in codes.tolist():
        first, last = divmod(code, len(words))
        names.append(f"{words[first - 1]}{JOINER}{words[last]}" if first else words[last])
    return names

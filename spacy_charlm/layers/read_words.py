"""Read Docs as characters: the only layer here that sees a Doc."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, cast

import numpy as np
from spacy.attrs import ORTH, intify_attr
from spacy.strings import get_string_id
from spacy.tokens import Doc
from spacy.vectors import Mode as VectorsMode
from spacy.vocab import Vocab
from thinc.api import Model
from thinc.types import Floats2d
from thinc.util import to_numpy

from ..errors import Errors
from ..types import HIDDEN_CHAR, CharBatch, MaskedDocs

PADDING, WORD_START, WORD_END, MASK = range(4)
N_RESERVED = 4
PLANE = 0x10000  # code points of the first plane, which has the letters of living languages


@dataclass(frozen=True)
class Spelling:
    """Words in rows of the character table: see `CharBatch`.

    chars (ndarray): int32 (nC,), word after word, each with its start and end.
    lower_chars (ndarray): The same in lower case.
    lengths (ndarray): Characters per word, int32 (nW,).
    """

    chars: np.ndarray
    lower_chars: np.ndarray
    lengths: np.ndarray


def spell_words(
    texts: Sequence[str],
    masked: np.ndarray,
    respelled: np.ndarray,
    *,
    rows: int,
    max_chars: int,
) -> Spelling:
    """Spell words.

    texts (Sequence[str]): The words; what stands for a masked one is not read.
    masked (ndarray): Words behind a mask, bool (nW,).
    respelled (ndarray): Words in which `HIDDEN_CHAR` is a hidden character, bool (nW,).
    rows (int): Rows of the character table.
    max_chars (int): Characters read per word: half of them its first, half its last.
    RETURNS (Spelling): Their rows.
    """
    head, tail = max_chars - max_chars // 2, max_chars // 2
    seen = [
        "\0" if is_masked else text if len(text) <= max_chars else text[:head] + text[-tail:]
        for text, is_masked in zip(texts, masked.tolist())
    ]
    inner = np.array([len(text) for text in seen], dtype="int32")
    codes = np.frombuffer("".join(seen).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    hidden = np.repeat(respelled, inner) & (codes == ord(HIDDEN_CHAR))
    hidden |= np.repeat(masked, inner)
    ends = np.cumsum(inner + 2)
    starts = ends - inner - 2
    is_inner = np.ones(len(codes) + 2 * len(seen), dtype=bool)
    is_inner[starts] = is_inner[ends - 1] = False

    def find_rows(codes: np.ndarray) -> np.ndarray:
        chars = np.empty(len(is_inner), dtype="int32")
        chars[starts], chars[ends - 1] = WORD_START, WORD_END
        chars[is_inner] = np.where(hidden, MASK, N_RESERVED + codes % (rows - N_RESERVED))
        return chars

    lower = np.where(codes < PLANE, _lower_codes()[np.minimum(codes, PLANE - 1)], codes)
    return Spelling(find_rows(codes), find_rows(lower), inner + 2)


@lru_cache
def _lower_codes() -> np.ndarray:
    """The code point of each character's lower case, where that is one character."""
    lower = [chr(code).lower() for code in range(PLANE)]
    return np.array([ord(char) if len(char) == 1 else i for i, char in enumerate(lower)], "uint32")


MASKED_ID = np.uint64(2**64 - 1)  # what a masked word has in place of ORTH and of every attribute
FORMS = ("none", "NFC", "NFKC")

ExtractModel = Model[list[Doc], CharBatch]


@dataclass(frozen=True)
class WordBatch:
    """The distinct words of a batch, not yet read.

    A word is the tuple (ORTH, listed attributes, mask state, vector hidden or not).
    """

    # uint64 (nW, 1 + nA): ORTH, then the attributes, then the vectors' key where they are read;
    # MASKED_ID in every column of a masked word
    ids: np.ndarray
    vector_hidden: np.ndarray  # bool (nW,): masked, or only its static vector hidden
    keys: np.ndarray  # uint64 (nW,): one number for the tuple
    rows: np.ndarray  # int64 (nT,): the word of each token
    lengths: list[int]  # tokens per Doc
    vocab: Vocab | None
    texts: dict[int, str]  # by ORTH: words that only this batch spells so, which no vocab keeps

    def select(self, words: np.ndarray) -> "WordBatch":
        """Keep some of the words; `rows` and `lengths` still speak of all of them."""
        return WordBatch(
            self.ids[words],
            self.vector_hidden[words],
            self.keys[words],
            self.rows,
            self.lengths,
            self.vocab,
            self.texts,
        )


def extract_chars(
    *,
    attrs: Sequence[str] = (),
    rows: int = 1000,
    max_chars: int = 32,
    normalise: str = "none",
    include_static_vectors: bool = False,
    vectors_dropout: float = 0.0,
    seed: int = 0,
) -> ExtractModel:
    """Read the distinct words of a batch as characters.

    attrs (Sequence[str]): Names of lexical attributes to read beside the characters.
    rows (int): Rows of the character table, reserved ones included. A code point has the row
        4 + (code point modulo (rows - 4)): no character is out of vocabulary, and none of a block
        of `rows - 4` consecutive code points collides. Recommended value: 1000.
    max_chars (int): Characters read per word. A longer word keeps its first half and its last
        half of that number; what lies between is not read. Recommended values: 24 to 64.
    normalise (str): Unicode form in which words are read: "none", "NFC" or "NFKC".
    include_static_vectors (bool): Whether to read the vocab's vectors.
    vectors_dropout (float): Share of tokens whose static vector is hidden in training.
    seed (int): Seed of the generator that hides static vectors.
    RETURNS (Model[List[Doc], CharBatch]): The layer. It has no parameters.
    RAISES (ValueError): If an argument is out of its range.

    Shapes: nT tokens in nD Docs -> chars (nC,) of nW distinct words, rows (nT,)
    """
    columns = [intify_attr(attr) for attr in attrs]
    for attr, column in zip(attrs, columns):
        if column is None:
            raise ValueError(Errors.E401.format(attr=attr))
    if normalise not in FORMS:
        raise ValueError(Errors.E402.format(found=normalise, forms=", ".join(FORMS)))
    if max_chars < 2 or rows <= N_RESERVED:
        raise ValueError(Errors.E403.format(max_chars=max_chars, rows=rows, least=N_RESERVED + 1))
    if not 0 <= vectors_dropout <= 1:
        raise ValueError(Errors.E404.format(found=vectors_dropout))
    return Model(
        "extract_chars",
        partial(forward, VectorsDropout(vectors_dropout, seed)),
        attrs={
            "columns": [ORTH, *columns],
            "rows": rows,
            "max_chars": max_chars,
            "normalise": normalise,
            "include_static_vectors": include_static_vectors,
        },
    )


def forward(
    dropout: "VectorsDropout", model: ExtractModel, docs: list[Doc], is_train: bool
) -> tuple[CharBatch, Callable]:
    """Find the distinct words of the batch and read them."""

    def backprop(d_batch: CharBatch) -> list[Doc]:
        return []

    return read_words(model, find_words(model, docs, is_train)), backprop


class VectorsDropout:
    """Chooses the tokens whose static vectors are hidden, from its own seeded generator.

    The layer's closure holds it. Among the attrs the rate would be saved with the weights, and
    loading them would put the rate of the pretraining in place of the config's.

    rate (float): Share of tokens.
    seed (int): Seed of the generator.
    """

    def __init__(self, rate: float, seed: int) -> None:
        self.rate = rate
        self._rng = np.random.default_rng(seed)

    def __call__(self, nT: int) -> np.ndarray:
        """Choose among nT tokens: bool (nT,)."""
        return self._rng.random(nT) < self.rate


def find_words(model: ExtractModel, docs: Sequence[Doc], is_train: bool = False) -> WordBatch:
    """Find the distinct words of a batch, without reading them.

    model (Model[List[Doc], CharBatch]): What `extract_chars` returned.
    docs (Sequence[Doc]): The batch, of one vocab; `MaskedDocs` where words are hidden.
    is_train (bool): Whether static vectors are hidden from some tokens.
    RETURNS (WordBatch): nW distinct words and the word of each of the nT tokens.
    """
    columns = list(model.attrs["columns"])
    if model.attrs["include_static_vectors"] and docs:
        columns.append(getattr(docs[0].vocab.vectors, "attr", ORTH))
    lengths = [len(doc) for doc in docs]
    ids = np.zeros((sum(lengths), len(columns)), dtype="uint64")
    start = 0
    for doc, length in zip(docs, lengths):
        ids[start : start + length] = doc.to_array(columns).reshape(length, len(columns))
        start += length
    hidden = np.zeros(len(ids), dtype=bool)
    texts: dict[int, str] = {}
    if isinstance(docs, MaskedDocs):
        ids = ids[docs.source]
        texts = _respell(ids, docs, columns)
        ids[docs.hidden] = MASKED_ID
        hidden |= docs.hidden
    if is_train and model.attrs["include_static_vectors"]:
        dropout: VectorsDropout = cast(partial, model._func).args[0]
        hidden |= dropout(len(ids))
    keys = _hash_rows(ids, hidden)
    keys, first, rows = np.unique(keys, return_index=True, return_inverse=True)
    vocab = docs[0].vocab if docs else None
    return WordBatch(ids[first], hidden[first], keys, rows, lengths, vocab, texts)


def read_words(model: ExtractModel, words: WordBatch) -> CharBatch:
    """Read words as characters, attributes and static vectors.

    model (Model[List[Doc], CharBatch]): What `extract_chars` returned.
    words (WordBatch): The distinct words of a batch, or some of them.
    RETURNS (CharBatch): Arrays on the layer's device.
    """
    ops: Any = model.ops
    masked = words.ids[:, 0] == MASKED_ID
    spelled = spell_words(
        _read_texts(words, masked, model.attrs["normalise"]),
        masked,
        np.isin(words.ids[:, 0], np.fromiter(words.texts, dtype="uint64")),
        rows=model.attrs["rows"],
        max_chars=model.attrs["max_chars"],
    )
    if model.attrs["include_static_vectors"]:
        vectors = _read_vectors(model, words)
    else:
        vectors = ops.alloc2f(len(words.keys), 0)
    return CharBatch(
        chars=ops.asarray1i(spelled.chars),
        lower_chars=ops.asarray1i(spelled.lower_chars),
        char_lengths=ops.asarray1i(spelled.lengths),
        attrs=ops.asarray2i(words.ids[:, 1 : len(model.attrs["columns"])], dtype="uint64"),
        vectors=vectors,
        rows=ops.asarray1i(words.rows.astype("int32")),
        lengths=words.lengths,
    )


def _respell(ids: np.ndarray, docs: MaskedDocs, columns: Sequence[int]) -> dict[int, str]:
    """Write other words into some rows of ids; return their texts by ORTH.

    Nothing goes to the StringStore: typos have no end, and it keeps what it gets. A word with a
    hidden character has no attributes, which would be those of no word.
    """
    texts = {}
    vocab: Any = docs[0].vocab if docs else None
    getters = vocab.lex_attr_getters if docs else {}
    for token, text in docs.texts.items():
        key = get_string_id(text)
        texts[key] = text
        for i, column in enumerate(columns):
            if column == ORTH:
                ids[token, i] = key
            elif HIDDEN_CHAR in text or column not in getters:
                ids[token, i] = MASKED_ID
            else:
                value = getters[column](text)
                if isinstance(value, str):
                    ids[token, i] = value_key = get_string_id(value)
                    texts[value_key] = value
                else:
                    ids[token, i] = int(value)
    return texts


def _hash_rows(ids: np.ndarray, flags: np.ndarray) -> np.ndarray:
    """Combine each row into one 64-bit number, as good a key as spaCy's own hashes of strings."""
    keys = flags.astype("uint64")
    for column in ids.T:
        keys = (keys ^ column) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys


def _read_texts(words: WordBatch, masked: np.ndarray, form: Any) -> list[str]:
    strings: Any = words.vocab.strings if words.vocab is not None else {}
    texts = []
    for orth, is_masked in zip(words.ids[:, 0].tolist(), masked.tolist()):
        text = "" if is_masked else words.texts.get(orth) or strings[orth]
        if form != "none" and not text.isascii():
            text = unicodedata.normalize(form, text)
        texts.append(text)
    return texts


def _read_vectors(model: ExtractModel, words: WordBatch) -> Floats2d:
    if words.vocab is None or words.vocab.vectors.shape[1] == 0:
        raise ValueError(Errors.E405)
    ops: Any = model.ops
    table = words.vocab.vectors
    values = ops.alloc2f(len(words.keys), table.shape[1])
    # A word with a hidden character may have no key.
    visible = np.flatnonzero(~words.vector_hidden & (words.ids[:, -1] != MASKED_ID))
    keys = words.ids[visible, -1]
    if table.mode == VectorsMode.default:
        found = to_numpy(table.find(keys=keys.tolist()))
        visible, found = visible[found >= 0], found[found >= 0]
        values[ops.asarray1i(visible)] = ops.asarray(table.data)[ops.asarray1i(found)]
    elif len(visible):
        strings = words.vocab.strings
        texts = [words.texts.get(key) or strings[key] for key in keys.tolist()]
        values[ops.asarray1i(visible)] = ops.asarray(table.get_batch(texts))
    return values

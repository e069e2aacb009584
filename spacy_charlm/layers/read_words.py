"""Find the distinct words of a batch and read them as characters."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from spacy.attrs import ORTH, intify_attr
from spacy.strings import get_string_id
from spacy.tokens import Doc
from spacy.vectors import Mode as VectorsMode
from spacy.vocab import Vocab
from thinc.api import Model
from thinc.types import Floats2d
from thinc.util import to_numpy

from ..checks import Seed, Share, Size, checked
from ..errors import Errors
from ..types import HIDDEN_CHAR, MaskedDocs, WordChars
from .characters import add_bounds, check_table, find_rows, get_codes
from .vector_table import TableModel

MASKED_ID = np.uint64(2**64 - 1)  # replaces ORTH and every attribute of a masked word
FORMS = ("none", "NFC", "NFKC")

WordReader: TypeAlias = Model[list[Doc], WordChars]


@dataclass(frozen=True)
class DistinctWords:
    """The distinct words of a batch, before their characters are read.

    A word is the tuple (ORTH, listed attributes, mask state, vector hidden or not).

    ids (ndarray): ORTH, then the attributes, then the key of the static vector if vectors are
        read, uint64 (nW, 1 + nA or 2 + nA). `MASKED_ID` in every column of a masked word.
    vector_hidden (ndarray): Whether the static vector, and what tables say of the word, is
        hidden, bool (nW,).
    keys (ndarray): A hash of the tuple, uint64 (nW,).
    rows (ndarray): The word of each token, int64 (nT,).
    lengths (List[int]): Tokens per Doc, nD of them.
    vocab (Optional[Vocab]): The vocab of the Docs; None for an empty batch.
    texts (Dict[int, str]): Texts by ORTH of words that no StringStore keeps, such as typos.
    """

    ids: np.ndarray
    vector_hidden: np.ndarray
    keys: np.ndarray
    rows: np.ndarray
    lengths: list[int]
    vocab: Vocab | None
    texts: dict[int, str]

    def select(self, words: np.ndarray) -> "DistinctWords":
        """Keep some of the words; `rows` and `lengths` stay those of all words."""
        return replace(
            self,
            ids=self.ids[words],
            vector_hidden=self.vector_hidden[words],
            keys=self.keys[words],
        )


class VectorsDropout:
    """Draw the tokens whose static vectors, and features from lists, are hidden in training.

    Both are hidden together: they know the same words, and new words have neither.

    It is not part of the layer's attrs: these are saved with the weights, and loading pretrained
    weights would replace the rate of the config.

    rate (float): Share of tokens. Recommended values: 0 to 0.5.
    seed (int): Seed of its generator.
    RAISES (ValueError): If the rate is not between 0 and 1.
    """

    @checked("VectorsDropout")
    def __init__(self, rate: Share, seed: Seed) -> None:
        self.rate = rate
        self._rng = np.random.default_rng(seed)

    def __call__(self, nT: int) -> np.ndarray:
        """Return whether the vector of each of nT tokens is hidden, bool (nT,)."""
        return self._rng.random(nT) < self.rate


@checked("read_words")
def read_words(
    *,
    attrs: Sequence[str] = (),
    nV: Size = 1000,
    max_chars: Size = 32,
    normalise: str = "none",
    include_static_vectors: bool = False,
    tables: Sequence[TableModel] = (),
) -> WordReader:
    """Read the distinct words of a batch as characters.

    Each word has a start row before its characters and an end row after them.

    attrs (Sequence[str]): Names of lexical attributes to read in addition.
    nV (int): Rows of the character table: see `find_rows`. Recommended values: 300 (Latin) to 2000.
    max_chars (int): Characters read per word. A longer word keeps the first half and the last half
        of this number of characters. Recommended values: 24 to 64.
    normalise (str): Unicode form in which words are read: "none", "NFC" or "NFKC".
    include_static_vectors (bool): Whether to read the vocab's vectors.
    tables (Sequence[Model]): Layers that have vectors of words, from `vector_table`. These follow
        those of the vocab.
    RETURNS (Model[List[Doc], WordChars]): The layer. It has no parameters that are trained.
    RAISES (ValueError): If an argument is out of its range.

    Shapes: nT tokens in nD Docs -> chars (nC,) of nW distinct words, rows (nT,)
    """
    columns = [intify_attr(attr) for attr in attrs]
    for attr, column in zip(attrs, columns):
        if column is None:
            raise ValueError(Errors.E401.format(attr=attr))
    if normalise not in FORMS:
        raise ValueError(Errors.E402.format(found=normalise, forms=", ".join(FORMS)))
    check_table(nV)
    if max_chars < 2:
        raise ValueError(Errors.E403.format(name="max_chars", least=2, found=max_chars, good=32))
    return Model(
        "read_words",
        forward,
        init=init,
        dims={"nV": nV},
        layers=tables,
        attrs={
            "columns": [ORTH, *columns],
            "max_chars": max_chars,
            "normalise": normalise,
            "include_static_vectors": include_static_vectors,
        },
    )


def forward(model: WordReader, docs: list[Doc], is_train: bool) -> tuple[WordChars, Callable]:
    """Find the distinct words and spell them."""

    def backprop(d_words: WordChars) -> list[Doc]:
        return []  # a Doc has no gradient

    return spell_words(model, find_words(model, docs), is_train), backprop


def init(model: WordReader, X: list[Doc] | None = None, Y: WordChars | None = None) -> None:
    """Read the tables, if there are any."""
    for table in model.layers:
        table.initialize()


def find_words(
    model: WordReader, docs: Sequence[Doc], dropout: VectorsDropout | None = None
) -> DistinctWords:
    """Find the distinct words of a batch, without reading their characters.

    model (Model[List[Doc], WordChars]): What `read_words` returned.
    docs (Sequence[Doc]): A batch of one vocab; `MaskedDocs` if words are hidden.
    dropout (Optional[VectorsDropout]): Hides static vectors, in training.
    RETURNS (DistinctWords): nW distinct words, and the word of each of the nT tokens.
    """
    columns = list(model.attrs["columns"])
    reads_vectors = model.attrs["include_static_vectors"]
    if reads_vectors and docs:
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
    if (reads_vectors or model.layers) and dropout is not None:
        hidden |= dropout(len(ids))
    keys = _hash_rows(ids, hidden)
    keys, first, rows = np.unique(keys, return_index=True, return_inverse=True)
    vocab = docs[0].vocab if docs else None
    return DistinctWords(ids[first], hidden[first], keys, rows, lengths, vocab, texts)


def spell_words(model: WordReader, words: DistinctWords, is_train: bool = False) -> WordChars:
    """Read words as characters, attributes, static vectors and rows of tables.

    model (Model[List[Doc], WordChars]): What `read_words` returned.
    words (DistinctWords): The distinct words of a batch, or some of them.
    is_train (bool): Whether the layer is trained, for which no table may be missing.
    RETURNS (WordChars): Arrays on the layer's device.
    """
    ops: Any = model.ops
    nV = model.get_dim("nV")
    orths = words.ids[:, 0]
    masked = orths == MASKED_ID
    texts = _read_texts(words, masked, model.attrs["normalise"], model.attrs["max_chars"])
    codes = get_codes(texts)
    lengths = np.array([len(text) for text in texts], dtype="int32")
    # U+FFFF hides a character in the words of `words.texts` only; a Doc may contain it, too.
    respelled = np.isin(orths, np.fromiter(words.texts, dtype="uint64"))
    hidden = np.repeat(respelled, lengths) & (codes == ord(HIDDEN_CHAR))
    hidden |= np.repeat(masked, lengths)
    shown = _list_shown(words, masked) if model.layers else []
    vectors = [table(shown, is_train)[0] for table in model.layers]
    if model.attrs["include_static_vectors"]:
        vectors.insert(0, _read_vectors(model, words))
    return WordChars(
        chars=ops.asarray1i(add_bounds(find_rows(codes, nV, hidden=hidden), lengths)),
        lower_chars=ops.asarray1i(
            add_bounds(find_rows(codes, nV, hidden=hidden, lower=True), lengths)
        ),
        char_lengths=ops.asarray1i(lengths + 2),
        attrs=ops.asarray2i(words.ids[:, 1 : len(model.attrs["columns"])], dtype="uint64"),
        vectors=ops.xp.hstack(vectors) if vectors else ops.alloc2f(len(words.keys), 0),
        rows=ops.asarray1i(words.rows.astype("int32")),
        lengths=words.lengths,
    )


def _respell(ids: np.ndarray, docs: MaskedDocs, columns: Sequence[int]) -> dict[int, str]:
    """Write the ids of other spellings into their rows of `ids`; return their texts by ORTH.

    Nothing is added to the StringStore, which never forgets a string: the number of different
    typos has no limit. A word with a hidden character has no attributes: any would be wrong.
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
    """Hash each row to 64 bits, which collide no more often than spaCy's hashes of strings."""
    keys = flags.astype("uint64")
    for column in ids.T:
        keys = (keys ^ column) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys


def _read_texts(words: DistinctWords, masked: np.ndarray, form: Any, max_chars: int) -> list[str]:
    """Return the characters to read of each word; one character for a masked word."""
    head, tail = max_chars - max_chars // 2, max_chars // 2
    strings: Any = words.vocab.strings if words.vocab is not None else {}
    texts = []
    for orth, is_masked in zip(words.ids[:, 0].tolist(), masked.tolist()):
        text = "\0" if is_masked else words.texts.get(orth) or strings[orth]
        if form != "none" and not text.isascii():
            text = unicodedata.normalize(form, text)
        texts.append(text if len(text) <= max_chars else text[:head] + text[-tail:])
    return texts


def _list_shown(words: DistinctWords, masked: np.ndarray) -> list[str]:
    """Return the words that tables may look up; an empty word for one that is hidden."""
    strings: Any = words.vocab.strings if words.vocab is not None else {}
    hidden = words.vector_hidden | masked
    return [
        "" if is_hidden else words.texts.get(orth) or strings[orth]
        for orth, is_hidden in zip(words.ids[:, 0].tolist(), hidden.tolist())
    ]


def _read_vectors(model: WordReader, words: DistinctWords) -> Floats2d:
    if words.vocab is None or words.vocab.vectors.shape[1] == 0:
        raise ValueError(Errors.E405)
    ops: Any = model.ops
    table = words.vocab.vectors
    values = ops.alloc2f(len(words.keys), table.shape[1])
    # The key of a word with a hidden character may be MASKED_ID.
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

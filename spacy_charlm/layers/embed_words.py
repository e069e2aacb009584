"""Embed each distinct word of a batch once, and keep word vectors between batches."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from spacy.tokens import Doc
from thinc.api import Model, get_array_module
from thinc.types import Floats2d, Ragged

from ..types import Tok2Vec, WordChars
from .read_words import DistinctWords, VectorsDropout, WordReader, find_words, spell_words


def embed_words(
    reader: WordReader,
    layer: Model[WordChars, Floats2d],
    *,
    dropout: VectorsDropout | None = None,
    cache_size: int = 20000,
) -> Tok2Vec:
    """Embed each distinct word of a batch once, and copy its vector to all of its tokens.

    At prediction a cache keeps the vectors between batches, as long as no bit of the parameters
    changes. It is not used with the vocab's vectors, because nothing announces a change of them.

    reader (Model[List[Doc], WordChars]): Finds and reads the words.
    layer (Model[WordChars, Floats2d]): Computes the word vectors.
    dropout (Optional[VectorsDropout]): Hides static vectors in training.
    cache_size (int): Words kept at prediction, nO * 4 bytes each; 0 keeps none.
    RETURNS (Model[List[Doc], List[Floats2d]]): The layer.

    Shapes: nD Docs of nT tokens, nW of them distinct -> nD arrays, together (nT, nO)
    """
    return Model(
        "embed_words",
        partial(forward, WordCache(cache_size), dropout),
        init=init,
        dims={"nO": layer.get_dim("nO")},
        layers=[reader, layer],
    )


def forward(
    cache: "WordCache",
    dropout: VectorsDropout | None,
    model: Tok2Vec,
    docs: Sequence[Doc],
    is_train: bool,
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    """Embed the distinct words, then copy their vectors to the tokens."""
    ops: Any = model.ops
    reader, layer = model.layers
    words = find_words(reader, docs, dropout if is_train else None)
    nO = model.get_dim("nO")
    if not len(words.keys):
        dtype = next((p.dtype for p in _list_parameters(layer)), "float32")
        return [ops.alloc2f(0, nO, dtype=dtype) for _ in docs], lambda dYs: []
    rows = ops.asarray1i(words.rows.astype("int32"))
    if is_train:
        Y, backprop_words = layer(spell_words(reader, words, is_train), is_train)
    else:
        Y, backprop_words = cache.embed(reader, layer, words), None

    def backprop(dYs: list[Floats2d]) -> list[Doc]:
        if backprop_words is None:
            return []
        dYt = ops.xp.concatenate(dYs)
        dY = ops.alloc2f(*Y.shape, dtype=Y.dtype)
        ops.scatter_add(dY, rows, dYt)
        backprop_words(dY)
        return []

    ends = np.cumsum(words.lengths)[:-1].tolist()
    return ops.xp.split(Y[rows], ends), backprop


def init(model: Tok2Vec, X: list[Doc] | None = None, Y: list[Floats2d] | None = None) -> None:
    """Initialise the layer with the words of the sample."""
    reader, layer = model.layers
    reader.initialize()
    layer.initialize(X=reader.predict(X) if X else None)


def get_embed(tok2vec: Tok2Vec) -> Tok2Vec:
    """Get the embed layer of a tok2vec, or the tok2vec itself if it names none."""
    return tok2vec.get_ref("embed") if tok2vec.has_ref("embed") else tok2vec


def has_chars(embed: Tok2Vec) -> bool:
    """Whether an embed layer is a CharCNN, with convolutions over the characters of words."""
    return embed.attrs.get("architecture") == "spacy-charlm.CharCNN.v1"


def read_chars_alone(embed: Tok2Vec) -> Tok2Vec:
    """Make a layer of the convolutions over the characters of words, without all that follows.

    embed (Model[List[Doc], List[Floats2d]]): An embed layer that `has_chars`. The parameters are
        shared with it.
    RETURNS (Model[List[Doc], List[Floats2d]]): The layer.

    Shapes: nD Docs of nT tokens -> nD arrays, together (nT, nF)
    """
    reader, words = embed.layers
    chars = words.layers[0]
    layer: Model[WordChars, Floats2d] = Model(
        "word_chars", forward_chars, dims={"nO": chars.get_dim("nO")}, layers=[chars]
    )
    return embed_words(reader, layer, cache_size=0)


def forward_chars(
    model: Model[WordChars, Floats2d], words: WordChars, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Ragged]]:
    """Run the convolutions on the characters of the words."""
    (chars,) = model.layers
    return chars(Ragged(words.chars, words.char_lengths), is_train)


class WordCache:
    """Word vectors of earlier batches, valid for one state of the parameters.

    Adam writes into the parameters and `use_params` swaps them, so nothing announces a change. The
    cache therefore compares the parameters with a copy of them, which takes about 0.1 ms per MB.
    Several threads may use it. A pickled or deep-copied layer gets an empty one.

    max_words (int): Words kept. A full cache is emptied, so that it follows the text.
    """

    def __init__(self, max_words: int) -> None:
        self.max_words = max_words
        self._lock = threading.Lock()
        self._clear([])

    def __reduce__(self) -> tuple[type, tuple[int]]:
        return type(self), (self.max_words,)

    def __len__(self) -> int:
        return len(self._slots)

    def embed(
        self, reader: WordReader, layer: Model[WordChars, Floats2d], words: DistinctWords
    ) -> Floats2d:
        """Embed words. The layer runs only on the words that the cache does not have.

        reader (Model[List[Doc], WordChars]): Reads the words.
        layer (Model[WordChars, Floats2d]): Computes the word vectors.
        words (DistinctWords): The nW distinct words of a batch.
        RETURNS (Floats2d): Their vectors, (nW, nO).
        """
        if self.max_words <= 0 or reader.attrs["include_static_vectors"]:
            return layer.predict(spell_words(reader, words))
        with self._lock:
            self._clear_if_outdated(reader, layer)
            xp: Any = layer.ops.xp
            keys = words.keys.tolist()
            slots = np.array([self._slots.get(key, -1) for key in keys], dtype="int32")
            missing = np.flatnonzero(slots < 0)
            if not len(missing):
                return self._table[xp.asarray(slots)]
            computed = layer.predict(spell_words(reader, words.select(missing)))
            if len(missing) == len(keys):
                Y = computed
            else:
                Y = self._table[xp.asarray(slots)]
                Y[xp.asarray(missing)] = computed
            self._keep([keys[i] for i in missing.tolist()], computed)
            return Y

    def _clear_if_outdated(self, reader: WordReader, layer: Model) -> None:
        parameters = _list_parameters(reader) + _list_parameters(layer)
        settings = repr([node.attrs for node in reader.walk()])
        if settings == self._settings and len(parameters) == len(self._parameters):
            if all(_is_equal(p, q) for p, q in zip(parameters, self._parameters)):
                return
        self._clear([p.copy() for p in parameters], settings)

    def _clear(self, parameters: list[Any], settings: str = "") -> None:
        self._parameters = parameters
        self._settings = settings
        self._slots: dict[int, int] = {}
        self._table: Any = None

    def _keep(self, keys: list[int], vectors: Floats2d) -> None:
        if len(self._slots) + len(keys) > self.max_words:
            self._slots = {}
            keys, vectors = keys[: self.max_words], vectors[: self.max_words]
        if self._table is None:
            xp = get_array_module(vectors)
            self._table = xp.empty((self.max_words, vectors.shape[1]), dtype=vectors.dtype)
        used = len(self._slots)
        self._table[used : used + len(keys)] = vectors
        self._slots.update(zip(keys, range(used, used + len(keys))))


def _is_equal(p: Any, q: Any) -> bool:
    alike = type(p) is type(q) and p.dtype == q.dtype and p.shape == q.shape
    return alike and bool((p == q).all())


def _list_parameters(layer: Model) -> list[Any]:
    return [
        node.get_param(name)
        for node in layer.walk()
        for name in node.param_names
        if node.has_param(name)  # a table may be missing
    ]

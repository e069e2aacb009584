"""Run a layer once for each distinct word of a batch, and remember the words at prediction."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from spacy.tokens import Doc
from thinc.api import Model, get_array_module
from thinc.types import Floats2d

from ..types import CharBatch, Tok2Vec
from .read_words import ExtractModel, WordBatch, find_words, read_words


def embed_words(
    extract: ExtractModel, layer: Model[CharBatch, Floats2d], *, cache_size: int = 20000
) -> Tok2Vec:
    """Embed each distinct word of a batch once, and hand its vector to all of its tokens.

    At prediction a cache keeps the vectors between batches, as long as the parameters stay the
    same to the last bit. It is not used with static vectors, whose table may change unseen.

    extract (Model[List[Doc], CharBatch]): What finds and reads the words.
    layer (Model[CharBatch, Floats2d]): From words to word vectors.
    cache_size (int): Words kept at prediction, each nO * 4 bytes; 0 keeps none.
    RETURNS (Model[List[Doc], List[Floats2d]]): The layer.

    Shapes: nD Docs of nT tokens, nW of them distinct -> nD arrays, together (nT, nO)
    """
    return Model(
        "embed_words",
        partial(forward, WordCache(cache_size)),
        init=init,
        dims={"nO": layer.get_dim("nO")},
        layers=[extract, layer],
    )


def forward(
    cache: "WordCache", model: Tok2Vec, docs: Sequence[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    """Embed the distinct words, then copy them to their tokens."""
    ops: Any = model.ops
    extract, layer = model.layers
    words = find_words(extract, docs, is_train)
    nO = model.get_dim("nO")
    if not len(words.keys):
        dtype = next((p.dtype for p in _parameters(layer)), "float32")
        return [ops.alloc2f(0, nO, dtype=dtype) for _ in docs], lambda dYs: []
    rows = ops.asarray1i(words.rows.astype("int32"))
    if is_train:
        Y, backprop_words = layer(read_words(extract, words), is_train)
    else:
        Y, backprop_words = cache.embed(extract, layer, words), None

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
    extract, layer = model.layers
    sample = read_words(extract, find_words(extract, X)) if X else None
    layer.initialize(X=sample)


class WordCache:
    """Word vectors of earlier batches, valid for one state of the parameters.

    Adam writes into parameters and `use_params` swaps them, so nothing announces a change: the
    cache compares the parameters with its own copy of them, which takes some 0.1 ms a megabyte.
    It belongs to one closure, is safe to use from several threads, and is left behind by pickle.

    max_words (int): Words kept; when it is full it starts over, so that it follows the text.
    """

    def __init__(self, max_words: int) -> None:
        self.max_words = max_words
        self._lock = threading.Lock()
        self._forget([])

    def __reduce__(self) -> tuple[type, tuple[int]]:
        return type(self), (self.max_words,)

    def __len__(self) -> int:
        return len(self._slots)

    def embed(
        self, extract: ExtractModel, layer: Model[CharBatch, Floats2d], words: WordBatch
    ) -> Floats2d:
        """Embed words, running the layer only on those that are not kept yet.

        extract (Model[List[Doc], CharBatch]): What reads the words.
        layer (Model[CharBatch, Floats2d]): From words to word vectors.
        words (WordBatch): The nW distinct words of a batch.
        RETURNS (Floats2d): Their vectors, (nW, nO).
        """
        if self.max_words <= 0 or extract.attrs["include_static_vectors"]:
            return layer.predict(read_words(extract, words))
        with self._lock:
            self._check(extract, layer)
            xp: Any = layer.ops.xp
            keys = words.keys.tolist()
            slots = np.array([self._slots.get(key, -1) for key in keys], dtype="int32")
            missing = np.flatnonzero(slots < 0)
            if not len(missing):
                return self._table[xp.asarray(slots)]
            fresh = layer.predict(read_words(extract, words.select(missing)))
            if len(missing) == len(keys):
                Y = fresh
            else:
                Y = self._table[xp.asarray(slots)]
                Y[xp.asarray(missing)] = fresh
            self._keep([keys[i] for i in missing.tolist()], fresh)
            return Y

    def _check(self, extract: ExtractModel, layer: Model) -> None:
        parameters = _parameters(layer)
        settings = repr(extract.attrs)
        if settings == self._settings and len(parameters) == len(self._parameters):
            pairs = zip(parameters, self._parameters)
            if all(_same(p, q) for p, q in pairs):
                return
        self._forget([p.copy() for p in parameters], settings)

    def _forget(self, parameters: list[Any], settings: str = "") -> None:
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


def _same(p: Any, q: Any) -> bool:
    alike = type(p) is type(q) and p.dtype == q.dtype and p.shape == q.shape
    return alike and bool((p == q).all())


def _parameters(layer: Model) -> list[Any]:
    nodes = layer.walk()
    return [node.get_param(name) for node in nodes for name in node.param_names]

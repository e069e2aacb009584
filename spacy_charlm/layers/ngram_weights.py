"""Add to the logits of a text what each of its words and bigrams says by itself."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from spacy.attrs import IS_SPACE, LOWER
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from .word_hashes import find_hashes, hash_bigrams, hash_words, join_hashes, split_hashes

TextModel: TypeAlias = Model[list[Doc], Floats2d]
NAME = "ngram_weights"


def ngram_weights(layer: TextModel) -> TextModel:
    """Add a bag of words and bigrams to the logits of a layer.

    Each n-gram of a table has one weight per class. A text gets the mean of the weights of its
    distinct n-grams, plus the bias; a text without an n-gram of the table gets nothing. Upper and
    lower case are one word, unless the table says otherwise; white space does not count.

    The weights are set by `set_ngram_weights` and not trained: `LogisticRegression` computes them.
    Without a table, the layer adds nothing. An n-gram is known by a hash of 32 bits, so that one of
    30,000 that a table of 150,000 lacks is mistaken for one that it has.

    layer (Model[List[Doc], Floats2d]): The layer that the logits are added to.
    RETURNS (Model[List[Doc], Floats2d]): The layer.

    **Shapes** nD Docs -> logits (nD, nO)
    """
    return Model(
        NAME,
        forward,
        init=init,
        layers=[layer],
        params={"keys": None, "W": None, "b": None},
        attrs={"attr": LOWER},
    )


def forward(
    model: TextModel, docs: list[Doc], is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], list[Doc]]]:
    """Add the logits of the bag to those of the layer."""
    Y, backprop = model.layers[0](docs, is_train)
    if len(docs) and len(model.get_param("keys")):
        Y = Y + _weigh(model, docs)
    return Y, backprop


def init(model: TextModel, X: list[Doc] | None = None, Y: Floats2d | None = None) -> None:
    """Initialise the layer, and empty the table."""
    model.layers[0].initialize(X=X, Y=Y)
    _set_keys(model, np.zeros(0, dtype="uint32"))
    model.set_param("W", model.ops.alloc2f(0, 0))
    model.set_param("b", model.ops.alloc1f(0))


def set_ngram_weights(
    model: TextModel, keys: np.ndarray, W: np.ndarray, b: np.ndarray, attr: int = LOWER
) -> None:
    """Set the table.

    model (Model[List[Doc], Floats2d]): The layer.
    keys (ndarray): The hash of each n-gram, from `hash_words` or `hash_bigrams`, uint32 (nK,).
    W (ndarray): The weights of the n-grams, (nO, nK).
    b (ndarray): The bias of a text that has one of them, (nO,).
    attr (int): The attribute of a token that a word is hashed by: LOWER or ORTH.
    """
    keys, places = np.unique(keys, return_index=True)
    ops: Any = model.ops
    model.attrs["attr"] = int(attr)
    _set_keys(model, keys)
    model.set_param("W", ops.asarray2f(np.ascontiguousarray(W[:, places], dtype="float32")))
    model.set_param("b", ops.asarray1f(b.astype("float32")))


def resize_ngram_weights(model: TextModel, nO: int) -> None:
    """Give the table more classes, about which it says nothing.

    model (Model[List[Doc], Floats2d]): The layer.
    nO (int): The number of classes, not less than before.
    """
    ops: Any = model.ops
    if not model.has_param("keys") or not len(model.get_param("keys")):
        return
    W, b = ops.to_numpy(model.get_param("W")), ops.to_numpy(model.get_param("b"))
    model.set_param("W", ops.asarray2f(np.pad(W, ((0, nO - len(W)), (0, 0)))))
    model.set_param("b", ops.asarray1f(np.pad(b, (0, nO - len(b)))))


def _set_keys(model: TextModel, keys: np.ndarray) -> None:
    ops: Any = model.ops
    halves = ops.asarray(split_hashes(keys))
    model.set_param("keys", halves)


def _weigh(model: TextModel, docs: Sequence[Doc]) -> Any:
    """Compute the logits of the bag, (nD, nO)."""
    ops: Any = model.ops
    halves, W, b = (model.get_param(name) for name in ("keys", "W", "b"))
    found = []
    for doc in docs:
        attrs = doc.to_array([model.attrs["attr"], IS_SPACE]).reshape(-1, 2)
        words = attrs[attrs[:, 1] == 0, 0]
        ngrams = np.concatenate([hash_words(words), hash_bigrams(words[:-1], words[1:])])
        found.append(np.unique(ngrams))
    Y = ops.alloc2f(len(docs), len(b), dtype=W.dtype)
    keys = ops.asarray(np.concatenate([np.zeros(0, "uint32"), *found]))
    places, known = find_hashes(ops, join_hashes(halves), keys)
    rows = ops.as_contig(W.T[places[known]])
    doc_of = np.repeat(np.arange(len(docs)), [len(ngrams) for ngrams in found])
    lengths = np.bincount(doc_of[ops.to_numpy(known)], minlength=len(docs))
    filled = ops.asarray1i(np.flatnonzero(lengths))
    if len(filled):
        Y[filled] = b + ops.reduce_mean(rows, ops.asarray1i(lengths[lengths > 0]))
    return Y

"""Let the words of a text count as often as they are informative, not as often as they occur."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from spacy.attrs import IS_SPACE, LOWER
from spacy.tokens import Doc
from thinc.api import Model, Ops
from thinc.types import Floats2d

from ..types import Tok2Vec

WeighModel: TypeAlias = Model[list[Doc], list[Floats2d]]
NAME = "weigh_words"


def weigh_words(tok2vec: Tok2Vec) -> WeighModel:
    """Scale the vectors of a text so that their mean is a weighted mean.

    A word that occurs n times in a text counts as much as the square root of n, not n times: the
    repetitions of a word say less than its first occurrence. TF-IDF does the same with
    `sublinear_tf`. Upper and lower case are one word; white space does not count.

    tok2vec (Model[List[Doc], List[Floats2d]]): What gives the vectors.
    RETURNS (Model[List[Doc], List[Floats2d]]): The layer. It has no parameters of its own.

    **Shapes** nD Docs -> nD arrays (nT, nO)
    """
    return Model(NAME, forward, init=init, layers=[tok2vec])


def forward(
    model: WeighModel, docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    """Scale the vectors of the tok2vec."""
    Xs, backprop_tok2vec = model.layers[0](docs, is_train)
    weights = get_weights(model.ops, docs)

    def backprop(dYs: list[Floats2d]) -> list[Doc]:
        return backprop_tok2vec(scale(dYs, weights))

    return scale(Xs, weights), backprop


def init(model: WeighModel, X: list[Doc] | None = None, Y: Any = None) -> None:
    """Initialise the tok2vec."""
    model.layers[0].initialize(X=X)


def get_weights(ops: Ops, docs: Sequence[Doc]) -> list[Any]:
    """Weigh the tokens of each text, with a mean of 1 (or 0 if it is white space), (nT, 1)."""
    found = []
    for doc in docs:
        attrs = doc.to_array([LOWER, IS_SPACE]).reshape(-1, 2)
        _, place, counts = np.unique(attrs[:, 0], return_inverse=True, return_counts=True)
        weights = (attrs[:, 1] == 0) / np.sqrt(counts[place])
        weights *= len(doc) / max(float(weights.sum()), 1e-6)
        found.append(ops.asarray2f(weights.astype("float32").reshape(-1, 1)))
    return found


def scale(Xs: Sequence[Floats2d], weights: Sequence[Any]) -> list[Floats2d]:
    """Multiply each row by its weight."""
    return [X * weight for X, weight in zip(Xs, weights)]

"""Predict at the rows that count: what every objective does between its masks and its losses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from spacy.tokens import Doc
from thinc.api import Model, Ops
from thinc.types import Floats1d, Floats2d

from ..types import Mask, TargetBatch, Tok2Vec
from .masking import hide_words


@dataclass(frozen=True)
class Prediction:
    """Predictions at the rows that count, with what the loss needs to judge them.

    vectors (Floats2d): One prediction per row that counts, (nR, nO).
    targets (TargetBatch): Their targets: each of `values` (nU, nO) is that of a row in `rows`
        (nR, 1).
    weights (Floats1d): Their weights, (nR,).
    """

    vectors: Floats2d
    targets: TargetBatch
    weights: Floats1d


def keep_unseen(mask: Mask) -> Mask:
    """Let those words alone count that are behind a mask or have other characters."""
    weights = mask.hidden.astype("float32")
    weights[list(mask.texts)] = 1.0
    return Mask(mask.hidden, mask.source, weights, mask.texts)


def encode_hidden(
    tok2vec: Tok2Vec, docs: list[Doc], mask: Mask, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], None]]:
    """Put the mask over a batch and encode it.

    RETURNS (Tuple[Floats2d, Callable]): Context vectors (nT, nI), and the way back.
    """
    ops: Any = tok2vec.ops
    tokvecs, backprop_tok2vec = tok2vec(
        hide_words(docs, mask, rebuild=not reads_masks(tok2vec)), is_train
    )

    def backprop(dX: Floats2d) -> None:
        ends = np.cumsum([len(doc) for doc in docs])[:-1].tolist()
        backprop_tok2vec(ops.xp.split(dX, ends))

    return ops.xp.concatenate(tokvecs), backprop


def find_tokens(ops: Any, batch: TargetBatch, mask: Mask) -> Any:
    """Find the tokens that have a target and a weight."""
    return ops.xp.flatnonzero(_find_parts(ops, batch, mask).any(axis=1))


def predict_rows(
    head: Model[Floats2d, Floats2d], X: Floats2d, batch: TargetBatch, mask: Mask, is_train: bool
) -> tuple[Prediction, Callable[[Floats2d], Floats2d]]:
    """Run a head at the rows that count.

    head (Model[Floats2d, Floats2d]): From context vectors to nParts vectors side by side.
    X (Floats2d): Context vectors, (nT, nI).
    batch (TargetBatch): The targets of all tokens, of which at least one counts.
    mask (Mask): The weights of all tokens.
    is_train (bool): Whether to train.
    RETURNS (Tuple[Prediction, Callable]): The prediction, and the way back to dX (nT, nI).
    """
    ops: Any = head.ops
    nParts, nO = batch.rows.shape[1], batch.values.shape[1]
    counts = _find_parts(ops, batch, mask)  # (nT, nParts)
    tokens = ops.xp.flatnonzero(counts.any(axis=1))
    Xs: Any = X
    Y, backprop_head = head(Xs[tokens], is_train)
    # One row per part; a part without a target leaves the batch here.
    parts = ops.xp.flatnonzero(counts[tokens])
    Yr: Any = ops.xp.reshape(Y, (len(tokens) * nParts, nO))
    used, rows = ops.xp.unique(batch.rows[tokens].reshape(-1)[parts], return_inverse=True)
    targets = TargetBatch(batch.values[used], ops.asarray2i(rows.reshape(-1, 1)))
    weights = ops.xp.repeat(ops.asarray1f(mask.weights)[tokens], nParts)[parts]

    def backprop(d_vectors: Floats2d) -> Floats2d:
        dYr = ops.alloc2f(*Yr.shape, dtype=d_vectors.dtype)
        dYr[parts] = d_vectors
        dX = ops.alloc2f(*X.shape, dtype=d_vectors.dtype)
        dX[tokens] = backprop_head(ops.xp.reshape(dYr, Y.shape))
        return dX

    return Prediction(Yr[parts], targets, weights), backprop


def predict_nothing(ops: Ops, batch: TargetBatch) -> Prediction:
    """Make the prediction of a batch in which no row counts."""
    empty = TargetBatch(batch.values[:0], batch.rows[:0, :1])
    return Prediction(ops.alloc2f(0, batch.values.shape[1]), empty, ops.alloc1f(0))


def _find_parts(ops: Any, batch: TargetBatch, mask: Mask) -> Any:
    return (batch.rows >= 0) & (ops.asarray1f(mask.weights) > 0).reshape(-1, 1)


def reads_masks(tok2vec: Tok2Vec) -> bool:
    """Whether everything in the tok2vec that reads Docs is an embed layer that knows MaskedDocs."""
    embed = tok2vec.get_ref("embed") if tok2vec.has_ref("embed") else tok2vec
    return bool(embed.attrs.get("reads_masks"))

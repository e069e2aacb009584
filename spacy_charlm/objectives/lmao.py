"""Language modelling with approximate outputs: predict the word's vector, not its id."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model, Ops
from thinc.types import Floats2d

from ..card import CARD_ATTR, write_card
from ..errors import Errors
from ..types import Loss, Mask, Masking, Target, TargetBatch, Tok2Vec
from .heads import vectors_head
from .predict_rows import (
    Prediction,
    encode_hidden,
    find_tokens,
    keep_unseen,
    predict_nothing,
    predict_rows,
)

ObjectiveModel = Model[list[Doc], Prediction]


def create_lmao_v1(
    target: Any,
    loss: Any,
    masking: Any,
    hidden_size: int = 300,
    maxout_pieces: int = 3,
) -> Callable[[Vocab, Tok2Vec], ObjectiveModel]:
    """Create the objective: predict vectors of words, some of them hidden, from their context.

    The loss is the weighted mean over the rows that count: tokens that have a target and a weight.
    The head runs at those rows only. After spacy-pretrain-polyaxon's LMAO and Kumar and Tsvetkov,
    "Von Mises-Fisher Loss for Training Sequence to Sequence Models with Continuous Outputs" (2019).

    target (Target): What is predicted, such as `spacy-charlm.StaticVectors.v1`.
    loss (Loss): The distance, such as `spacy-charlm.CosineLoss.v1`.
    masking (Masking): What is hidden, such as `spacy-charlm.WordMasking.v1`.
    hidden_size (int): Width of the head's hidden layer; 0 for a linear head, which makes averages
        of the tok2vec's vectors more telling. Recommended values: 0 for texts, 300 for tokens.
    maxout_pieces (int): Pieces of the head's maxout. Recommended value: 3.
    RETURNS (Callable[[Vocab, Model], Model]): Builds the model that `spacy pretrain` trains.

    Shapes: nD Docs of nT tokens -> predictions (nR, nO), nR <= nT * nParts
    """
    for name, part in (("target", target), ("loss", loss), ("masking", masking)):
        if not callable(part):
            raise ValueError(Errors.E304.format(name=name, found=part))
    return partial(
        build_lmao_v1,
        target=target,
        loss=loss,
        masking=masking,
        hidden_size=hidden_size,
        maxout_pieces=maxout_pieces,
    )


def build_lmao_v1(
    vocab: Vocab,
    tok2vec: Tok2Vec,
    *,
    target: Target,
    loss: Loss,
    masking: Masking,
    hidden_size: int,
    maxout_pieces: int,
) -> ObjectiveModel:
    """Open the target and put the head onto the tok2vec: see `create_lmao_v1`."""
    target.open(vocab)
    nO = target.nO * target.nParts
    head = vectors_head(nO, tok2vec.get_dim("nO"), hidden_size, maxout_pieces)
    model: ObjectiveModel = Model(
        "lmao",
        partial(forward, target, masking),
        init=init,
        dims={"nO": nO},
        layers=[tok2vec, head],
        refs={"tok2vec": tok2vec, "output_layer": head},
        attrs={
            "batches": 0,
            "updates": 0,
            "words": 0,
            "target": target.describe(),
            "objective": "spacy-charlm.LMAO.v1",
        },
    )
    model.attrs["loss"] = partial(get_loss, model, loss)
    # For a trainer that knows more than `spacy pretrain`; as functions they are not serialised.
    model.attrs["restart"] = masking.restart
    model.attrs["predict_hidden"] = partial(predict_hidden, model, target, masking)
    model.attrs["shares_targets"] = bool(getattr(loss, "shares_targets", False))
    return model


def forward(
    target: Target, masking: Masking, model: ObjectiveModel, docs: list[Doc], is_train: bool
) -> tuple[Prediction, Callable[[Floats2d], list[Doc]]]:
    """Hide words, encode the batch, predict at the rows that count."""
    model.attrs["batches"] += is_train
    mask = masking(docs)
    return _predict(model, target(model.ops, docs), mask, docs, is_train)


def predict_hidden(
    model: ObjectiveModel, target: Target, masking: Masking, docs: list[Doc]
) -> tuple[Prediction, TargetBatch]:
    """Predict at the words that are not seen as they are, for an evaluation.

    model (Model): The objective.
    target (Target): Its target.
    masking (Masking): Its masking, which draws as in training.
    docs (List[Doc]): The batch.
    RETURNS (Tuple[Prediction, TargetBatch]): The predictions at the words behind a mask or with
        other characters that have a target, weight 1 each, and the targets of all words.
    """
    mask = masking(docs)
    batch = target(model.ops, docs)
    only_hidden = keep_unseen(mask)
    return _predict(model, batch, only_hidden, docs, is_train=False)[0], batch


def _predict(
    model: ObjectiveModel, batch: TargetBatch, mask: Mask, docs: list[Doc], is_train: bool
) -> tuple[Prediction, Callable[[Floats2d], list[Doc]]]:
    tok2vec, head = model.layers
    if not len(find_tokens(model.ops, batch, mask)):
        return predict_nothing(model.ops, batch), lambda d_vectors: []
    X, backprop_tok2vec = encode_hidden(tok2vec, docs, mask, is_train)
    prediction, backprop_head = predict_rows(head, X, batch, mask, is_train)

    def backprop(d_vectors: Floats2d) -> list[Doc]:
        backprop_tok2vec(backprop_head(d_vectors))
        finish_backprop(model, docs)
        return []

    return prediction, backprop


def finish_backprop(model: Model, docs: Sequence[Doc]) -> None:
    """Stop before an update that would destroy the weights; else write it on the card."""
    for node in model.walk():
        for name in node.grad_names:
            # A sum is finite only if every summand is, and needs no array of its own.
            gradient: Any = node.get_grad(name)
            if not np.isfinite(float(gradient.sum())):
                raise ValueError(describe_fault(model, docs, f"a gradient of {node.name}.{name}"))
    model.attrs["updates"] += 1
    model.attrs["words"] += sum(len(doc) for doc in docs)
    tok2vec = model.get_ref("tok2vec")
    tok2vec.attrs[CARD_ATTR] = write_card(
        tok2vec,
        objective=model.attrs["objective"],
        target=model.attrs["target"],
        updates=model.attrs["updates"],
        words=model.attrs["words"],
    )


def init(model: Model, X: list[Doc] | None = None, Y: Any = None) -> None:
    """Initialise the heads; spaCy has initialised the tok2vec."""
    tok2vec, *heads = model.layers
    if any(not node.has_param(name) for node in tok2vec.walk() for name in node.param_names):
        tok2vec.initialize(X=X)
    for head in heads:
        head.initialize()


def get_loss(
    model: ObjectiveModel, loss: Loss, ops: Ops, docs: Sequence[Doc], prediction: Prediction
) -> tuple[float, Floats2d]:
    """Compute the mean loss over the rows that count, and its gradient.

    model (Model): The objective, for its count of batches.
    loss (Loss): The distance.
    ops (Ops): The backend, as spaCy passes it.
    docs (Sequence[Doc]): The batch, named in the error.
    prediction (Prediction): What the objective predicted for it.
    RETURNS (Tuple[float, Floats2d]): The loss; 0 where no row counts.
    RAISES (ValueError): If the loss is not a finite number. The weights are still good.
    """
    if not len(prediction.vectors):
        return 0.0, prediction.vectors
    value, gradient = loss(prediction.vectors, prediction.targets, prediction.weights)
    if not np.isfinite(value):
        raise ValueError(describe_fault(model, docs, f"a loss of {value}"))
    return value, gradient


def scale_gradient(gradient: Any, weight: float) -> Any:
    """Multiply the gradient of an objective, of several parts each of them.

    gradient (Floats2d or Mapping[str, Floats2d]): What the objective's loss returned.
    weight (float): The factor.
    RETURNS (Floats2d or Dict[str, Floats2d]): The same form.
    """
    if isinstance(gradient, Mapping):
        return {name: part * weight for name, part in gradient.items()}
    return gradient * weight


def describe_fault(model: Model, docs: Sequence[Doc], what: str) -> str:
    """Name a batch that comes to numbers that are not finite."""
    text = next((doc.text for doc in docs if len(doc)), "")
    batch = model.attrs["batches"]
    return Errors.E305.format(what=what, batch=batch, n_docs=len(docs), text=text[:80])

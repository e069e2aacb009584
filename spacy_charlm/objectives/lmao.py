"""Language modelling with approximate outputs (LMAO): predict the word's vector, not its id."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Dict, cast  # noqa: UP035

import numpy as np
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model, Ops
from thinc.types import Floats1d, Floats2d

from ..card import CARD_ATTR, write_card
from ..checks import (
    HeadBlock,
    LossBlock,
    MaskingBlock,
    TargetBlock,
    check_setting,
    checked,
)
from ..errors import Errors
from ..layers.embed_words import get_embed, has_chars, read_chars_alone
from ..types import IdLoss, Loss, Mask, Masking, Target, TargetBatch, Tok2Vec
from .heads import Head, HeadBuilder, predict_columns
from .masking import hide_words

ONE = "target"  # name of the part of an objective that has only one
UNITS = ("token", "text")
OUTPUT, CHARS = "", "chars"  # what a part can read
ONE_NAME, MULTI_NAME = "spacy-charlm.LMAO.v1", "spacy-charlm.MultiLMAO.v1"


@dataclass(frozen=True)
class Part:
    """One part of an objective: what it predicts, how that is compared, and how much it counts.

    target (Target): What it predicts.
    loss (Loss): How that is compared.
    head (HeadBuilder): What predicts it.
    weight (float): Its weight in the sum of the losses.
    layer (str): What the head reads: `OUTPUT`, what the tok2vec computes, or `CHARS`, what the
        convolutions of its CharCNN compute.
    """

    target: Target
    loss: Loss
    head: HeadBuilder
    weight: float = 1.0
    layer: str = OUTPUT


@dataclass(frozen=True)
class Prediction:
    """Predictions of one part at the rows that count, with all that its loss needs.

    vectors (Floats2d): A predicted vector, or the logits, per row that counts, (nR, nO).
    targets (TargetBatch): Their targets. Each of `values` (nU, nO) is the target of one of `rows`
        (nR, 1). For ids the rows are columns of `vectors`.
    weights (Floats1d): Their weights, (nR,).
    """

    vectors: Floats2d
    targets: TargetBatch
    weights: Floats1d


class Gradients(dict[str, Floats2d]):
    """Gradient of each part's prediction. Like a single array, it can be scaled by a number."""

    def __mul__(self, factor: float) -> "Gradients":
        return Gradients((name, gradient * factor) for name, gradient in self.items())


Predictions = dict[str, Prediction]
ObjectiveModel = Model[list[Doc], Predictions]


@checked(ONE_NAME)
def create_lmao_v1(
    target: TargetBlock, loss: LossBlock, head: HeadBlock, masking: MaskingBlock
) -> Callable[[Vocab, Tok2Vec], ObjectiveModel]:
    """Create an objective: predict the targets of words or texts, some words being hidden.

    The loss is the weighted mean over the rows that count: tokens that have a target and a weight,
    or texts that have a target, each with weight 1. The head runs at those rows only. For a text it
    reads the average of the tok2vec's vectors of all tokens, hidden ones among them.

    After spacy-pretrain-polyaxon's LMAO and Kumar and Tsvetkov, "Von Mises-Fisher Loss for Training
    Sequence to Sequence Models with Continuous Outputs" (2019).

    target (Target): What is predicted, such as `spacy-charlm.StaticVectors.v1`.
    loss (Loss): How it is compared, such as `spacy-charlm.CosineLoss.v1`.
    head (Callable[[int, int], Model]): What predicts it from the tok2vec's vectors, such as
        `spacy-charlm.MaxoutHead.v1`, or `spacy-charlm.LinearHead.v1` for classifying texts.
    masking (Masking): What is hidden, such as `spacy-charlm.WordMasking.v1`.
    RETURNS (Callable[[Vocab, Model], Model]): Builds the model that `spacy pretrain` trains.
    RAISES (ValueError): If an argument is not a block of its own.

    **Shapes** nD Docs of nT tokens -> predictions (nR, nO), nR <= nT * nParts, or nD * nParts
    """
    part = _make_part("", {"target": target, "loss": loss, "head": head})
    return partial(build_lmao, parts={ONE: part}, masking=masking, name=ONE_NAME)


@checked(MULTI_NAME)
def create_multi_lmao_v1(
    parts: Dict[str, Any],  # noqa: UP006 - `dict[str, Any]` would not survive config filling
    masking: MaskingBlock,
) -> Callable[[Vocab, Tok2Vec], ObjectiveModel]:
    """Create an objective of several parts that share the tok2vec and the mask.

    The loss is the sum of the parts' losses times their weights; each is a mean over the rows that
    count for that part. Evaluations score the first part. If a step is spread over processes, a
    batch counts by its words, and a contrastive loss compares within its own batch.

    A part reads the output of the tok2vec, or with `layer = "chars"` that of the convolutions over
    the characters of each word. Words that are hidden or replaced by other words do not count
    there. The layers after the convolutions are then left to the other parts.

    parts (Dict[str, Any]): Blocks [pretraining.objective.parts.NAME] with the blocks `target`,
        `loss` and `head`, and optionally `weight` (1.0) and `layer` ("").
    masking (Masking): What is hidden, such as `spacy-charlm.WordMasking.v1`.
    RETURNS (Callable[[Vocab, Model], Model]): Builds the model that `spacy pretrain` trains.
    RAISES (ValueError): If a part lacks a block or has an unknown setting, or there is no part.
        When the model is built: If a part reads the characters, and the tok2vec has no CharCNN.

    **Shapes** nD Docs of nT tokens -> for each part predictions (nR, nO)
    """
    if not parts:
        raise ValueError(Errors.E306.format(name="parts", found="none"))
    made = {name: _make_part(f"parts.{name}", block) for name, block in parts.items()}
    return partial(build_lmao, parts=made, masking=masking, name=MULTI_NAME)


def _make_part(name: str, block: Any) -> Part:
    blocks = {"target": TargetBlock, "loss": LossBlock, "head": HeadBlock}
    if (
        not isinstance(block, dict)
        or not set(block) <= {*blocks, "weight", "layer"}
        or not set(blocks) <= set(block)
    ):
        found = sorted(block) if isinstance(block, dict) else block
        raise ValueError(Errors.E306.format(name=name, found=found))
    for key, kind in blocks.items():
        check_setting(MULTI_NAME, f"{name}.{key}", block[key], kind)
    part = Part(**block)
    if not isinstance(part.weight, (int, float)) or not part.weight > 0:
        raise ValueError(Errors.E307.format(name=name.removeprefix("parts."), found=part.weight))
    if part.layer not in (OUTPUT, CHARS):
        raise ValueError(Errors.E308.format(name=name.removeprefix("parts."), found=part.layer))
    if part.target.kind != part.loss.kind:
        names = [type(block).__name__ for block in (part.target, part.loss)]
        found = f"{names[0]} ({part.target.kind}) and {names[1]} ({part.loss.kind})"
        raise ValueError(Errors.E309.format(found=found))
    if part.target.unit not in UNITS:
        expected, found = ", ".join(UNITS), part.target.unit
        raise ValueError(Errors.E311.format(expected=expected, found=found))
    return part


def build_lmao(
    vocab: Vocab, tok2vec: Tok2Vec, *, parts: dict[str, Part], masking: Masking, name: str
) -> ObjectiveModel:
    """Open the targets and put a head for each part on top of the tok2vec.

    vocab (Vocab): The pipeline's.
    tok2vec (Model[List[Doc], List[Floats2d]]): What is pretrained.
    parts (Dict[str, Part]): The parts by name, at least one.
    masking (Masking): What is hidden.
    name (str): Registered name of the objective, for the card.
    RETURNS (Model[List[Doc], Dict[str, Prediction]]): The objective.
    """
    heads = []
    readers = {OUTPUT: tok2vec}
    for key, part in parts.items():
        part.target.open(vocab)
        if part.layer == CHARS:
            embed = get_embed(tok2vec)
            if not has_chars(embed):
                raise ValueError(Errors.E310.format(name=key, found=embed.name))
            readers[CHARS] = read_chars_alone(embed)
        nI = readers[part.layer].get_dim("nO")
        heads.append(part.head(part.target.nO * part.target.nParts, nI))
    described: dict[str, Any] = {key: part.target.describe() for key, part in parts.items()}
    model: ObjectiveModel = Model(
        "lmao",
        partial(forward, parts, masking, readers),
        init=init,
        layers=[tok2vec, *heads],
        refs={"tok2vec": tok2vec, "output_layer": heads[0]},
        attrs={
            "batches": 0,
            "updates": 0,
            "words": 0,
            "target": described.get(ONE, described),
            "objective": name,
        },
    )
    first = next(iter(parts.values()))
    alone = len(parts) == 1
    # spaCy calls `loss`. The others are for a trainer that knows more than `spacy pretrain`; thinc
    # does not save functions.
    model.attrs["loss"] = partial(get_loss, model, parts)
    model.attrs["restart"] = partial(restart, parts, masking)
    model.attrs["predict_hidden"] = partial(predict_hidden, model, first, masking, readers)
    model.attrs["hidden_loss"] = partial(get_part_loss, model, first)
    model.attrs["weigh"] = weigh_rows if alone else weigh_words
    model.attrs["kind"] = first.target.kind
    model.attrs["shares_targets"] = alone and bool(getattr(first.loss, "shares_targets", False))
    return model


def forward(
    parts: dict[str, Part],
    masking: Masking,
    readers: dict[str, Tok2Vec],
    model: ObjectiveModel,
    docs: list[Doc],
    is_train: bool,
) -> tuple[Predictions, Callable[[Mapping[str, Floats2d]], list[Doc]]]:
    """Hide words, encode the batch once, and predict each part at its rows that count."""
    model.attrs["batches"] += is_train
    _, *heads = model.layers
    mask = masking(docs)
    predictions: Predictions = {}
    backprops: dict[str, Callable[[Floats2d], Floats2d]] = {}
    Xs: dict[str, Any] = {}
    backprop_tok2vec: Any = None
    batches = {name: part.target(model.ops, docs) for name, part in parts.items()}
    for (name, part), head in zip(parts.items(), heads):
        weights = weigh_units(model.ops, part, docs, mask)
        if not _find_counted(batches[name], weights).any():
            predictions[name] = predict_nothing(model.ops, part, batches[name])
            continue
        if not Xs:
            Xs, backprop_tok2vec = encode_hidden(readers, docs, mask, is_train)
        predictions[name], backprops[name] = predict_units(
            head, part, docs, Xs[part.layer], batches[name], weights, is_train
        )

    def backprop(gradients: Mapping[str, Floats2d]) -> list[Doc]:
        dXs: dict[str, Any] = {}
        for name, back in backprops.items():
            dX: Any = back(gradients[name])
            layer = parts[name].layer
            dXs[layer] = dXs[layer] + dX if layer in dXs else dX
        if dXs:
            backprop_tok2vec(dXs)
            finish_backprop(model, docs)
        return []

    return predictions, backprop


def init(model: Model, X: list[Doc] | None = None, Y: Any = None) -> None:
    """Initialise the heads; spaCy has initialised the tok2vec."""
    tok2vec, *heads = model.layers
    if any(not node.has_param(name) for node in tok2vec.walk() for name in node.param_names):
        tok2vec.initialize(X=X)
    for head in heads:
        head.initialize()


def encode_hidden(
    readers: Mapping[str, Tok2Vec], docs: list[Doc], mask: Mask, is_train: bool
) -> tuple[dict[str, Floats2d], Callable[[Mapping[str, Floats2d]], None]]:
    """Apply the mask to a batch and encode it.

    readers (Mapping[str, Model]): The layers to run, by name; `OUTPUT` is the whole tok2vec.
    RETURNS (Tuple[Dict[str, Floats2d], Callable]): The vectors of each layer (nT, nI), and the
        backprop from the gradients of some of them.
    """
    tok2vec = readers[OUTPUT]
    ops: Any = tok2vec.ops
    inputs = hide_words(docs, mask, rebuild=not reads_masks(tok2vec))
    found = {name: reader(inputs, is_train) for name, reader in readers.items()}

    def backprop(dXs: Mapping[str, Floats2d]) -> None:
        ends = np.cumsum([len(doc) for doc in docs])[:-1].tolist()
        for name, dX in dXs.items():
            _, backprop_layer = found[name]
            backprop_layer(ops.xp.split(dX, ends))

    return {name: ops.xp.concatenate(Xd) for name, (Xd, _) in found.items()}, backprop


def weigh_units(ops: Any, part: Part, docs: Sequence[Doc], mask: Mask) -> Floats1d:
    """Return how much each unit of a part counts, (nUnits,): tokens as masked, texts alike.

    The characters cannot tell which word was hidden or replaced, so it does not count there.
    """
    if part.target.unit == "text":
        return ops.asarray1f(np.ones(len(docs), dtype="float32"))
    if part.layer == OUTPUT:
        return ops.asarray1f(mask.weights)
    return ops.asarray1f(mask.weights * mask.seen)


def predict_units(
    head: Head,
    part: Part,
    docs: Sequence[Doc],
    X: Floats2d,
    batch: TargetBatch,
    weights: Floats1d,
    is_train: bool,
) -> tuple[Prediction, Callable[[Floats2d], Floats2d]]:
    """Run a head at the tokens, or at the averages of the texts, that count.

    docs (Sequence[Doc]): The batch, of nT tokens.
    X (Floats2d): Context vectors of the tokens, (nT, nI). For the others see `predict_rows`.
    RETURNS (Tuple[Prediction, Callable]): The prediction, and the backprop to dX (nT, nI).
    """
    if part.target.unit == "token":
        return predict_rows(head, part, X, batch, weights, is_train)
    target: Any = part.target
    X_texts, backprop_average = average_texts(
        head.ops, docs, X, target.weigh_tokens(head.ops, docs)
    )
    prediction, backprop_rows = predict_rows(head, part, X_texts, batch, weights, is_train)
    return prediction, lambda d_vectors: backprop_average(backprop_rows(d_vectors))


def average_texts(
    ops: Any, docs: Sequence[Doc], X: Floats2d, weights: Floats1d
) -> tuple[Floats2d, Callable[[Floats2d], Floats2d]]:
    """Average the vectors of the tokens of each text.

    ops (Ops): The backend.
    docs (Sequence[Doc]): The batch, nD Docs of nT tokens.
    X (Floats2d): Vectors of the tokens, (nT, nI).
    weights (Floats1d): Weights of the tokens, (nT,), not negative. If all weights of a text are 0,
        its average is 0.
    RETURNS (Tuple[Floats2d, Callable]): The averages (nD, nI), and the backprop to dX (nT, nI).
    """
    lengths = ops.asarray1i([len(doc) for doc in docs])
    column = ops.xp.asarray(weights, dtype=X.dtype).reshape(-1, 1)  # (nT, 1)
    totals = ops.reduce_sum(column, lengths)
    totals[totals == 0] = 1
    doc_of = ops.xp.repeat(ops.xp.arange(len(docs)), [len(doc) for doc in docs])
    shares = column / totals[doc_of]

    def backprop(dY: Floats2d) -> Floats2d:
        dYs: Any = dY
        return dYs[doc_of] * shares

    return ops.reduce_sum(X * shares, lengths), backprop


def predict_rows(
    head: Head, part: Part, X: Floats2d, batch: TargetBatch, weights: Floats1d, is_train: bool
) -> tuple[Prediction, Callable[[Floats2d], Floats2d]]:
    """Run a head at the rows that count.

    head (Model[Floats2d, Floats2d]): From context vectors to nParts predictions side by side.
    part (Part): The part that the head belongs to.
    X (Floats2d): Vectors of the units, (nUnits, nI).
    batch (TargetBatch): The targets of all units; at least one counts.
    weights (Floats1d): The weights of all units, (nUnits,).
    is_train (bool): Whether to train, and so whether a loss may sample the ids.
    RETURNS (Tuple[Prediction, Callable]): The prediction, and the backprop to dX (nUnits, nI).
    """
    ops: Any = head.ops
    xp = ops.xp
    nParts, nO = batch.rows.shape[1], part.target.nO
    counted = _find_counted(batch, weights)  # (nUnits, nParts)
    units = xp.flatnonzero(counted.any(axis=1))
    # One row per target of a unit; a target that is missing leaves the batch here.
    kept = xp.flatnonzero(counted[units])
    used, rows = xp.unique(batch.rows[units].reshape(-1)[kept], return_inverse=True)
    Xs: Any = X
    sample = None
    if batch.values is not None:
        targets = TargetBatch(batch.values[used], ops.asarray2i(rows.reshape(-1, 1)))
    else:
        sample = cast(IdLoss, part.loss).sample(ops, used, nO) if is_train else None
        places = used if sample is None else xp.searchsorted(sample.ids, used)
        targets = TargetBatch(None, ops.asarray2i(places[rows].reshape(-1, 1)))
    if sample is None:
        Y, backprop_head = head(Xs[units], is_train)
    else:
        columns = xp.concatenate([sample.ids + i * nO for i in range(nParts)])
        Y, backprop_head = predict_columns(head, Xs[units], columns, is_train)
        Y = Y + xp.tile(sample.log_weights, nParts)
    Yr: Any = xp.reshape(Y, (len(units) * nParts, -1))
    row_weights = xp.repeat(weights[units], nParts)[kept]

    def backprop(d_vectors: Floats2d) -> Floats2d:
        dYr = ops.alloc2f(*Yr.shape, dtype=d_vectors.dtype)
        dYr[kept] = d_vectors
        dX = ops.alloc2f(*X.shape, dtype=d_vectors.dtype)
        dX[units] = backprop_head(xp.reshape(dYr, Y.shape))
        return dX

    return Prediction(Yr[kept], targets, row_weights), backprop


def predict_nothing(ops: Ops, part: Part, batch: TargetBatch) -> Prediction:
    """Return the prediction for a batch in which no row counts."""
    values = None if batch.values is None else batch.values[:0]
    empty = TargetBatch(values, batch.rows[:0, :1])
    return Prediction(ops.alloc2f(0, part.target.nO), empty, ops.alloc1f(0))


def predict_hidden(
    model: ObjectiveModel,
    part: Part,
    masking: Masking,
    readers: dict[str, Tok2Vec],
    docs: list[Doc],
) -> tuple[Prediction, TargetBatch]:
    """Predict the words that the tok2vec does not see as they are, or the texts, to evaluate them.

    model (Model): The objective.
    part (Part): Its first part.
    masking (Masking): Its masking, which draws as in training.
    readers (Dict[str, Model]): What its parts read.
    docs (List[Doc]): The batch.
    RETURNS (Tuple[Prediction, TargetBatch]): The predictions at words that are hidden or spelled
        differently and have a target, with weight 1 each, and the targets of all words; or the
        predictions for all texts that have a target, and the targets of all texts.
    """
    ops: Any = model.ops
    mask = masking(docs)
    weights = mask.hidden.astype("float32")
    weights[list(mask.texts)] = 1.0
    mask = replace(mask, weights=weights)
    batch = part.target(ops, docs)
    units = weigh_units(ops, part, docs, mask)
    if not _find_counted(batch, units).any():
        return predict_nothing(ops, part, batch), batch
    _, head, *_ = model.layers
    Xs, _ = encode_hidden(readers, docs, mask, is_train=False)
    X = Xs[part.layer]
    return predict_units(head, part, docs, X, batch, units, is_train=False)[0], batch


def get_loss(
    model: ObjectiveModel,
    parts: dict[str, Part],
    ops: Ops,
    docs: Sequence[Doc],
    predictions: Predictions,
) -> tuple[float, Gradients]:
    """Compute the weighted sum of the parts' losses, and its gradient.

    model (Model): The objective.
    parts (Dict[str, Part]): Its parts.
    ops (Ops): The backend, as spaCy passes it.
    docs (Sequence[Doc]): The batch, named in the error.
    predictions (Dict[str, Prediction]): What was predicted for it, by part.
    RETURNS (Tuple[float, Gradients]): The loss, and the gradient of each part's prediction.
    RAISES (ValueError): If the loss is not a finite number. The weights are still good.
    """
    total, gradients = 0.0, Gradients()
    for name, part in parts.items():
        value, gradient = get_part_loss(model, part, docs, predictions[name])
        total += part.weight * value
        gradients[name] = gradient if part.weight == 1 else gradient * part.weight
    return total, gradients


def get_part_loss(
    model: ObjectiveModel, part: Part, docs: Sequence[Doc], prediction: Prediction
) -> tuple[float, Floats2d]:
    """Compute the mean loss of a part over the rows that count, and its gradient.

    RETURNS (Tuple[float, Floats2d]): The loss, not yet weighted; 0 if no row counts.
    """
    if not len(prediction.vectors):
        return 0.0, prediction.vectors
    value, gradient = part.loss(prediction.vectors, prediction.targets, prediction.weights)
    if not np.isfinite(value):
        raise ValueError(_describe_fault(model, docs, f"a loss of {value}"))
    return value, gradient


def weigh_rows(docs: Sequence[Doc], predictions: Predictions) -> float:
    """Return what a batch counts among others: the weights of its rows."""
    (prediction,) = predictions.values()
    weights: Any = prediction.weights
    return float(weights.sum())


def weigh_words(docs: Sequence[Doc], predictions: Predictions) -> float:
    """Return what a batch counts among others: its words, since parts count different rows."""
    return float(sum(map(len, docs)))


def restart(parts: dict[str, Part], masking: Masking, *key: int) -> None:
    """Reseed all generators of an objective from their seeds and a key."""
    masking.restart(*key)
    for part in parts.values():
        if hasattr(part.loss, "restart"):
            part.loss.restart(*key)


def finish_backprop(model: Model, docs: Sequence[Doc]) -> None:
    """Stop before an update that would destroy the weights; otherwise record it on the card."""
    for node in model.walk():
        for name in node.grad_names:
            # A sum is finite only if every summand is, and needs no array of its own.
            gradient: Any = node.get_grad(name)
            if not np.isfinite(float(gradient.sum())):
                raise ValueError(_describe_fault(model, docs, f"a gradient of {node.name}.{name}"))
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


def reads_masks(tok2vec: Tok2Vec) -> bool:
    """Whether all that reads Docs in the tok2vec is an embed layer that knows MaskedDocs."""
    return bool(get_embed(tok2vec).attrs.get("reads_masks"))


def _find_counted(batch: TargetBatch, weights: Any) -> Any:
    """Whether each target of each unit counts, bool (nUnits, nParts)."""
    return (batch.rows >= 0) & (weights > 0).reshape(-1, 1)


def _describe_fault(model: Model, docs: Sequence[Doc], what: str) -> str:
    text = next((doc.text for doc in docs if len(doc)), "")
    batch = model.attrs["batches"]
    return Errors.E305.format(what=what, batch=batch, n_docs=len(docs), text=text[:80])

"""Several predictions over one tok2vec: words, their neighbours, the text, each with its head."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Dict  # noqa: UP035

from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model, Ops
from thinc.types import Floats2d

from ..errors import Errors
from ..types import Loss, Masking, Target, TargetBatch, Tok2Vec
from . import lmao
from .heads import vectors_head
from .predict_rows import (
    Prediction,
    encode_hidden,
    find_tokens,
    keep_unseen,
    predict_nothing,
    predict_rows,
)

# By name of the part; of one part alone where an evaluation asks for it.
Predictions = Mapping[str, Prediction]


@dataclass(frozen=True)
class Part:
    """What one part predicts, how far it is off, and how much that counts."""

    target: Target
    loss: Loss
    weight: float
    hidden_size: int
    maxout_pieces: int


def create_multi_lmao_v1(
    parts: Dict[str, Any],  # noqa: UP006 - `dict[str, Any]` would not survive config filling
    masking: Any,
) -> Callable[[Vocab, Tok2Vec], Model[list[Doc], Predictions]]:
    """Create an objective of several parts, which share the tok2vec and the mask.

    The loss is the sum of the parts' losses, each a mean over its rows that count, times their
    weights. Evaluations tell of the first part. Where a step is shared among processes, a batch
    counts by its words, and a contrastive loss compares within its own batch.

    parts (Dict[str, Any]): Blocks [pretraining.objective.parts.NAME] with `target`, `loss`, and
        optionally `weight` (1.0), `hidden_size` (300, 0 for a linear head), `maxout_pieces` (3).
    masking (Masking): What is hidden, such as `spacy-charlm.WordMasking.v1`.
    RETURNS (Callable[[Vocab, Model], Model]): Builds the model that `spacy pretrain` trains.
    RAISES (ValueError): If a part lacks target or loss, has an unknown setting, or there is none.

    Shapes: nD Docs of nT tokens -> for each part predictions (nR, nO)
    """
    if not callable(masking):
        raise ValueError(Errors.E304.format(name="masking", found=masking))
    if not parts:
        raise ValueError(Errors.E306.format(name="parts", found="none"))
    made = {name: _make_part(name, block) for name, block in parts.items()}
    return partial(build_multi_lmao_v1, parts=made, masking=masking)


def build_multi_lmao_v1(
    vocab: Vocab,
    tok2vec: Tok2Vec,
    *,
    parts: dict[str, Part],
    masking: Masking,
) -> Model[list[Doc], Predictions]:
    """Open the targets and put the heads onto the tok2vec: see `create_multi_lmao_v1`."""
    heads = []
    for part in parts.values():
        part.target.open(vocab)
        nO = part.target.nO * part.target.nParts
        nI = tok2vec.get_dim("nO")
        heads.append(vectors_head(nO, nI, part.hidden_size, part.maxout_pieces))
    model: Model[list[Doc], Predictions] = Model(
        "multi_lmao",
        partial(forward, parts, masking),
        init=lmao.init,
        layers=[tok2vec, *heads],
        refs={"tok2vec": tok2vec, "output_layer": heads[0]},
        attrs={
            "batches": 0,
            "updates": 0,
            "words": 0,
            "target": {name: part.target.describe() for name, part in parts.items()},
            "objective": "spacy-charlm.MultiLMAO.v1",
        },
    )
    model.attrs["loss"] = partial(get_loss, model, parts)
    model.attrs["restart"] = masking.restart
    model.attrs["predict_hidden"] = partial(predict_hidden, model, parts, masking)
    return model


def forward(
    parts: dict[str, Part],
    masking: Masking,
    model: Model[list[Doc], Predictions],
    docs: list[Doc],
    is_train: bool,
) -> tuple[Predictions, Callable[[Mapping[str, Floats2d]], list[Doc]]]:
    """Hide words, encode the batch once, predict each part at its rows that count."""
    ops: Any = model.ops
    model.attrs["batches"] += is_train
    tok2vec, *heads = model.layers
    mask = masking(docs)
    batches = {name: part.target(ops, docs) for name, part in parts.items()}
    counts = {name: len(find_tokens(ops, batch, mask)) for name, batch in batches.items()}
    found: dict[str, Prediction] = {}
    ways_back: dict[str, Callable[[Floats2d], Floats2d]] = {}
    backprop_tok2vec: Any = None
    X: Any = None
    for head, (name, batch) in zip(heads, batches.items()):
        if not counts[name]:
            found[name] = predict_nothing(ops, batch)
            continue
        if X is None:
            X, backprop_tok2vec = encode_hidden(tok2vec, docs, mask, is_train)
        found[name], ways_back[name] = predict_rows(head, X, batch, mask, is_train)

    def backprop(gradients: Mapping[str, Floats2d]) -> list[Doc]:
        if not ways_back:
            return []
        dX: Any = sum(back(gradients[name]) for name, back in ways_back.items())
        backprop_tok2vec(dX)
        lmao.finish_backprop(model, docs)
        return []

    return found, backprop


def get_loss(
    model: Model,
    parts: dict[str, Part],
    ops: Ops,
    docs: list[Doc],
    predictions: Predictions | Prediction,
) -> tuple[float, Any]:
    """Compute the weighted sum of the parts' losses, and its gradient for each of them.

    model (Model): The objective.
    parts (Dict[str, Part]): Its parts.
    ops (Ops): The backend, as spaCy passes it.
    docs (List[Doc]): The batch, named in the error.
    predictions (Mapping[str, Prediction]): What was predicted, by part; or that of the first part
        alone, whose loss is then not weighted.
    RETURNS (Tuple[float, Mapping[str, Floats2d]]): The loss and the gradients, by part.
    RAISES (ValueError): If a loss is not a finite number. The weights are still good.
    """
    if isinstance(predictions, Prediction):
        first = next(iter(parts.values()))
        return lmao.get_loss(model, first.loss, ops, docs, predictions)
    total, gradients = 0.0, {}
    for name, part in parts.items():
        value, gradient = lmao.get_loss(model, part.loss, ops, docs, predictions[name])
        total += part.weight * value
        gradients[name] = gradient * part.weight
    return total, gradients


def predict_hidden(
    model: Model[list[Doc], Predictions],
    parts: dict[str, Part],
    masking: Masking,
    docs: list[Doc],
) -> tuple[Prediction, TargetBatch]:
    """Predict the first part at words that are not seen as they are: see `lmao.predict_hidden`."""
    ops: Any = model.ops
    mask = masking(docs)
    batch = next(iter(parts.values())).target(ops, docs)
    only_hidden = keep_unseen(mask)
    if not len(find_tokens(ops, batch, only_hidden)):
        return predict_nothing(ops, batch), batch
    X, _ = encode_hidden(model.layers[0], docs, only_hidden, is_train=False)
    return predict_rows(model.layers[1], X, batch, only_hidden, is_train=False)[0], batch


def _make_part(name: str, block: Any) -> Part:
    settings = {"weight": 1.0, "hidden_size": 300, "maxout_pieces": 3}
    known = {"target", "loss", *settings}
    if (
        not isinstance(block, dict)
        or not set(block) <= known
        or not {"target", "loss"} <= set(block)
    ):
        found = sorted(block) if isinstance(block, dict) else block
        raise ValueError(Errors.E306.format(name=f"parts.{name}", found=found))
    for key in ("target", "loss"):
        if not callable(block[key]):
            raise ValueError(Errors.E304.format(name=f"parts.{name}.{key}", found=block[key]))
    part = Part(**{**settings, **block})
    if not isinstance(part.weight, (int, float)) or not part.weight > 0:
        raise ValueError(Errors.E307.format(name=name, found=part.weight))
    return part

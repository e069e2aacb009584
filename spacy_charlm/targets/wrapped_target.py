"""Targets that are made from another target, such as the vectors of neighbouring words."""

from collections.abc import Sequence
from typing import Any

import numpy
from spacy.vocab import Vocab
from thinc.api import Ops

from ..errors import Errors
from ..types import Target, TargetBatch


class WrappedTarget:
    """Base class. The kind, unit and width are those of the wrapped target.

    target (Target): The wrapped target, which predicts something at each token.
    RAISES (ValueError): If the unit of the target is not the token.
    """

    def __init__(self, target: Any) -> None:
        if target.unit != "token":
            raise ValueError(Errors.E311.format(expected="token", found=target.unit))
        self.target: Target = target

    def open(self, vocab: Vocab) -> None:
        """Open the wrapped target."""
        self.target.open(vocab)

    @property
    def kind(self) -> str:
        """Kind of the targets: "vectors" or "ids"."""
        return self.target.kind

    @property
    def unit(self) -> str:
        """What a row of a TargetBatch stands for."""
        return self.target.unit

    @property
    def nO(self) -> int:
        """Width of a target vector, or number of ids. Valid after `open`."""
        return self.target.nO

    @property
    def nParts(self) -> int:
        """Number of targets per token."""
        return self.target.nParts

    def describe(self) -> dict[str, Any]:
        """Return the description of the wrapped target, with the name of this one."""
        return {**self.target.describe(), "target": f"spacy-charlm.{type(self).__name__}.v1"}


def move_rows(ops: Ops, batch: TargetBatch, sources: Sequence[numpy.ndarray]) -> TargetBatch:
    """Give each token the targets of other tokens.

    ops (Ops): The backend.
    batch (TargetBatch): The targets of all tokens, with rows (nT, nParts).
    sources (Sequence[ndarray]): For each new part the token whose targets are taken, int64 (nT,).
        -1 for no target.
    RETURNS (TargetBatch): The same values, with rows (nT, nParts * len(sources)).
    """
    xp: Any = ops.xp
    nothing = xp.full((1, batch.rows.shape[1]), -1, dtype="int32")
    rows: Any = xp.vstack([xp.asarray(batch.rows, dtype="int32"), nothing])  # source -1: last row
    return TargetBatch(batch.values, xp.hstack([rows[xp.asarray(source)] for source in sources]))

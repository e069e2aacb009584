"""Vectors of the words around each token: with offsets -1, 0, 1 the trigram."""

from collections.abc import Sequence
from typing import Any

import numpy
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Ops

from ..errors import Errors
from ..types import Target, TargetBatch


class NgramVectors:
    """Predict the vectors of the words at stated offsets from each token, one part for each.

    After "more difficult objectives" of spacy-pretrain-polyaxon: to predict its neighbours, a
    word's vector has to know its place in the sentence.

    target (Target): Where the words' vectors come from.
    offsets (List[int]): Places of the words, counted in tokens from each token on. A place
        outside of the Doc, and a word without a vector, do not count.
    RAISES (ValueError): If there is no offset, or one twice.
    """

    def __init__(self, target: Any, offsets: list[int] = [-1, 0, 1]) -> None:  # noqa: B006
        if not offsets or len(set(offsets)) != len(offsets):
            raise ValueError(Errors.E216.format(found=list(offsets)))
        self.target: Target = target
        self.offsets = list(offsets)

    def open(self, vocab: Vocab) -> None:
        """Open the target of the words."""
        self.target.open(vocab)

    @property
    def nO(self) -> int:
        """Width of one target vector; valid after `open`."""
        return self.target.nO

    @property
    def nParts(self) -> int:
        """Number of target vectors per token: those of the words' target for each offset."""
        return self.target.nParts * len(self.offsets)

    def describe(self) -> dict[str, Any]:
        """Tell which vectors these are, for the card."""
        return {
            **self.target.describe(),
            "target": "spacy-charlm.NgramVectors.v1",
            "offsets": self.offsets,
        }

    def __call__(self, ops: Ops, docs: Sequence[Doc]) -> TargetBatch:
        """Look up the targets of a batch: see `types.Target`.

        **Shapes** docs of nT tokens -> values (nU, nO), rows (nT, nParts)
        """
        batch = self.target(ops, docs)
        source = [find_neighbours([len(doc) for doc in docs], offset) for offset in self.offsets]
        return move_rows(ops, batch, source)


def find_neighbours(lengths: Sequence[int], offset: int) -> numpy.ndarray:
    """Find the token at an offset from each token of a batch.

    lengths (Sequence[int]): Tokens per Doc.
    offset (int): How many tokens away.
    RETURNS (ndarray): Index into the batch's tokens, int64 (nT,); -1 outside of the Doc.
    """
    ends = numpy.cumsum(lengths, dtype="int64")
    ends = numpy.repeat(ends, lengths)
    starts = ends - numpy.repeat(numpy.asarray(lengths, dtype="int64"), lengths)
    found = numpy.arange(len(ends)) + offset
    return numpy.where((found >= starts) & (found < ends), found, -1)


def move_rows(ops: Ops, batch: TargetBatch, sources: Sequence[numpy.ndarray]) -> TargetBatch:
    """Give each token the targets of other tokens, side by side.

    ops (Ops): The backend.
    batch (TargetBatch): The targets of all tokens by themselves.
    sources (Sequence[ndarray]): For each part the token whose targets are taken, int64 (nT,);
        -1 for none.
    RETURNS (TargetBatch): The same values, with the rows (nT, nParts * len(sources)).
    """
    xp: Any = ops.xp
    nothing = xp.full((1, batch.rows.shape[1]), -1, dtype="int32")
    rows: Any = xp.vstack([xp.asarray(batch.rows, dtype="int32"), nothing])  # -1 is the last one
    return TargetBatch(batch.values, xp.hstack([rows[xp.asarray(source)] for source in sources]))

"""The vectors of the words around each token. The offsets -1, 0 and 1 give trigrams."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy
from spacy.tokens import Doc
from thinc.api import Ops

from ..checks import Range, TargetBlock, checked
from ..errors import Errors
from ..types import TargetBatch
from .wrapped_target import WrappedTarget, move_rows


class NgramVectors(WrappedTarget):
    """Predict the vectors of the words at given offsets from each token, one part per offset.

    Follows the "more difficult objectives" of spacy-pretrain-polyaxon. To predict the neighbours of
    a word, its context vector has to contain information about them and their order.

    target (Target): The target of the words, vectors or ids.
    offsets (List[int]): Offsets of the words, in tokens. Recommended value: [-1, 0, 1]. An offset
        that leads out of the Doc, or to a word without a target, does not count.
    RAISES (ValueError): If there is no offset, or an offset occurs twice.
    """

    @checked("spacy-charlm.NgramVectors.v1")
    def __init__(
        self,
        target: TargetBlock,
        offsets: list[Annotated[int, Range(-1000, 1000)]] = [-1, 0, 1],  # noqa: B006
    ) -> None:
        if not offsets or len(set(offsets)) != len(offsets):
            raise ValueError(Errors.E216.format(found=list(offsets)))
        super().__init__(target)
        self.offsets = list(offsets)

    @property
    def nParts(self) -> int:
        """Number of targets per token: those of the words' target, once per offset."""
        return self.target.nParts * len(self.offsets)

    def describe(self) -> dict[str, Any]:
        """Return the description of the words' target and the offsets, for the card."""
        return {**super().describe(), "offsets": self.offsets}

    def __call__(self, ops: Ops, docs: Sequence[Doc]) -> TargetBatch:
        """Look up the targets of a batch: see `types.Target`.

        **Shapes** docs of nT tokens -> values (nU, nO), rows (nT, nParts)
        """
        batch = self.target(ops, docs)
        lengths = [len(doc) for doc in docs]
        return move_rows(ops, batch, [find_neighbours(lengths, n) for n in self.offsets])


def find_neighbours(lengths: Sequence[int], offset: int) -> numpy.ndarray:
    """Find the token at an offset from each token of a batch.

    lengths (Sequence[int]): Tokens per Doc.
    offset (int): Offset in tokens.
    RETURNS (ndarray): Index among the batch's tokens, int64 (nT,); -1 if it is outside the Doc.
    """
    ends = numpy.repeat(numpy.cumsum(lengths, dtype="int64"), lengths)
    starts = ends - numpy.repeat(numpy.asarray(lengths, dtype="int64"), lengths)
    found = numpy.arange(len(ends)) + offset
    return numpy.where((found >= starts) & (found < ends), found, -1)

"""Sizes, the structures that travel between parts, and the protocols of those parts.

nO, nI, nP and nV are thinc's: output width, input width, maxout pieces, table rows. Besides:
nT tokens of a batch, nW its distinct words, nC the characters of those words, nD its Docs,
nU distinct target vectors, nR rows that count in the loss, nA lexical attributes, nF filters,
nM width of a static vector, nParts target vectors per token (one, unless a target says otherwise).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model, Ops
from thinc.types import Floats1d, Floats2d, Ints1d, Ints2d

HIDDEN_CHAR = "\uffff"  # no character of any text: Unicode promises not to assign it
Tok2Vec: TypeAlias = Model[list[Doc], list[Floats2d]]


class MaskedDocs(list[Doc]):
    """A batch of Docs with some words hidden, read by embed layers that know it.

    A list subclass, because `spacy.Tok2Vec.v2` hands its input to the embed layer untouched; the
    Docs themselves stay as they are.

    docs (Sequence[Doc]): The batch.
    hidden (ndarray): Whether each token of the batch is replaced by the mask, bool (nT,).
    source (ndarray): The token of the batch whose word is read in each place, int (nT,): its own
        index, or another where a random word stands in.
    texts (Optional[Mapping[int, str]]): What is read in place of a token's word, such as the word
        with a typo; `HIDDEN_CHAR` stands for a character that is not seen.
    """

    def __init__(
        self,
        docs: Sequence[Doc],
        hidden: np.ndarray,
        source: np.ndarray,
        texts: Mapping[int, str] | None = None,
    ) -> None:
        super().__init__(docs)
        self.hidden = hidden
        self.source = source
        self.texts = texts or {}


@dataclass(frozen=True)
class CharBatch:
    """The distinct words of a batch as characters, and where each of them stands.

    chars (Ints1d): Rows of the character table, int32 (nC,), word after word.
    lower_chars (Ints1d): Those of the same characters in lower case, int32 (nC,).
    char_lengths (Ints1d): Characters per word with its start and end, int32 (nW,), never zero.
    attrs (Ints2d): Lexical attributes of each word, uint64 (nW, nA).
    vectors (Floats2d): Static vector of each word, float32 (nW, nM); zero where it has none or
        where it is hidden, nM = 0 where none are read.
    rows (Ints1d): The word of each token, int32 (nT,).
    lengths (List[int]): Tokens per Doc, nD of them.
    """

    chars: Ints1d
    lower_chars: Ints1d
    char_lengths: Ints1d
    attrs: Ints2d
    vectors: Floats2d
    rows: Ints1d
    lengths: list[int]


@dataclass(frozen=True)
class TargetBatch:
    """What is predicted for the tokens of a batch.

    values (Floats2d): Each distinct target vector once, (nU, nO).
    rows (Ints2d): For each token the row of `values` that is its target, (nT, nParts);
        -1 where the token has none and does not count.
    """

    values: Floats2d
    rows: Ints2d


class Target(Protocol):
    """A source of vectors to predict, registered in `misc`.

    The constructor only keeps its settings: spaCy resolves the [pretraining] block in every
    `spacy train`, too. `open` reads what the settings name and is called once, by the objective.
    """

    def open(self, vocab: Vocab) -> None:
        """Read the vectors and check them."""

    @property
    def nO(self) -> int:
        """Width of one target vector; valid after `open`."""

    @property
    def nParts(self) -> int:
        """Number of target vectors per token."""

    def __call__(self, ops: Ops, docs: Sequence[Doc]) -> TargetBatch:
        """Look up the targets of a batch."""

    def describe(self) -> dict[str, Any]:
        """Name, size and digest for the card: JSON-like, no absolute path."""


@dataclass(frozen=True)
class Mask:
    """Which words of a batch are hidden, by what, and how much each counts in the loss.

    hidden (ndarray): Whether the mask stands in place of the token, bool (nT,).
    source (ndarray): The token whose word is read in each place, int64 (nT,).
    weights (ndarray): Weight of each token in the loss, float32 (nT,); 0 does not count.
    texts (Mapping[int, str]): What is read in place of a token's word, as in `MaskedDocs`.
    """

    hidden: np.ndarray
    source: np.ndarray
    weights: np.ndarray
    texts: Mapping[int, str] = field(default_factory=dict)


class Masking(Protocol):
    """A rule that hides words, registered in `misc`; it owns a seeded generator."""

    def __call__(self, docs: Sequence[Doc]) -> Mask:
        """Draw the mask of a batch."""

    def restart(self, *key: int) -> None:
        """Start the generator anew from its seed and a key, such as step and part of a batch.

        A trainer that resumes, or spreads a batch, asks for the same masks in this way.
        """


class Loss(Protocol):
    """A distance between predicted and target vectors, registered in `misc`.

    One that compares a prediction with other targets than its own says so by an attribute
    `shares_targets = True`; where a batch is spread, it gets those of all parts.
    """

    def __call__(
        self, predicted: Floats2d, targets: TargetBatch, weights: Floats1d
    ) -> tuple[float, Floats2d]:
        """Compute the loss and its gradient.

        predicted (Floats2d): One prediction per row that counts, (nR, nO).
        targets (TargetBatch): `values` (nU, nO), each of them the target of a row that counts, and
            `rows` (nR, 1), all of them >= 0.
        weights (Floats1d): How much each row counts, (nR,), positive.
        RETURNS (Tuple[float, Floats2d]): sum(w * l) / sum(w), and its derivative (nR, nO).
        """

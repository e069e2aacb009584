"""Names of sizes, the data classes that travel between rooms, and protocols.

nO, nI, nP and nV are thinc's: output width, input width, maxout pieces, table rows. In addition:
nT tokens of a batch, nW its distinct words, nC the characters of those words, nD its Docs,
nU distinct target vectors, nR rows that count in the loss, nA lexical attributes, nF filters,
nM width of a static vector, nParts targets per token (one, unless a target says otherwise).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model, Ops
from thinc.types import Floats1d, Floats2d, Ints1d, Ints2d

HIDDEN_CHAR = "\uffff"  # no character of any text: Unicode promises not to assign it
Tok2Vec: TypeAlias = Model[list[Doc], list[Floats2d]]


class MaskedDocs(list[Doc]):
    """A batch of Docs in which some words are hidden, for embed layers that know this class.

    It is a subclass of list because `spacy.Tok2Vec.v2` passes its input to the embed layer
    unchanged. The Docs themselves are not modified.

    docs (Sequence[Doc]): The batch.
    hidden (ndarray): Whether each token of the batch is replaced by the mask, bool (nT,).
    source (ndarray): For each token the token of the batch whose word is read in its place,
        int (nT,): its own index, or another one where a random word replaces it.
    texts (Optional[Mapping[int, str]]): Other spellings by token, such as a word with a typo.
        `HIDDEN_CHAR` stands for a hidden character.
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
class WordChars:
    """The characters of the distinct words of a batch, and the word of each token.

    chars (Ints1d): Rows of the character table, int32 (nC,), word after word.
    lower_chars (Ints1d): Rows of the same characters in lower case, int32 (nC,).
    char_lengths (Ints1d): Characters per word with its start and end, int32 (nW,); at least 2.
    attrs (Ints2d): Lexical attributes of each word, uint64 (nW, nA).
    vectors (Floats2d): Static vector of each word, followed by its features from lists of names,
        float32 (nW, nM); zeros if the word has none or they are hidden. nM = 0 if neither is used.
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
    """What is predicted at the units of a batch: vectors, or ids of a vocabulary.

    values (Optional[Floats2d]): Each distinct target vector once, (nU, nO). None if the target
        predicts ids.
    rows (Ints2d): For each unit the row of `values`, or the id, that it should predict,
        (nUnits, nParts). -1 if the unit has no target; it then adds nothing to the loss.
    """

    values: Floats2d | None
    rows: Ints2d


class Target(Protocol):
    """What an objective predicts, registered in `misc`.

    The constructor only stores its settings, because spaCy resolves the [pretraining] block in
    every `spacy train` as well. `open` reads the files and is called once, by the objective.

    A target of texts also has a method `weigh_tokens(ops, docs)`, which returns a weight per token,
    not negative, float32 (nT,): a text is predicted from the weighted average of the tok2vec's
    vectors of its tokens.
    """

    kind: str  # "vectors" or "ids"
    unit: str  # what a row of a TargetBatch stands for: "token" or "text", that is, a Doc

    def open(self, vocab: Vocab) -> None:
        """Read what the settings name and check it."""

    @property
    def nO(self) -> int:
        """Width of a target vector, or number of ids. Valid after `open`."""

    @property
    def nParts(self) -> int:
        """Number of targets per unit."""

    def __call__(self, ops: Ops, docs: Sequence[Doc]) -> TargetBatch:
        """Look up the targets of a batch."""

    def describe(self) -> dict[str, Any]:
        """Return name, size and digest for the card: JSON-like, no absolute path."""


@dataclass(frozen=True)
class Mask:
    """Which words of a batch are hidden, what replaces them, and how much each token counts.

    hidden (ndarray): Whether the mask replaces the token, bool (nT,).
    source (ndarray): The token whose word is read in place of each token, int64 (nT,).
    weights (ndarray): Weight of each token in the loss, float32 (nT,); 0 does not count.
    texts (Mapping[int, str]): Other spellings by token, as in `MaskedDocs`.
    """

    hidden: np.ndarray
    source: np.ndarray
    weights: np.ndarray
    texts: Mapping[int, str] = field(default_factory=dict)

    @property
    def seen(self) -> np.ndarray:
        """Whether each token's own word is read, perhaps in another spelling, bool (nT,)."""
        return ~self.hidden & (self.source == np.arange(len(self.source)))


class Masking(Protocol):
    """A rule that hides words, registered in `misc`. It owns a seeded generator."""

    def __call__(self, docs: Sequence[Doc]) -> Mask:
        """Draw the mask of a batch."""

    def restart(self, *key: int) -> None:
        """Reseed the generator from its seed and a key, such as the step and shard of a batch.

        A trainer that resumes, or spreads a batch over processes, gets the same masks in this way.
        """


class Loss(Protocol):
    """A loss function, registered in `misc`. `kind` says which targets it fits.

    A loss that compares a prediction with other targets than its own has an attribute
    `shares_targets = True`. If a batch is spread over processes, it gets the targets of all.
    A loss that draws random numbers has a method `restart(*key)` like that of `Masking`.
    """

    kind: str  # "vectors" or "ids"

    def __call__(
        self, predicted: Floats2d, targets: TargetBatch, weights: Floats1d
    ) -> tuple[float, Floats2d]:
        """Compute the loss and its gradient.

        predicted (Floats2d): One predicted vector, or the logits, per row that counts, (nR, nO).
        targets (TargetBatch): For vectors `values` (nU, nO), each of them the target of some row.
            `rows` (nR, 1), all of them >= 0: rows of `values`, or columns of `predicted`.
        weights (Floats1d): Weight of each row, (nR,), positive.
        RETURNS (Tuple[float, Floats2d]): sum(w * l) / sum(w), and its derivative (nR, nO).
        """


class Sample(NamedTuple):
    """The ids whose logits are computed in place of all of them.

    ids (Ints1d): Distinct ids, ascending, (nS,).
    log_weights (Floats1d): Log of the number of ids that each of them stands for, (nS,).
    """

    ids: Ints1d
    log_weights: Floats1d


class IdLoss(Loss, Protocol):
    """A loss for targets that are ids."""

    def sample(self, ops: Ops, ids: Ints1d, nO: int) -> Sample | None:
        """Choose the ids whose logits are needed.

        ops (Ops): The backend.
        ids (Ints1d): The distinct ids that the batch should predict, ascending.
        nO (int): Number of ids in the vocabulary.
        RETURNS (Optional[Sample]): Some ids, all of the batch's among them; None for all ids.
        """


@dataclass(frozen=True)
class Score:
    """One metric of one model, measured with one or several seeds.

    source (str): What was scored: a row of a study, a pipeline, "random weights".
    metric (str): Name of the metric, such as "accuracy" or "cosine".
    values (Tuple[float, ...]): One value per seed. Shares are between 0 and 1, not per cent.
    n_units (int): Number of texts, tokens or words that each value is computed from.
    unit (str): "texts", "tokens" or "words".
    conditions (Mapping[str, str | float]): What else tells the scores of one metric and source
        apart, such as {"typos": "mixed", "rate": 0.1} or {"frequency": "1 to 1,000"}.
    """

    source: str
    metric: str
    values: tuple[float, ...]
    n_units: int = 0
    unit: str = "texts"
    conditions: Mapping[str, str | float] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over the seeds; None for one seed."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    @property
    def n_seeds(self) -> int:
        """Number of seeds."""
        return len(self.values)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, mean, deviation and number of seeds, ready for JSON."""
        return {
            **asdict(self),
            "values": list(self.values),
            "mean": self.mean,
            "deviation": self.deviation,
            "n_seeds": self.n_seeds,
        }

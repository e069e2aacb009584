"""The vector of each token's syntactic head."""

from collections.abc import Sequence
from typing import Any

import numpy
import spacy
from spacy.attrs import HEAD
from spacy.language import Language
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Ops

from ..errors import Errors
from ..types import Target, TargetBatch
from .ngram_vectors import move_rows


class HeadVectors:
    """Predict the vector of each token's head, so that the encoder learns what depends on what.

    After "more difficult objectives" of spacy-pretrain-polyaxon.

    target (Target): Where the words' vectors come from.
    parser (Optional[str]): Name or folder of a pipeline with a parser, for texts without heads.
        None where all texts have them, as those of a .spacy file with a parse.
    """

    def __init__(self, target: Any, parser: str | None = None) -> None:
        self.target: Target = target
        self.parser = parser
        self._nlp: Language | None = None

    def open(self, vocab: Vocab) -> None:
        """Open the target of the words, and load the parser.

        RAISES (ValueError): If there is no such pipeline, or it sets no heads.
        """
        self.target.open(vocab)
        if self.parser is None:
            return
        try:
            self._nlp = spacy.load(self.parser)
        except OSError as err:
            raise ValueError(Errors.E217.format(path=self.parser, found=err)) from err
        analysis: Any = self._nlp.analyze_pipes(keys=["assigns"])
        if "token.head" not in analysis["attrs"]:
            found = ", ".join(self._nlp.pipe_names) or "no components"
            raise ValueError(Errors.E217.format(path=self.parser, found=found))

    @property
    def nO(self) -> int:
        """Width of one target vector; valid after `open`."""
        return self.target.nO

    @property
    def nParts(self) -> int:
        """Number of target vectors per token: those of the words' target."""
        return self.target.nParts

    def describe(self) -> dict[str, Any]:
        """Tell which vectors these are, for the card."""
        meta = self._nlp.meta if self._nlp is not None else None
        name = f"{meta['lang']}_{meta['name']} {meta['version']}" if meta else "gold"
        return {
            **self.target.describe(),
            "target": "spacy-charlm.HeadVectors.v1",
            "heads": name,
        }

    def __call__(self, ops: Ops, docs: Sequence[Doc]) -> TargetBatch:
        """Look up the targets of a batch: see `types.Target`. The root of a sentence has none.

        RAISES (ValueError): If a Doc has no heads and there is no parser.

        **Shapes** docs of nT tokens -> values (nU, nO), rows (nT, nParts)
        """
        batch = self.target(ops, docs)
        parsed = self._parse(docs)
        heads = numpy.concatenate([numpy.zeros(0, "int64"), *map(_offsets, parsed)])
        heads = numpy.where(heads == 0, -1, numpy.arange(len(heads)) + heads)
        return move_rows(ops, batch, [heads])

    def _parse(self, docs: Sequence[Doc]) -> list[Doc]:
        """Give the Docs, or parsed copies of those without heads."""
        bare = [i for i, doc in enumerate(docs) if len(doc) and not doc.has_annotation("DEP")]
        found = list(docs)
        if bare and self._nlp is None:
            raise ValueError(Errors.E218.format(text=docs[bare[0]].text[:80]))
        if bare and self._nlp is not None:
            copies = [_copy(docs[i], self._nlp.vocab) for i in bare]
            for i, doc in zip(bare, self._nlp.pipe(copies)):
                found[i] = doc
        return found


def _offsets(doc: Doc) -> numpy.ndarray:
    """Tokens from each token to its head, int64 (nT,); spaCy gives them as unsigned numbers."""
    return doc.to_array([HEAD]).reshape(-1).astype("uint64").view("int64")


def _copy(doc: Doc, vocab: Vocab) -> Doc:
    spaces = [bool(token.whitespace_) for token in doc]
    return Doc(vocab, words=[token.text for token in doc], spaces=spaces)

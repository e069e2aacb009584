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

from ..checks import TargetBlock, checked
from ..errors import Errors
from ..types import TargetBatch
from .wrapped_target import WrappedTarget, move_rows


class HeadVectors(WrappedTarget):
    """Predict the target of each token's syntactic head.

    Follows the "more difficult objectives" of spacy-pretrain-polyaxon: the tok2vec learns which
    words depend on each other.

    target (Target): The target of the words, vectors or ids.
    parser (Optional[str]): Name or folder of a pipeline with a parser, which parses texts without
        heads. With None all texts must have heads, such as those of a .spacy file with a parse.
    """

    @checked("spacy-charlm.HeadVectors.v1")
    def __init__(self, target: TargetBlock, parser: str | None = None) -> None:
        super().__init__(target)
        self.parser = parser
        self._nlp: Language | None = None

    def open(self, vocab: Vocab) -> None:
        """Open the target of the words and load the parser.

        RAISES (ValueError): If there is no such pipeline, or it sets no heads.
        """
        super().open(vocab)
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

    def describe(self) -> dict[str, Any]:
        """Return the description of the words' target and the parser, for the card."""
        meta = self._nlp.meta if self._nlp is not None else None
        heads = f"{meta['lang']}_{meta['name']} {meta['version']}" if meta else "gold"
        return {**super().describe(), "heads": heads}

    def __call__(self, ops: Ops, docs: Sequence[Doc]) -> TargetBatch:
        """Look up the targets of a batch: see `types.Target`. The root of a sentence has none.

        RAISES (ValueError): If a Doc has no heads and there is no parser.

        **Shapes** docs of nT tokens -> values (nU, nO), rows (nT, nParts)
        """
        batch = self.target(ops, docs)
        offsets = numpy.concatenate(
            [numpy.zeros(0, "int64"), *map(_get_head_offsets, self._parse(docs))]
        )
        # The offset of a root is 0.
        heads = numpy.where(offsets == 0, -1, numpy.arange(len(offsets)) + offsets)
        return move_rows(ops, batch, [heads])

    def _parse(self, docs: Sequence[Doc]) -> list[Doc]:
        """Return the Docs, with parsed copies in place of those without heads."""
        # A single word is the root, whatever a parser says.
        bare = [i for i, doc in enumerate(docs) if len(doc) > 1 and not doc.has_annotation("DEP")]
        parsed = list(docs)
        if not bare:
            return parsed
        if self._nlp is None:
            raise ValueError(Errors.E218.format(text=docs[bare[0]].text[:80]))
        copies = [_copy(docs[i], self._nlp.vocab) for i in bare]
        for i, doc in zip(bare, self._nlp.pipe(copies)):
            parsed[i] = doc
        return parsed


def _get_head_offsets(doc: Doc) -> numpy.ndarray:
    """Return the offset from each token to its head, int64 (nT,)."""
    # spaCy returns these negative numbers as unsigned ones.
    return doc.to_array([HEAD]).reshape(-1).astype("uint64").view("int64")


def _copy(doc: Doc, vocab: Vocab) -> Doc:
    spaces = [bool(token.whitespace_) for token in doc]
    return Doc(vocab, words=[token.text for token in doc], spaces=spaces)

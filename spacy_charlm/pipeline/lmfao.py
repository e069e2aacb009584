"""Real words out: the nearest words of a table to what the pretrained head predicts."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import srsly
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, Token
from spacy.training import Example
from spacy.util import ensure_path, minibatch
from thinc.api import Model, NumpyOps

from ..decoding.neighbours import Neighbours, check_table
from ..decoding.word_table import DTYPES, Scored, WordTable
from ..errors import Errors
from ..types import MaskedDocs, Tok2Vec

MASK = "[MASK]"
WORDS, MARGIN = "charlm_words", "charlm_margin"
HEAD = "head.bin"


@Language.factory(
    "charlm_lmfao",
    default_config={
        "component": "tok2vec",
        "layer": "",
        "k": 5,
        "csls": False,
        "approximate": False,
        "index_dtype": "f16",
    },
    assigns=[f"token._.{WORDS}", f"token._.{MARGIN}"],
)
class CharlmLMFAO(Pipe):
    """Name the words that a pretrained tok2vec sees: at each token, or behind a mask.

    `token._.charlm_words` gets the nearest words of a table with their cosines, the best first (as
    tuples; as lists where the Docs come from another process or a file), `token._.charlm_margin`
    how far the first is ahead of the second. `fill` says what fits behind [MASK], `suggest` what a
    misspelled word may be. The tok2vec has to be as it was pretrained: a tok2vec that was trained
    on since no longer fits the head.

    nlp (Language): The pipeline.
    name (str): Name of the component.
    component (str): Component with the pretrained tok2vec.
    layer (str): Layer in that component's model; "" for a tok2vec component.
    k (int): Words for each token.
    csls (bool): Whether to correct for words that are near to everything: `search_csls`, with the
        table's most frequent words as typical queries.
    approximate (bool): Whether to search a large table by `NeighbourIndex`, which needs the extra
        ann. It is built once, saved with the pipeline, and mapped into memory when it is loaded.
    index_dtype (str): How that index keeps the vectors: "f16", or "i8" for half its size.
    """

    def __init__(
        self,
        nlp: Language,
        name: str,
        *,
        component: str,
        layer: str,
        k: int,
        csls: bool,
        approximate: bool,
        index_dtype: str,
    ) -> None:
        for extension in (WORDS, MARGIN):
            if not Token.has_extension(extension):
                Token.set_extension(extension, default=None)
        if k < 1:
            raise ValueError(Errors.E723.format(found=k))
        if csls and approximate:
            raise ValueError(Errors.E747)
        self.nlp = nlp
        self.name = name
        self.vocab = nlp.vocab
        self._component = component
        self._layer = layer
        self._k = k
        if index_dtype not in DTYPES:
            raise ValueError(Errors.E754.format(expected=" or ".join(DTYPES), found=index_dtype))
        self._make_table = partial(WordTable, csls=csls, approximate=approximate, dtype=index_dtype)
        self._table = self._make_table([], np.zeros((0, 0)))
        self._head: Model | None = None

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]] | None = None,
        *,
        nlp: Language | None = None,
        head: Path | None = None,
        vectors: Path | None = None,
    ) -> None:
        """Read the head and the table: [initialize.components.charlm_lmfao].

        get_examples (Optional[Callable]): Not used.
        nlp (Optional[Language]): The pipeline.
        head (Optional[Path]): What `charlm pretrain` wrote: head-best.bin or head-last.bin.
        vectors (Optional[Path]): The table that it was pretrained on: GloVe or word2vec text, or a
            folder of spaCy vectors with words.
        RAISES (ValueError): If one of them is missing, damaged, or they do not fit together.
        """
        from ..objectives.heads import load_head
        from ..targets.read_vectors import read_table

        self.nlp = nlp or self.nlp
        if head is None or vectors is None:
            raise ValueError(Errors.E745.format(head=head, vectors=vectors))
        path = Path(head)
        if not path.is_file():
            raise ValueError(Errors.E502.format(path=path, found="no such file"))
        words, values = read_table(Path(vectors))
        check_table(np, values)
        self._table = self._make_table(words, values)
        self._set_head(load_head(path.read_bytes(), str(path)))

    def __call__(self, doc: Doc) -> Doc:
        """Name the words of a text."""
        self._annotate([doc])
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Name the words of texts, batch by batch."""
        for docs in minibatch(stream, size=batch_size):
            batch = list(docs)
            self._annotate(batch)
            yield from batch

    def fill(self, text: str, k: int | None = None) -> list[Scored]:
        """Name the words that fit behind each [MASK] of a text.

        text (str): The text.
        k (Optional[int]): How many words; None for the component's own number.
        RETURNS (List[List[Tuple[str, float]]]): Words and cosines for each mask, the best first.
        RAISES (ValueError): If there is no [MASK].
        """
        doc = self._make_masked(text)
        hidden = np.array([token.text == MASK for token in doc], dtype=bool)
        if not hidden.any():
            raise ValueError(Errors.E746.format(text=text[:80]))
        vectors = self.predict(MaskedDocs([doc], hidden, np.arange(len(doc))))
        return self._search(vectors[np.flatnonzero(hidden).tolist()], k)

    def suggest(self, word: str | Token, k: int | None = None) -> Scored:
        """Name the words that a misspelled word may be meant to be.

        word (Union[str, Token]): The word alone, or a token, which is read in its text.
        k (Optional[int]): How many words; None for the component's own number.
        RETURNS (List[Tuple[str, float]]): Words that are spelled alike, with their cosines less
            what the edits cost, the best first; if there are none, the nearest by their cosines.
        """
        k = self._k if k is None else k
        if k < 1:
            raise ValueError(Errors.E723.format(found=k))
        if isinstance(word, Token):
            doc, place = word.doc, word.i
        else:
            if not word or word.isspace():
                return []
            doc, place = Doc(self.vocab, words=[word]), 0
        vector = self.predict([doc])[place : place + 1]
        assert self._head is not None  # or `predict` has said so
        return self._table.suggest(doc[place].text, vector, k, self._head.ops)

    def predict(self, docs: list[Doc]) -> Any:
        """Predict the vectors of tokens, hidden ones too.

        docs (List[Doc]): A batch, or `MaskedDocs`.
        RETURNS (Floats2d): Vectors like those of the table, (nT, nO).
        RAISES (ValueError): If there is no head, or no tok2vec.
        """
        from ..objectives.masking import spell_masks
        from ..objectives.predict_rows import reads_masks
        from .find_tok2vec import find_tok2vec

        if self._head is None:
            raise ValueError(Errors.E745.format(head=None, vectors=None))
        if any(doc.vocab is not self.vocab for doc in docs):
            raise ValueError(Errors.E752.format(name=self.name))
        tok2vec: Tok2Vec = find_tok2vec(self.nlp, self.name, self._component, self._layer)
        if isinstance(docs, MaskedDocs) and not reads_masks(tok2vec):
            docs = spell_masks(docs)
        ops: Any = tok2vec.ops
        X = ops.xp.concatenate(tok2vec.predict(docs))
        if X.shape[1] != self._head.get_dim("nI"):
            expected = self._head.get_dim("nI")
            raise ValueError(Errors.E753.format(expected=expected, found=X.shape[1]))
        return self._head.predict(X)

    @property
    def words(self) -> list[str]:
        """The words of the table, the frequent ones first."""
        return self._table.words

    def exact_search(self) -> Neighbours:
        """The table's rows, for what else can be asked of them."""
        return Neighbours(self._table.values, self._head.ops if self._head else NumpyOps())

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Save the head and the table."""
        head = self._head.to_bytes() if self._head is not None else b""
        return srsly.msgpack_dumps({"table": self._table.to_bytes(), "head": head})

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> "CharlmLMFAO":
        """Load the head and the table."""
        content = srsly.msgpack_loads(data)
        self._table.from_bytes(content["table"])
        return self._load_head(content["head"], "bytes")

    def to_disk(self, path: Any, *, exclude: Iterable[str] = ()) -> None:
        """Save the head and the table, which is mapped into memory when it is loaded."""
        folder = ensure_path(path)
        folder.mkdir(parents=True, exist_ok=True)
        self._table.to_disk(folder)
        (folder / HEAD).write_bytes(self._head.to_bytes() if self._head is not None else b"")

    def from_disk(self, path: Any, *, exclude: Iterable[str] = ()) -> "CharlmLMFAO":
        """Load the head and the table."""
        folder = ensure_path(path)
        self._table.from_disk(folder)
        return self._load_head((folder / HEAD).read_bytes(), str(folder / HEAD))

    def _load_head(self, head: bytes, source: str) -> "CharlmLMFAO":
        from ..objectives.heads import load_head

        if head:
            self._set_head(load_head(head, source))
        return self

    def _set_head(self, head: Model) -> None:
        width = self._table.values.shape[1]
        if head.get_dim("nO") != width:
            raise ValueError(Errors.E722.format(expected=width, found=head.get_dim("nO")))
        self._head = head

    def _annotate(self, docs: list[Doc]) -> None:
        filled = [doc for doc in docs if len(doc)]
        if not filled:
            return
        named = iter(self._search(self.predict(filled), max(self._k, 2)))
        for doc in filled:
            for token, scored in zip(doc, named):
                best = scored[: self._k]
                margin = scored[0][1] - scored[1][1] if len(scored) > 1 else None
                token._.set(WORDS, None if token.is_space else best)
                token._.set(MARGIN, None if token.is_space else margin)

    def _search(self, vectors: Any, k: int | None) -> list[Scored]:
        assert self._head is not None  # or `predict` has said so
        return self._table.search(vectors, self._k if k is None else k, self._head.ops)

    def _make_masked(self, text: str) -> Doc:
        """Tokenise a text in which [MASK] is one token."""
        words: list[str] = []
        spaces: list[bool] = []
        for i, part in enumerate(text.split(MASK)):
            if i:
                words.append(MASK)
                spaces.append(part.startswith(" "))
                part = part.removeprefix(" ")
            for token in self.nlp.make_doc(part):
                words.append(token.text)
                spaces.append(bool(token.whitespace_))
        return Doc(self.vocab, words=words, spaces=spaces)

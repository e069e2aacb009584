"""Words for tokens and masks: those nearest to the vectors that a pretrained head predicts."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import srsly
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, Token
from spacy.training import Example
from spacy.util import ensure_path, minibatch
from thinc.api import NumpyOps

from ..card import name_damage
from ..decoding.neighbours import Neighbours, check_table
from ..decoding.spelling_costs import SpellingCosts
from ..decoding.word_table import DTYPES, Scored, WordTable
from ..errors import Errors
from ..noise.typos import read_misspellings
from ..objectives.heads import Head, load_head
from ..objectives.lmao import reads_masks
from ..objectives.masking import spell_masks
from ..targets.read_vectors import read_table
from ..types import MaskedDocs
from .find_tok2vec import find_tok2vec

MASK = "[MASK]"
WORDS, MARGIN = "charlm_words", "charlm_margin"
HEAD = "head.bin"  # file in the folder of the component


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
    """Find the words nearest to the vectors that a pretrained head predicts for tokens or masks.

    `token._.charlm_words` gets the nearest words of a table with their cosines, best first: a list
    of tuples, or of lists if the Doc comes from another process or a file. `token._.charlm_margin`
    gets the difference between the first two cosines. `fill` finds words for [MASK], and `suggest`
    finds corrections of a misspelled word.

    The tok2vec must have its pretrained weights: the head does not fit a tok2vec that was trained
    further.

    nlp (Language): The pipeline.
    name (str): Name of the component.
    component (str): Component with the pretrained tok2vec.
    layer (str): Layer in that component's model; "" for a tok2vec component.
    k (int): Words per token.
    csls (bool): Whether to correct for words that are near to all vectors, with the most frequent
        words of the table as typical queries. See `Neighbours.search_csls`.
    approximate (bool): Whether to search with `NeighbourIndex`, recommended for large tables. Needs
        the extra `ann`. The index is built once, saved with the pipeline and mapped into memory.
    index_dtype (str): Type of the numbers in that index: "f16", or "i8" for half the size.
    RAISES (ValueError): If a setting is out of range, or csls and approximate are combined.
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
        if index_dtype not in DTYPES:
            raise ValueError(Errors.E754.format(expected=" or ".join(DTYPES), found=index_dtype))
        self.nlp = nlp
        self.name = name
        self.vocab = nlp.vocab
        self._component = component
        self._layer = layer
        self._k = k
        self._table = WordTable(csls=csls, approximate=approximate, dtype=index_dtype)
        self._head: Head | None = None

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]] | None = None,
        *,
        nlp: Language | None = None,
        head: Path | None = None,
        vectors: Path | None = None,
        misspellings: Path | None = None,
    ) -> None:
        """Read the files named in [initialize.components.charlm_lmfao].

        get_examples (Optional[Callable]): Not used.
        nlp (Optional[Language]): The pipeline.
        head (Optional[Path]): File that `charlm pretrain` wrote: head-best.bin or head-last.bin.
        vectors (Optional[Path]): The vectors that the head was pretrained on: GloVe or word2vec
            text, or a folder of spaCy vectors with words.
        misspellings (Optional[Path]): Lines with a misspelling, TAB, the correct word. `suggest`
            learns from 80 % of the correct words how people misspell; the others are held out for
            scores. None for a few general rules.
        RAISES (FileNotFoundError): If there is no file of misspellings.
        RAISES (ValueError): If a file is missing or damaged, if head and vectors have different
            widths, or if there are no misspellings to learn from.
        """
        self.nlp = nlp or self.nlp
        if head is None or vectors is None:
            raise ValueError(Errors.E745.format(head=head, vectors=vectors))
        path = Path(head)
        if not path.is_file():
            raise ValueError(Errors.E502.format(path=path, found="no such file"))
        words, values = read_table(Path(vectors))
        check_table(np, values)
        costs = SpellingCosts()
        if misspellings is not None:
            listed = read_misspellings(Path(misspellings))
            if not listed:
                raise ValueError(Errors.E790.format(path=misspellings, name=self.name))
            costs = SpellingCosts.learn(listed)
        self._table.set_costs(costs)
        self._table.fill(words, values)
        self._set_head(load_head(path.read_bytes(), str(path)))

    def __call__(self, doc: Doc) -> Doc:
        """Annotate the tokens of a text."""
        self._annotate([doc])
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Annotate the tokens of texts, batch by batch."""
        for docs in minibatch(stream, size=batch_size):
            batch = list(docs)
            self._annotate(batch)
            yield from batch

    def fill(self, text: str, k: int | None = None) -> list[Scored]:
        """Find words for each [MASK] in a text.

        text (str): The text.
        k (Optional[int]): Words per mask; None for the component's setting.
        RETURNS (List[List[Tuple[str, float]]]): Words and cosines for each mask, best first.
        RAISES (ValueError): If there is no [MASK].
        """
        doc = self._make_masked(text)
        hidden = np.array([token.text == MASK for token in doc], dtype=bool)
        if not hidden.any():
            raise ValueError(Errors.E746.format(text=text[:80]))
        vectors = self.predict(MaskedDocs([doc], hidden, np.arange(len(doc))))
        return self._search(vectors[np.flatnonzero(hidden).tolist()], k)

    def suggest(self, word: str | Token, k: int | None = None) -> Scored:
        """Suggest corrections of a misspelled word.

        word (Union[str, Token]): A word without context, or a token: what its context predicts
            counts as well.
        k (Optional[int]): Maximum number of words; None for the component's setting.
        RETURNS (List[Tuple[str, float]]): Words with a similar spelling and their scores, best
            first: weighted cosines minus the costs of the edits and of rare words, about the
            logarithm of a probability. If there are none, the nearest words and their cosines.
        RAISES (ValueError): If k is below 1.
        """
        k = self._k if k is None else k
        if k < 1:
            raise ValueError(Errors.E723.format(found=k))
        if isinstance(word, Token):
            doc, i = word.doc, word.i
        else:
            if not word or word.isspace():
                return []
            doc, i = Doc(self.vocab, words=[word]), 0
        ops = self._get_head().ops
        if len(doc) == 1:
            return self._table.suggest(doc[i].text, self.predict([doc]), k, ops)
        # The text is read twice: as it is, and with the word hidden.
        n = len(doc)
        found = self.predict(MaskedDocs([doc, doc], np.arange(2 * n) == n + i, np.arange(2 * n)))
        own, context = found[i : i + 1], found[n + i : n + i + 1]
        return self._table.suggest(doc[i].text, own, k, ops, context)

    def predict(self, docs: list[Doc]) -> Any:
        """Predict the vectors of all tokens of a batch.

        docs (List[Doc]): The batch; `MaskedDocs` to hide words.
        RETURNS (Floats2d): Vectors in the space of the table, (nT, nO).
        RAISES (ValueError): If there is no head or tok2vec, their widths differ, or the Docs are
            those of another pipeline.
        """
        head = self._get_head()
        if any(doc.vocab is not self.vocab for doc in docs):
            raise ValueError(Errors.E752.format(name=self.name))
        tok2vec = find_tok2vec(self.nlp, self.name, self._component, self._layer)
        if isinstance(docs, MaskedDocs) and not reads_masks(tok2vec):
            docs = spell_masks(docs)
        ops: Any = tok2vec.ops
        X = ops.xp.concatenate(tok2vec.predict(docs))
        if X.shape[1] != head.get_dim("nI"):
            raise ValueError(Errors.E753.format(expected=head.get_dim("nI"), found=X.shape[1]))
        return head.predict(X)

    @property
    def words(self) -> list[str]:
        """The words of the table, most frequent first."""
        return self._table.words

    def exact_search(self) -> Neighbours:
        """Return an exact search over the table, for methods such as `Neighbours.rank`."""
        return Neighbours(self._table.values, self._head.ops if self._head else NumpyOps())

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Save the head and the table."""
        head = self._head.to_bytes() if self._head is not None else b""
        return srsly.msgpack_dumps({"table": self._table.to_bytes(), "head": head})

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> "CharlmLMFAO":
        """Load the head and the table."""
        with name_damage("the bytes", Errors.E554):
            content = srsly.msgpack_loads(data)
            self._table.from_bytes(content["table"])
            return self._load_head(content["head"], "the bytes")

    def to_disk(self, path: Any, *, exclude: Iterable[str] = ()) -> None:
        """Save the head and the table."""
        folder = ensure_path(path)
        folder.mkdir(parents=True, exist_ok=True)
        self._table.to_disk(folder)
        (folder / HEAD).write_bytes(self._head.to_bytes() if self._head is not None else b"")

    def from_disk(self, path: Any, *, exclude: Iterable[str] = ()) -> "CharlmLMFAO":
        """Load the head, and map the table into memory."""
        folder = ensure_path(path)
        with name_damage(str(folder), Errors.E554):
            self._table.from_disk(folder)
            return self._load_head((folder / HEAD).read_bytes(), str(folder / HEAD))

    def _load_head(self, head: bytes, source: str) -> "CharlmLMFAO":
        if head:
            self._set_head(load_head(head, source))
        return self

    def _get_head(self) -> Head:
        if self._head is None:
            raise ValueError(Errors.E745.format(head=None, vectors=None))
        return self._head

    def _set_head(self, head: Head) -> None:
        width = self._table.values.shape[1]
        if head.get_dim("nO") != width:
            raise ValueError(Errors.E722.format(expected=width, found=head.get_dim("nO")))
        self._head = head

    def _annotate(self, docs: list[Doc]) -> None:
        filled = [doc for doc in docs if len(doc)]
        if not filled:
            return
        tokens = [token for doc in filled for token in doc]
        found = self._search(self.predict(filled), max(self._k, 2))  # the margin needs two words
        for token, scored in zip(tokens, found):
            margin = scored[0][1] - scored[1][1] if len(scored) > 1 else None
            token._.set(WORDS, None if token.is_space else scored[: self._k])
            token._.set(MARGIN, None if token.is_space else margin)

    def _search(self, vectors: Any, k: int | None) -> list[Scored]:
        return self._table.search(vectors, self._k if k is None else k, self._get_head().ops)

    def _make_masked(self, text: str) -> Doc:
        """Tokenize a text in which [MASK] is one token."""
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

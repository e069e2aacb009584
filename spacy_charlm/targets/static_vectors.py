"""One vector per word or bigram, from a table of word vectors: the usual target of LMAO."""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy
from spacy.attrs import LOWER, ORTH
from spacy.strings import StringStore, get_string_id
from spacy.tokens import Doc
from spacy.vectors import Mode, Vectors
from spacy.vocab import Vocab
from thinc.api import NumpyOps, Ops
from thinc.types import Floats2d

from ..checks import Range, Size, checked
from ..errors import Errors
from ..types import TargetBatch
from .read_vectors import UNKNOWN, read_text_vectors, read_vectors_folder
from .target_tables import (
    BigramTable,
    RowTable,
    SubwordTable,
    TargetTable,
    get_text,
    is_bigram,
)

logger = logging.getLogger("spacy")

MIN_WORDS = 1000  # if none of so many words of the corpus has a target, the vectors do not fit it
N_EXAMPLES = 3  # words that the error then shows
NgramSize = Annotated[int, Range(1, 2)]
Words: TypeAlias = tuple[numpy.ndarray, numpy.ndarray]  # hashes, rows
Bigrams: TypeAlias = tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]  # both hashes, rows


class StaticVectors:
    """Predict the vector of each word, or of each bigram, in a table of word vectors.

    These have no target: words without a vector, white space, words listed in `unknown`, words
    whose vector is all zeros, and in floret mode words of more than 1,000 characters. If no word of
    the table has an upper-case letter, words that are missing from it are looked up in lower case.

    The key of a bigram is its two words with a space between them, such as "not good". Its vector
    is the target of its second word. White space between the two is skipped, and the first word of
    a Doc has no target.

    path (Optional[Path]): A folder of spaCy vectors in default or floret mode (a pipeline, its
        `vocab`, or the output of `spacy init vectors`), or a file in GloVe or word2vec text format,
        plain or gzipped. None for the vectors of the pipeline's vocab.
    unknown (List[str]): Rows of the table that do not belong to a word, such as "<unk>".
    width (Optional[int]): The width that the vectors must have; None for any width.
    ngram (int): 1 for the vectors of words, 2 for those of bigrams.
    """

    kind = "vectors"
    unit = "token"
    nParts = 1

    @checked("spacy-charlm.StaticVectors.v1")
    def __init__(
        self,
        path: Path | None = None,
        unknown: list[str] = UNKNOWN,
        width: Size | None = None,
        ngram: NgramSize = 1,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.unknown = list(unknown)
        self.width = width
        self.ngram = ngram
        self.counts = {"tokens": 0, "targets": 0}
        self._attr: int = ORTH
        self._table: TargetTable | None = None
        self._bigrams: BigramTable | None = None  # None if the table has no bigram
        self._card: dict[str, Any] = {}
        self._examples: list[str] = []
        self._missed: list[str] = []
        self._n_missed = 0

    def open(self, vocab: Vocab) -> None:
        """Read the vectors and check them.

        vocab (Vocab): The pipeline's vocab, whose vectors are used if there is no path.
        RAISES (ValueError): If the vectors are missing, damaged, do not have the width, or lack
            the bigrams.
        """
        self.read(vocab)
        if self.ngram == 2 and self._bigrams is None:
            name, mode = self._card["name"], self._card["mode"]
            words = ", ".join(map(repr, self._examples)) or "none"
            raise ValueError(Errors.E221.format(name=name, mode=mode, found=words))

    def read(self, vocab: Vocab) -> None:
        """Read the vectors, with or without bigrams: see `open`."""
        self._examples = []
        self._bigrams = None
        if self.path is None:
            vectors = vocab.vectors
            found = "none" if isinstance(vectors, Vectors) else f"a {type(vectors).__name__}"
            if not isinstance(vectors, Vectors) or not vectors.size or not vectors.n_keys:
                raise ValueError(Errors.E201.format(found=found))
            self._open_vectors(vectors, vocab.strings, str(vectors.name or "vocab"))
        elif self.path.is_dir():
            vectors = read_vectors_folder(self.path)
            self._open_vectors(vectors, vectors.strings, self.path.resolve().name)
        elif self.path.exists():
            self._open_text(self.path)
        else:
            raise ValueError(Errors.E202.format(path=self.path))
        self.counts = {"tokens": 0, "targets": 0}
        self._missed, self._n_missed = [], 0

    @property
    def nO(self) -> int:
        """Width of a target vector; valid after `open`."""
        return self.describe()["width"]

    def describe(self) -> dict[str, Any]:
        """Return name of the file or folder, rows, width, mode and digest, for the card."""
        if self._table is None:
            raise ValueError(Errors.E215)
        return dict(self._card)

    def __call__(self, ops: Ops, docs: Sequence[Doc]) -> TargetBatch:
        """Look up the targets of a batch: see `types.Target`.

        ops (Ops): The backend on which the targets are needed.
        docs (Sequence[Doc]): The batch. Its Docs need not share the vocab of `open`.
        RETURNS (TargetBatch): Each row of the table once, and the row of each token.
        RAISES (ValueError): If none of the first 1,000 words of the corpus has a target.

        **Shapes** docs of nT tokens -> values (nU, nO), rows (nT, 1)
        """
        words, bigrams = self.find_rows(ops, docs, self.ngram)
        used: Any
        # Words share a row if they differ in case only, or if the table was pruned.
        used, rows = numpy.unique(words if self.ngram == 1 else bigrams, return_inverse=True)
        if len(used) and used[0] < 0:
            used, rows = used[1:], rows - 1
        column: Any = rows.astype("int32").reshape(-1, 1)
        return TargetBatch(self.gather(ops, used), ops.asarray2i(column))

    def find_rows(
        self, ops: Ops, docs: Sequence[Doc], ngram: int
    ) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Find the rows of the words of a batch, and of the bigrams that end at them.

        ops (Ops): The backend on which the vectors are needed.
        docs (Sequence[Doc]): The batch.
        ngram (int): 1 for words alone.
        RETURNS (Tuple[ndarray, ndarray]): Row of each token's word and of its bigram, int64 (nT,);
            -1 if the table lacks it. They are valid until the next call.
        RAISES (ValueError): If none of the first 1,000 words of the corpus has a target.
        """
        if self._table is None:
            raise ValueError(Errors.E215)
        lengths = [len(doc) for doc in docs]
        bigrams = numpy.full(sum(lengths), -1, "int64")
        if not len(bigrams):
            return bigrams, bigrams
        keys, inverse, stores = _find_keys(docs, self._attr)
        words = numpy.asarray(self._table.find(ops, keys.tolist(), stores), "int64")[inverse]
        if ngram == 2 and self._bigrams is not None:
            numbers = self._bigrams.find_words(ops, keys.tolist(), stores)[inverse]
            tokens = numpy.flatnonzero(~find_space(docs))
            numbers, doc_of = (
                numbers[tokens],
                numpy.repeat(numpy.arange(len(docs)), lengths)[tokens],
            )
            first = numpy.where(doc_of[:-1] == doc_of[1:], numbers[:-1], -1)
            bigrams[tokens[1:]] = self._bigrams.find(first, numbers[1:])
        self.counts["tokens"] += len(words)
        self.counts["targets"] += int(numpy.count_nonzero((words >= 0) | (bigrams >= 0)))
        if not self.counts["targets"]:
            self._check_overlap(docs)
        return words, bigrams

    def list_ngrams(self) -> tuple[Words, Bigrams, int]:
        """List the words and bigrams that have a row.

        RETURNS (Tuple[Words, Bigrams, int]): spaCy's hashes of the words and their rows; the hashes
            of the first and second words of the bigrams and their rows; the attribute of a token
            that has these hashes: LOWER if a missing word is looked up in lower case.
        RAISES (ValueError): If the table has no row per word.
        """
        if not isinstance(self._table, RowTable):
            raise ValueError(Errors.E224.format(**self._card))
        no_bigrams = BigramTable({}, lower=self._table.lower)
        bigrams = (self._bigrams or no_bigrams).list_bigrams()
        is_word = ~numpy.isin(list(self._table.key2row.values()), bigrams[2])
        keys = numpy.array(list(self._table.key2row), dtype="uint64")[is_word]
        rows = numpy.array(list(self._table.key2row.values()), dtype="int64")[is_word]
        return (keys, rows), bigrams, LOWER if self._table.lower else self._attr

    def gather(self, ops: Ops, rows: Any) -> Floats2d:
        """Copy the vectors of some rows of the table: see `TargetTable.gather`."""
        if not len(rows) or self._table is None:
            return ops.alloc2f(0, self.nO)
        return self._table.gather(ops, rows)

    def _open_text(self, path: Path) -> None:
        text = read_text_vectors(path)
        if text.duplicates:
            logger.warning(Errors.W201.format(path=path, duplicates=text.duplicates))
        words = list(text.words)
        bad = _find_nonfinite(text.values)
        if bad >= 0:
            where = f"{path}, line {text.lines[bad]}"
            raise ValueError(Errors.E207.format(where=where, word=words[bad]))
        key2row = {get_string_id(word): row for word, row in text.words.items()}
        self._attr = ORTH
        self._open_rows(key2row, text.values, words, path.name)

    def _open_vectors(self, vectors: Vectors, strings: StringStore, name: str) -> None:
        values = NumpyOps().asarray2f(vectors.data)
        bad = _find_nonfinite(values)
        if bad >= 0:
            key = next((key for key, row in vectors.key2row.items() if row == bad), 0)
            word = get_text(key, [strings])
            raise ValueError(Errors.E207.format(where=f"{name}, row {bad}", word=word))
        self._attr = vectors.attr
        if vectors.mode == Mode.floret:
            settings = ("minn", "maxn", "hash_count", "hash_seed", "bow", "eow", "attr")
            subwords = json.dumps([getattr(vectors, setting) for setting in settings])
            self._set_card(name, "floret", values, subwords.encode("utf8"))
            self._table = SubwordTable(vectors, self.unknown)
            return
        words = [strings[key] for key in vectors.key2row if key in strings]
        self._open_rows(dict(vectors.key2row), values, words, name)

    def _open_rows(
        self, key2row: dict[int, int], values: Floats2d, words: list[str], name: str
    ) -> None:
        keys = numpy.fromiter(key2row.keys(), dtype="uint64", count=len(key2row))
        rows = numpy.fromiter(key2row.values(), dtype="int64", count=len(key2row))
        self._set_card(name, "default", values, keys.tobytes() + rows.tobytes())
        left_out = set(numpy.flatnonzero(~values.any(axis=1)).tolist())
        unknown = set(self.unknown)
        left_out.update(key2row.get(get_string_id(word), -1) for word in unknown)
        words = [word for word in words if word not in unknown]
        lower = bool(words) and all(word == word.lower() for word in words)
        kept = {key: row for key, row in key2row.items() if row not in left_out}
        self._examples = words[:N_EXAMPLES]
        self._table = RowTable(kept, values, lower=lower)
        rows_of = {word: kept.get(get_string_id(word), -1) for word in filter(is_bigram, words)}
        found = {word: row for word, row in rows_of.items() if row >= 0}
        self._bigrams = BigramTable(found, lower=lower) if found else None

    def _set_card(self, name: str, mode: str, values: Floats2d, words: bytes) -> None:
        rows, width = values.shape
        if self.width is not None and self.width != width:
            raise ValueError(Errors.E213.format(expected=self.width, found=width, name=name))
        digest = hashlib.blake2b(words, digest_size=8)
        digest.update(numpy.ascontiguousarray(values).data)
        self._card = {
            "target": f"spacy-charlm.{type(self).__name__}.v1",
            "name": name,
            "rows": int(rows),
            "width": int(width),
            "mode": mode,
            "digest": digest.hexdigest(),
            "ngram": self.ngram,
        }

    def _check_overlap(self, docs: Sequence[Doc]) -> None:
        """Raise an error once many words of the corpus have been read, and none has a target."""
        words = [token.text for doc in docs for token in doc if token.text.strip()]
        self._n_missed += len(words)
        self._missed = list(dict.fromkeys(self._missed + words))[:N_EXAMPLES]
        if self._n_missed >= MIN_WORDS:
            table = ", ".join(map(repr, self._examples)) or "floret n-grams, all of them zero"
            text = ", ".join(map(repr, self._missed))
            name, tokens = self._card["name"], self._n_missed
            raise ValueError(Errors.E214.format(name=name, tokens=tokens, table=table, text=text))


def find_space(docs: Sequence[Doc]) -> numpy.ndarray:
    """Tell which tokens of a batch are white space, bool (nT,).

    docs (Sequence[Doc]): The batch, with at least one token.
    """
    # Not the flag IS_SPACE, which a vocab without a language does not set.
    keys, inverse, stores = _find_keys(docs, ORTH)
    return numpy.array([get_text(key, stores).isspace() for key in keys.tolist()])[inverse]


def _find_keys(docs: Sequence[Doc], attr: int) -> tuple[Any, Any, list[StringStore]]:
    """Return the distinct hashes of a batch's words, that of each token, and the string stores."""
    found = numpy.unique(
        numpy.concatenate([doc.to_array(attr) for doc in docs]), return_inverse=True
    )
    return *found, list({id(doc.vocab): doc.vocab.strings for doc in docs}.values())


def _find_nonfinite(values: Any) -> int:
    """Return the first row with a value that is not finite, or -1."""
    # A sum in float64 is finite if and only if all its float32 terms are.
    with numpy.errstate(invalid="ignore"):
        finite = numpy.isfinite(values.sum(axis=1, dtype="float64"))
    return -1 if finite.all() else int(numpy.argmin(finite))

"""Word vectors from a transformer, pooled over the word pieces of each word."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from spacy.tokens import Doc
from spacy.util import logger
from spacy.vocab import Vocab
from thinc.api import Ops

from ..checks import Range, checked
from ..errors import Errors
from ..types import TargetBatch
from .transformer_encoder import Layer, Pieces, TransformerEncoder, digest_model
from .vector_cache import VectorCache, read_facts

POOLINGS = ("mean", "first")
KEY_SIZE = 16


class TransformerVectors:
    """Predict the vector of each word in a transformer, pooled over its word pieces.

    Follows char_lm, whose targets are the input embeddings of DistilBERT (`layer = "pieces"`). The
    vectors of other layers depend on the text around the word. With a cache each text is encoded
    once. If the cache has been filled before training (`charlm vectors cache`), training needs
    neither torch nor the model.

    model (str): Name on the Hugging Face hub, or a folder.
    layer (str, int or List[int]): "pieces" for the input embeddings, "last", the number of a layer
        (0 is the sum of the embeddings), or a list of numbers for the mean of several layers.
    pooling (str): How the pieces of a word are pooled: "mean" or "first".
    cache (Optional[Path]): Folder that keeps the vectors between runs; None for no cache.
    dtype (str): Type of the numbers in the cache: "float16" or "float32".
    max_gigabytes (float): Size of the cache above which nothing is added.
    on_misaligned (str): What happens to a text that has words but no word pieces: "error", or
        "skip" to leave it out and count it.
    revision (str): Revision of the repository on the hub.
    RAISES (ValueError): If a setting has an unknown value.
    """

    kind = "vectors"
    unit = "token"
    nParts = 1

    @checked("spacy-charlm.TransformerVectors.v1")
    def __init__(
        self,
        model: str = "distilbert-base-uncased",
        layer: Layer = "last",
        pooling: str = "mean",
        cache: Path | None = None,
        dtype: str = "float16",
        max_gigabytes: Annotated[float, Range(0, 1e6)] = 20.0,
        on_misaligned: str = "error",
        revision: str = "main",
    ) -> None:
        for name, value, known in (
            ("pooling", pooling, POOLINGS),
            ("dtype", dtype, ("float16", "float32")),
            ("on_misaligned", on_misaligned, ("error", "skip")),
        ):
            if value not in known:
                raise ValueError(
                    Errors.E235.format(name=name, expected=" or ".join(known), found=value)
                )
        self.model = model
        self.layer = layer
        self.pooling = pooling
        self.cache = None if cache is None else Path(cache)
        self.dtype = dtype
        self.max_gigabytes = max_gigabytes
        self.on_misaligned = on_misaligned
        self.revision = revision
        self.skipped = 0
        self._encoder: Any = None
        self._cache: VectorCache | None = None
        self._nO = 0
        self._cached_name = ""

    def open(self, vocab: Vocab) -> None:
        """Open the cache, or load the model if there is no cache yet.

        vocab (Vocab): Not used.
        RAISES (ValueError): If the model cannot be loaded, or the cache is that of another model.
        """
        found = read_facts(self.cache) if self.cache is not None else None
        self._cached_name = found["model"] if found else ""
        self._nO = int(found["nO"]) if found else self._load().nO
        if self.cache is not None:
            facts = {**self._facts(), "nO": self._nO}
            size = int(self.max_gigabytes * 1e9)
            self._cache = VectorCache(self.cache, facts, dtype=self.dtype, max_bytes=size)

    @property
    def nO(self) -> int:
        """Width of a target vector; valid after `open`."""
        return self._nO

    def describe(self) -> dict[str, Any]:
        """Return model, layer, pooling, width and digest, for the card."""
        if not self._nO:
            raise ValueError(Errors.E215)
        return {
            "target": "spacy-charlm.TransformerVectors.v1",
            "name": self._name,
            **self._facts(),
            "width": self._nO,
        }

    def __call__(self, ops: Ops, docs: Sequence[Doc]) -> TargetBatch:
        """Look up the targets of a batch: see `types.Target`.

        RAISES (ValueError): If a text has words but no pieces, and `on_misaligned` is "error".

        **Shapes** docs of nT tokens -> values (nU, nO), rows (nT, 1); nU words have a vector
        """
        rows, values, n_values = [], [np.zeros((0, self._nO), dtype="float32")], 0
        for doc, found in zip(docs, self._look_up(docs)):
            # The row of a word without a piece is NaN.
            has = np.isfinite(found[:, 0]) if len(found) else np.zeros(len(doc), dtype=bool)
            own = np.full(len(doc), -1, dtype="int32")
            own[has] = n_values + np.arange(has.sum())
            n_values += int(has.sum())
            rows.append(own)
            values.append(found[has].astype("float32"))
        all_rows: Any = np.concatenate([np.zeros(0, dtype="int32"), *rows]).reshape(-1, 1)
        all_values: Any = np.concatenate(values)
        return TargetBatch(ops.asarray2f(all_values), ops.asarray2i(all_rows))

    def fill(self, docs: Iterable[Doc]) -> int:
        """Add the vectors of texts to the cache.

        docs (Iterable[Doc]): The texts.
        RETURNS (int): Number of texts that were added: 0 if the cache is full.
        RAISES (ValueError): If the target has no cache.
        """
        cache = self._cache
        if cache is None:
            raise ValueError(Errors.E236)
        missing = [doc for doc in docs if len(doc) and cache.get(make_key(doc)) is None]
        n_before = len(cache)
        if missing and cache.has_room():
            self._look_up(missing)
        return len(cache) - n_before

    def close(self) -> None:
        """Close the files of the cache."""
        if self._cache is not None:
            self._cache.close()

    def _look_up(self, docs: Sequence[Doc]) -> list[np.ndarray]:
        """Return the vectors of each Doc's tokens, (nT, nO); NaN for tokens without a vector."""
        keys = [make_key(doc) for doc in docs]
        cached = self._cache
        found = [cached.get(key) if cached is not None else None for key in keys]
        missing = {keys[i]: doc for i, doc in enumerate(docs) if found[i] is None and len(doc)}
        fresh: dict[bytes, np.ndarray] = {}
        if missing:
            pieces = self._load_for(next(iter(missing.values()))).encode(
                [doc.text for doc in missing.values()]
            )
            for (key, doc), own in zip(missing.items(), pieces):
                fresh[key] = self._pool(doc, own)
                if cached is not None:
                    cached.add(key, fresh[key])
        nothing = np.zeros((0, self._nO), dtype="float32")
        return [
            rows if rows is not None else fresh.get(key, nothing) for rows, key in zip(found, keys)
        ]

    def _pool(self, doc: Doc, pieces: Pieces) -> np.ndarray:
        rows = pool_pieces(doc, pieces, self.pooling)
        if np.isnan(rows[:, 0]).all() and any(not token.is_space for token in doc):
            if self.on_misaligned == "error":
                raise ValueError(Errors.E237.format(model=self._name, text=doc.text[:80]))
            self.skipped += 1
            if self.skipped == 1:
                logger.warning(Errors.W232.format(model=self._name, text=doc.text[:80]))
        return rows

    def _load_for(self, doc: Doc) -> Any:
        """Load the model for a text that is missing from the cache."""
        try:
            return self._load()
        except (ImportError, ValueError) as err:
            if self._cache is None:
                raise
            text = doc.text[:80]
            message = Errors.E238.format(text=text, path=self.cache, needed=err)
            raise type(err)(message) from err

    def _load(self) -> Any:
        if self._encoder is None:
            self._encoder = TransformerEncoder(self.model, self.layer, self.revision)
        return self._encoder

    @property
    def _name(self) -> str:
        """Name of the model, without the path if it is a folder, which may have been removed."""
        folder = Path(self.model)
        return folder.name if folder.is_dir() or folder.name == self._cached_name else self.model

    def _facts(self) -> dict[str, Any]:
        return {
            "model": self._name,
            "revision": self.revision,
            "layer": self.layer,
            "pooling": self.pooling,
            "digest": self._digest,
        }

    @cached_property
    def _digest(self) -> str | None:
        """Digest of the model's files. Cached, because computing it reads all of them."""
        return digest_model(self.model)


def make_key(doc: Doc) -> bytes:
    """Make the key of a text, 16 bytes, from its words and spaces."""
    digest = hashlib.blake2b(digest_size=KEY_SIZE)
    for token in doc:
        digest.update(token.text_with_ws.encode("utf8", "surrogatepass"))
        digest.update(b"\0")
    return digest.digest()


def pool_pieces(doc: Doc, pieces: Pieces, pooling: str) -> np.ndarray:
    """Pool the vectors of the word pieces that overlap each token.

    A piece that overlaps several tokens belongs to all of them: the tokens and pieces of "can't"
    have different boundaries.

    doc (Doc): The text.
    pieces (Pieces): Its word pieces.
    pooling (str): "mean", or "first" for the first piece of each token.
    RETURNS (ndarray): float32 (nT, nO), NaN for tokens that no piece overlaps.
    """
    starts = np.array([token.idx for token in doc], dtype="int64")
    ends = starts + np.array([len(token) for token in doc], dtype="int64")
    sums = np.zeros((len(doc), pieces.vectors.shape[1]), dtype="float32")
    counts = np.zeros(len(doc), dtype="float32")
    first = np.full(len(doc), np.iinfo("int64").max)
    piece_starts, piece_ends = pieces.offsets.T
    # From the first token that ends after the start of the piece to the last one that starts before
    # the end of the piece.
    low = np.searchsorted(ends, piece_starts, side="right")
    high = np.searchsorted(starts, piece_ends, side="left")
    for piece in np.flatnonzero((piece_ends > piece_starts) & (low < high)).tolist():
        for token in range(low[piece], high[piece]):
            if pooling == "first":
                if piece_starts[piece] > first[token]:
                    continue
                if piece_starts[piece] < first[token]:
                    first[token] = piece_starts[piece]
                    sums[token], counts[token] = 0, 0
            sums[token] += pieces.vectors[piece]
            counts[token] += 1
    sums[counts == 0] = np.nan
    return sums / np.maximum(counts, 1).reshape(-1, 1)

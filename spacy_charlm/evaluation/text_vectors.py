"""Vectors of texts and tokens from frozen layers and from target vectors."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc

from ..text.split_texts import make_pieces
from ..training.progress import ShowProgress
from ..types import Target, Tok2Vec
from .labelled_texts import WHOLE_TEXT, Items

# From a batch of Docs to one vector per token (nT, nO), and whether the token counts in the mean
# of its text, bool (nT,).
Encoder: TypeAlias = Callable[[list[Doc]], tuple[np.ndarray, np.ndarray]]

TEXTS_PER_ZONE = 200
WORDS_PER_BATCH = 5000


def encode_by_tok2vec(tok2vec: Tok2Vec) -> Encoder:
    """Read each token with a frozen tok2vec.

    tok2vec (Model[List[Doc], List[Floats2d]]): The layer, initialised.
    RETURNS (Encoder): Every token counts.
    """

    def encode(docs: list[Doc]) -> tuple[np.ndarray, np.ndarray]:
        X = np.vstack([tok2vec.ops.to_numpy(Xd) for Xd in tok2vec.predict(docs)])
        return X, np.ones(len(X), dtype=bool)

    return encode


def encode_by_target(target: Target, tok2vec: Tok2Vec) -> Encoder:
    """Look up the target vectors of each token, its parts side by side.

    target (Target): The target, opened.
    tok2vec (Model): Whose backend is used.
    RETURNS (Encoder): Tokens with a target count; the others have a vector of zeros.
    """

    def encode(docs: list[Doc]) -> tuple[np.ndarray, np.ndarray]:
        batch = target(tok2vec.ops, docs)
        values, rows = tok2vec.ops.to_numpy(batch.values), tok2vec.ops.to_numpy(batch.rows)
        X = np.zeros((*rows.shape, target.nO), dtype="float32")  # (nT, nParts, nO)
        X[rows >= 0] = values[rows[rows >= 0]]
        return X.reshape(len(rows), -1), (rows >= 0).any(axis=1)

    return encode


def encode_items(
    nlp: Language, items: Items, encoders: Mapping[str, Encoder], what: str
) -> dict[str, np.ndarray]:
    """Compute the vectors of texts (the mean over their tokens) or of tokens, in one pass.

    nlp (Language): Whose tokenizer reads the texts that are no Docs yet.
    items (Items): The texts or tokens. Texts of which no item is wanted are not read.
    encoders (Mapping[str, Encoder]): What computes the vectors, by name.
    what (str): What the progress bar calls it.
    RETURNS (Dict[str, ndarray]): One float32 array (len(items), nO) for each encoder.
    """
    order = np.argsort(items.text_of, kind="stable")
    texts, starts = np.unique(items.text_of[order], return_index=True)
    rows_of = dict(zip(texts.tolist(), np.split(order, starts[1:])))
    sums: dict[str, np.ndarray] = {}
    counts = {name: np.zeros(len(items), dtype="float32") for name in encoders}
    progress = ShowProgress(what)
    seen = words = 0
    done = False
    try:
        for docs, owners, n_texts in _batch_texts(nlp, items, texts.tolist()):
            for name, encode in encoders.items():
                X, has = encode(docs)
                if name not in sums:
                    sums[name] = np.zeros((len(items), X.shape[1]), dtype="float32")
                start = 0
                for doc, owner in zip(docs, owners):
                    piece = slice(start, start + len(doc))
                    start += len(doc)
                    rows = rows_of[owner]
                    if items.token_of[rows[0]] == WHOLE_TEXT:
                        sums[name][rows] += X[piece][has[piece]].sum(axis=0)
                        counts[name][rows] += has[piece].sum()
                    else:
                        sums[name][rows] = X[piece][items.token_of[rows]]
                        counts[name][rows] = 1
            seen += n_texts
            words += sum(len(doc) for doc in docs)
            progress.update(seen / len(texts), words)
        done = True
    finally:
        progress.close(done=done)
    return {name: X / np.maximum(counts[name], 1)[:, None] for name, X in sums.items()}


def _batch_texts(
    nlp: Language, items: Items, texts: list[int]
) -> Iterator[tuple[list[Doc], list[int], int]]:
    """Make Docs of the texts, in batches: the Docs, the text of each, how many texts end here.

    The Docs of a batch are valid until the next one, since they live in a memory zone.
    """
    for first in range(0, len(texts), TEXTS_PER_ZONE):
        with nlp.memory_zone():
            docs: list[Doc] = []
            owners: list[int] = []
            n_texts = 0
            for owner in texts[first : first + TEXTS_PER_ZONE]:
                for doc in make_pieces(nlp, items.texts[owner], 0):
                    docs.append(doc)
                    owners.append(owner)
                n_texts += 1
                if sum(map(len, docs)) >= WORDS_PER_BATCH:
                    yield docs, owners, n_texts
                    docs, owners, n_texts = [], [], 0
            if docs:
                yield docs, owners, n_texts

"""Vectors of texts, tokens and words from a frozen tok2vec or from a target."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..pipeline.find_tok2vec import get_tok2vec
from ..text.split_texts import split_text
from ..training.progress import ProgressBar
from ..types import Target, Tok2Vec
from .labelled_texts import WHOLE_TEXT, Items

# From a batch of Docs to one vector per token (nT, nO), and whether the token counts in the mean
# of its text, bool (nT,).
TokenReader: TypeAlias = Callable[[list[Doc]], tuple[np.ndarray, np.ndarray]]

TEXTS_PER_ZONE = 200
TOKENS_PER_BATCH = 5000
WORDS_PER_BATCH = 1000


def embed_texts(
    nlp: Language, texts: Sequence[str | Doc], tok2vec: Tok2Vec | None = None
) -> np.ndarray:
    """Compute one vector per text: the mean over the vectors of its tokens.

    nlp (Language): The pipeline, whose tokenizer reads the texts.
    texts (Sequence[str | Doc]): The texts, of any length.
    tok2vec (Optional[Model[List[Doc], List[Floats2d]]]): The layer that reads the tokens; by
        default that of the pipeline, see `get_tok2vec`.
    RETURNS (ndarray): float32 (nD, nO); zeros for a text without tokens.
    RAISES (ValueError): If the pipeline has no tok2vec.
    """
    tok2vec = tok2vec or get_tok2vec(nlp)
    n = len(texts)
    items = Items(list(texts), np.arange(n), np.full(n, WHOLE_TEXT), np.full(n, ""))
    found = embed_items(nlp, items, {"": read_by_tok2vec(tok2vec)})
    return found.get("", np.zeros((n, tok2vec.get_dim("nO")), dtype="float32"))


def embed_tokens(
    nlp: Language, texts: Sequence[str | Doc], tok2vec: Tok2Vec | None = None
) -> list[np.ndarray]:
    """Compute one vector per token of each text.

    nlp (Language): The pipeline, whose tokenizer reads the texts.
    texts (Sequence[str | Doc]): The texts.
    tok2vec (Optional[Model[List[Doc], List[Floats2d]]]): As in `embed_texts`.
    RETURNS (List[ndarray]): One float32 array (number of tokens, nO) per text.
    RAISES (ValueError): If the pipeline has no tok2vec.
    """
    tok2vec = tok2vec or get_tok2vec(nlp)
    empty = np.zeros((0, tok2vec.get_dim("nO")), dtype="float32")
    found = []
    for text in texts:
        vectors = tok2vec.predict(list(split_text(nlp, text, 0)))
        found.append(np.vstack([empty, *(tok2vec.ops.to_numpy(Xd) for Xd in vectors)]))
    return found


def embed_words(nlp: Language, words: Sequence[str], tok2vec: Tok2Vec | None = None) -> np.ndarray:
    """Compute one vector per word, each read alone, without context.

    nlp (Language): The pipeline.
    words (Sequence[str]): The words; they are not tokenised.
    tok2vec (Optional[Model[List[Doc], List[Floats2d]]]): As in `embed_texts`.
    RETURNS (ndarray): float32 (nW, nO).
    RAISES (ValueError): If the pipeline has no tok2vec.
    """
    return read_words_alone(tok2vec or get_tok2vec(nlp), nlp.vocab)(words)


def read_words_alone(tok2vec: Tok2Vec, vocab: Vocab) -> Callable[[Sequence[str]], np.ndarray]:
    """Make a function that computes the vectors of words, each read alone.

    tok2vec (Model[List[Doc], List[Floats2d]]): The layer.
    vocab (Vocab): The vocab of its pipeline.
    RETURNS (Callable[[Sequence[str]], ndarray]): From words to float32 vectors (nW, nO).
    """

    def read(words: Sequence[str]) -> np.ndarray:
        parts = [np.zeros((0, tok2vec.get_dim("nO")), dtype="float32")]
        for start in range(0, len(words), WORDS_PER_BATCH):
            docs = [Doc(vocab, words=[word]) for word in words[start : start + WORDS_PER_BATCH]]
            parts += [tok2vec.ops.to_numpy(row) for row in tok2vec.predict(docs)]
        return np.concatenate(parts)

    return read


def read_by_tok2vec(tok2vec: Tok2Vec) -> TokenReader:
    """Make a reader that computes the vector of each token with a frozen tok2vec.

    tok2vec (Model[List[Doc], List[Floats2d]]): The layer, initialised.
    RETURNS (TokenReader): Every token counts.
    """

    def read(docs: list[Doc]) -> tuple[np.ndarray, np.ndarray]:
        X = np.vstack([tok2vec.ops.to_numpy(Xd) for Xd in tok2vec.predict(docs)])
        return X, np.ones(len(X), dtype=bool)

    return read


def read_by_target(target: Target, tok2vec: Tok2Vec) -> TokenReader:
    """Make a reader that looks up the target vectors of each token and concatenates its parts.

    target (Target): The target, opened. It predicts vectors, not ids.
    tok2vec (Model): The layer whose backend is used.
    RETURNS (TokenReader): Tokens with a target count; the others get a vector of zeros.
    """

    def read(docs: list[Doc]) -> tuple[np.ndarray, np.ndarray]:
        batch = target(tok2vec.ops, docs)
        values, rows = tok2vec.ops.to_numpy(batch.values), tok2vec.ops.to_numpy(batch.rows)
        X = np.zeros((*rows.shape, target.nO), dtype="float32")  # (nT, nParts, nO)
        X[rows >= 0] = values[rows[rows >= 0]]
        return X.reshape(len(rows), -1), (rows >= 0).any(axis=1)

    return read


def embed_items(
    nlp: Language, items: Items, readers: Mapping[str, TokenReader], title: str = ""
) -> dict[str, np.ndarray]:
    """Compute the vectors of texts (the mean over their tokens) or of tokens, in one pass.

    nlp (Language): The pipeline whose tokenizer reads the texts that are not Docs.
    items (Items): The texts or tokens. Texts without an item are not read.
    readers (Mapping[str, TokenReader]): What computes the vectors, by name.
    title (str): Title of the progress bar; "" for no bar.
    RETURNS (Dict[str, ndarray]): One float32 array (len(items), nO) per reader.
    """
    order = np.argsort(items.text_of, kind="stable")
    texts, starts = np.unique(items.text_of[order], return_index=True)
    rows_of = dict(zip(texts.tolist(), np.split(order, starts[1:])))
    sums: dict[str, np.ndarray] = {}
    counts = {name: np.zeros(len(items), dtype="float32") for name in readers}
    progress = ProgressBar(title) if title else None
    n_read = n_words = 0
    done = False
    try:
        for docs, owners, n_texts in _batch_texts(nlp, items, texts.tolist()):
            for name, read in readers.items():
                X, has = read(docs)
                if name not in sums:
                    sums[name] = np.zeros((len(items), X.shape[1]), dtype="float32")
                start = 0
                for doc, owner in zip(docs, owners):
                    chunk = slice(start, start + len(doc))
                    start += len(doc)
                    rows = rows_of[owner]
                    if items.token_of[rows[0]] == WHOLE_TEXT:
                        sums[name][rows] += X[chunk][has[chunk]].sum(axis=0)
                        counts[name][rows] += has[chunk].sum()
                    else:
                        sums[name][rows] = X[chunk][items.token_of[rows]]
                        counts[name][rows] = 1
            n_read += n_texts
            n_words += sum(len(doc) for doc in docs)
            if progress:
                progress.update(n_read / len(texts), n_words)
        done = True
    finally:
        if progress:
            progress.close(done=done)
    return {name: X / np.maximum(counts[name], 1)[:, None] for name, X in sums.items()}


def _batch_texts(
    nlp: Language, items: Items, texts: list[int]
) -> Iterator[tuple[list[Doc], list[int], int]]:
    """Make Docs of the texts, in batches: the Docs, the text of each, how many texts end here.

    The Docs of a batch are valid until the next one, because they live in a memory zone.
    """
    for first in range(0, len(texts), TEXTS_PER_ZONE):
        with nlp.memory_zone():
            docs: list[Doc] = []
            owners: list[int] = []
            n_texts = 0
            for owner in texts[first : first + TEXTS_PER_ZONE]:
                for doc in split_text(nlp, items.texts[owner], 0):
                    docs.append(doc)
                    owners.append(owner)
                n_texts += 1
                if sum(map(len, docs)) >= TOKENS_PER_BATCH:
                    yield docs, owners, n_texts
                    docs, owners, n_texts = [], [], 0
            if docs:
                yield docs, owners, n_texts

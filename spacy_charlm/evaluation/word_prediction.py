"""Scores of a pipeline with charlm_lmfao: masked words, and suggestions for misspelled words."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import spacy
from spacy.tokens import Doc
from spacy.util import minibatch
from thinc.util import to_numpy

from ..errors import Errors
from ..noise.typos import read_misspellings
from ..pipeline.lmfao import CharlmLMFAO
from ..text.text_corpus import TextCorpus
from ..training.progress import ProgressBar
from ..types import MaskedDocs, Score
from .rank_scores import ALL, Bands, pair_misspellings, score_ranks

MASKED, SUGGESTED = "masked words", "suggestions"
N_SUGGESTIONS = 10
# Rows of the table: its first hundred words make up most of a text.
BANDS: Bands = ((0, 100), (100, 1_000), (1_000, 10_000), (10_000, None))
TEMPERATURES = tuple(np.geomspace(0.01, 1, 25).tolist())
N_FIT = 2_000  # masked words that the temperature is fitted on
BATCH = 64  # Docs at a time


def score_word_prediction(
    pipeline: str,
    text: Path,
    *,
    limit: int = 1_000,
    rate: float = 0.15,
    seed: int = 0,
    misspellings: Path | None = None,
) -> tuple[list[Score], int]:
    """Score a pipeline on masked words of held-out texts, and on misspelled words.

    pipeline (str): Package or folder of a pipeline with charlm_lmfao.
    text (Path): Texts that neither the pretraining nor the table has seen.
    limit (int): Most texts; 0 for all.
    rate (float): Share of the words that are hidden.
    seed (int): Seed that chooses these words.
    misspellings (Optional[Path]): Lines with a misspelling, TAB, the correct word.
    RETURNS (Tuple[List[Score], int]): Scores of `score_masked_words` and `score_suggestions`, and
        the number of words in the table.
    RAISES (ValueError): If the pipeline has no charlm_lmfao, or there is too little text.
    """
    nlp = spacy.load(pipeline)
    component = next((p for _, p in nlp.pipeline if isinstance(p, CharlmLMFAO)), None)
    if component is None:
        raise ValueError(Errors.E748.format(path=pipeline, found=", ".join(nlp.pipe_names)))
    source = Path(pipeline).name
    docs = list(TextCorpus(text, limit=limit)(nlp))
    n_words = max(1, sum(map(len, docs)))
    bar = ProgressBar("Reading")
    scores = score_masked_words(
        component,
        docs,
        rate=rate,
        seed=seed,
        source=source,
        show=lambda words: bar.update(words / n_words, words),
    )
    bar.close(done=True)
    if misspellings is not None:
        bar = ProgressBar("Spelling")
        scores += score_suggestions(component, misspellings, bar.update, source=source)
        bar.close(done=True)
    return scores, len(component.words)


def score_suggestions(
    component: CharlmLMFAO,
    path: Path,
    show: Callable[[float, int], None] = lambda share, n: None,
    source: str = "",
) -> list[Score]:
    """Score suggestions for real misspellings of words that training never draws typos from.

    component (CharlmLMFAO): The component of the pipeline.
    path (Path): Lines with a misspelling, TAB, the correct word.
    show (Callable[[float, int], None]): Called with the share and number of words that are done.
    source (str): Name of the pipeline.
    RETURNS (List[Score]): P@1, P@10 and MRR: see `score_ranks`.
    """
    typed = read_misspellings(path, held_out=True)
    pairs = pair_misspellings(component.words, typed)
    ranks = np.full(len(pairs), np.inf)
    for i, (word, row) in enumerate(pairs):
        found = [suggested for suggested, _ in component.suggest(word, N_SUGGESTIONS)]
        if component.words[row] in found:
            ranks[i] = found.index(component.words[row])
        show((i + 1) / len(pairs), i + 1)
    rows = np.array([row for _, row in pairs], dtype="int64")
    return score_ranks(source, ranks, rows, len(component.words), task=SUGGESTED)


def score_masked_words(
    component: CharlmLMFAO,
    docs: Iterable[Doc],
    *,
    rate: float = 0.15,
    seed: int = 0,
    source: str = "",
    show: Callable[[int], None] = lambda words: None,
) -> list[Score]:
    """Hide words of held-out texts and look for them among all words of the table.

    Every second text only serves to fit the temperature of the softmax.

    component (CharlmLMFAO): The component of the pipeline.
    docs (Iterable[Doc]): Texts that neither the pretraining nor the table has seen.
    rate (float): Share of the tokens that are hidden.
    seed (int): Seed that chooses these tokens.
    source (str): Name of the pipeline.
    show (Callable[[int], None]): Called after each batch with the number of words read.
    RETURNS (List[Score]): P@1, P@10 and MRR (see `score_ranks`), the cosine with the vector of the
        right word, and the perplexity of a softmax of the cosines over the table. Then the
        "temperature" of that softmax, and "no_target": the share of the hidden words that the
        table lacks.
    RAISES (ValueError): If fewer than two texts have a masked word of the table.
    """
    if not 0 < rate <= 1:
        raise ValueError(Errors.E729.format(found=f"a rate of {rate}"))
    rng = np.random.default_rng(seed)
    row_of = {word: row for row, word in reversed(list(enumerate(component.words)))}
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    n_hidden = n_read = n_docs = 0
    for batch in minibatch(docs, BATCH):
        filled = [doc for doc in batch if len(doc)]
        tokens = [token for doc in filled for token in doc]
        hidden = rng.random(len(tokens)) < rate
        hidden &= np.array([not token.is_space for token in tokens], dtype=bool)
        rows = np.array(
            [row_of.get(t.text, row_of.get(t.lower_, -1)) for t in tokens], dtype="int64"
        )
        text = np.repeat(np.arange(len(filled)), [len(doc) for doc in filled]) + n_docs
        counts = hidden & (rows >= 0)
        if counts.any():
            found = component.predict(MaskedDocs(filled, hidden, np.arange(len(tokens))))
            parts.append((to_numpy(found)[counts], rows[counts], text[counts] % 2 == 1))
        n_hidden += int(hidden.sum())
        n_docs, n_read = n_docs + len(filled), n_read + len(tokens)
        show(n_read)
    if not parts or len({fit for _, _, fits in parts for fit in fits.tolist()}) < 2:
        raise ValueError(Errors.E729.format(found=f"{n_docs} texts, {n_hidden} masked words"))
    table = component.exact_search()
    vectors, rows, fits = (np.concatenate(column) for column in zip(*parts))
    fit = np.flatnonzero(fits)[:N_FIT]
    likelihood = to_numpy(table.log_probability(vectors[fit], rows[fit], TEMPERATURES)).mean(axis=1)
    temperature = TEMPERATURES[int(likelihood.argmax())]
    no_target = 1 - len(rows) / n_hidden
    vectors, rows = vectors[~fits], rows[~fits]
    cosines = to_numpy(table.cosine(vectors, rows))
    log_p = to_numpy(table.log_probability(vectors, rows, [temperature]))[0]
    ranks = to_numpy(table.rank(vectors, rows))
    scores = score_ranks(
        source,
        ranks,
        rows,
        len(table),
        bands=BANDS,
        task=MASKED,
        more=lambda chosen: {
            "cosine": float(cosines[chosen].mean()),
            "perplexity": float(np.exp(-log_p[chosen].mean())),
        },
    )
    whole = {"task": MASKED, "frequency": ALL}
    scores.append(Score(source, "temperature", (temperature,), len(fit), "words", whole))
    scores.append(Score(source, "no_target", (no_target,), n_hidden, "words", whole))
    return scores

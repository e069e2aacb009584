"""Which words does a pipeline with charlm_lmfao see behind masks, and how sure is it?"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from spacy.tokens import Doc
from spacy.util import minibatch
from thinc.util import to_numpy

from ..errors import Errors
from ..noise.typos import TRAINING_SHARE, read_misspellings
from ..pipeline.lmfao import CharlmLMFAO
from ..types import MaskedDocs
from .rank_scores import Bands, RankScore, pair_misspellings, score_ranks

K = 10


def score_suggestions(
    component: CharlmLMFAO, path: Path, show: Callable[[float, int], None] = lambda share, n: None
) -> list[RankScore]:
    """Score real misspellings, of the words that no noise is drawn from in training.

    component (CharlmLMFAO): The pipeline's component.
    path (Path): Misspelling TAB correct word.
    show (Callable[[float, int], None]): Told the share of the words that are done, and how many.
    RETURNS (List[RankScore]): All words, then those of each band that has some.
    """
    typed = read_misspellings(path, share=TRAINING_SHARE, rest=True)
    pairs = pair_misspellings(component.words, typed)
    ranks = np.full(len(pairs), np.inf)
    for i, (word, row) in enumerate(pairs):
        found = [suggested for suggested, _ in component.suggest(word, K)]
        if component.words[row] in found:
            ranks[i] = found.index(component.words[row])
        show((i + 1) / len(pairs), i + 1)
    rows = np.array([row for _, row in pairs], dtype="int64")
    return [score for score, _ in score_ranks(ranks, rows, len(component.words))]


# Places of words in the table: its first hundred are most of what a text is made of.
BANDS: Bands = ((0, 100), (100, 1_000), (1_000, 10_000), (10_000, None))
TEMPERATURES = tuple(np.geomspace(0.01, 1, 25).tolist())
N_FIT = 2_000  # masked words that the temperature is fitted on
BATCH = 64  # Docs at a time


@dataclass(frozen=True)
class MaskedScore(RankScore):
    """How well masked words are found.

    cosine (float): Mean cosine with the right word's vector.
    perplexity (float): Of a softmax of the cosines over the whole table.
    """

    cosine: float
    perplexity: float


@dataclass(frozen=True)
class MaskedScores:
    """What `score_masked_words` has found.

    scores (List[MaskedScore]): All words, then each band that has some.
    temperature (float): Fitted on masked words that count in no score.
    candidates (int): Words of the table.
    no_target (float): Share of the masked words that the table lacks.
    """

    scores: list[MaskedScore]
    temperature: float
    candidates: int
    no_target: float


def score_masked_words(
    component: CharlmLMFAO,
    docs: Iterable[Doc],
    *,
    rate: float = 0.15,
    seed: int = 0,
    show: Callable[[int], None] = lambda words: None,
) -> MaskedScores:
    """Hide words of held-out texts, and look for them among all words of the table.

    Every other text serves to fit the temperature of the softmax, and counts in no score.

    component (CharlmLMFAO): The pipeline's component.
    docs (Iterable[Doc]): Texts that neither the pretraining nor the table has seen.
    rate (float): Share of the tokens to hide.
    seed (int): Which ones.
    show (Callable[[int], None]): Told the number of words read, batch by batch.
    RETURNS (MaskedScores): Scores by frequency.
    RAISES (ValueError): If fewer than two texts have a masked word of the table.
    """
    if not 0 < rate <= 1:
        raise ValueError(Errors.E729.format(found=f"a rate of {rate}"))
    rng = np.random.default_rng(seed)
    place = {word: row for row, word in reversed(list(enumerate(component.words)))}
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    hidden_words = read = n_docs = 0
    for batch in minibatch(docs, BATCH):
        masked = [doc for doc in batch if len(doc)]
        tokens = [token for doc in masked for token in doc]
        hidden = rng.random(len(tokens)) < rate
        hidden &= np.array([not token.is_space for token in tokens], dtype=bool)
        rows = np.array([place.get(t.text, place.get(t.lower_, -1)) for t in tokens], dtype="int64")
        text = np.repeat(np.arange(len(masked)), [len(doc) for doc in masked]) + n_docs
        counts = hidden & (rows >= 0)
        if counts.any():
            found = component.predict(MaskedDocs(masked, hidden, np.arange(len(tokens))))
            parts.append((to_numpy(found)[counts], rows[counts], text[counts] % 2 == 1))
        hidden_words += int(hidden.sum())
        n_docs, read = n_docs + len(masked), read + len(tokens)
        show(read)
    if not parts or len({fit for _, _, fits in parts for fit in fits.tolist()}) < 2:
        raise ValueError(Errors.E729.format(found=f"{n_docs} texts, {hidden_words} masked words"))
    table = component.exact_search()
    vectors, rows, fits = (np.concatenate(column) for column in zip(*parts))
    fit = np.flatnonzero(fits)[:N_FIT]
    likelihood = to_numpy(table.log_probability(vectors[fit], rows[fit], TEMPERATURES)).mean(axis=1)
    temperature = TEMPERATURES[int(likelihood.argmax())]
    scored = _score(table, vectors[~fits], rows[~fits], temperature)
    return MaskedScores(scored, temperature, len(component.words), 1 - len(rows) / hidden_words)


def _score(
    table: Any, vectors: np.ndarray, rows: np.ndarray, temperature: float
) -> list[MaskedScore]:
    ranks = to_numpy(table.rank(vectors, rows))
    cosines = to_numpy(table.cosine(vectors, rows))
    log_p = to_numpy(table.log_probability(vectors, rows, [temperature]))[0]
    return [
        MaskedScore(
            **asdict(score),
            cosine=float(cosines[chosen].mean()),
            perplexity=float(np.exp(-log_p[chosen].mean())),
        )
        for score, chosen in score_ranks(ranks, rows, len(table), BANDS)
    ]

"""Scores of a pipeline with charlm_lmfao: masked words, and suggestions for misspelled words."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import spacy
from spacy.pipeline import Sentencizer
from spacy.tokens import Doc, Token
from spacy.util import minibatch
from thinc.util import to_numpy

from ..errors import Errors
from ..noise.typos import match_case, read_misspellings
from ..pipeline.lmfao import CharlmLMFAO
from ..text.text_corpus import TextCorpus
from ..training.progress import ProgressBar
from ..types import MaskedDocs, Score
from .rank_scores import ALL, Bands, pair_misspellings, score_ranks

MASKED, SUGGESTED = "masked words", "suggestions"
IN_TEXT, ALONE = "misspelled words in text", "the same words without their text"
N_SUGGESTIONS = 10
N_SENTENCES = 1_000  # in which one word is misspelled
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
    seed (int): Seed that chooses these words, and those to misspell.
    misspellings (Optional[Path]): Lines with a misspelling, TAB, the correct word.
    RETURNS (Tuple[List[Score], int]): Scores of `score_masked_words`, `score_suggestions` and
        `score_suggestions_in_text`, and the number of words in the table.
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
        bar = ProgressBar("Spelling in text")
        scores += score_suggestions_in_text(
            component, docs, misspellings, bar.update, seed=seed, source=source
        )
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
    ranks = []
    for i, (word, row) in enumerate(pairs, start=1):
        ranks.append(_rank_suggestion(component, word, row))
        show(i / len(pairs), i)
    return _score(component, source, ranks, [row for _, row in pairs], SUGGESTED)


def score_suggestions_in_text(
    component: CharlmLMFAO,
    docs: Iterable[Doc],
    path: Path,
    show: Callable[[float, int], None] = lambda share, n: None,
    *,
    limit: int = N_SENTENCES,
    seed: int = 0,
    source: str = "",
) -> list[Score]:
    """Misspell a word in each of some sentences, and score what is suggested for it.

    The misspellings are those of `score_suggestions`. Of the words of a sentence that have any, the
    one is misspelled that was so least often before: otherwise a few frequent words would count
    alone.

    component (CharlmLMFAO): The component of the pipeline.
    docs (Iterable[Doc]): Texts that neither the pretraining nor the table has seen.
    path (Path): Lines with a misspelling, TAB, the correct word.
    show (Callable[[float, int], None]): Called with the share and number of sentences that are
        done.
    limit (int): Most sentences.
    seed (int): Seed that chooses sentences and misspellings.
    source (str): Name of the pipeline.
    RETURNS (List[Score]): P@1, P@10 and MRR with the context, and then without it.
    """
    typed: dict[str, list[tuple[str, int]]] = {}
    for word, row in pair_misspellings(component.words, read_misspellings(path, held_out=True)):
        typed.setdefault(component.words[row], []).append((word, row))
    sentences = []
    split = Sentencizer()
    for doc in docs:
        for sentence in split(doc).sents:
            places = [i for i, token in enumerate(sentence) if token.lower_ in typed]
            if places and len(sentence) > 1:
                sentences.append((sentence, places))
    rng = random.Random(seed)
    rng.shuffle(sentences)
    sentences = sentences[:limit]
    n_used: Counter[str] = Counter()
    in_text, alone, rows = [], [], []
    for n, (sentence, places) in enumerate(sentences, start=1):
        at = min(places, key=lambda i: n_used[sentence[i].lower_])
        meant = sentence[at]
        n_used[meant.lower_] += 1
        word, row = rng.choice(typed[meant.lower_])
        words = [token.text for token in sentence]
        words[at] = word = match_case(word, meant.text)
        spaces = [bool(token.whitespace_) for token in sentence]
        doc = Doc(component.vocab, words=words, spaces=spaces)
        in_text.append(_rank_suggestion(component, doc[at], row))
        alone.append(_rank_suggestion(component, word, row))
        rows.append(row)
        show(n / len(sentences), n)
    return [
        *_score(component, source, in_text, rows, IN_TEXT),
        *_score(component, source, alone, rows, ALONE),
    ]


def _rank_suggestion(component: CharlmLMFAO, word: str | Token, row: int) -> float:
    """Count the suggestions before the right word; infinity if it is not suggested."""
    found = [suggested for suggested, _ in component.suggest(word, N_SUGGESTIONS)]
    right = component.words[row]
    return float(found.index(right)) if right in found else np.inf


def _score(
    component: CharlmLMFAO, source: str, ranks: list[float], rows: list[int], task: str
) -> list[Score]:
    n_words = len(component.words)
    return score_ranks(source, np.array(ranks), np.array(rows, dtype="int64"), n_words, task=task)


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

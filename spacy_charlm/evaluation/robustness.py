"""Scores of pipelines on texts with typos."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.language import Language
from spacy.training import Corpus, Example
from spacy.util import is_package

from ..errors import Errors
from ..files import name_paths
from ..noise.noisy_examples import make_noisy_example
from ..noise.typos import COMMON_KINDS, Typos, check_rate
from ..training.progress import ProgressBar
from ..types import Score

# The main score of each kind of component; spans_*_f of all span groups come in addition.
METRICS = (
    "cats_score",
    "ents_f",
    "tag_acc",
    "pos_acc",
    "morph_acc",
    "lemma_acc",
    "dep_las",
    "sents_f",
)
MIXED = "mixed"
EDITED = "edited"  # the metric that is the share of words with a typo
BATCH = 32  # Docs at a time; with long texts the 256 of most configs take twice as long


def measure_robustness(
    pipelines: Sequence[str],
    data: Path,
    *,
    rates: Sequence[float],
    kinds: Sequence[str],
    seeds: int = 3,
    limit: int = 0,
    misspellings: Path | None = None,
) -> list[Score]:
    """Score pipelines on texts with more and more typos, which are the same for all of them.

    pipelines (Sequence[str]): Folders or packages of any spaCy pipelines. A folder of trainings
        with several seeds counts as one pipeline; see `find_members`.
    data (Path): A .spacy file, or a folder of them, with the labels that the pipelines predict.
    rates (Sequence[float]): Shares of words with a typo; 0 is added.
    kinds (Sequence[str]): Kinds of `Typos`, and "mixed" for the five common ones.
    seeds (int): Seeds of the typos per rate.
    limit (int): Most texts; 0 for all.
    misspellings (Optional[Path]): For the kind "natural": lines with a misspelling, TAB, the
        correct word. Only words that training never draws typos from are used.
    RETURNS (List[Score]): For each pipeline, metric, kind ("typos") and rate: one value per seed
        of the typos and of the training. The metric "edited" is the share of words with a typo,
        which is less than the rate if not all words can take that kind.
    RAISES (ValueError): If nothing can be scored, or a kind is unknown.
    """
    rates = sorted({0.0, *map(check_rate, rates)})
    typos = {kind: _make_typos(kind, misspellings) for kind in kinds}
    for some in typos.values():
        some.load()
    members = {name: find_members(name) for name in pipelines}
    every = [member for some in members.values() for member in some]
    _check_names(every)
    # All of them before the typos, which take much longer.
    clean_scores = {member: _score_clean(member, data, limit) for member in every}
    scores: list[Score] = []
    for name, source in zip(pipelines, name_paths([Path(name) for name in pipelines])):
        values: dict[tuple[str, str, float], list[float]] = {}
        progress = ProgressBar(source)
        n_runs = len(members[name]) * (1 + len(typos) * (len(rates) - 1) * seeds)
        n_done = n_words = 0
        for member in members[name]:
            nlp = load_pipeline(member)
            examples = _read_examples(nlp, data, limit)
            words = sum(len(example.reference) for example in examples)
            clean = {**clean_scores[member], EDITED: 0.0}
            n_done += 1
            # First of all, so that the scores are in the order of the curves.
            for key in product(typos, clean, rates):
                values.setdefault(key, [])
            for kind in typos:
                for metric, value in clean.items():
                    values[kind, metric, 0.0].append(value)
                for rate, typo_seed in product(rates[1:], range(seeds)):
                    found = _score_noisy(nlp, examples, typos[kind].at(rate), typo_seed)
                    for metric in clean:
                        values[kind, metric, rate].append(found.get(metric, 0.0))
                    n_done += 1
                    n_words += words
                    progress.update(n_done / n_runs, n_words)
        progress.close(done=True)
        for (kind, metric, rate), some in values.items():
            n, unit = (words, "words") if metric == EDITED else (len(examples), "texts")
            conditions: dict[str, str | float] = {"typos": kind, "rate": rate}
            scores.append(Score(source, metric, tuple(some), n, unit, conditions))
    return scores


def find_members(name: str) -> list[str]:
    """List the pipelines that a name stands for.

    name (str): A package, the folder of a pipeline, or a folder of trainings with several seeds.
        Each of these is a pipeline or has one in `model-best` or `model-last`.
    RETURNS (List[str]): The pipelines, at least one.
    """
    folder = Path(name)
    found = _find_pipeline(folder)
    if folder.is_dir() and not found:
        found = [path for child in sorted(folder.iterdir()) for path in _find_pipeline(child)]
    return found or [name]


def _find_pipeline(folder: Path) -> list[str]:
    """Find the best pipeline of a training, else the last one, else the folder itself."""
    found = [folder / "model-best", folder / "model-last", folder]
    return [str(path) for path in found if (path / "config.cfg").exists()][:1]


def _check_names(names: Sequence[str]) -> None:
    """Raise an error for a name that is no pipeline before the first one is scored."""
    for name in names:
        if not Path(name).exists() and not is_package(name):
            raise ValueError(Errors.E661.format(path=name, found="no such folder or package"))


def _score_clean(name: str, data: Path, limit: int) -> dict[str, float]:
    nlp = load_pipeline(name)
    scores = _score(nlp, _read_examples(nlp, data, limit))
    if not scores:
        raise ValueError(Errors.E660.format(path=data, found=f"none for {name}"))
    return scores


def _score_noisy(
    nlp: Language, examples: Sequence[Example], typos: Typos, seed: int
) -> dict[str, float]:
    """Score texts with typos. An entity that fits no token any more counts as missed."""
    rng = np.random.default_rng([seed, round(typos.rate * 1000)])
    made = [make_noisy_example(nlp, one, typos, rng, drop_spans=False) for one in examples]
    words = sum(counts.words for _, counts in made)
    edited = sum(counts.edited for _, counts in made) / max(1, words)
    return {**_score(nlp, [one for one, _ in made]), EDITED: edited}


def _make_typos(kind: str, misspellings: Path | None) -> Typos:
    kinds = COMMON_KINDS if kind == MIXED else [kind]
    try:
        return Typos(0.0, kinds, misspellings=misspellings, held_out=True)
    except ValueError as err:
        raise ValueError(f"{err} '{MIXED}' stands for {', '.join(COMMON_KINDS)}.") from None


def load_pipeline(name: str) -> Language:
    """Load a pipeline; raise a ValueError if there is none."""
    try:
        return spacy.load(name)
    except (OSError, ValueError, ImportError) as err:  # [E048] is an ImportError
        raise ValueError(Errors.E661.format(path=name, found=str(err))) from err


def _read_examples(nlp: Language, path: Path, limit: int) -> list[Example]:
    if not path.is_dir() and not (path.is_file() and path.suffix == ".spacy"):
        raise ValueError(Errors.E660.format(path=path, found="no such .spacy file or folder"))
    try:
        return list(Corpus(path, limit=limit)(nlp))
    except ValueError as err:
        raise ValueError(Errors.E660.format(path=path, found=str(err))) from err


def _score(nlp: Language, examples: list[Example]) -> dict[str, float]:
    scores: dict[str, Any] = nlp.evaluate(examples, batch_size=BATCH) if examples else {}
    if not any(example.reference.cats for example in examples):
        scores.pop("cats_score", None)  # which is 0 without categories
    spans = [name for name in scores if name.startswith("spans_") and name.endswith("_f")]
    return {name: scores[name] for name in (*METRICS, *spans) if scores.get(name) is not None}

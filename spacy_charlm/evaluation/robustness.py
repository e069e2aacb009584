"""How much a pipeline loses where people mistype."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.language import Language
from spacy.training import Corpus, Example
from spacy.util import is_package

from ..errors import Errors
from ..noise.noisy_examples import make_noisy_example
from ..noise.typos import COMMON_KINDS, Typos, check_rate

# The scores that a reader looks for first, of each component.
METRICS = {
    "cats_score": "textcat",
    "ents_f": "entities F",
    "tag_acc": "tags",
    "pos_acc": "parts of speech",
    "morph_acc": "morphology",
    "lemma_acc": "lemmas",
    "dep_las": "LAS",
    "sents_f": "sentences F",
}
Draw = tuple[dict[str, float], float]  # the scores, and the share of the words that was edited
MIXED = "mixed"
BATCH = 32  # Docs at a time: of long texts the 256 of most configs are twice as slow


@dataclass(frozen=True)
class Curve:
    """The scores of a pipeline by one metric at one kind of typo.

    pipeline (str): Its name.
    metric (str): The name of the score: a key of METRICS, or that of a group of spans.
    kind (str): A kind of typo, or "mixed".
    rates (List[float]): Shares of words with an edit that were asked for, from 0.
    scores (List[List[float]]): For each rate the score with each seed of the typos and of the
        training, from 0 to 1.
    edited (List[float]): For each rate the share of the words that were edited: less than the rate
        where not all words can take that kind of edit.
    """

    pipeline: str
    metric: str
    kind: str
    rates: list[float]
    scores: list[list[float]]
    edited: list[float]

    def means(self) -> list[float]:
        """Mean over the seeds at each rate."""
        return [float(np.mean(scores)) for scores in self.scores]

    def deviations(self) -> list[float]:
        """Standard deviation over the seeds at each rate; 0 for one seed."""
        return [float(np.std(s, ddof=1)) if len(s) > 1 else 0.0 for s in self.scores]


def measure_robustness(
    pipelines: Sequence[str],
    data: Path,
    *,
    rates: Sequence[float],
    kinds: Sequence[str],
    seeds: int = 3,
    limit: int = 0,
    misspellings: dict[str, list[str]] | None = None,
    show: Callable[[str, float, int], None] = lambda pipeline, done, words: None,
) -> list[Curve]:
    """Score pipelines on texts with more and more typos; the same typos for all of them.

    pipelines (Sequence[str]): Folders or names of any spaCy pipelines; a folder of trainings with
        other seeds counts as one, see `find_members`.
    data (Path): A .spacy file, or a folder of them, with the labels that they predict.
    rates (Sequence[float]): Shares of words with an edit; 0 is added.
    kinds (Sequence[str]): Kinds of `Typos`, and "mixed".
    seeds (int): Draws for each rate.
    limit (int): Texts at most; 0 for all.
    misspellings (Optional[Dict[str, List[str]]]): For the kind "natural".
    show (Callable[[str, float, int], None]): Told how far a pipeline is.
    RETURNS (List[Curve]): One for each pipeline, metric and kind.
    RAISES (ValueError): If nothing can be scored, or a kind is unknown.
    """
    rates = sorted({0.0, *map(check_rate, rates)})
    makers = {kind: _make_typos(kind, misspellings) for kind in kinds}
    members = {name: find_members(name) for name in pipelines}
    _check_names([member for some in members.values() for member in some])
    curves: list[Curve] = []
    for name in pipelines:
        n_runs = len(members[name]) * (1 + len(makers) * (len(rates) - 1) * seeds)
        run = words = 0
        show(name, 0.0, 0)
        found: dict[tuple[str, str], Curve] = {}
        for member in members[name]:
            nlp = _load(member)
            examples = _read_examples(nlp, data, limit)
            clean = _score(nlp, examples)
            if not clean:
                raise ValueError(Errors.E660.format(path=data, found="none"))
            run += 1
            for kind, typos in makers.items():
                draws: list[list[Draw]] = [[(clean, 0.0)]]
                for rate in rates[1:]:
                    draws.append([])
                    for seed in range(seeds):
                        draws[-1].append(_draw(nlp, examples, typos.at(rate), seed))
                        run += 1
                        words += sum(len(example.reference) for example in examples)
                        show(name, run / n_runs, words)
                shares = [float(np.mean([edited for _, edited in some])) for some in draws]
                for metric in clean:
                    key = (metric, kind)
                    if key not in found:
                        found[key] = Curve(name, *key, rates, [[] for _ in rates], shares)
                    for scores, some in zip(found[key].scores, draws):
                        scores += [one.get(metric, 0.0) for one, _ in some]
        curves += found.values()
    return curves


def describe_metric(metric: str) -> str:
    """Say what is scored, such as "spans F (sc)"."""
    return METRICS.get(metric, f"spans F ({metric[len('spans_') : -len('_f')]})")


def find_members(name: str) -> list[str]:
    """Find the pipelines that a name stands for.

    name (str): A package, a pipeline's folder, or a folder of trainings with other seeds, each
        with a `model-best` or `model-last`, or a pipeline itself.
    RETURNS (List[str]): The pipelines, at least one.
    """
    folder = Path(name)
    found = _find_pipeline(folder)
    if folder.is_dir() and not found:
        found = [path for child in sorted(folder.iterdir()) for path in _find_pipeline(child)]
    return found or [name]


def _find_pipeline(folder: Path) -> list[str]:
    """Find the pipeline of a training, the best one first, or of the folder itself; or none."""
    places = [folder / "model-best", folder / "model-last", folder]
    return [str(place) for place in places if (place / "config.cfg").exists()][:1]


def _check_names(names: Sequence[str]) -> None:
    """Refuse what is no pipeline before the first one has been scored."""
    for name in names:
        if not Path(name).exists() and not is_package(name):
            raise ValueError(Errors.E661.format(path=name, found="no such folder or package"))


def _draw(nlp: Language, examples: Sequence[Example], typos: Typos, seed: int) -> Draw:
    """Score texts with typos; an entity that no token fits any more counts as missed."""
    rng = np.random.default_rng([seed, round(typos.rate * 1000)])
    made = [make_noisy_example(nlp, one, typos, rng, give_up=False) for one in examples]
    words = sum(counts.words for _, counts in made)
    edited = sum(counts.edited for _, counts in made) / max(1, words)
    return _score(nlp, [one for one, _ in made]), edited


def _make_typos(kind: str, misspellings: dict[str, list[str]] | None) -> Typos:
    try:
        return Typos(0.0, COMMON_KINDS if kind == MIXED else [kind], misspellings=misspellings)
    except ValueError as err:
        raise ValueError(f"{err} '{MIXED}' stands for {', '.join(COMMON_KINDS)}.") from None


def _load(name: str) -> Language:
    try:
        return spacy.load(name)
    except OSError as err:
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
        scores.pop("cats_score", None)  # 0 where there is none
    spans = [name for name in scores if name.startswith("spans_") and name.endswith("_f")]
    return {name: scores[name] for name in (*METRICS, *spans) if scores.get(name) is not None}

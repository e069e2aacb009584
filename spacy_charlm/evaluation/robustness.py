"""How much a pipeline loses where people mistype."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example

from ..errors import Errors
from ..noise.noisy_docs import make_noisy_example
from ..noise.typos import COMMON_KINDS, Typos

# The score of each component that a reader looks for first.
METRICS = {
    "cats_score": "textcat",
    "ents_f": "entities F",
    "tag_acc": "tags",
    "pos_acc": "parts of speech",
    "dep_las": "LAS",
}
MIXED = "mixed"
BATCH = 32  # Docs at a time: of long texts the 256 of most configs are twice as slow


@dataclass(frozen=True)
class Curve:
    """The scores of a pipeline by one metric at one kind of typo.

    pipeline (str): Its name.
    metric (str): A key of METRICS.
    kind (str): A kind of typo, or "mixed".
    rates (List[float]): Shares of words with an edit, from 0.
    scores (List[List[float]]): For each rate the score with each seed of the typos and of the
        training, from 0 to 1.
    """

    pipeline: str
    metric: str
    kind: str
    rates: list[float]
    scores: list[list[float]]

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
    data (Path): A .spacy file with the labels that they predict.
    rates (Sequence[float]): Shares of words with an edit; 0 is added.
    kinds (Sequence[str]): Kinds of `Typos`, and "mixed".
    seeds (int): Draws for each rate.
    limit (int): Texts at most; 0 for all.
    misspellings (Optional[Dict[str, List[str]]]): For the kind "natural".
    show (Callable[[str, float, int], None]): Told how far a pipeline is.
    RETURNS (List[Curve]): One for each pipeline, metric and kind.
    RAISES (ValueError): If nothing can be scored, or a kind is unknown.
    """
    rates = sorted({0.0, *rates})
    if not 0 <= rates[-1] <= 1:
        raise ValueError(Errors.E700.format(found=rates[-1]))
    makers = {kind: _make_typos(kind, misspellings) for kind in kinds}
    members = {name: find_members(name) for name in pipelines}
    curves = []
    for name in pipelines:
        n_runs = len(members[name]) * (1 + len(makers) * (len(rates) - 1) * seeds)
        run = words = 0
        show(name, 0.0, 0)
        found: dict[tuple[str, str], list[list[float]]] = {}
        for member in members[name]:
            nlp = _load(member)
            docs = _read_docs(nlp, data, limit)
            n_words = sum(map(len, docs))
            clean = _score(nlp, [Example(nlp.make_doc(doc.text), doc) for doc in docs])
            if not clean:
                raise ValueError(Errors.E660.format(path=data, found="none"))
            run, words = run + 1, words + n_words
            for kind, typos in makers.items():
                drawn = [[clean]]
                for rate in rates[1:]:
                    typos.rate = rate
                    drawn.append([])
                    for seed in range(seeds):
                        rng = np.random.default_rng([seed, round(rate * 1000)])
                        drawn[-1].append(_score(nlp, _make_noisy(nlp, docs, typos, rng)))
                        run, words = run + 1, words + n_words
                        show(name, run / n_runs, words)
                for metric in clean:
                    curve = found.setdefault((metric, kind), [[] for _ in rates])
                    for scores, at_rate in zip(curve, drawn):
                        # Typos of spaces may leave a draw without an entity to find.
                        scores += [one.get(metric, 0.0) for one in at_rate]
        curves += [
            Curve(name, metric, kind, rates, scores) for (metric, kind), scores in found.items()
        ]
    return curves


def find_members(name: str) -> list[str]:
    """Find the pipelines that a name stands for.

    name (str): A package, a pipeline's folder, or a folder of trainings with other seeds, each
        with a `model-best` or `model-last`, or a pipeline itself.
    RETURNS (List[str]): The pipelines, at least one.
    """
    folder = Path(name)
    if not folder.is_dir() or (folder / "config.cfg").exists():
        return [name]
    found = []
    for child in sorted(folder.iterdir()):
        places = [child / "model-best", child / "model-last", child]
        found += [str(place) for place in places if (place / "config.cfg").exists()][:1]
    return found or [name]


def _make_noisy(
    nlp: Language, docs: Sequence[Doc], typos: Typos, rng: np.random.Generator
) -> list[Example]:
    examples = (Example(nlp.make_doc(doc.text), doc) for doc in docs)
    return [make_noisy_example(nlp, example, typos, rng)[0] for example in examples]


def _make_typos(kind: str, misspellings: dict[str, list[str]] | None) -> Typos:
    return Typos(0.0, COMMON_KINDS if kind == MIXED else [kind], misspellings=misspellings)


def _load(name: str) -> Language:
    try:
        return spacy.load(name)
    except OSError as err:
        found = "no such folder or package" if not Path(name).exists() else str(err)
        raise ValueError(Errors.E661.format(path=name, found=found)) from err


def _read_docs(nlp: Language, path: Path, limit: int) -> list[Doc]:
    if not path.is_file() or path.suffix != ".spacy":
        raise ValueError(Errors.E660.format(path=path, found="no such .spacy file"))
    docs: list[Doc] = []
    for doc in DocBin().from_disk(path).get_docs(nlp.vocab):
        if limit and len(docs) == limit:
            break
        docs.append(doc)
    return docs


def _score(nlp: Language, examples: list[Example]) -> dict[str, float]:
    scores: dict[str, Any] = nlp.evaluate(examples, batch_size=BATCH) if examples else {}
    return {metric: scores[metric] for metric in METRICS if scores.get(metric) is not None}

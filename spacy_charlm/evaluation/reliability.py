"""How far the scores of text classifiers are probabilities."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import spacy
from spacy.language import Language

from ..errors import Errors
from ..files import name_paths
from ..report.figure import draw_scores
from ..training.calibrate import find_scaled
from ..types import Score
from .labelled_texts import make_items, read_labelled
from .robustness import BATCH, find_members, load_pipeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ABOVE = 0.99
BINS = 20  # of equal width, from 0 to 1
CONFIDENCE = "confidence"  # the condition of the scores of one bin
TEXTS = "share of texts"
IDEAL = "perfectly calibrated"
UNCALIBRATED = "{}, uncalibrated"
# Probabilities that differ less are the same in float32; without it, one zero is an infinite loss.
EPSILON = float(np.finfo("float32").eps)


@dataclass(frozen=True)
class Answers:
    """What a classifier says about n texts.

    confidence (ndarray): The highest score of each text, float64 (n,).
    correct (ndarray): Whether it is that of the true class, bool (n,).
    loss (ndarray): Negative logarithm of the score of the true class, float64 (n,).
    """

    confidence: np.ndarray
    correct: np.ndarray
    loss: np.ndarray

    @property
    def bins(self) -> np.ndarray:
        """The bin of each text."""
        return np.minimum((BINS * self.confidence).astype(int), BINS - 1)

    def summarise(self) -> dict[str, float]:
        """Compute the scores of all texts."""
        gaps = np.bincount(self.bins, weights=self.confidence - self.correct)
        return {
            "accuracy": float(self.correct.mean()),
            "ECE": float(np.abs(gaps).sum() / len(self.correct)),
            f"above {ABOVE}": float((self.confidence > ABOVE).mean()),
            "loss": float(self.loss.mean()),
        }


def measure_reliability(
    pipelines: Sequence[str], data: Path, *, uncalibrated: bool = False
) -> list[Score]:
    """Compare the highest score of each text with how often it is that of the true class.

    pipelines (Sequence[str]): Folders or packages of any spaCy pipelines that give each text a
        category. A folder of trainings with several seeds counts as one pipeline; see
        `find_members`.
    data (Path): Texts with one category each, as for `read_labelled`.
    uncalibrated (bool): Whether those that `spacy-charlm.calibrate.v1` has calibrated are also
        scored without it.
    RETURNS (List[Score]): For each pipeline, with one value per seed: accuracy; the expected
        calibration error ("ECE"), which is the mean distance of confidence and accuracy over
        20 bins of confidence; the share of texts with a confidence above 0.99; and the log loss
        ("loss"). Then, for each bin with the condition "confidence", its middle in per cent: the
        accuracy, and the share of the texts that are in it.
    RAISES (ValueError): If the texts have no categories, or the pipelines do not know these.
    """
    items = make_items(read_labelled(data, spacy.blank("xx").vocab, "cats"))
    texts = [text if isinstance(text, str) else text.text for text in items.texts]
    labels = list(map(str, items.labels))
    found: dict[str, list[Answers]] = {}
    for name, source in zip(pipelines, name_paths([Path(name) for name in pipelines])):
        for member in find_members(name):
            nlp = load_pipeline(member)
            layers = find_scaled(nlp).values()
            calibrated = [layer for layer in layers if layer.get_param("scale") != 1]
            if uncalibrated and calibrated:
                scales = [layer.get_param("scale") for layer in calibrated]
                for layer, scale in zip(calibrated, scales):
                    layer.set_param("scale", scale * 0 + 1)
                before = UNCALIBRATED.format(source)
                found.setdefault(before, []).append(_ask(nlp, texts, labels, data))
                for layer, scale in zip(calibrated, scales):
                    layer.set_param("scale", scale)
            found.setdefault(source, []).append(_ask(nlp, texts, labels, data))
    scores = []
    for source, some in found.items():
        rows = [answers.summarise() for answers in some]
        for metric in rows[0]:
            scores.append(Score(source, metric, tuple(row[metric] for row in rows), len(texts)))
    for source, some in found.items():
        for i in range(BINS):
            scores.extend(_score_bin(source, some, i))
    return scores


def draw_reliability(scores: Sequence[Score]) -> "Figure":
    """Draw the accuracy over the confidence, and a histogram of the confidence.

    scores (Sequence[Score]): What `measure_reliability` returns.
    RETURNS (Figure): The figure, not bound to a window.
    RAISES (ImportError): If matplotlib is missing.
    """
    binned = [score for score in scores if CONFIDENCE in score.conditions]
    middles = sorted({float(score.conditions[CONFIDENCE]) for score in binned})
    ideal = [
        Score(IDEAL, "accuracy", (middle / 100,), conditions={CONFIDENCE: middle})
        for middle in (middles[0], middles[-1])
    ]
    figure = draw_scores([*binned, *ideal], CONFIDENCE, "confidence: the highest score, %")
    for axes in figure.axes:
        axes.set_xticks([place for place in range(0, 101, 10) if place > middles[0] - 10])
    return figure


def _score_bin(source: str, some: Sequence[Answers], i: int) -> Iterator[Score]:
    """Score a bin of confidence; yield nothing if it is empty."""
    conditions: dict[str, str | float] = {CONFIDENCE: 100 * (i + 0.5) / BINS}
    n = len(some[0].correct)
    inside = [answers.bins == i for answers in some]
    accuracy = [one.correct[rows].mean() for one, rows in zip(some, inside) if rows.any()]
    if accuracy:
        yield Score(source, "accuracy", tuple(map(float, accuracy)), n, conditions=conditions)
        shares = tuple(float(rows.mean()) for rows in inside)
        yield Score(source, TEXTS, shares, n, conditions=conditions)


def _ask(nlp: Language, texts: Sequence[str], labels: Sequence[str], data: Path) -> Answers:
    confidence, correct, loss = [], [], []
    known = False
    for doc, label in zip(nlp.pipe(texts, batch_size=BATCH), labels):
        if not doc.cats:
            raise ValueError(Errors.E572.format(found=nlp.pipe_names))
        known = known or label in doc.cats
        best = max(doc.cats, key=doc.cats.__getitem__)
        confidence.append(doc.cats[best])
        correct.append(best == label)
        loss.append(-np.log(max(doc.cats.get(label, 0.0), EPSILON)))
    if not known:
        expected, found = sorted(doc.cats), sorted(set(labels))
        raise ValueError(Errors.E573.format(path=data, expected=expected, found=found[:10]))
    return Answers(np.array(confidence), np.array(correct), np.array(loss))

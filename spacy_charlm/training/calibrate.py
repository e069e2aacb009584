"""Calibrate text classifiers on the development texts, so that their scores are probabilities."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import minibatch, resolve_dot_names
from thinc.api import Model

from ..checks import Count, checked
from ..errors import Errors

Callback = Callable[[Language], Language]

LAYER = "probabilities"
BATCH = 64  # Docs at a time
STEPS = 40  # halvings of the interval that the logarithm of the scale is in
MAX_LOG_SCALE = float(np.log(64))


@checked("spacy-charlm.calibrate.v1")
def create_calibrate_v1(limit: Count = 500, then: Callback | None = None) -> Callback:
    """Create a callback for [training.before_to_disk] that calibrates text classifiers.

    Each pipeline that `spacy train` saves is calibrated on [training.dev_corpus]; the training
    itself stays as it is. See `calibrate`.

    limit (int): Most texts to calibrate on; 0 for all. Recommended values: 250 to 1000.
    then (Optional[Callable[[Language], Language]]): A callback for the same event to run next.
    RETURNS (Callable[[Language], Language]): From the pipeline to the pipeline that is saved.
    RAISES (ValueError): If the limit is negative.
    """
    return adjust_on_dev_corpus(partial(calibrate, limit=limit), then)


def adjust_on_dev_corpus(
    adjust: Callable[[Language, Iterable[Example]], Any], then: Callback | None = None
) -> Callback:
    """Make a callback for [training.before_to_disk] of a function of the development texts.

    adjust (Callable[[Language, Iterable[Example]], Any]): Modifies the pipeline.
    then (Optional[Callable[[Language], Language]]): A callback for the same event to run next.
    RETURNS (Callable[[Language], Language]): The callback.
    """

    def before_to_disk(nlp: Language) -> Language:
        config = nlp.config.interpolate()
        (read_examples,) = resolve_dot_names(config, [config["training"]["dev_corpus"]])
        adjust(nlp, read_examples(nlp))
        return then(nlp) if then is not None else nlp

    return before_to_disk


def calibrate(nlp: Language, examples: Iterable[Example], limit: int = 0) -> dict[str, float]:
    """Set the scale of the logits of each text classifier to the one with the lowest log loss.

    The classifier must not have learned from the texts. In prediction the logits are multiplied by
    the scale. This changes neither the class with the highest score nor which scores are above 0.5.

    nlp (Language): The pipeline; its classifiers of the architecture `spacy-charlm.TextCatMean.v1`
        are modified.
    examples (Iterable[Example]): Texts with categories. A classifier for whose labels there are
        none keeps its scale.
    limit (int): Most texts to use, the same ones for each call; 0 for all.
    RETURNS (Dict[str, float]): The new scales by the names of the components.
    RAISES (ValueError): If the pipeline has no such classifier.
    """
    layers = find_scaled(nlp)
    if not layers:
        raise ValueError(Errors.E571.format(names=nlp.pipe_names))
    examples = draw_examples(examples, limit)
    scales = {}
    for name, layer in layers.items():
        pipe: Any = nlp.get_pipe(name)
        exclusive = layer.attrs["exclusive"]
        cats = [example.reference.cats for example in examples]
        truths = read_truths(cats, pipe.labels, exclusive)
        rows = np.flatnonzero(np.isfinite(truths).any(axis=1))
        if len(rows):
            logits = _predict_logits(nlp, name, [examples[i] for i in rows])
            scales[name] = fit_scale(logits, truths[rows], exclusive)
            layer.set_param("scale", layer.get_param("scale") * 0 + scales[name])
    return scales


def draw_examples(examples: Iterable[Example], limit: int) -> list[Example]:
    """Draw texts that are not empty, the same ones for each call.

    examples (Iterable[Example]): The texts.
    limit (int): Most texts to draw; 0 for all.
    RETURNS (List[Example]): The drawn texts.
    """
    drawn = [example for example in examples if len(example.predicted)]
    return random.Random(0).sample(drawn, limit) if 0 < limit < len(drawn) else drawn


def find_scaled(nlp: Language) -> dict[str, Model]:
    """Find the layers whose logits are scaled in prediction.

    nlp (Language): The pipeline.
    RETURNS (Dict[str, Model]): The layers by the names of their components.
    """
    models = {name: getattr(pipe, "model", None) for name, pipe in nlp.pipeline}
    return {
        name: model.get_ref(LAYER)
        for name, model in models.items()
        if isinstance(model, Model) and LAYER in model.ref_names
    }


def fit_scale(logits: np.ndarray, truths: np.ndarray, exclusive: bool) -> float:
    """Find the factor on the logits with the lowest log loss.

    One more text, whose classes are equally probable, keeps the scale finite where the logits
    are right on all texts. After Platt, "Probabilistic Outputs for Support Vector Machines" (1999).

    logits (ndarray): The logits, (n, nO).
    truths (ndarray): 1 for the classes of a text, 0 for the others, NaN for unknown ones, (n, nO).
    exclusive (bool): Whether the classes exclude each other.
    RETURNS (float): The scale, between 1 / 64 and 64; 1 if the logits say nothing.
    """
    logits, truths = logits.astype("float64"), truths.astype("float64")
    n = len(logits)
    if exclusive:
        logits = logits - logits.max(axis=1, keepdims=True)
        targets = (n * truths + 1 / truths.shape[1]) / (n + 1)
    else:
        known = np.isfinite(truths)
        logits, targets = logits[known], (n * truths[known] + 0.5) / (n + 1)

    def differentiate(scale: float) -> float:
        """Differentiate the loss by the scale. It is convex, so that this grows."""
        if exclusive:
            found = np.exp(scale * logits)
            found /= found.sum(axis=1, keepdims=True)
        else:
            found = 0.5 + 0.5 * np.tanh(0.5 * scale * logits)
        return float(((found - targets) * logits).sum())

    if not np.ptp(logits):
        return 1.0
    low, high = -MAX_LOG_SCALE, MAX_LOG_SCALE
    for _ in range(STEPS):
        middle = (low + high) / 2
        if differentiate(np.exp(middle)) > 0:
            high = middle
        else:
            low = middle
    return float(np.exp((low + high) / 2))


def read_truths(
    all_cats: Sequence[Mapping[str, float]], labels: Sequence[str], exclusive: bool
) -> np.ndarray:
    """Read which categories texts have.

    all_cats (Sequence[Mapping[str, float]]): The categories of each text.
    labels (Sequence[str]): The categories.
    exclusive (bool): Whether a text has exactly one of them.
    RETURNS (ndarray): 1 or 0; NaN where it is unknown, for exclusive classes all of a row, (n, nO).
    """
    rows = [[cats.get(label, np.nan) for label in labels] for cats in all_cats]
    truths = np.array(rows, dtype="float64").reshape(len(all_cats), len(labels))
    if exclusive:  # a label that is left out is not the text's class; a text has exactly one
        truths = np.nan_to_num(truths)
        truths[truths.sum(axis=1) != 1] = np.nan
    return truths


def read_batches(nlp: Language, name: str, examples: Iterable[Example]) -> Iterator[list[Doc]]:
    """Run the pipeline on texts up to a component.

    nlp (Language): The pipeline.
    name (str): The component, which is not run itself.
    examples (Iterable[Example]): The texts. Their predicted Docs are modified.
    YIELDS (List[Doc]): Batches of Docs.
    """
    with nlp.select_pipes(enable=nlp.pipe_names[: nlp.pipe_names.index(name)]):
        docs = nlp.pipe((example.predicted for example in examples), batch_size=BATCH)
        yield from minibatch(docs, BATCH)


def _predict_logits(nlp: Language, name: str, examples: Sequence[Example]) -> np.ndarray:
    """Run the pipeline up to the last layer of a classifier, (n, nO)."""
    pipe: Any = nlp.get_pipe(name)
    found = []
    for batch in read_batches(nlp, name, examples):
        X: Any = batch
        for layer in pipe.model.layers[:-1]:
            X = layer.predict(X)
        found.append(pipe.model.ops.to_numpy(X))
    return np.concatenate(found)

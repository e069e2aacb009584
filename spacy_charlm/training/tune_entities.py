"""Balance precision and recall of entities on the development texts, so that their F1 is best."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import NumpyOps
from thinc.types import Ragged

from ..checks import Count, checked
from ..errors import Errors
from ..layers.crf import add_outside, decode, find_spans
from ..pipeline.ner import CharlmNER
from .calibrate import Callback, adjust_on_dev_corpus, draw_examples, read_batches

# From the smallest change to the largest one: of equally good biases the first one is taken.
BIASES = sorted(np.linspace(-4, 4, 33).tolist(), key=abs)


@checked("spacy-charlm.tune_entities.v1")
def create_tune_entities_v1(limit: Count = 1000, then: Callback | None = None) -> Callback:
    """Create a callback for [training.before_to_disk] that tunes components charlm_ner.

    Each pipeline that `spacy train` saves is tuned on [training.dev_corpus]; the training itself
    stays as it is, and frozen components keep their bias. The scores that `spacy train` shows are
    those without the bias. See `tune_entities`.

    limit (int): Most texts to tune on; 0 for all. Recommended values: 500 or more.
    then (Optional[Callable[[Language], Language]]): A callback for the same event to run next.
    RETURNS (Callable[[Language], Language]): From the pipeline to the pipeline that is saved.
    RAISES (ValueError): If the limit is negative.
    """

    def tune(nlp: Language, examples: Iterable[Example]) -> None:
        tune_entities(nlp, examples, limit, nlp.config["training"]["frozen_components"])

    return adjust_on_dev_corpus(tune, then)


def tune_entities(
    nlp: Language, examples: Iterable[Example], limit: int = 0, exclude: Sequence[str] = ()
) -> dict[str, float]:
    """Set the bias of O in each charlm_ner to the one with the best F1 of its entities.

    The components must not have learned from the texts. A negative bias gives more entities, that
    is, a higher recall and a lower precision. With few training texts entities of unknown words are
    missed more often than others are made up, and the best bias is negative.

    nlp (Language): The pipeline; its components charlm_ner are modified.
    examples (Iterable[Example]): Texts with entities. If none of them has a label of a component,
        its bias becomes 0.
    limit (int): Most texts to use, the same ones for each call; 0 for all.
    exclude (Sequence[str]): Components that keep their bias.
    RETURNS (Dict[str, float]): The new biases by the names of the components.
    RAISES (ValueError): If the pipeline has no component charlm_ner.
    """
    names = [name for name, pipe in nlp.pipeline if isinstance(pipe, CharlmNER)]
    if not names:
        raise ValueError(Errors.E766.format(names=nlp.pipe_names))
    examples = [eg for eg in examples if eg.reference.has_annotation("ENT_IOB")]
    examples = draw_examples(examples, limit)
    biases = {}
    for name in names:
        if name not in exclude:
            pipe: Any = nlp.get_pipe(name)
            layer = pipe.model.get_ref("crf")
            layer.set_param("bias", layer.ops.alloc1f(1))
            biases[name] = _find_bias(nlp, name, examples)
            layer.set_param("bias", layer.ops.alloc1f(1) + biases[name])
    return biases


def _find_bias(nlp: Language, name: str, examples: Sequence[Example]) -> float:
    """Find the bias with the best F1 from emissions that are predicted once."""
    pipe: Any = nlp.get_pipe(name)
    n_gold = sum(ent.label_ in pipe.labels for eg in examples for ent in eg.reference.ents)
    if not n_gold:
        return 0.0
    ops, emissions, docs = NumpyOps(), [], []
    for batch in read_batches(nlp, name, examples):
        scores = pipe.constrain(batch, pipe.model.predict(batch))
        emissions.append(pipe.model.ops.to_numpy(scores.emissions.dataXd))
        docs += batch
    weights = [pipe.model.ops.to_numpy(weight) for weight in scores[1:]]
    X: Any = np.concatenate(emissions)
    lengths: Any = np.array([len(doc) for doc in docs], dtype="int32")
    judge = _make_judge(examples, docs, pipe.labels)
    found = {}
    for bias in BIASES:
        biased = add_outside(Ragged(X, lengths), bias)
        tags = decode(ops, scores._make((biased, *weights)))
        right = [judge(span) for span in find_spans(tags, X.shape[1])]
        n_found = sum(verdict is not None for verdict in right)
        found[bias] = 2 * sum(map(bool, right)) / (n_found + n_gold)
    return max(found, key=lambda bias: found[bias])


def _make_judge(
    examples: Sequence[Example], docs: Sequence[Doc], labels: Sequence[str]
) -> Callable[[tuple[int, int, int]], bool | None]:
    """Make a function that judges entities as spaCy's scorer does.

    Its argument is the first token of the batch, the token after the last one, and the number of
    the label; its result is None if the annotation is missing there.
    """
    offsets = np.cumsum([0, *(len(doc) for doc in docs)])
    golds = [{(e.label_, e.start, e.end) for e in eg.reference.ents} for eg in examples]
    verdicts: dict[tuple[int, int, int], bool | None] = {}

    def judge(span: tuple[int, int, int]) -> bool | None:
        if span not in verdicts:
            start, end, label = span
            i = int(np.searchsorted(offsets, start, side="right")) - 1
            indices = examples[i].alignment.x2y[start - offsets[i] : end - offsets[i]]
            verdicts[span] = None
            if len(indices):
                first, last = int(indices[0]), int(indices[-1]) + 1
                if all(token.ent_iob for token in examples[i].reference[first:last]):
                    verdicts[span] = (labels[label], first, last) in golds[i]
        return verdicts[span]

    return judge

"""Start text classifiers from a logistic regression on the vectors of the pretrained tok2vec."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import logger, minibatch, resolve_dot_names
from thinc.api import Model
from thinc.config import ConfigValidationError

from ..checks import Count, Seed, checked
from ..errors import Errors
from ..layers.ngram_weights import NAME as NGRAM_WEIGHTS
from ..layers.ngram_weights import set_ngram_weights
from ..layers.weigh_words import NAME, get_weights, scale
from ..pipeline.find_tok2vec import LISTENER, get_layer
from .calibrate import BATCH, read_truths
from .fit_regression import choose_strength, fit_logistic_regression, has_two_classes
from .optimizer import check_optimizer, scale_learn_rate
from .vector_classifier import VectorClassifier

HEAD = "standardise"  # the layer of a classifier that its own parameters begin with


class LogisticRegression:
    """Fit classifiers on the frozen vectors of the training texts, as a start for `spacy train`.

    A block of this name in [initialize.after_init.fit] fits each classifier of the architecture
    `spacy-charlm.TextCatMean.v1` that reads the pretrained tok2vec, on [training.train_corpus].
    The standardisation gets the mean and variance of the pooled vectors, and the linear layer the
    weights of a logistic regression with L2 regularisation. Its strength is chosen by five-fold
    cross-validation on the same texts, by the log loss. Training then begins with what a probe of
    the weights would score, rather than with a classifier that knows nothing.

    With `vectors`, a second regression reads the mean of the vectors of a text's words and bigrams.
    What each of them adds to its logits becomes their `ngram_weights` in the classifier, which
    averages the two regressions. The vectors are not needed after that.

    learn_rate_scale (float): Factor on the learning rate of the linear layers that were fitted, so
        that they stay near the regression. Requires the optimizer `spacy-charlm.Adam.v1`.
        Recommended values: 0.01 to 1.
    limit (int): Most texts to fit on, the first of the corpus; 0 for all. Recommended values: 1000
        to 20,000.
    seed (int): Seed of the folds.
    vectors (Optional[Path]): Vectors of words and bigrams, such as `charlm vectors train --ngrams
        2` writes. Requires `ngram_weights = true` in the model of the classifier.
    RAISES (ValueError): If a number is out of range.
    """

    @checked("spacy-charlm.LogisticRegression.v1")
    def __init__(
        self,
        learn_rate_scale: float = 1.0,
        limit: Count = 10_000,
        seed: Seed = 0,
        vectors: Path | None = None,
    ) -> None:
        self.vectors = vectors
        self.learn_rate_scale = learn_rate_scale
        self.limit = limit
        self.seed = seed

    def __call__(self, nlp: Language, component: str, loaded: Model) -> dict[str, float]:
        """Fit the classifiers that read a tok2vec. Disabled ones and other architectures stay.

        nlp (Language): The pipeline, initialised; its classifiers are modified.
        component (str): The component that pretrained weights have been loaded into.
        loaded (Model): The layer that they have been loaded into.
        RETURNS (Dict[str, float]): The chosen C, as in scikit-learn, by the names of the
            classifiers. One whose training texts have fewer than two classes is left out.
        RAISES (ValueError): If no classifier reads the tok2vec, there is no training corpus, the
            optimizer cannot scale learning rates, or the vectors do not fit.
        """
        readers = {
            name: tok2vec
            for name in nlp.component_names
            if (tok2vec := _find_tok2vec(nlp, name, component, loaded)) is not None
        }
        if not readers:
            names = nlp.component_names
            raise ValueError(Errors.E508.format(component=component, names=names))
        if self.learn_rate_scale != 1.0:
            check_optimizer(nlp, self.learn_rate_scale)
        chosen = {}
        # Components that are frozen, or whose training goes on, are disabled here.
        for name in [name for name in nlp.pipe_names if name in readers]:
            C = self._fit(nlp, name, readers[name])
            if C is None:
                logger.warning(Errors.W508.format(name=name))
            else:
                logger.info("Fitted '%s' on frozen vectors (C = %s)", name, C)
                chosen[name] = C
                if self.learn_rate_scale != 1.0:
                    pipe: Any = nlp.get_pipe(name)
                    scale_learn_rate(pipe.model.get_ref("output_layer"), self.learn_rate_scale)
        return chosen

    def _fit(self, nlp: Language, name: str, tok2vec: Model) -> float | None:
        pipe: Any = nlp.get_pipe(name)
        model: Model = pipe.model
        exclusive = not model.attrs["multi_label"]
        if self.vectors is not None and NGRAM_WEIGHTS not in model.ref_names:
            raise ValueError(Errors.E511.format(name=name))
        examples = [example for example in self._read_examples(nlp) if len(example.predicted)]
        cats = [example.reference.cats for example in examples]
        truths = read_truths(cats, pipe.labels, exclusive)
        rows = np.flatnonzero(np.isfinite(truths).any(axis=1))
        truths = truths[rows]
        if not has_two_classes(truths):
            return None
        share = 1.0  # of the regression on the tok2vec
        if self.vectors is not None:
            share = 0.5
            ngrams = VectorClassifier(self.vectors, exclusive=exclusive)
            docs = [examples[i].reference for i in rows]
            ngrams.fit(docs, nlp.config["training"]["train_corpus"], pipe.labels, self.seed)
            keys, W, b, attr = ngrams.weigh_ngrams()
            set_ngram_weights(model.get_ref(NGRAM_WEIGHTS), keys, W / 2, b / 2, attr)
        X = _embed(model, tok2vec, [examples[i].predicted for i in rows])
        head, output = model.get_ref(HEAD), model.get_ref("output_layer")
        ops: Any = model.ops
        head.set_param("mean", ops.asarray1f(X.mean(axis=0)))
        head.set_param("variance", ops.asarray1f(X.var(axis=0)))
        # As many batches as it remembers, so that the statistics follow the tok2vec slowly.
        head.set_param("batches", head.get_param("batches") * 0 + head.attrs["memory"])
        X = ops.to_numpy(head.predict(ops.asarray2f(X)))
        C = choose_strength(X, truths, exclusive, self.seed)
        W, b = fit_logistic_regression(X, truths, exclusive, C)
        output.set_param("W", ops.asarray2f(share * W))
        output.set_param("b", ops.asarray1f(share * b))
        return C

    def _read_examples(self, nlp: Language) -> list:
        config = nlp.config.interpolate()
        try:
            (corpus,) = resolve_dot_names(config, [config["training"]["train_corpus"]])
        except (KeyError, ConfigValidationError) as err:
            raise ValueError(Errors.E509.format(reason=" ".join(str(err).split()))) from err
        return list(islice(corpus(nlp), self.limit or None))


def _find_tok2vec(nlp: Language, name: str, component: str, loaded: Model) -> Model | None:
    """Find the tok2vec of a classifier; None if that does not contain the loaded layer."""
    model = get_layer(nlp, name)
    tok2vec = get_layer(nlp, name, "tok2vec")
    if model is None or tok2vec is None or not model.has_ref(HEAD):
        return None
    if tok2vec.name == LISTENER:
        upstream: Any = tok2vec
        tok2vec = get_layer(nlp, component) if upstream.upstream_name in ("*", component) else None
    nodes = tok2vec.walk() if tok2vec is not None else ()
    return tok2vec if any(node is loaded for node in nodes) else None


def _embed(model: Model, tok2vec: Model, docs: Sequence[Doc]) -> np.ndarray:
    """Pool the vectors of each text as the classifier does, (n, nI)."""
    found = []
    if NGRAM_WEIGHTS in model.ref_names:
        model = model.get_ref(NGRAM_WEIGHTS).layers[0]
    pooling = model.layers[1 : [layer.name for layer in model.layers].index(HEAD)]
    for batch in minibatch(docs, BATCH):
        X: Any = tok2vec.predict(batch)
        if model.layers[0].name == NAME:
            X = scale(X, get_weights(model.ops, batch))
        for layer in pooling:
            X = layer.predict(X)
        found.append(model.ops.to_numpy(X))
    return np.concatenate(found)

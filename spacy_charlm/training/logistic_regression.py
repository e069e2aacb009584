"""Start text classifiers from a logistic regression on the vectors of the pretrained tok2vec."""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import logger, minibatch, resolve_dot_names
from thinc.api import Model
from thinc.config import ConfigValidationError

from ..checks import Count, Seed, checked
from ..errors import Errors
from ..layers.weigh_words import NAME, get_weights, scale
from ..pipeline.find_tok2vec import LISTENER, get_layer
from .calibrate import BATCH, read_truths
from .optimizer import check_optimizer, scale_learn_rate

# Inverse strengths of the regularisation. Small values suffice: the features are standardised and
# the labels are few.
STRENGTHS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.1, 1.0, 10.0)
N_FOLDS = 5
HEAD = "standardise"  # the layer of a classifier that its own parameters begin with
# L-BFGS: pairs that it remembers, steps at most, and the gradient at which it ends.
MEMORY, MAX_STEPS, TOLERANCE = 10, 1000, 1e-7

Differentiate = Callable[[np.ndarray], tuple[float, np.ndarray]]


class LogisticRegression:
    """Fit classifiers on the frozen vectors of the training texts, as a start for `spacy train`.

    A block of this name in [initialize.after_init.fit] fits each classifier of the architecture
    `spacy-charlm.TextCatMean.v1` that reads the pretrained tok2vec, on [training.train_corpus].
    The standardisation gets the mean and variance of the pooled vectors, and the linear layer the
    weights of a logistic regression with L2 regularisation. Its strength is chosen by five-fold
    cross-validation on the same texts, by the log loss. Training then begins with what a probe of
    the weights would score, rather than with a classifier that knows nothing.

    learn_rate_scale (float): Factor on the learning rate of the linear layers that were fitted, so
        that they stay near the regression. Requires the optimizer `spacy-charlm.Adam.v1`.
        Recommended values: 0.01 to 1.
    limit (int): Most texts to fit on, the first of the corpus; 0 for all. Recommended values: 1000
        to 20,000.
    seed (int): Seed of the folds.
    RAISES (ValueError): If a number is out of range.
    """

    @checked("spacy-charlm.LogisticRegression.v1")
    def __init__(
        self, learn_rate_scale: float = 1.0, limit: Count = 10_000, seed: Seed = 0
    ) -> None:
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
        RAISES (ValueError): If no classifier reads the tok2vec, there is no training corpus, or the
            optimizer cannot scale learning rates.
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
        examples = [example for example in self._read_examples(nlp) if len(example.predicted)]
        truths = read_truths(examples, pipe.labels, exclusive)
        rows = np.flatnonzero(np.isfinite(truths).any(axis=1))
        truths = truths[rows]
        if not ((truths == 0).any(axis=0) & (truths == 1).any(axis=0)).any():
            return None
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
        output.set_param("W", ops.asarray2f(W))
        output.set_param("b", ops.asarray1f(b))
        return C

    def _read_examples(self, nlp: Language) -> list:
        config = nlp.config.interpolate()
        try:
            (corpus,) = resolve_dot_names(config, [config["training"]["train_corpus"]])
        except (KeyError, ConfigValidationError) as err:
            raise ValueError(Errors.E509.format(reason=" ".join(str(err).split()))) from err
        return list(islice(corpus(nlp), self.limit or None))


def fit_logistic_regression(
    X: np.ndarray, truths: np.ndarray, exclusive: bool, C: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a logistic regression with L2 regularisation; the bias is not regularised.

    The result is that of scikit-learn with the same C: of one multinomial regression for exclusive
    classes (a binary one for two of them), otherwise of one binary regression per class.

    X (ndarray): Features, (n, nI).
    truths (ndarray): 1 for the classes of a text, 0 for the others, NaN for unknown ones, (n, nO).
    exclusive (bool): Whether the classes exclude each other; then no truth is NaN.
    C (float): Inverse strength of the regularisation, relative to the sum of the losses.
    RETURNS (Tuple[ndarray, ndarray]): Weights (nO, nI) and biases (nO,).
    """
    n, nI = X.shape
    nO = truths.shape[1]
    X = np.hstack([X.astype("float64"), np.ones((n, 1))])  # the last feature is the bias
    # A binary regression has one weight w where two exclusive classes have w / 2 and -w / 2, whose
    # squares sum to half as much.
    strength = (2.0 if exclusive and nO == 2 else 1.0) / (C * n)

    def differentiate(flat: np.ndarray) -> tuple[float, np.ndarray]:
        W = flat.reshape(nI + 1, nO)
        loss, errors = _differentiate_loss(X @ W, truths, exclusive)
        gradient = X.T @ errors / n
        gradient[:-1] += strength * W[:-1]
        return loss / n + 0.5 * strength * float((W[:-1] ** 2).sum()), gradient.ravel()

    W = minimise(differentiate, np.zeros((nI + 1) * nO)).reshape(nI + 1, nO)
    return W[:-1].T, W[-1]


def choose_strength(X: np.ndarray, truths: np.ndarray, exclusive: bool, seed: int = 0) -> float:
    """Choose C by cross-validation, by the log loss, which varies less than the accuracy.

    X (ndarray): Features, (n, nI).
    truths (ndarray): As in `fit_logistic_regression`.
    exclusive (bool): Whether the classes exclude each other.
    seed (int): Seed of the folds.
    RETURNS (float): One of STRENGTHS.
    """
    n = len(X)
    n_folds = min(N_FOLDS, n)
    # Stratified: texts with the same classes are dealt out in turn.
    _, kinds = np.unique(np.nan_to_num(truths, nan=-1.0), axis=0, return_inverse=True)
    folds = np.empty(n, dtype="int64")
    folds[np.lexsort((np.random.default_rng(seed).random(n), kinds.ravel()))] = np.arange(n)
    folds %= n_folds
    losses = dict.fromkeys(STRENGTHS, 0.0)
    for fold in range(n_folds if n > 1 else 0):
        inside, outside = folds != fold, folds == fold
        for C in STRENGTHS:
            W, b = fit_logistic_regression(X[inside], truths[inside], exclusive, C)
            losses[C] += _differentiate_loss(X[outside] @ W.T + b, truths[outside], exclusive)[0]
    return min(STRENGTHS, key=lambda C: losses[C])


def minimise(differentiate: Differentiate, x: np.ndarray) -> np.ndarray:
    """Find the minimum of a convex function by L-BFGS.

    After Liu and Nocedal, "On the Limited Memory BFGS Method for Large Scale Optimization" (1989),
    with step lengths that are halved until the function falls enough.

    differentiate (Callable[[ndarray], Tuple[float, ndarray]]): Gives the value and the gradient.
    x (ndarray): Where to start, float64 (n,).
    RETURNS (ndarray): Where the largest derivative is below TOLERANCE, or after MAX_STEPS, (n,).
    """
    value, gradient = differentiate(x)
    pairs: list[tuple[np.ndarray, np.ndarray]] = []  # changes of x and of the gradient
    for _ in range(MAX_STEPS):
        if abs(gradient).max() < TOLERANCE:
            break
        direction = -_solve(pairs, gradient)
        slope = float(direction @ gradient)
        length = 1.0 if pairs else min(1.0, 1.0 / float(np.linalg.norm(gradient)))
        while True:
            moved = length * direction
            new_value, new_gradient = differentiate(x + moved)
            if new_value <= value + 1e-4 * length * slope:
                break
            length /= 2
            if length < 1e-10:  # as near to the minimum as rounding allows
                return x
        if moved @ (new_gradient - gradient) > 0:
            pairs = [*pairs[1 - MEMORY :], (moved, new_gradient - gradient)]
        x, value, gradient = x + moved, new_value, new_gradient
    return x


def _solve(pairs: Sequence[tuple[np.ndarray, np.ndarray]], gradient: np.ndarray) -> np.ndarray:
    """Multiply the gradient by an estimate of the inverse of the second derivatives."""
    direction = gradient.copy()
    shares = []
    for moved, change in reversed(pairs):
        shares.append(moved @ direction / (moved @ change))
        direction -= shares[-1] * change
    if pairs:
        moved, change = pairs[-1]
        direction *= moved @ change / (change @ change)
    for moved, change in pairs:
        direction += (shares.pop() - change @ direction / (moved @ change)) * moved
    return direction


def _differentiate_loss(
    logits: np.ndarray, truths: np.ndarray, exclusive: bool
) -> tuple[float, np.ndarray]:
    """Compute the sum of the log losses and its derivative by the logits, (n, nO)."""
    if exclusive:
        logits = logits - logits.max(axis=1, keepdims=True)
        Y = np.exp(logits)
        totals = Y.sum(axis=1, keepdims=True)
        return float(np.log(totals).sum() - (truths * logits).sum()), Y / totals - truths
    known = np.isfinite(truths)
    losses = np.logaddexp(0, logits) - truths * logits
    errors = 0.5 + 0.5 * np.tanh(0.5 * logits) - truths
    return float(losses[known].sum()), np.where(known, errors, 0.0)


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
    pooling = model.layers[1 : model.layers.index(model.get_ref(HEAD))]
    for batch in minibatch(docs, BATCH):
        X: Any = tok2vec.predict(batch)
        if model.layers[0].name == NAME:
            X = scale(X, get_weights(model.ops, batch))
        for layer in pooling:
            X = layer.predict(X)
        found.append(model.ops.to_numpy(X))
    return np.concatenate(found)

"""Fit logistic regressions by L-BFGS, and choose their regularisation by cross-validation."""

from collections.abc import Callable, Sequence

import numpy as np

# Inverse strengths of the regularisation. Small values suffice: the features are standardised and
# the labels are few.
STRENGTHS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.1, 1.0, 10.0)
N_FOLDS = 5
# L-BFGS: pairs that it remembers, steps at most, and the gradient at which it ends.
MEMORY, MAX_STEPS, TOLERANCE = 10, 1000, 1e-7


Differentiate = Callable[[np.ndarray], tuple[float, np.ndarray]]


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


def has_two_classes(truths: np.ndarray) -> bool:
    """Tell whether a class is true of some texts and false of others, so that it can be learned.

    truths (ndarray): As in `fit_logistic_regression`.
    """
    return bool(((truths == 0).any(axis=0) & (truths == 1).any(axis=0)).any())


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

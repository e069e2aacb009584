"""A linear-chain conditional random field (CRF) over BILUO tags, with the bias of O."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
from thinc.api import Model
from thinc.types import Floats1d, Floats2d, Floats3d, Ragged

from ..checks import Size
from ..errors import Errors

CRFModel: TypeAlias = Model[Ragged, "TagScores"]

IMPOSSIBLE = -1e6  # finite, so that no difference of two such scores is NaN
WEIGHTS = ("start", "end", "outer", "inner")


class TagScores(NamedTuple):
    """The scores of a batch of tag sequences, or their gradients.

    The score of a sequence is the sum of its emissions and transitions. With nL labels there are
    nO = 4 * nL + 1 tags, in the order of `list_tags`. Only transitions that BILUO allows have a
    parameter: the others take no part in training and decoding.

    emissions (Ragged): A score for each tag of each token, (nT, nO) of nD sequences.
    start (Floats1d): Scores of the first tag, which is O, U or B, (2 * nL + 1,).
    end (Floats1d): Scores of the last tag, which is L, O or U, (2 * nL + 1,).
    outer (Floats2d): From L, O or U to O, U or B, (2 * nL + 1, 2 * nL + 1).
    inner (Floats3d): From B or I to I or L of the same label, (2, 2, nL).
    """

    emissions: Ragged
    start: Floats1d
    end: Floats1d
    outer: Floats2d
    inner: Floats3d


class TagGroups:
    """The columns of the tags by what may stand before and after them.

    nO (int): Number of tags.
    """

    def __init__(self, nO: int) -> None:
        self.nL = nL = (nO - 1) // 4
        self.outside = nL
        self.last = slice(0, nL)
        self.closed = slice(0, 2 * nL + 1)  # L, O, U: no entity is open after them
        self.opening = slice(nL, 3 * nL + 1)  # O, U, B: they follow these tags and no others
        self.unit = slice(nL + 1, 2 * nL + 1)
        self.begin = slice(2 * nL + 1, 3 * nL + 1)
        self.inside = slice(3 * nL + 1, 4 * nL + 1)
        self.kinds = np.repeat(np.arange(5), [nL, 1, nL, nL, nL])  # L, O, U, B, I: without labels


def list_tags(labels: Sequence[str]) -> list[str]:
    """List the BILUO tags of labels in the order of the columns of a CRF.

    labels (Sequence[str]): The labels, nL of them.
    RETURNS (List[str]): Such as "U-PERSON", 4 * nL + 1 of them.
    """
    last, unit, begin, inside = ([f"{kind}-{label}" for label in labels] for kind in "LUBI")
    return [*last, "O", *unit, *begin, *inside]


def crf(nO: Size | None = None) -> CRFModel:
    """Add the transitions of a CRF to the emissions.

    After Lafferty et al., "Conditional Random Fields" (2001), with the tags of Ratinov and Roth,
    "Design Challenges and Misconceptions in Named Entity Recognition" (2009). `compute_loss`
    trains the scores, `decode` finds the best tags.

    In prediction, and only there, the parameter `bias` is added to the emissions of O. It is 0
    until `spacy-charlm.tune_entities.v1` sets it, and again after a further update.

    nO (Optional[int]): Number of tags, four times the number of labels and one.
    RETURNS (Model[Ragged, TagScores]): The layer. All transitions start at 0.
    RAISES (ValueError): If there is no such number of labels.

    Shapes: emissions (nT, nO) of nD sequences -> TagScores
    """
    if nO is not None and (nO < 5 or nO % 4 != 1):
        raise ValueError(Errors.E765.format(found=nO))
    params = dict.fromkeys((*WEIGHTS, "bias"))
    return Model("crf", forward, init=init, dims={"nO": nO}, params=params)


def forward(
    model: CRFModel, Xr: Ragged, is_train: bool
) -> tuple[TagScores, Callable[[TagScores], Ragged]]:
    """Join emissions and transitions; in prediction, add the bias of O."""
    if is_train:
        # The bias of the last pipeline that was saved would change later scores.
        model.set_param("bias", model.ops.alloc1f(1))
    else:
        Xr = add_outside(Xr, model.get_param("bias"))

    def backprop(dY: TagScores) -> Ragged:
        for name in WEIGHTS:
            model.inc_grad(name, getattr(dY, name))
        return dY.emissions

    weights: Any = [model.get_param(name) for name in WEIGHTS]
    return TagScores(Xr, *weights), backprop


def init(model: CRFModel, X: Ragged | None = None, Y: TagScores | None = None) -> None:
    """Set all transitions and the bias to 0."""
    if X is not None:
        model.set_dim("nO", cast(Any, X.dataXd).shape[1])
    nL = TagGroups(model.get_dim("nO")).nL
    ops = model.ops
    model.set_param("start", ops.alloc1f(2 * nL + 1))
    model.set_param("end", ops.alloc1f(2 * nL + 1))
    model.set_param("outer", ops.alloc2f(2 * nL + 1, 2 * nL + 1))
    model.set_param("inner", ops.alloc3f(2, 2, nL))
    model.set_param("bias", ops.alloc1f(1))


def add_outside(emissions: Ragged, bias: Any) -> Ragged:
    """Add a bias to the emissions of O. Below 0, it leads to more entities.

    emissions (Ragged): The emissions, which are not modified, (nT, nO).
    bias (Union[float, Floats1d]): The bias, a number or (1,).
    RETURNS (Ragged): The emissions with the bias, (nT, nO).
    """
    X: Any = emissions.dataXd.copy()
    X[:, TagGroups(X.shape[1]).outside] += bias
    return Ragged(X, emissions.lengths)


def compute_loss(
    ops: Any, scores: TagScores, tags: np.ndarray, segmentation_weight: float = 0.0
) -> tuple[float, TagScores]:
    """Compute the negative log-likelihood of the known tags, summed over the batch.

    Tags that are not known are marginalised: the likelihood is that of all sequences that agree
    with the known ones. Sequences without a known tag do not count. The segmentation is the
    likelihood of all sequences that agree if labels are ignored, so that B-PER is any B.

    ops (Ops): The backend.
    scores (TagScores): The scores of nD sequences.
    tags (ndarray): The column of the tag of each token, -1 where it is not known, int (nT,).
    segmentation_weight (float): Factor on the negative log-likelihood of the segmentation, which is
        added. With 0 it is not computed.
    RETURNS (Tuple[float, TagScores]): The loss and its derivative.
    """
    X: Any = scores.emissions.dataXd
    lengths = ops.to_numpy(scores.emissions.lengths)
    dX: Any = ops.alloc2f(*X.shape, dtype=X.dtype)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    used = np.bincount(owners[tags >= 0], minlength=len(lengths)) > 0
    rows = np.flatnonzero(used[owners])
    # For each likelihood its weight, and the group of each column: a known tag allows its group.
    wanted = [(1.0, np.arange(X.shape[1]))]
    if segmentation_weight:
        wanted.append((segmentation_weight, TagGroups(X.shape[1]).kinds))
    # The sequences with all tags, and again with those that agree, once for each likelihood.
    index = ops.asarray1i(rows)
    Xk = X[index]
    copies = [Xk, *(Xk + ops.asarray2f(_forbid(tags[rows], kinds)) for _, kinds in wanted)]
    n = int(used.sum())
    weights = [weight for weight, _ in wanted]
    signs = np.repeat([sum(weights), *(-weight for weight in weights)], n)
    signs = ops.asarray1f(signs, dtype=X.dtype)
    all_lengths: Any = np.tile(lengths[used], len(copies))
    emissions = Ragged(ops.xp.concatenate(copies), all_lengths)
    logZ, backprop = log_partition(ops, scores._replace(emissions=emissions))
    gradient = backprop(signs)
    dX[index] = sum(ops.xp.split(gradient.emissions.dataXd, len(copies)))
    loss = float((logZ * signs).sum())
    return loss, gradient._replace(emissions=Ragged(dX, scores.emissions.lengths))


def _forbid(tags: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Make the tags outside the group of the known tag impossible.

    tags (ndarray): The known tags, or -1, int (nT,).
    groups (ndarray): The group of each tag, int (nO,).
    RETURNS (ndarray): What to add to the emissions, float32 (nT, nO).
    """
    forbidden = (groups[tags][:, None] != groups) & (tags >= 0)[:, None]
    return np.where(forbidden, np.float32(IMPOSSIBLE), np.float32(0))


def log_partition(ops: Any, scores: TagScores) -> tuple[Floats1d, Callable[[Floats1d], TagScores]]:
    """Compute the logarithm of the sum of exp(score) over all tag sequences of each text.

    This is the forward algorithm; its backprop gives the marginals. Each step handles one token of
    all sequences that are long enough. Because an entity is open or closed, a step needs one matrix
    product (n, 2 * nL + 1) x (2 * nL + 1, 2 * nL + 1) and a few operations on (n, nO), in place of
    a sum over (n, nO, nO). A text of 1,000 tokens takes 1,000 steps, alone as in a batch.

    ops (Ops): The backend.
    scores (TagScores): The scores of nD sequences, none of which is empty. The lengths are a NumPy
        array.
    RETURNS (Tuple[Floats1d, Callable]): The logarithms (nD,), and the function that turns their
        gradient into that of the scores.
    """
    xp: Any = ops.xp
    start, end, outer, inner = cast(Any, scores[1:])
    order, sizes, final = _sort_by_step(cast(np.ndarray, scores.emissions.lengths))
    index, final = ops.asarray1i(order), ops.asarray1i(final)
    X: Any = cast(Any, scores.emissions.dataXd)[index]
    nO = X.shape[1]
    tags = TagGroups(nO)
    tiny = np.finfo(X.dtype).tiny
    exp_outer = xp.exp(outer)
    # For each row of X the logarithms of the sums over all sequences up to it, less their maximum.
    A: Any = xp.empty_like(X)
    weights: Any = xp.empty((len(X), 2 * tags.nL + 1), dtype=X.dtype)
    sums: Any = xp.empty_like(weights)
    shares: Any = xp.empty((2, len(X), tags.nL), dtype=X.dtype)  # of B before I, before L
    maxima: Any = xp.zeros((len(X), 1), dtype=X.dtype)  # the sums of what was subtracted
    row = before = 0
    for step, size in enumerate(sizes):
        rows = slice(row, row + size)
        a = A[rows]
        if not step:
            a[:] = IMPOSSIBLE
            a[:, tags.opening] = start
        else:
            previous = A[before : before + size]
            closed = previous[:, tags.closed]
            top = closed.max(axis=1, keepdims=True)
            weights[rows] = xp.exp(closed - top)
            sums[rows] = xp.maximum(ops.gemm(weights[rows], exp_outer), tiny)
            a[:, tags.opening] = xp.log(sums[rows]) + top
            for i, to in enumerate((tags.inside, tags.last)):
                begin = previous[:, tags.begin] + inner[0, i]
                a[:, to] = xp.logaddexp(begin, previous[:, tags.inside] + inner[1, i])
                shares[i, rows] = xp.exp(begin - a[:, to])
        a += X[rows]
        top = a.max(axis=1, keepdims=True)
        a -= top
        maxima[rows] = maxima[before : before + size] + top if step else top
        before, row = row, row + size
    last = A[final][:, tags.closed] + end
    top = last.max(axis=1, keepdims=True)
    last = xp.exp(last - top)
    norm = last.sum(axis=1, keepdims=True)
    logZ = (xp.log(norm) + top + maxima[final])[:, 0]

    def backprop(dlogZ: Floats1d) -> TagScores:
        dA: Any = xp.zeros_like(A)
        dlast = last / norm * cast(Any, dlogZ).reshape(-1, 1)
        dA[final, tags.closed] = dlast
        dsums: Any = xp.zeros_like(sums)
        dinner: Any = xp.zeros_like(inner)
        row = len(X)
        for step in range(len(sizes) - 1, 0, -1):
            size = sizes[step]
            rows, row = slice(row - size, row), row - size
            previous = dA[row - sizes[step - 1] : row - sizes[step - 1] + size]
            dsums[rows] = dA[rows, tags.opening] / sums[rows]
            previous[:, tags.closed] += weights[rows] * ops.gemm(
                dsums[rows], exp_outer, trans2=True
            )
            for i, to in enumerate((tags.inside, tags.last)):
                dbegin = dA[rows, to] * shares[i, rows]
                dinside = dA[rows, to] - dbegin
                previous[:, tags.begin] += dbegin
                previous[:, tags.inside] += dinside
                dinner[0, i] += dbegin.sum(axis=0)
                dinner[1, i] += dinside.sum(axis=0)
        first = sizes[0] if sizes else 0
        douter = ops.gemm(weights[first:], dsums[first:], trans1=True) * exp_outer
        dX: Any = xp.empty_like(dA)
        dX[index] = dA
        dstart = dA[:first, tags.opening].sum(axis=0)
        emissions = Ragged(dX, scores.emissions.lengths)
        return TagScores(emissions, dstart, dlast.sum(axis=0), douter, dinner)

    return logZ, backprop


def decode(ops: Any, scores: TagScores) -> np.ndarray:
    """Find the tag sequence of each text with the highest score, by the Viterbi algorithm.

    It runs on the CPU, because its steps are many and small. The cost of a step is that of
    (n, 2 * nL + 1, 2 * nL + 1) sums.

    ops (Ops): The backend that the scores are on.
    scores (TagScores): The scores of nD sequences.
    RETURNS (ndarray): The column of the best tag of each token, int (nT,).
    """
    start, end, outer, inner = (ops.to_numpy(part) for part in scores[1:])
    lengths = ops.to_numpy(scores.emissions.lengths)
    order, sizes, final = _sort_by_step(lengths)
    X = ops.to_numpy(scores.emissions.dataXd)[order]
    tags = TagGroups(X.shape[1])
    A = np.empty_like(X)
    back = np.zeros(X.shape, dtype="int32")  # the best tag before each tag
    begin, inside = np.arange(X.shape[1])[tags.begin], np.arange(X.shape[1])[tags.inside]
    from_to = np.ascontiguousarray(outer.T)
    row = before = 0
    for step, size in enumerate(sizes):
        a = A[row : row + size]
        if not step:
            a[:] = IMPOSSIBLE
            a[:, tags.opening] = start
        else:
            previous, pointers = A[before : before + size], back[row : row + size]
            paths = previous[:, None, tags.closed] + from_to  # (n, to, from)
            best = paths.argmax(axis=2)
            pointers[:, tags.opening] = best
            a[:, tags.opening] = np.take_along_axis(paths, best[..., None], axis=2)[..., 0]
            for i, to in enumerate((tags.inside, tags.last)):
                from_begin = previous[:, tags.begin] + inner[0, i]
                from_inside = previous[:, tags.inside] + inner[1, i]
                pointers[:, to] = np.where(from_begin >= from_inside, begin, inside)
                a[:, to] = np.maximum(from_begin, from_inside)
        a += X[row : row + size]
        a -= a.max(axis=1, keepdims=True)
        before, row = row, row + size
    best = np.zeros(len(X), dtype="int32")
    best[final] = (A[final][:, tags.closed] + end).argmax(axis=1)
    for step in range(len(sizes) - 1, 0, -1):
        rows, row = np.arange(row - sizes[step], row), row - sizes[step]
        first = row - sizes[step - 1]
        best[first : first + sizes[step]] = back[rows, best[rows]]
    found = np.empty_like(best)
    found[order] = best
    return found


def find_spans(tags: np.ndarray, nO: int) -> list[tuple[int, int, int]]:
    """Find the entities in valid sequences of tags.

    tags (ndarray): Columns of tags, as `decode` returns them, int (nT,).
    nO (int): Number of tags.
    RETURNS (List[Tuple[int, int, int]]): First token, token after the last one, number of the
        label.
    """
    groups = TagGroups(nO)
    starts = np.flatnonzero((tags > groups.outside) & (tags < groups.opening.stop))
    ends = np.flatnonzero((tags != groups.outside) & (tags < groups.closed.stop)) + 1
    labels = (tags[starts] - groups.unit.start) % groups.nL
    return list(zip(starts.tolist(), ends.tolist(), labels.tolist()))


def _sort_by_step(lengths: np.ndarray) -> tuple[np.ndarray, list[int], np.ndarray]:
    """Sort tokens by their position, and those of one position by the length of their sequence.

    Each step then is a slice without padding, and its sequences are the first ones of the step
    before.

    lengths (ndarray): Lengths of the sequences.
    RETURNS (Tuple[ndarray, List[int], ndarray]): The tokens in their new order, (nT,); the number
        of sequences of each step; where the last token of each sequence that is not empty is in
        that order.
    """
    sequences = np.argsort(-lengths, kind="stable")
    offsets = (np.cumsum(lengths) - lengths)[sequences]
    steps = np.arange(lengths.max(initial=0))
    sizes = np.searchsorted(-lengths[sequences], -steps)  # how many lengths are above the step
    order = [offsets[:0], *(offsets[:size] + step for step, size in zip(steps, sizes))]
    rows = np.cumsum(sizes) - sizes
    ranks = np.empty_like(sequences)
    ranks[sequences] = np.arange(len(sequences))
    filled = lengths > 0
    final = rows[lengths[filled] - 1] + ranks[filled]
    return np.concatenate(order), sizes.tolist(), final

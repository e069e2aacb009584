"""The first convolution over characters as sums of table rows.

A batch has a hundred distinct characters and ten thousand positions. Each character times each
place of the filter is computed once; a position adds up the rows of the characters that it sees.
Forward and backward come to what `conv_chars` computes, without a product per position.
"""

from collections.abc import Callable
from typing import Any

from thinc.api import Ops
from thinc.types import Floats1d, Floats2d, Ints1d, Ints2d

from .conv_kernels import kernels_fit, max_sums_fused
from .pool_rows import backprop_max_rows, max_rows

# From the gradient of the words (nW, nO) to those of vectors, filters and bias.
Backprop = Callable[[Floats2d], tuple[Floats2d, Floats2d, Floats1d]]


def seen_rows(ops: Ops, chars: Ints1d, lengths: Ints1d, window: int, nV: int) -> Ints2d:
    """Find the rows of the table that each position adds up.

    ops (Ops): The backend.
    chars (Ints1d): Which of the nV characters stands at each position, (nC,).
    lengths (Ints1d): Positions per word, int32 (nW,), none of them zero.
    window (int): Characters that a filter sees, an odd number.
    nV (int): Distinct characters.
    RETURNS (Ints2d): For each place of the filter the row at each position, int32 (window, nC):
        character * window + place, or the last row, of zeros, outside of the word.
    """
    xp: Any = ops.xp
    nC = len(chars)
    ends: Any = xp.cumsum(lengths)
    places: Any = xp.arange(nC)
    word: Any = xp.searchsorted(ends, places, side="right")
    ends = ends[word]
    starts = ends - lengths[word]
    rows: Any = ops.alloc2i(window, nC) + nV * window
    for place in range(window):
        shift = place - window // 2
        inside = (places + shift >= starts) & (places + shift < ends)
        at = places[inside]
        rows[place, at] = chars[at + shift] * window + place
    return rows


def max_sums(
    ops: Ops, T: Floats2d, chars: Ints1d, lengths: Ints1d, window: int
) -> tuple[Floats2d, Callable[[Floats2d], Floats2d]]:
    """Add up the rows that each position sees, and take the maximum over each word.

    The plain twin of the kernels in conv_table.cu.

    ops (Ops): The backend.
    T (Floats2d): The table, (nV * window + 1, nO), its last row zeros.
    chars (Ints1d): Which of the nV characters stands at each position, (nC,).
    lengths (Ints1d): Positions per word, int32 (nW,), none of them zero.
    window (int): Characters that a filter sees, an odd number.
    RETURNS (Tuple[Floats2d, Callable]): Maxima (nW, nO), and the way from their gradient to that
        of the table.
    """
    xp: Any = ops.xp
    rows = seen_rows(ops, chars, lengths, window, (len(T) - 1) // window)
    H: Any = xp.take(T, rows[0], axis=0)  # (nC, nO)
    for place in range(1, window):
        H += xp.take(T, rows[place], axis=0)
    Y, which = max_rows(ops, H, lengths)

    def backprop(dY: Floats2d) -> Floats2d:
        dH = backprop_max_rows(ops, dY, which, lengths)  # (nC, nO)
        dT = ops.alloc2f(*T.shape, dtype=dH.dtype)
        for place in range(window):
            ops.scatter_add(dT, rows[place], dH)
        return dT

    return Y, backprop


def conv_table(
    ops: Ops, E: Floats2d, W: Floats2d, b: Floats1d, chars: Ints1d, lengths: Ints1d
) -> tuple[Floats2d, Backprop]:
    """Convolve over the characters of each word and take the maximum over its positions.

    ops (Ops): The backend.
    E (Floats2d): Vectors of the distinct characters, (nV, nI).
    W (Floats2d): Filters, (nO, window * nI).
    b (Floats1d): Bias, (nO,).
    chars (Ints1d): Which of the distinct characters stands at each position, (nC,).
    lengths (Ints1d): Positions per word, int32 (nW,), none of them zero.
    RETURNS (Tuple[Floats2d, Callable]): The words, and the way back to the gradients of E, W, b.

    **Shapes** nV characters at nC positions of nW words -> words (nW, nO)
    """
    xp: Any = ops.xp
    (nV, nI), nO = E.shape, len(b)
    window = W.shape[1] // nI
    places: Any = xp.reshape(W, (nO * window, nI))
    table: Any = xp.reshape(ops.gemm(E, places, trans2=True), (nV, nO, window))
    T: Any = ops.alloc2f(nV * window + 1, nO, dtype=table.dtype)
    T[:-1] = xp.reshape(table.transpose(0, 2, 1), (nV * window, nO))
    take_max = max_sums_fused if kernels_fit(ops, T) else max_sums
    Y, backprop_max = take_max(ops, T, chars, lengths, window)
    Y = Y + b

    def backprop(dY: Floats2d) -> tuple[Floats2d, Floats2d, Floats1d]:
        dT: Any = backprop_max(dY)
        d_table: Any = xp.reshape(dT[:-1], (nV, window, nO)).transpose(0, 2, 1)
        d_table = ops.as_contig(xp.reshape(d_table, (nV, nO * window)))
        dE: Any = ops.gemm(d_table, places)
        dW: Any = ops.gemm(d_table, E, trans1=True)
        return dE, xp.reshape(dW, (nO, -1)), dY.sum(axis=0)

    return Y, backprop

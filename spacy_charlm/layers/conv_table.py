"""A convolution over characters and its maximum, computed as sums of table rows.

A batch has about a hundred distinct characters at ten thousand positions. Each distinct character
is multiplied once with each tap of the filters; a position then adds up the products of the
characters in its window. The result equals `chain(conv(...), pool())` over the vectors of all
positions, forward and backward, without a matrix product per position.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from thinc.api import CupyOps, Ops
from thinc.types import Floats1d, Floats2d, Ints1d, Ints2d

# From the gradient of the words (nW, nO) to those of vectors, filters and bias.
Backprop: TypeAlias = Callable[[Floats2d], tuple[Floats2d, Floats2d, Floats1d]]

SOURCE = Path(__file__).with_name("conv_table.cu")
MAX_BLOCKS = 65_535
MAX_THREADS = 256


def conv_table(
    ops: Ops, E: Floats2d, W: Floats2d, b: Floats1d, chars: Ints1d, lengths: Ints1d
) -> tuple[Floats2d, Backprop]:
    """Convolve over the characters of each word and take the maximum over its positions.

    ops (Ops): The backend.
    E (Floats2d): Vectors of the distinct characters, (nV, nI).
    W (Floats2d): Filters, (nO, window * nI).
    b (Floats1d): Bias, (nO,).
    chars (Ints1d): Which of the nV distinct characters is at each position, (nC,).
    lengths (Ints1d): Positions per word, int32 (nW,), none of them zero.
    RETURNS (Tuple[Floats2d, Callable]): The words, and the backprop to E, W and b.

    Shapes: nV characters at nC positions of nW words -> words (nW, nO)
    """
    xp: Any = ops.xp
    (nV, nI), nO = E.shape, len(b)
    window = W.shape[1] // nI
    taps: Any = xp.reshape(W, (nO * window, nI))
    products: Any = xp.reshape(ops.gemm(E, taps, trans2=True), (nV, nO, window))
    T: Any = ops.alloc2f(nV * window + 1, nO, dtype=products.dtype)
    T[:-1] = xp.reshape(products.transpose(0, 2, 1), (nV * window, nO))
    take_max = max_sums_fused if kernels_fit(ops, T) else max_sums
    Y, backprop_max = take_max(ops, T, chars, lengths, window)
    Y = Y + b

    def backprop(dY: Floats2d) -> tuple[Floats2d, Floats2d, Floats1d]:
        dT: Any = backprop_max(dY)
        d_products: Any = xp.reshape(dT[:-1], (nV, window, nO)).transpose(0, 2, 1)
        d_products = ops.as_contig(xp.reshape(d_products, (nV, nO * window)))
        dE: Any = ops.gemm(d_products, taps)
        dW: Any = ops.gemm(d_products, E, trans1=True)
        return dE, xp.reshape(dW, (nO, -1)), dY.sum(axis=0)

    return Y, backprop


def max_sums(
    ops: Ops, T: Floats2d, chars: Ints1d, lengths: Ints1d, window: int
) -> tuple[Floats2d, Callable[[Floats2d], Floats2d]]:
    """Add up the rows in the window of each position, and take the maximum over each word.

    The first position wins among equal sums. `max_sums_fused` computes the same on a GPU.

    ops (Ops): The backend.
    T (Floats2d): The table, (nV * window + 1, nO): row `character * window + tap`, and zeros as
        the last row.
    chars (Ints1d): Which of the nV characters is at each position, (nC,).
    lengths (Ints1d): Positions per word, int32 (nW,).
    window (int): Characters that a filter sees, an odd number.
    RETURNS (Tuple[Floats2d, Callable]): Maxima (nW, nO), and the backprop to the table.
    """
    xp: Any = ops.xp
    columns = put_in_columns(ops, chars, lengths)
    rows: Any = find_window_rows(ops, columns, window, (len(T) - 1) // window)
    nW, nO = len(lengths), T.shape[1]
    best: Any = ops.alloc2f(nW, nO, dtype=T.dtype)  # zeros for an empty word
    index = xp.int16 if len(columns.slices) < 2**15 else xp.int32  # the smaller one is faster
    which = xp.zeros((nW, nO), dtype=index)
    # Position by position, because the sums of one position fit into the processor's cache.
    for position, here in enumerate(columns.slices):
        n = here.stop - here.start
        H: Any = xp.take(T, rows[0, here], axis=0)  # (n, nO)
        for tap in range(1, window):
            H += xp.take(T, rows[tap, here], axis=0)
        if position == 0:
            best[:n] = H
            continue
        # Positions only increase, so the maximum of the old and the new winner is the new one
        # where it wins. A masked copy takes ten times as long.
        wins = xp.multiply(H > best[:n], index(position), dtype=index)
        xp.maximum(which[:n], wins, out=which[:n])
        xp.maximum(best[:n], H, out=best[:n])
    Y = xp.empty_like(best)
    Y[columns.order] = best

    def backprop(dY: Floats2d) -> Floats2d:
        dYs: Any = dY
        d_best = dYs[columns.order]
        dH: Any = xp.empty((len(columns.chars), nO), dtype=dY.dtype)
        for position, here in enumerate(columns.slices):
            n = here.stop - here.start
            xp.multiply(d_best[:n], which[:n] == position, out=dH[here])
        dT = ops.alloc2f(*T.shape, dtype=dY.dtype)
        for tap in range(window):
            ops.scatter_add(dT, rows[tap], dH)
        return dT

    return Y, backprop


class Columns(NamedTuple):
    """The characters of a batch by position: all first ones of the words, all second ones, ...

    The words are sorted by length, the longest first. The words that reach a position are
    therefore the first ones, and each position is one slice.

    chars (Ints1d): The characters, (nC,).
    order (Ints1d): The words, the longest first, (nW,).
    starts (List[int]): Where the characters of each position start; the last entry is nC.
    """

    chars: Ints1d
    order: Ints1d
    starts: list[int]

    @property
    def slices(self) -> list[slice]:
        """The slice of each position."""
        return [slice(start, end) for start, end in zip(self.starts, self.starts[1:])]


def put_in_columns(ops: Ops, chars: Ints1d, lengths: Ints1d) -> Columns:
    """Sort the characters of words by their positions.

    ops (Ops): The backend.
    chars (Ints1d): Characters, word after word, (nC,).
    lengths (Ints1d): Positions per word, (nW,).
    RETURNS (Columns): The same characters.
    """
    xp: Any = ops.xp
    sizes: Any = lengths
    nW = len(sizes)
    order: Any = xp.argsort(-sizes, kind="stable")
    rank = xp.empty_like(order)
    rank[order] = xp.arange(nW)
    word = xp.repeat(xp.arange(nW), sizes.tolist())
    position = xp.arange(len(chars)) - (xp.cumsum(sizes) - sizes)[word]
    counts: Any = xp.bincount(position) if nW else xp.zeros(0, dtype="int64")
    starts = xp.concatenate([xp.zeros(1, dtype="int64"), xp.cumsum(counts)])
    columns: Any = xp.empty_like(chars)
    columns[starts[position] + rank[word]] = chars
    return Columns(columns, order, starts.tolist())


def find_window_rows(ops: Ops, columns: Columns, window: int, nV: int) -> Ints2d:
    """Find the rows of the table that each position adds up.

    ops (Ops): The backend.
    columns (Columns): Which of the nV characters is at each position.
    window (int): Characters that a filter sees, an odd number.
    nV (int): Distinct characters.
    RETURNS (Ints2d): For each tap of the filter the row at each position, int32 (window, nC):
        character * window + tap, or the last row, of zeros, outside the word.
    """
    rows: Any = ops.alloc2i(window, len(columns.chars)) + nV * window
    seen: Any = columns.chars * window
    slices = columns.slices
    for tap in range(window):
        for here, there in zip(
            slices[max(0, window // 2 - tap) :], slices[max(0, tap - window // 2) :]
        ):
            # The words that reach both positions come first in both slices.
            n = min(here.stop - here.start, there.stop - there.start)
            rows[tap, here.start : here.start + n] = seen[there.start : there.start + n] + tap
    return rows


def kernels_fit(ops: Ops, T: Any) -> bool:
    """Return whether the CUDA kernels can compute the sums: on a GPU, in float32."""
    return isinstance(ops, CupyOps) and T.dtype == "float32"


def max_sums_fused(
    ops: Ops, T: Floats2d, chars: Ints1d, lengths: Ints1d, window: int
) -> tuple[Floats2d, Callable[[Floats2d], Floats2d]]:
    """Compute `max_sums` with the kernels in conv_table.cu.

    The gradients of one row are added up in no fixed order.
    """
    xp: Any = ops.xp
    nW, nO = len(lengths), T.shape[1]
    chars, lengths = ops.asarray1i(chars, dtype="int32"), ops.asarray1i(lengths, dtype="int32")
    starts: Any = xp.cumsum(lengths, dtype="int32") - lengths
    sizes = (xp.int32(nW), xp.int32(nO), xp.int32(window))
    Y, which = ops.alloc2f(nW, nO), ops.alloc2i(nW, nO)
    _launch("max_sums", nW, nO, (T, chars, starts, lengths, *sizes, Y, which))

    def backprop(dY: Floats2d) -> Floats2d:
        dT = ops.alloc2f(*T.shape)
        dY = ops.as_contig(dY)
        _launch("backprop_max_sums", nW, nO, (dY, which, chars, starts, lengths, *sizes, dT))
        return dT

    return Y, backprop


def _launch(name: str, nW: int, nO: int, arguments: tuple[Any, ...]) -> None:
    if nW and nO:
        threads = min(MAX_THREADS, -(-nO // 32) * 32)
        _compile(name)((min(nW, MAX_BLOCKS),), (threads,), arguments)


@cache
def _compile(name: str) -> Any:
    import cupy

    return cupy.RawKernel(SOURCE.read_text(encoding="utf8"), name)

"""Sum the vectors of a word's hashed character n-grams."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
from thinc.api import Model, uniform_init
from thinc.types import Floats2d, Ints1d, Ints2d, Ragged

from ..checks import Length, Size, checked

NgramModel: TypeAlias = Model[Ragged, Floats2d]

# Odd multipliers that mix 64-bit hashes, from FNV (the first) and SplitMix64.
PRIME = np.uint64(0x100000001B3)
STEP = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)


@checked("embed_ngrams")
def embed_ngrams(nO: Size, nV: Size, sizes: Sequence[Length]) -> NgramModel:
    """Embed the character n-grams of each word, with its start and end, and the whole word.

    A table distinguishes more words than convolution filters can. A misspelled word keeps most of
    its n-grams, while its hash as a whole word has nothing in common with the correct one.
    Bojanowski et al., "Enriching Word Vectors with Subword Information" (2017), with the n-grams
    hashed into a small table as in floret.

    nO (int): Width of the output and of the table.
    nV (int): Rows of the table. Recommended values: 10000 to 50000.
    sizes (Sequence[int]): Characters per n-gram. Recommended values: 3, 4, 5.
    RETURNS (Model[Ragged, Floats2d]): The layer.
    RAISES (ValueError): If an argument is out of its range.

    Shapes: characters (nC,) of nW words -> words (nW, nO)
    """
    return Model(
        "embed_ngrams",
        forward,
        init=init,
        dims={"nO": nO, "nV": nV},
        params={"E": None},
        attrs={"sizes": list(sizes)},
    )


def forward(
    model: NgramModel, Xr: Ragged, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Ragged]]:
    """Sum the rows of each word's n-grams, divided by the square root of their number."""
    ops: Any = model.ops
    E: Any = model.get_param("E")
    chars, lengths = cast(Ints1d, Xr.dataXd), Xr.lengths
    found, counts = find_ngrams(ops, chars, lengths, model.attrs["sizes"], len(E))
    if not len(found):
        return ops.alloc2f(len(lengths), E.shape[1], dtype=E.dtype), lambda dY: Xr
    scale = ops.xp.maximum(counts, 1).astype(E.dtype).reshape(-1, 1) ** -0.5
    rows = found.T  # contiguous
    # `ops.gather_add` takes three times as long on a CPU.
    Y = sum(ops.reduce_sum(E.take(each, axis=0), counts) for each in rows) * scale

    def backprop(dY: Floats2d) -> Ragged:
        d_ngrams = ops.backprop_reduce_sum(dY * scale, counts)
        dE = ops.alloc2f(*E.shape, dtype=E.dtype)
        for each in rows:
            ops.scatter_add(dE, each, d_ngrams)
        model.inc_grad("E", dE)
        return Ragged(ops.alloc1i(len(chars)), lengths)

    return Y, backprop


def init(model: NgramModel, X: Ragged | None = None, Y: Floats2d | None = None) -> None:
    """Draw the table in the same way as thinc's HashEmbed."""
    model.set_param("E", uniform_init(model.ops, (model.get_dim("nV"), model.get_dim("nO"))))


def find_ngrams(
    ops: Any, chars: Ints1d, lengths: Ints1d, sizes: Sequence[int], nV: int
) -> tuple[Ints2d, Ints1d]:
    """Hash the n-grams of each word.

    ops (Ops): The backend.
    chars (Ints1d): Characters, int32 (nC,), word after word.
    lengths (Ints1d): Characters per word, int32 (nW,).
    sizes (Sequence[int]): Characters per n-gram. A shorter word has no n-gram of this size.
    nV (int): Rows of the table.
    RETURNS (Tuple[Ints2d, Ints1d]): Two rows of the table for each n-gram, int32 (nG, 2), word
        after word, each beginning with the whole word; n-grams per word, int32 (nW,).
    """
    xp: Any = ops.xp
    nC = len(chars)
    codes: Any = chars.astype("uint64")
    ends: Any = xp.cumsum(lengths)
    starts = ends - lengths
    words = xp.searchsorted(ends, xp.arange(nC), side="right")
    position = xp.arange(nC) - starts[words]  # within the word
    # The hash of a whole word: the sum over hashes of (character, position), modulo 2 ** 64.
    summed = _sum_up(xp, _mix(codes * STEP + position.astype("uint64") * MIX_2))
    # By size: keys of the n-grams that start at each character, and whether they end in the word.
    ngrams = {}
    key = xp.zeros(nC, dtype="uint64")
    for n in range(1, max(sizes) + 1):
        reach = max(nC - n + 1, 0)
        key[:reach] ^= codes[nC - reach :]
        key *= PRIME
        if n in sizes:
            ngrams[n] = key.copy(), position + n <= lengths[words]
    whole = (summed[ends] - summed[starts])[words], position == 0
    columns, exist = zip(whole, *[ngrams[n] for n in sizes])
    exist = xp.stack(exist, axis=1)
    keys = _mix(xp.stack(columns, axis=1)[exist])
    # Two rows for each n-gram: two n-grams that share one row still differ in the other.
    halves = (keys & np.uint64(0xFFFFFFFF), keys >> np.uint64(32))
    rows = xp.stack([half % np.uint64(nV) for half in halves]).T
    numbers = _sum_up(xp, exist.sum(axis=1))
    return rows.astype("int32"), (numbers[ends] - numbers[starts]).astype("int32")


def _sum_up(xp: Any, values: Any) -> Any:
    """Return the sums of the first 0, 1, 2, ... values."""
    sums = xp.zeros(len(values) + 1, dtype=values.dtype)
    xp.cumsum(values, out=sums[1:])
    return sums


def _mix(keys: Any) -> Any:
    """Spread each bit of 64-bit keys over all bits: SplitMix64, Steele et al. (2014)."""
    keys = (keys ^ (keys >> np.uint64(30))) * MIX_1
    keys = (keys ^ (keys >> np.uint64(27))) * MIX_2
    return keys ^ (keys >> np.uint64(31))

"""The kernels of conv_table.cu, through CuPy: no array of positions, forward or backward."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from thinc.api import CupyOps, Ops
from thinc.types import Floats2d, Ints1d

SOURCE = Path(__file__).with_name("conv_table.cu")
MAX_BLOCKS = 65_535
MAX_THREADS = 256


def kernels_fit(ops: Ops, T: Any) -> bool:
    """Whether the kernels compute what the plain twin would: on a GPU, in float32."""
    return isinstance(ops, CupyOps) and T.dtype == "float32"


def max_sums_fused(
    ops: Ops, T: Floats2d, chars: Ints1d, lengths: Ints1d, window: int
) -> tuple[Floats2d, Callable[[Floats2d], Floats2d]]:
    """Do what `conv_table.max_sums` does. Gradients of one row add up in no fixed order."""
    xp: Any = ops.xp
    nW, nO = len(lengths), T.shape[1]
    chars, lengths = ops.asarray1i(chars, dtype="int32"), ops.asarray1i(lengths, dtype="int32")
    starts: Any = xp.cumsum(lengths, dtype="int32") - lengths
    words = (chars, starts, lengths, nW, nO, window)
    Y, which = ops.alloc2f(nW, nO), ops.alloc2i(nW, nO)
    _launch("max_sums", nW, nO, (T, *_sized(xp, words), Y, which))

    def backprop(dY: Floats2d) -> Floats2d:
        dT = ops.alloc2f(*T.shape)
        dY = ops.as_contig(dY)
        _launch("backprop_max_sums", nW, nO, (dY, which, *_sized(xp, words), dT))
        return dT

    return Y, backprop


def _sized(xp: Any, words: tuple[Any, ...]) -> tuple[Any, ...]:
    """Give the numbers the size that the kernels expect; arrays have it."""
    return tuple(xp.int32(value) if isinstance(value, int) else value for value in words)


def _launch(name: str, nW: int, nO: int, arguments: tuple[Any, ...]) -> None:
    if nW and nO:
        threads = min(MAX_THREADS, -(-nO // 32) * 32)
        _compile(name)((min(nW, MAX_BLOCKS),), (threads,), arguments)


@cache
def _compile(name: str) -> Any:
    import cupy

    return cupy.RawKernel(SOURCE.read_text(encoding="utf8"), name)

"""The sums of table rows, and the kernels without a GPU: as C++, one thread after the other."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
import spacy
from numpy.testing import assert_allclose, assert_array_equal
from thinc.api import NumpyOps, Ragged, chain, fix_random_seed, uniform_init

from spacy_charlm.architectures.char_cnn import build_char_cnn_v1
from spacy_charlm.layers import conv_table
from spacy_charlm.layers.conv import conv
from spacy_charlm.layers.conv_table import (
    find_window_rows,
    max_sums,
    max_sums_fused,
    put_in_columns,
)
from spacy_charlm.layers.embed_chars import embed_chars
from spacy_charlm.layers.pool import pool

NVCC = shutil.which("nvcc")
CXX = shutil.which("g++") or shutil.which("clang++")
HOST = """
struct Index { int x; };
static Index blockIdx, threadIdx, gridDim, blockDim;
#define __global__
static float atomicAdd(float* address, float value) {
    float old = *address;
    *address += value;
    return old;
}
#include "conv_table.cu"
extern "C" void place_thread(int block, int blocks, int thread, int threads) {
    blockIdx.x = block; gridDim.x = blocks; threadIdx.x = thread; blockDim.x = threads;
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if CXX is None:
        pytest.skip("needs a C++ compiler")
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "host.cpp").write_text(HOST, encoding="utf8")
    command = [CXX, "-O1", "-shared", "-fPIC", f"-I{conv_table.SOURCE.parent}"]
    command += [str(folder / "host.cpp"), "-o", str(folder / "host.so")]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(folder / "host.so"))


@pytest.fixture
def on_host(library, monkeypatch):
    """Send launches to the C++ library, in fewer blocks and threads than there is work."""
    launched = []

    def compile_kernel(name):
        def launch(grid, block, arguments):
            launched.append(name)
            assert all(isinstance(a, np.int32) or a.flags.c_contiguous for a in arguments)
            given = [
                a.ctypes.data_as(ctypes.c_void_p) if isinstance(a, np.ndarray) else int(a)
                for a in arguments
            ]
            for i in range(2):
                for thread in range(3):
                    library.place_thread(i, 2, thread, 3)
                    getattr(library, name)(*given)

        return launch

    monkeypatch.setattr(conv_table, "_compile", compile_kernel)
    monkeypatch.setattr(conv_table, "kernels_fit", lambda ops, T: T.dtype == "float32")
    return launched


@pytest.mark.parametrize("windows", [[1], [3], [3, 5], [9]])
@pytest.mark.parametrize("lengths", [[4, 1, 7, 1], [1], []])
def test_conv_table_equals_conv_and_pool_over_all_positions(ops64, windows, lengths):
    rng = np.random.default_rng(0)
    convs = [conv(nO, 3, window) for nO, window in zip((4, 2), windows)]
    model = embed_chars(3, 9, convs)
    model.initialize()
    for node in model.walk():
        for name in node.param_names:
            node.set_param(name, rng.normal(size=node.get_param(name).shape))
    chars = rng.integers(0, 6, sum(lengths)).astype("int32")  # most of them more than once
    words = Ragged(chars, np.array(lengths, dtype="int32"))
    Y, backprop = model.begin_update(words)
    dY = rng.normal(size=Y.shape)
    backprop(dY)
    found = [node.get_grad(name) for node in convs for name in ("W", "b")]
    for node in convs:
        for name in ("W", "b"):
            node.set_grad(name, np.zeros_like(node.get_param(name)))

    E = model.get_param("E")
    vectors = Ragged(E[chars], words.lengths)
    results = [chain(each, pool()).begin_update(vectors) for each in convs]
    assert_allclose(Y, np.hstack([Yc for Yc, _ in results]).reshape(Y.shape), atol=1e-12)
    dE, start = np.zeros_like(E), 0
    for Yc, backprop_conv in results:
        dX = backprop_conv(np.ascontiguousarray(dY[:, start : start + Yc.shape[1]]))
        np.add.at(dE, chars, dX.dataXd)
        start += Yc.shape[1]
    assert_allclose(model.get_grad("E"), dE, atol=1e-12)
    plain = [node.get_grad(name) for node in convs for name in ("W", "b")]
    for ours, expected in zip(found, plain):
        assert_allclose(ours, expected, atol=1e-12)


def test_embed_chars_draws_the_filters_and_then_the_table():
    fix_random_seed(1)
    model = embed_chars(3, 9, [conv(4, 3, 3), conv(2, 3, 5)])
    model.initialize()
    fix_random_seed(1)
    for layer, window, nO in zip(model.layers, (3, 5), (4, 2)):
        alone = conv(nO, 3, window).initialize()
        assert_array_equal(layer.get_param("W"), alone.get_param("W"))
    assert_array_equal(model.get_param("E"), uniform_init(model.ops, (9, 3)))


def test_columns_are_sorted_by_position(ops):
    chars = ops.asarray1i([5, 1, 2, 3, 7, 8])  # words 5, 1 2 3, 7 8
    columns = put_in_columns(ops, chars, ops.asarray1i([1, 3, 2]))
    assert_array_equal(ops.to_numpy(columns.order), [1, 2, 0])
    assert_array_equal(ops.to_numpy(columns.chars), [1, 7, 5, 2, 8, 3])
    assert columns.starts == [0, 3, 5, 6]
    empty = put_in_columns(ops, chars[:0], ops.alloc1i(0))
    assert (len(empty.chars), empty.starts, empty.slices) == (0, [0], [])


def test_window_rows_end_with_the_word(ops):
    columns = put_in_columns(ops, ops.asarray1i([0, 1, 2, 1, 0]), ops.asarray1i([3, 2]))
    rows = find_window_rows(ops, columns, 3, 3)
    # character * 3 + tap; 9 is the row of zeros; first, second and third characters
    expected = [[9, 9, 0, 3, 3], [1, 4, 4, 1, 7], [5, 2, 8, 9, 9]]
    assert_array_equal(ops.to_numpy(rows), expected)


def test_windows_longer_than_any_word(ops):
    columns = put_in_columns(ops, ops.asarray1i([0, 1]), ops.asarray1i([2]))
    rows = ops.to_numpy(find_window_rows(ops, columns, 9, 2))
    assert (rows == 18).sum() == 9 * 2 - 4
    assert rows[4].tolist() == [4, 13] and rows[3, 1] == 3 and rows[5, 0] == 14


@pytest.mark.parametrize("window", [1, 3, 7])
@pytest.mark.parametrize("lengths", [[4, 1, 7, 1], [1], []])
def test_kernels_equal_max_sums(on_host, window, lengths):
    ops, rng = NumpyOps(), np.random.default_rng(0)
    nV, nO = 5, 40
    T = rng.normal(size=(nV * window + 1, nO)).astype("float32")
    T[-1] = 0
    T[:window] = T[window : 2 * window]  # two characters that look the same: the first one wins
    chars = rng.integers(0, nV, sum(lengths))
    lengths = np.array(lengths, dtype="int32")
    Y, backprop = max_sums(ops, T, chars, lengths, window)
    found, backprop_found = max_sums_fused(ops, T, chars, lengths, window)
    assert_allclose(found, Y, atol=1e-6)
    dY = rng.normal(size=Y.shape).astype("float32")
    # The row of zeros is no parameter: its gradient is not used.
    assert_allclose(backprop_found(dY)[:-1], backprop(dY)[:-1], atol=1e-5)
    assert on_host == (["max_sums", "backprop_max_sums"] if len(lengths) else [])


def test_kernels_keep_what_is_not_a_number(on_host):
    T = np.ones((3, 2), dtype="float32")
    T[1, 0] = np.nan
    chars, lengths = np.array([0, 1, 0]), np.array([3], dtype="int32")
    Y, _ = max_sums_fused(NumpyOps(), T, chars, lengths, 1)
    assert np.isnan(Y[0, 0]) and Y[0, 1] == 1


def test_embed_layer_through_the_kernels(on_host, monkeypatch):
    nlp = spacy.blank("en")
    docs = [nlp.make_doc(text) for text in ("The cat saw the dog.", "", "Ähnlich \u0301 cat")]
    model = build_char_cnn_v1(8, windows=[1, 5], filters=[6, 7], attrs=[], rows=[])
    model.initialize(X=docs)
    results = []
    for fused in (True, False):
        monkeypatch.setattr(conv_table, "kernels_fit", lambda ops, T, fused=fused: fused)
        Y, backprop = model.begin_update(docs)
        backprop([np.ones_like(Yd) for Yd in Y])
        grads = {
            (node.name, name): node.get_grad(name).copy()
            for node in model.walk()
            for name in node.grad_names
        }
        for node in model.walk():
            for name in node.grad_names:
                node.set_grad(name, np.zeros_like(node.get_grad(name)))
        results.append((np.concatenate(Y), grads))
    assert on_host.count("max_sums") == 2
    (Y, grads), (Y_plain, grads_plain) = results
    assert_allclose(Y, Y_plain, atol=1e-5)
    assert grads.keys() == grads_plain.keys()
    for key in grads:
        assert_allclose(grads[key], grads_plain[key], atol=1e-4, err_msg=str(key))


def test_kernels_equal_max_sums_on_the_gpu(ops):
    if ops.name != "cupy":
        pytest.skip("needs CuPy and a GPU")
    rng, window, nV, nO = np.random.default_rng(0), 5, 90, 128
    T = rng.normal(size=(nV * window + 1, nO)).astype("float32")
    T[-1] = 0
    lengths = rng.integers(1, 34, 1000).astype("int32")
    chars = rng.integers(0, nV, lengths.sum())
    dY = rng.normal(size=(1000, nO)).astype("float32")
    Y, backprop = max_sums(NumpyOps(), T, chars, lengths, window)
    given = ops.asarray2f(T), ops.asarray1i(chars), ops.asarray1i(lengths)
    found, backprop_found = max_sums_fused(ops, *given, window)
    assert_allclose(ops.to_numpy(found), Y, atol=1e-4)
    dT = ops.to_numpy(backprop_found(ops.asarray2f(dY)))
    assert_allclose(dT[:-1], backprop(dY)[:-1], atol=1e-3)


@pytest.mark.skipif(NVCC is None, reason="needs nvcc")
def test_kernels_compile_for_the_gpu(tmp_path):
    target = tmp_path / "kernels.ptx"
    subprocess.run([NVCC, "--ptx", str(conv_table.SOURCE), "-o", str(target)], check=True)
    text = target.read_text(encoding="utf8")
    assert ".entry max_sums(" in text and ".entry backprop_max_sums(" in text


def test_nvrtc_compiles_what_the_package_ships():
    nvrtc = pytest.importorskip("cupy_backends.cuda.libs.nvrtc", reason="needs CuPy")
    source = conv_table.SOURCE.read_text(encoding="utf8")
    try:
        program = nvrtc.createProgram(source, "conv_table.cu", (), ())
    except RuntimeError as err:
        pytest.skip(f"CuPy finds no NVRTC: {err}")
    nvrtc.compileProgram(program, ("--gpu-architecture=compute_80",))
    assert b"max_sums" in nvrtc.getPTX(program)

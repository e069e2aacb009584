"""The kernels without a GPU: as C++, one thread after the other, beside their plain twin."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
import spacy
from numpy.testing import assert_allclose
from thinc.api import NumpyOps

import spacy_charlm.layers.conv_table as kernels
import spacy_charlm.layers.conv_table as table
from spacy_charlm.architectures.char_cnn import build_char_cnn_v1

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
    command = [CXX, "-O1", "-shared", "-fPIC", f"-I{kernels.SOURCE.parent}"]
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

    monkeypatch.setattr(kernels, "_compile", compile_kernel)
    monkeypatch.setattr(table, "kernels_fit", lambda ops, T: T.dtype == "float32")
    return launched


@pytest.mark.parametrize("window", [1, 3, 7])
@pytest.mark.parametrize("lengths", [[4, 1, 7, 1], [1], []])
def test_kernels_equal_their_plain_twin(on_host, window, lengths):
    ops, rng = NumpyOps(), np.random.default_rng(0)
    nV, nO = 5, 40
    T = rng.normal(size=(nV * window + 1, nO)).astype("float32")
    T[-1] = 0
    T[:window] = T[window : 2 * window]  # two characters that look the same: the first one wins
    chars = rng.integers(0, nV, sum(lengths))
    lengths = np.array(lengths, dtype="int32")
    Y, backprop = table.max_sums(ops, T, chars, lengths, window)
    found, backprop_found = kernels.max_sums_fused(ops, T, chars, lengths, window)
    assert_allclose(found, Y, atol=1e-6)
    dY = rng.normal(size=Y.shape).astype("float32")
    # The row of zeros is no parameter: its gradient is not used.
    assert_allclose(backprop_found(dY)[:-1], backprop(dY)[:-1], atol=1e-5)
    assert on_host == (["max_sums", "backprop_max_sums"] if len(lengths) else [])


def test_kernels_keep_what_is_not_a_number(on_host):
    T = np.ones((3, 2), dtype="float32")
    T[1, 0] = np.nan
    chars, lengths = np.array([0, 1, 0]), np.array([3], dtype="int32")
    Y, _ = kernels.max_sums_fused(NumpyOps(), T, chars, lengths, 1)
    assert np.isnan(Y[0, 0]) and Y[0, 1] == 1


def test_embed_layer_through_the_kernels(on_host, monkeypatch):
    nlp = spacy.blank("en")
    docs = [nlp.make_doc(text) for text in ("The cat saw the dog.", "", "Ähnlich \u0301 cat")]
    model = build_char_cnn_v1(8, windows=[1, 5], filters=[6, 7], attrs=[], rows=[])
    model.initialize(X=docs)
    results = []
    for fused in (True, False):
        monkeypatch.setattr(table, "kernels_fit", lambda ops, T, fused=fused: fused)
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


def test_kernels_equal_their_plain_twin_on_the_gpu(ops):
    if ops.name != "cupy":
        pytest.skip("needs CuPy and a GPU")
    rng, window, nV, nO = np.random.default_rng(0), 5, 90, 128
    T = rng.normal(size=(nV * window + 1, nO)).astype("float32")
    T[-1] = 0
    lengths = rng.integers(1, 34, 1000).astype("int32")
    chars = rng.integers(0, nV, lengths.sum())
    dY = rng.normal(size=(1000, nO)).astype("float32")
    Y, backprop = table.max_sums(NumpyOps(), T, chars, lengths, window)
    given = ops.asarray2f(T), ops.asarray1i(chars), ops.asarray1i(lengths)
    found, backprop_found = kernels.max_sums_fused(ops, *given, window)
    assert_allclose(ops.to_numpy(found), Y, atol=1e-4)
    dT = ops.to_numpy(backprop_found(ops.asarray2f(dY)))
    assert_allclose(dT[:-1], backprop(dY)[:-1], atol=1e-3)


@pytest.mark.skipif(NVCC is None, reason="needs nvcc")
def test_kernels_compile_for_the_gpu(tmp_path):
    target = tmp_path / "kernels.ptx"
    subprocess.run([NVCC, "--ptx", str(kernels.SOURCE), "-o", str(target)], check=True)
    text = target.read_text(encoding="utf8")
    assert ".entry max_sums(" in text and ".entry backprop_max_sums(" in text


def test_nvrtc_compiles_what_the_package_ships():
    nvrtc = pytest.importorskip("cupy_backends.cuda.libs.nvrtc", reason="needs CuPy")
    source = kernels.SOURCE.read_text(encoding="utf8")
    try:
        program = nvrtc.createProgram(source, "conv_table.cu", (), ())
    except RuntimeError as err:
        pytest.skip(f"CuPy finds no NVRTC: {err}")
    nvrtc.compileProgram(program, ("--gpu-architecture=compute_80",))
    assert b"max_sums" in nvrtc.getPTX(program)

import numpy as np
import pytest
import spacy
from numpy.testing import assert_allclose
from thinc.api import NumpyOps, Ops, get_current_ops, set_current_ops

from spacy_charlm.machine import create_use_blas_v1


@pytest.fixture(autouse=True)
def same_ops():
    before = get_current_ops()
    yield
    set_current_ops(before)


def test_use_blas_replaces_blis():
    set_current_ops(NumpyOps(use_blis=True))
    lang_cls = spacy.util.get_lang_class("en")
    assert create_use_blas_v1()(lang_cls) is lang_cls
    ops = get_current_ops()
    assert type(ops) is NumpyOps and not ops.use_blis
    X = np.random.default_rng(0).normal(size=(5, 7)).astype("float32")
    expected = NumpyOps(use_blis=True).gemm(X, X, trans2=True)
    assert_allclose(ops.gemm(X, X, trans2=True), expected, rtol=1e-5)


def test_use_blas_leaves_other_backends_alone():
    class OtherOps(NumpyOps):
        pass

    for other in (OtherOps(), Ops()):
        set_current_ops(other)
        create_use_blas_v1()(spacy.util.get_lang_class("en"))
        assert get_current_ops() is other


def test_use_blas_in_a_config():
    set_current_ops(NumpyOps(use_blis=True))
    callback = {"@callbacks": "spacy-charlm.use_blas.v1"}
    nlp = spacy.blank("en", config={"nlp": {"before_creation": callback}})
    nlp.add_pipe("tok2vec")
    assert not nlp.get_pipe("tok2vec").model.ops.use_blis

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from spacy.ml.models.tok2vec import MaxoutWindowEncoder, build_Tok2Vec_model
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import fix_random_seed

from spacy_charlm.architectures.char_cnn import build_char_cnn_v1
from spacy_charlm.layers.spelling_hashes import hash_spellings
from spacy_charlm.types import MaskedDocs
from tests.sample_docs import DOCS, SMALL, SampleLexicons, SampleTable, make_doc


def test_char_cnn_masked_docs_travel_through_tok2vec():
    embed = build_char_cnn_v1(**SMALL, include_static_vectors=True)
    model = build_Tok2Vec_model(embed, MaxoutWindowEncoder(4, 1, 3, 1)).initialize(X=DOCS)
    docs = [make_doc("the", "cat", "saw"), make_doc(), make_doc("cat")]
    hidden, source = np.array([False, True, False, False]), np.array([0, 1, 2, 2])
    masked = model.predict(MaskedDocs(docs, hidden, source))
    assert [len(Y) for Y in masked] == [3, 0, 1]
    other = [make_doc("the", "dog", "saw"), make_doc(), make_doc("cat")]
    for Y, Yo in zip(masked, model.predict(MaskedDocs(other, hidden, source))):
        assert_array_equal(Y, Yo)  # the hidden word plays no part
    assert not np.array_equal(masked[0], model.predict(docs)[0])
    assert_allclose(masked[2], model.predict([make_doc("saw")])[0], atol=1e-6)


def test_char_cnn_dropout_belongs_to_the_config_and_not_to_the_weights():
    docs = [make_doc("the")]
    without = build_char_cnn_v1(**SMALL, include_static_vectors=True).initialize(X=docs)
    model = build_char_cnn_v1(**SMALL, include_static_vectors=True, vectors_dropout=1.0)
    model.initialize(X=docs).from_bytes(without.to_bytes())
    assert not np.array_equal(model.begin_update(docs)[0][0], model.predict(docs)[0])


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_char_cnn_copies_draw_the_same_dropout(clone):
    model = build_char_cnn_v1(**SMALL, include_static_vectors=True, vectors_dropout=0.5)
    model.initialize(X=DOCS)
    model.begin_update(DOCS)
    copied = clone(model)
    for _ in range(3):
        expected = np.concatenate(model.begin_update(DOCS)[0])
        assert_array_equal(np.concatenate(copied.begin_update(DOCS)[0]), expected)


def test_char_cnn_two_runs_with_one_seed_are_equal():
    def run(seed):
        fix_random_seed(0)
        model = build_char_cnn_v1(
            **SMALL, include_static_vectors=True, vectors_dropout=0.5, seed=seed
        ).initialize(X=DOCS)
        return [np.concatenate(model.begin_update(DOCS)[0]) for _ in range(3)]

    assert_array_equal(run(1), run(1))
    assert not np.array_equal(run(1), run(2))


def test_char_cnn_table_is_hidden_with_its_word():
    model = build_char_cnn_v1(**SMALL, table=SampleTable()).initialize(X=DOCS)
    hidden, source = np.array([False, True, False]), np.array([0, 1, 0])
    Y, other = (
        model.predict(MaskedDocs([make_doc("the", word, last)], hidden, source))[0]
        for word, last in (("cat", "saw"), ("The", "cat"))
    )
    assert_array_equal(Y, other)
    assert_allclose(Y[0], Y[2], atol=1e-6)  # the last word is replaced by the first
    without = build_char_cnn_v1(**SMALL, table=SampleTable(), vectors_dropout=1.0)
    without.initialize(X=DOCS).from_bytes(model.to_bytes())
    hidden_vector = without.begin_update([make_doc("the", "unseen")])[0][0]
    plain = model.predict([make_doc("the", "unseen")])[0]
    assert not np.allclose(hidden_vector[0], plain[0])
    assert_allclose(hidden_vector[1], plain[1], atol=1e-6)


@pytest.mark.parametrize("X", [None, DOCS])
def test_char_cnn_table_is_loaded_without_its_file(X):
    class NoFile(SampleTable):
        def __call__(self):
            raise AssertionError

    model = build_char_cnn_v1(**SMALL, table=SampleTable()).initialize(X=X)
    loaded = build_char_cnn_v1(**SMALL, table=NoFile()).from_bytes(model.to_bytes())
    for Y, Yl in zip(model.predict(DOCS), loaded.predict(DOCS)):
        assert_array_equal(Y, Yl)
    (table,) = (node for node in loaded.walk() if node.name == "vector_table")
    dtypes = [table.get_param(name).dtype for name in ("keys", "E", "scale")]
    assert dtypes == ["uint16", "int8", "float32"]


def test_char_cnn_table_and_the_cache():
    model = build_char_cnn_v1(**SMALL, table=SampleTable()).initialize(X=DOCS)
    cache = model._func.args[0]
    before = np.concatenate(model.predict(DOCS))
    assert len(cache) == 8
    assert_array_equal(np.concatenate(model.predict(DOCS)), before)
    (table,) = (node for node in model.walk() if node.name == "vector_table")
    table.get_param("E")[...] //= 2
    now = np.concatenate(model.predict(DOCS))
    assert_array_equal(now, np.concatenate(model.begin_update(DOCS)[0]))
    assert not np.array_equal(now, before)
    table.attrs["lower"] = True
    now = np.concatenate(model.predict(DOCS))
    assert_array_equal(now, np.concatenate(model.begin_update(DOCS)[0]))


@pytest.mark.parametrize("settings", [{}, {"table": SampleTable()}])
def test_char_cnn_lexicons_are_trained_in_columns_of_their_own(settings):
    model = build_char_cnn_v1(**SMALL, lexicons=SampleLexicons(), **settings).initialize(X=DOCS)
    (vectors,) = (node for node in model.walk() if node.name == "linear")
    W = vectors.get_param("W")
    assert W.shape == (4, 3 * bool(settings) + 6)
    before = np.concatenate(model.predict(DOCS))
    W[:, -6:] += 1  # the cache sees it
    now = np.concatenate(model.predict(DOCS))
    keys = SampleLexicons()().keys.tolist()
    words = [token.text.lower() for doc in DOCS for token in doc]
    listed = np.isin(hash_spellings(words), keys)
    assert any(listed) and not all(listed)
    assert_array_equal((now != before).any(axis=1), listed)


WRONG = [
    ({"windows": [2, 3]}, "E406.*found 2"),
    ({"windows": [3]}, "E407.*1 values in `windows` and 2 in `filters`"),
    ({"windows": [], "filters": []}, "E407"),
    ({"rows": [5]}, "E407.*2 values in `attrs` and 1 in `rows`"),
    ({"attrs": ["NORM", "NONE"]}, "E401.*'NONE'"),
    ({"normalise": "nfd"}, "E402.*'nfd'"),
    ({"max_chars": 1}, "E403.*max_chars = 1"),
    ({"char_rows": 4}, "E403.*char_rows = 4"),
    ({"vectors_dropout": 1.1}, "E560.*`vectors_dropout`.*1.1"),
    ({"ngrams": [3, 0]}, r"E560.*`ngrams\[1\]`.*found 0"),
    ({"table": SampleTable(), "include_static_vectors": True}, "E291"),
    ({"ngrams": [3], "ngram_rows": 0}, "E560.*`ngram_rows`.*found 0"),
]


@pytest.mark.parametrize("settings, match", WRONG)
def test_char_cnn_names_the_wrong_setting(settings, match):
    with pytest.raises(ValueError, match=match):
        build_char_cnn_v1(**{**SMALL, **settings})


def test_char_cnn_without_the_vectors_that_it_should_read():
    model = build_char_cnn_v1(**SMALL, include_static_vectors=True)
    with pytest.raises(ValueError, match="E405"):
        model.initialize(X=[Doc(Vocab(), words=["a"])])

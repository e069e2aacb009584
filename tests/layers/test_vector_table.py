import numpy as np
import pytest
from numpy.testing import assert_array_equal

from spacy_charlm.layers.read_words import VectorsDropout, find_words, read_words, spell_words
from spacy_charlm.layers.vector_table import TableRows, vector_table
from spacy_charlm.layers.word_hashes import hash_words
from spacy_charlm.types import HIDDEN_CHAR, MaskedDocs
from tests.sample_docs import WORDS, SampleTable, make_doc

TABLE = SampleTable()
ROWS = TABLE()


def make_layer(ops, read=TABLE):
    model = vector_table(3, read)
    model.ops = ops
    return model.initialize()


def make_reader(lower=False):
    rows = ROWS._replace(lower=lower)
    return read_words(tables=[vector_table(3, lambda: rows)]).initialize()


def vector_of(word):
    place = ROWS.keys.tolist().index(TABLE.hash(word))
    return ROWS.values[place] * ROWS.scale[place]


def read(reader, doc, **settings):
    batch = spell_words(reader, find_words(reader, doc, **settings))
    return batch.vectors[batch.rows]


def test_vector_table_looks_up_known_words(ops):
    model = make_layer(ops)
    words = [WORDS[0], "unseen", WORDS[2], WORDS[0]]
    hashes = np.array([TABLE.hash(word) for word in words], dtype="uint32")
    Y, backprop = model(ops.asarray(hashes), is_train=True)
    expected = [vector_of(words[0]), np.zeros(3), vector_of(words[2]), vector_of(words[0])]
    assert_array_equal(ops.to_numpy(Y), np.array(expected, dtype="float32"))
    assert backprop(Y) is not None and not model.grad_names
    assert model.predict(ops.asarray(hashes[:0])).shape == (0, 3)
    edges = np.array([0, 1, 2**32 - 1], dtype="uint32")
    assert not model.predict(ops.asarray(edges)).any()


def test_vector_table_survives_a_move_between_devices(ops):
    """thinc turns parameters into float32 then."""
    model = make_layer(ops)
    expected = model.predict(ops.asarray(ROWS.keys))
    model.to_cpu()
    assert model.get_param("keys").dtype == "float32"
    assert_array_equal(model.predict(ROWS.keys), ops.to_numpy(expected))


def test_vector_table_without_rows_can_predict_and_not_train(ops):
    model = make_layer(ops, lambda: None)
    hashes = ops.asarray(ROWS.keys)
    assert not model.predict(hashes).any()
    with pytest.raises(ValueError, match="E292"):
        model.begin_update(hashes)
    model.from_bytes(make_layer(ops).to_bytes())
    assert model.begin_update(hashes)[0].any() and model.attrs["lower"] is False
    model.initialize()  # nothing to read, so it keeps what it has
    assert model.predict(hashes).any()


@pytest.mark.parametrize("lower", [False, True])
def test_vector_table_reads_upper_case(lower):
    found = read(make_reader(lower), [make_doc("cat", "CAT", "The", "the")])
    expected = [vector_of("cat"), vector_of("cat") if lower else np.zeros(3)]
    expected.append(vector_of("the" if lower else "The"))
    assert_array_equal(found, np.array([*expected, vector_of("the")], dtype="float32"))


def test_vector_table_does_not_reveal_hidden_words():
    reader = make_reader()
    doc = make_doc("the", "cat", "saw", "The", "naïve")
    hidden = np.array([True, False, False, False, False])
    texts = {2: f"s{HIDDEN_CHAR}w", 3: "the"}
    masked = MaskedDocs([doc], hidden, np.array([0, 2, 2, 3, 4]), texts)
    found = read(reader, masked)
    zeros, saw = np.zeros(3), vector_of("saw")  # "cat" is replaced by "saw"
    expected = [zeros, saw, zeros, vector_of("the"), vector_of("naïve")]
    assert_array_equal(found, np.array(expected, dtype="float32"))


def test_vector_table_hides_the_vectors_of_some_tokens():
    reader = make_reader()
    docs = [make_doc(*["the", "cat"] * 1000)]
    found = read(reader, docs, dropout=VectorsDropout(0.3, seed=0))
    hidden = ~found.any(axis=1)
    assert abs(hidden.mean() - 0.3) < 0.05
    expected = np.tile([vector_of("the"), vector_of("cat")], (1000, 1)).astype("float32")
    assert_array_equal(found[~hidden], expected[~hidden])


def test_vector_table_rows_are_what_the_layer_needs():
    assert isinstance(ROWS, TableRows)
    assert hash_words(np.zeros(1, "uint64")).tolist() == [0] and 0 not in ROWS.keys

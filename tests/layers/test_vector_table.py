import numpy as np
import pytest
from numpy.testing import assert_array_equal

from spacy_charlm.layers.read_words import VectorsDropout, find_words, read_words, spell_words
from spacy_charlm.layers.spelling_hashes import hash_spellings
from spacy_charlm.layers.vector_table import TableRows, vector_table
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
    place = ROWS.keys.tolist().index(hash_spellings([word])[0])
    return ROWS.values[place] * ROWS.scale[place]


def read(reader, doc, **settings):
    batch = spell_words(reader, find_words(reader, doc, **settings))
    return batch.vectors[batch.rows]


def test_vector_table_looks_up_known_words(ops):
    model = make_layer(ops)
    words = [WORDS[0], "unseen", WORDS[2], WORDS[0]]
    Y, backprop = model(words, is_train=True)
    expected = [vector_of(words[0]), np.zeros(3), vector_of(words[2]), vector_of(words[0])]
    assert_array_equal(ops.to_numpy(Y), np.array(expected, dtype="float32"))
    assert backprop(Y) == [] and not model.grad_names
    assert model.predict([]).shape == (0, 3)
    assert not model.predict(["", "\ud800", "the" * 10000]).any()


def test_vector_table_survives_a_move_between_devices(ops):
    """thinc turns parameters into float32 then."""
    model = make_layer(ops)
    expected = model.predict(WORDS)
    model.to_cpu()
    assert model.get_param("keys").dtype == "float32"
    assert_array_equal(model.predict(WORDS), ops.to_numpy(expected))


def test_vector_table_without_rows_can_predict_and_not_train(ops):
    model = make_layer(ops, lambda: None)
    assert not model.predict(WORDS).any()
    with pytest.raises(ValueError, match="E292"):
        model.begin_update(WORDS)
    model.from_bytes(make_layer(ops).to_bytes())
    assert model.begin_update(WORDS)[0].any() and model.attrs["lower"] is False
    model.initialize()  # nothing to read, so it keeps what it has
    assert model.predict(WORDS).any()


FUZZY = ["form", "farm", "lean", "naïve", "it", "a2c4", "Rome"]


def make_fuzzy(ops, letters, lower=False, fuzzy=True):
    keys, order = np.unique(hash_spellings(FUZZY), return_index=True)
    values = np.eye(len(FUZZY), dtype="int8")[order] * 2
    rows = TableRows(keys, values, np.ones(len(FUZZY), "float32"), lower, letters)
    model = vector_table(len(FUZZY), lambda: rows, fuzzy=fuzzy)
    model.ops = ops
    return model.initialize()


@pytest.mark.parametrize(
    "word, found",
    [
        ("form", "form"),
        ("fram", "farm"),  # swapped
        ("frorm", "form"),  # added
        ("leann", "lean"),  # added, next to an equal letter
        ("naïv", "naïve"),  # left out
        ("leab", "lean"),  # replaced
        ("mean", "lean"),
        ("ferm", "form farm"),
        ("firm", "form farm"),
        ("form2", ""),  # not all of it letters
        ("a2c3", ""),
        ("frm", ""),  # too short
        ("its", ""),
        ("laen", "lean"),
        ("fmro", ""),  # two typos
        ("naeve", ""),  # ï is no letter of the table
        ("FORMM", ""),
        ("Rmoe", "Rome"),
        ("", ""),
        ("f" * 40, ""),
    ],
)
def test_vector_table_finds_misspelled_words(ops, word, found):
    model = make_fuzzy(ops, "aefilmnorv")
    words = [word, "unseen", word]
    expected = np.zeros((3, len(FUZZY)), "float32")
    for known in found.split():
        expected[::2, FUZZY.index(known)] = 2 / len(found.split())
    assert_array_equal(ops.to_numpy(model.predict(words)), expected)
    assert_array_equal(ops.to_numpy(model.begin_update(words)[0]), expected)
    if word not in FUZZY:
        assert not make_fuzzy(ops, "aefilmnorv", fuzzy=False).predict(words).any()


def test_vector_table_finds_misspelled_words_in_upper_case(ops):
    model = make_fuzzy(ops, "o", lower=True)
    assert model.predict(["FROM"])[0].tolist() == model.predict(["form"])[0].tolist()
    assert not model.predict([]).any()


def test_setting_fuzzy_is_not_loaded_with_weights(ops):
    plain, fuzzy = make_fuzzy(ops, "o", fuzzy=False), make_fuzzy(ops, "o")
    found = fuzzy.predict(["fomr"])
    assert found.any()
    fuzzy.from_bytes(plain.to_bytes())
    assert_array_equal(fuzzy.predict(["fomr"]), found)


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
    assert hash_spellings([""]).tolist() == [0] and 0 not in ROWS.keys

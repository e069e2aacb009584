import gzip

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from spacy_charlm.layers.read_words import VectorsDropout, find_words, read_words, spell_words
from spacy_charlm.layers.spelling_hashes import hash_spellings
from spacy_charlm.layers.vector_table import vector_table
from spacy_charlm.targets.lexicons import Lexicons
from spacy_charlm.types import HIDDEN_CHAR, MaskedDocs
from tests.sample_docs import make_doc

LISTS = {
    "cities": "New York\n\nLeeds\nYork \n\tRio de  Janeiro\r\nNEW YORK CITY\nBad Bad Boll\n",
    "names": "\ufeffLeeds\nZoë\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in LISTS.items():
        (tmp_path / f"{name}.txt").write_bytes(text.encode("utf8"))
    return tmp_path


def look_up(rows, word):
    (key,) = hash_spellings([word])
    return rows.values[rows.keys.tolist().index(key)].tolist()


def test_lexicons_read_words_and_their_places(folder):
    lexicons = Lexicons(["cities", "names"], folder)
    rows = lexicons()
    assert lexicons() is rows  # read once
    assert lexicons.width == 6
    expected = {
        "leeds": [1, 0, 0, 1, 0, 0],
        "york": [1, 0, 1, 0, 0, 0],
        "new": [0, 1, 0, 0, 0, 0],
        "city": [0, 0, 1, 0, 0, 0],
        "de": [0, 0, 1, 0, 0, 0],
        "bad": [0, 1, 1, 0, 0, 0],
        "zoë": [0, 0, 0, 1, 0, 0],
    }
    assert {word: look_up(rows, word) for word in expected} == expected
    assert len(rows.keys) == len(expected) + 3  # rio, janeiro, boll
    assert rows.values.dtype == "int8" and rows.keys.dtype == "uint32" and rows.lower
    assert (np.diff(rows.keys.astype("int64")) > 0).all()
    assert rows.scale.dtype == "float32" and rows.scale.tolist() == [1] * len(rows.keys)


def test_lexicons_columns_follow_the_order_of_the_names(folder):
    rows = [Lexicons(names, folder)() for names in (["cities", "names"], ["names", "cities"])]
    assert_array_equal(rows[0].keys, rows[1].keys)
    assert_array_equal(rows[0].values, np.roll(rows[1].values, 3, axis=1))


def test_lexicons_may_be_gzipped(folder):
    plain = Lexicons(["cities"], folder)()
    path = folder / "cities.txt"
    (folder / "cities.txt.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert_array_equal(Lexicons(["cities"], folder)().values, plain.values)


def test_lexicons_are_features_of_the_words_that_are_read(folder):
    rows = Lexicons(["cities", "names"], folder)()
    reader = read_words(tables=[vector_table(6, lambda: rows)]).initialize()
    doc = make_doc("LEEDS", "Leeds", "York", "Zoë", "unseen", "de", "Bad")
    texts = {2: "Yrok", 3: f"Z{HIDDEN_CHAR}ë", 4: "york"}
    hidden = np.arange(7) == 1
    masked = MaskedDocs([doc], hidden, np.array([0, 1, 2, 3, 4, 6, 6]), texts)

    def read(docs, dropout=None):
        batch = spell_words(reader, find_words(reader, docs, dropout))
        return batch.vectors[batch.rows]

    leeds, york, bad = ([1, 0, 0, 1, 0, 0], [1, 0, 1, 0, 0, 0], [0, 1, 1, 0, 0, 0])
    none = [0] * 6
    assert read(masked).tolist() == [leeds, none, none, none, york, bad, bad]
    assert not read([doc], VectorsDropout(1.0, seed=0)).any()


@pytest.mark.parametrize("names", [[], ["a", "a"], [""], ["lists/a"], ["/a"]])
def test_lexicons_refuse_names_that_are_none(names):
    with pytest.raises(ValueError, match=r"charlm E340.*found \["):
        Lexicons(names)


def test_lexicons_name_what_is_wrong(folder):
    assert Lexicons(["cities"])() is None  # weights bring the lists
    with pytest.raises(ValueError, match="E560.*`names`.*found 'cities'"):
        Lexicons("cities")
    (folder / "folder.txt").mkdir()
    for name in ("nowhere", "folder", "cities.txt"):
        found = f"E341.*'{name}'.*found: cities.txt, folder.txt, names.txt"
        with pytest.raises(ValueError, match=found):
            Lexicons([name], folder)()
    with pytest.raises(ValueError, match="E341.*found: a file"):
        Lexicons(["cities"], folder / "cities.txt")()
    with pytest.raises(ValueError, match="E341.*found: no such folder"):
        Lexicons(["cities"], folder / "nowhere")()
    path = folder / "cities.txt"
    path.write_text("\n \n", encoding="utf8")
    with pytest.raises(ValueError, match="E342.*cities.txt"):
        Lexicons(["names", "cities"], folder)()
    path.write_bytes("Leeds\nZoë\n".encode("latin1"))
    with pytest.raises(ValueError, match="E108.*cities.txt.*line 2"):
        Lexicons(["cities"], folder)()
    path.write_text("Leeds\n" + "York " * 21, encoding="utf8")
    with pytest.raises(ValueError, match="E343.*cities.txt.*21 words in line 2"):
        Lexicons(["cities"], folder)()
    path.write_bytes(gzip.compress(b"Leeds\n" * 99)[:-9])
    with pytest.raises(ValueError, match="E109.*cities.txt"):
        Lexicons(["cities"], folder)()

import gzip

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from spacy.vectors import Vectors
from spacy.vocab import Vocab

from spacy_charlm.layers.spelling_hashes import hash_spellings
from spacy_charlm.targets.vector_table import VectorTable, list_letters, reduce_vectors

RNG = np.random.default_rng(0)
WORDS = [f"word{i}" for i in range(30)]
VECTORS = (RNG.normal(size=(30, 8)) * 0.5 ** np.arange(8) + 1).astype("float32")


def write_text(path, words=WORDS, vectors=VECTORS):
    lines = [f"{word} {' '.join(f'{x:.6f}' for x in row)}\n" for word, row in zip(words, vectors)]
    path.write_text("".join(lines), encoding="utf8")
    return path


def look_up(rows, words):
    """The vectors of words in a table."""
    places = [rows.keys.tolist().index(key) for key in hash_spellings(words).tolist()]
    return rows.values[places] * rows.scale[places].reshape(-1, 1)


@pytest.mark.parametrize("kind", ["text", "gzip", "folder"])
def test_vector_table_reads_files_and_folders(tmp_path, kind):
    path = write_text(tmp_path / "vectors.txt")
    if kind == "gzip":
        path = tmp_path / "vectors.gz"
        path.write_bytes(gzip.compress((tmp_path / "vectors.txt").read_bytes()))
    if kind == "folder":
        vocab = Vocab(strings=WORDS)
        keys = [vocab.strings[word] for word in WORDS]
        vocab.vectors = Vectors(strings=vocab.strings, data=VECTORS, keys=keys)
        path = tmp_path / "vocab"
        vocab.to_disk(path)
    table = VectorTable(path, width=3)
    rows = table()
    assert table() is rows  # read once
    assert rows.values.dtype == "int8" and rows.values.shape == (30, 3) and rows.lower
    assert rows.scale.dtype == "float32" and rows.scale.shape == (30,)
    assert rows.keys.dtype == "uint32" and (np.diff(rows.keys.astype("int64")) > 0).all()
    step = rows.scale.max() * 0.51
    assert_allclose(look_up(rows, WORDS), reduce_vectors(VECTORS, 3), atol=step)


def test_vector_table_keeps_the_geometry_and_the_scale():
    whole = reduce_vectors(VECTORS, 8)
    centred = VECTORS - VECTORS.mean(axis=0)
    factor = np.square(centred).mean()
    assert_allclose(whole @ whole.T, centred @ centred.T / factor, atol=1e-3)
    reduced = reduce_vectors(VECTORS, 2)
    assert np.square(reduced).mean() == pytest.approx(1)
    kept = np.square(whole).sum(axis=0)
    assert (np.diff(kept) < 0).all()  # the first components have most of it
    assert_allclose(np.abs(np.corrcoef(whole[:, 0], reduced[:, 0])[0, 1]), 1, atol=1e-5)
    assert reduced.dtype == "float32"


def test_vector_table_fills_narrow_vectors_up():
    assert_array_equal(reduce_vectors(VECTORS, 10)[:, 8:], 0)
    assert reduce_vectors(VECTORS[:1], 4).tolist() == [[0, 0, 0, 0]]


def test_vector_table_leaves_out_rows_that_are_not_words(tmp_path):
    words = ["<unk>", "zero", "not good", "Cat", "cat", "dog"]
    vectors = RNG.normal(size=(6, 4))
    vectors[1] = 0
    rows = VectorTable(write_text(tmp_path / "v.txt", words, vectors), width=2)()
    assert rows.keys.tolist() == sorted(hash_spellings(words[3:]).tolist()) and not rows.lower
    few = VectorTable(tmp_path / "v.txt", width=2, max_words=1)()
    assert few.keys.tolist() == hash_spellings(["Cat"]).tolist()


def test_vector_table_finds_the_letters_of_its_words():
    assert list_letters(["Eben", "BE", "3e", "d'e"] * 900 + ["ñ"]) == "ebnd"
    assert list_letters(["eß", "щи", "中"]) == "eßщи中"
    assert len(list_letters([chr(code) for code in range(0x4E00, 0x4F00)])) == 64
    assert list_letters([]) == ""


SPELLINGS = ["The", "the", "THE", "of", "Of", "Rome", "ROME"]
ROWS = [0, 0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("kind", ["text", "folder"])
def test_vector_table_stores_spellings_with_one_vector_once(tmp_path, kind):
    path = write_text(tmp_path / "v.txt", SPELLINGS, VECTORS[ROWS])
    if kind == "folder":
        vocab = Vocab(strings=SPELLINGS)
        keys = [vocab.strings[word] for word in SPELLINGS]
        vocab.vectors = Vectors(strings=vocab.strings, data=VECTORS[:3])
        for key, row in zip(keys, ROWS):
            vocab.vectors.add(key, row=row)
        path = tmp_path / "vocab"
        vocab.to_disk(path)
    rows, words = VectorTable(path, width=3)(), ["the", "of", "rome"]
    assert rows.lower and rows.keys.tolist() == sorted(hash_spellings(words).tolist())
    # The components are those of the distinct rows.
    expected = reduce_vectors(VECTORS[:3], 3)
    assert_allclose(look_up(rows, words), expected, atol=rows.scale.max() * 0.51)
    two = VectorTable(path, width=3, max_words=2)()
    assert two.lower and two.keys.tolist() == sorted(hash_spellings(words[:2]).tolist())


@pytest.mark.parametrize("different", [2, 6])
def test_vector_table_stores_each_spelling_if_two_differ(tmp_path, different):
    """Also where the table has no word in lower case."""
    vectors = VECTORS[ROWS]
    vectors[different, -1] += 0.1
    rows = VectorTable(write_text(tmp_path / "v.txt", SPELLINGS, vectors), width=3)()
    assert not rows.lower and rows.keys.tolist() == sorted(hash_spellings(SPELLINGS).tolist())
    expected = reduce_vectors(vectors, 3)
    assert_allclose(look_up(rows, SPELLINGS), expected, atol=rows.scale.max() * 0.51)


def test_vector_table_names_what_is_wrong(tmp_path):
    assert VectorTable()() is None  # weights bring the table
    with pytest.raises(ValueError, match="E290.*nowhere"):
        VectorTable(tmp_path / "nowhere")()
    for settings, name in (({"width": 0}, "width"), ({"max_words": -1}, "max_words")):
        with pytest.raises(ValueError, match=f"E560.*`{name}`.*VectorTable"):
            VectorTable(**settings)
    with pytest.raises(ValueError, match="E293.*v.txt"):
        VectorTable(write_text(tmp_path / "v.txt", ["<unk>"]))()
    with pytest.raises(ValueError, match="E207.*nan.txt.*'word1'"):
        VectorTable(write_text(tmp_path / "nan.txt", vectors=[[1, 2], [np.nan, 1], [3, 4]]))()
    vectors = Vectors(data=VECTORS, mode="floret", minn=2, maxn=3, hash_count=1, strings=None)
    vectors.to_disk(tmp_path / "floret")
    with pytest.raises(ValueError, match="E725.*floret"):
        VectorTable(tmp_path / "floret")()

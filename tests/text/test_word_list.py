import gzip

import numpy as np
import pytest
import spacy
from spacy.vectors import Vectors

from spacy_charlm.text.word_list import read_word_list


@pytest.mark.parametrize(
    "content, words",
    [
        ("the\ncat\r\n\nthe\n1990\n", ["the", "cat", "1990"]),
        ("the 0.1 2\ncat 1e-3 -4\n", ["the", "cat"]),
        ("3 2\nthe 0.1 2\ncat 1 4 \n1990 3 4\n", ["the", "cat", "1990"]),
        ("the 0.1 2\nnot good 1 4\n. . . 3 4\n1990 3 4", ["the", "1990"]),
        ("\ufeffNaïve\nnew york\n" + "x" * 1001 + "\n", ["Naïve"]),
    ],
)
@pytest.mark.parametrize("name", ["words.txt", "words.txt.gz"])
def test_word_list_of_a_file(tmp_path, content, words, name):
    data = content.encode("utf8")
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert read_word_list(tmp_path / name) == words


def save_vectors(path, **settings):
    nlp = spacy.blank("en")
    keys = ["the", "not good", "Cat", " "]
    data = np.ones((20, 3), dtype="float32")
    if not settings:
        settings["keys"] = [nlp.vocab.strings.add(key) for key in keys]
    nlp.vocab.vectors = Vectors(strings=nlp.vocab.strings, data=data, **settings)
    nlp.to_disk(path)
    return path


@pytest.mark.parametrize("folder", ["", "vocab"])
def test_word_list_of_a_folder(tmp_path, folder):
    assert sorted(read_word_list(save_vectors(tmp_path) / folder)) == ["Cat", "the"]


def test_word_list_that_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="E102.*nowhere"):
        read_word_list(tmp_path / "nowhere")
    (tmp_path / "empty.txt").write_text("\n \nnew york\n")
    floret = save_vectors(tmp_path / "floret", mode="floret", minn=2, maxn=3)
    for path in (tmp_path / "empty.txt", tmp_path, floret):
        with pytest.raises(ValueError, match=f"E223.*{path.name}"):
            read_word_list(path)
    (save_vectors(tmp_path / "damaged") / "vocab" / "key2row").write_bytes(b"{")
    with pytest.raises(ValueError, match="E553.*damaged"):
        read_word_list(tmp_path / "damaged")

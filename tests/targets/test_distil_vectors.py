"""The table of words that is made from a transformer, with a stub in its place."""

import numpy as np
import pytest
import spacy
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from spacy_charlm.cli import app
from spacy_charlm.targets.distil_vectors import BATCH, distil_vectors
from spacy_charlm.targets.transformer_vectors import TransformerVectors

# More than a batch, and a word without a piece in each.
WORDS = ["wonderful", "##", "cat", *(f"w{i}" for i in range(BATCH)), "#", "can't"]


def test_distil_vectors_encodes_each_word_alone(encoder, tmp_path):
    calls = []
    target = TransformerVectors("fake", on_misaligned="skip")
    n_words = distil_vectors(target, WORDS, tmp_path, show=lambda *call: calls.append(call))
    assert n_words == len(WORDS) - 2
    assert encoder.texts == WORDS
    assert calls == [(BATCH / len(WORDS), BATCH), (1.0, len(WORDS))]
    vocab = spacy.load(tmp_path).vocab
    assert vocab.vectors.shape == (n_words, 2)
    # The mean offset of the pieces won der ful, and the length of the text.
    found = np.stack([vocab[word].vector for word in ("wonderful", "cat", "w255", "can't")])
    assert_allclose(found, [[3, 9], [0, 3], [1.5, 4], [1.5, 5]])
    assert not vocab["##"].has_vector and not vocab["#"].has_vector


def test_distil_vectors_needs_a_word_with_a_piece(encoder, tmp_path):
    target = TransformerVectors("fake", on_misaligned="skip")
    with pytest.raises(ValueError, match="charlm E727"):
        distil_vectors(target, ["##", "#"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_distil_vectors_from_a_file_of_words(encoder, tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("cat\n\n  wonderful \ncat\n##\n", encoding="utf8")
    arguments = ["vectors", "distil", "fake", path, tmp_path / "out", "--pooling", "first"]
    result = CliRunner().invoke(app, [*map(str, arguments), "--lang", "xx"])
    assert result.exit_code == 0, result.output
    assert "2 words of 3, width 2" in result.output
    nlp = spacy.load(tmp_path / "out")
    assert nlp.lang == "xx"
    assert_allclose(nlp.vocab["wonderful"].vector, [0, 9])

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc

from spacy_charlm.evaluation.text_vectors import (
    embed_texts,
    embed_tokens,
    embed_words,
    get_tok2vec,
)

TEXTS = ["The cat sat .", "", "Dogs bark"]


def make_pipeline(*names):
    nlp = spacy.blank("en")
    for name in names:
        pipe = nlp.add_pipe(name)
        if name != "tok2vec":
            pipe.add_label("A")
    nlp.initialize()
    return nlp


@pytest.mark.parametrize("names", [["tok2vec"], ["ner"], ["tagger"], ["tok2vec", "tagger"]])
def test_embed_texts_is_the_mean_of_the_tokens(names):
    nlp = make_pipeline(*names)
    found, tokens = embed_texts(nlp, TEXTS), embed_tokens(nlp, TEXTS)
    assert found.shape == (3, 96) and found.dtype == "float32"
    assert [len(X) for X in tokens] == [4, 0, 2]
    np.testing.assert_allclose(found[0], tokens[0].mean(axis=0), rtol=1e-4, atol=1e-5)
    assert not found[1].any()
    np.testing.assert_allclose(found[2], tokens[2].mean(axis=0), rtol=1e-4, atol=1e-5)
    (plain,) = get_tok2vec(nlp).predict([nlp.make_doc(TEXTS[0])])
    np.testing.assert_allclose(tokens[0], plain, rtol=1e-4, atol=1e-5)


def test_embed_texts_takes_docs_and_a_layer():
    nlp = make_pipeline("tok2vec")
    doc = Doc(nlp.vocab, words=["The", "cat", "sat", "."])
    other = make_pipeline("tok2vec").get_pipe("tok2vec").model
    found = embed_texts(nlp, [doc, "The cat sat ."], other)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-5)
    assert not np.allclose(found, embed_texts(nlp, [doc, "The cat sat ."]))


@pytest.mark.parametrize("texts", [[], [""]])
def test_embed_texts_of_nothing(texts):
    nlp = make_pipeline("tok2vec")
    assert embed_texts(nlp, texts).shape == (len(texts), 96)
    assert [X.shape for X in embed_tokens(nlp, texts)] == [(0, 96)] * len(texts)


def test_embed_words_reads_each_alone():
    nlp = make_pipeline("tok2vec")
    found = embed_words(nlp, ["cat", "two words", "cat"])
    assert found.shape == (3, 96)
    np.testing.assert_allclose(found[0], found[2], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[0], embed_tokens(nlp, ["cat"])[0][0], rtol=1e-4, atol=1e-5)


def test_get_tok2vec_names_the_components():
    with pytest.raises(ValueError, match="E620.*sentencizer"):
        nlp = spacy.blank("en")
        nlp.add_pipe("sentencizer")
        get_tok2vec(nlp)

import copy
import pickle
import threading

import numpy as np
import pytest
import spacy
from numpy.testing import assert_allclose, assert_array_equal
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Adam

from spacy_charlm.architectures.char_cnn import build_char_cnn_v1
from spacy_charlm.layers.embed_words import WordCache
from spacy_charlm.types import MaskedDocs

SMALL = {
    "width": 4,
    "windows": [3],
    "filters": [3],
    "char_width": 3,
    "char_rows": 300,
    "attrs": ["NORM", "SHAPE"],
    "rows": [7, 5],
    "ngrams": [3, 4],
    "ngram_rows": 11,
}
VOCAB = Vocab()
DOCS = [Doc(VOCAB, words=words) for words in (["a", "cat", "a"], [], ["The", "cat"])]
MORE = [Doc(VOCAB, words=["cat", "dog", "a"])]


def make_model(**settings):
    return build_char_cnn_v1(**{**SMALL, **settings}).initialize(X=DOCS)


def cache_of(model) -> WordCache:
    return model._func.args[0]


def plain(model, docs):
    """What the model says without a cache."""
    return np.concatenate(model.begin_update(docs)[0])


def cached(model, docs):
    """What it says with one that has seen the docs."""
    model.predict(docs)
    assert len(cache_of(model)) > 0
    return np.concatenate(model.predict(docs))


def count_words(model, monkeypatch):
    """The number of words that the inner layer reads, call by call."""
    inner, counts = model.layers[1], []
    func = inner._func

    def counting(model, batch, is_train):
        counts.append(len(batch.char_lengths))
        return func(model, batch, is_train)

    monkeypatch.setattr(inner, "_func", counting)
    return counts


def test_embed_words_cache_equals_the_plain_result(monkeypatch):
    model = make_model()
    counts = count_words(model, monkeypatch)
    for docs in (DOCS, MORE, DOCS + MORE):
        assert_allclose(np.concatenate(model.predict(docs)), plain(model, docs), atol=1e-5)
    assert counts == [3, 3, 1, 3, 4]  # after the first batch, only "dog" is new
    assert len(cache_of(model)) == 4


def test_embed_words_cache_tells_masked_words_apart():
    model = make_model()
    doc = Doc(VOCAB, words=["a", "a"])
    masked = MaskedDocs([doc], np.array([True, False]), np.arange(2))
    plain_row = model.predict([doc])[0][0]
    first, second = model.predict(masked)[0]
    assert_array_equal(second, plain_row)
    assert not np.array_equal(first, plain_row)


@pytest.mark.parametrize("size", [0, 1, 3, 5])
def test_embed_words_cache_is_bounded(size):
    model = make_model(cache_size=size)
    docs = [Doc(VOCAB, words=[f"w{i}", f"w{i // 2}", f"v{i % 3}"]) for i in range(20)]
    for start in (0, 7, 1, 0):
        batch = docs[start : start + 7]
        assert_allclose(np.concatenate(model.predict(batch)), plain(model, batch), atol=1e-5)
        assert len(cache_of(model)) <= size


def test_embed_words_cache_is_valid_after_finish_update():
    model, optimizer = make_model(), Adam(0.1)
    before = cached(model, DOCS)
    Y, backprop = model.begin_update(DOCS)
    backprop(Y)
    model.finish_update(optimizer)
    assert_array_equal(cached(model, DOCS), plain(model, DOCS))
    assert not np.array_equal(cached(model, DOCS), before)
    now = cached(model, DOCS)
    with model.use_params(optimizer.averages):
        assert_array_equal(cached(model, DOCS), plain(model, DOCS))
    assert_array_equal(cached(model, DOCS), now)


def test_embed_words_cache_is_valid_after_from_bytes_and_copy():
    model, other = make_model(), make_model()
    first = cached(model, DOCS)
    copied = model.copy()
    model.from_bytes(other.to_bytes())
    assert_array_equal(cached(model, DOCS), cached(other, DOCS))
    assert_array_equal(cached(copied, DOCS), first)  # and back again
    assert_array_equal(cached(model, DOCS), plain(model, DOCS))


def test_embed_words_cache_sees_changes_in_place_and_of_settings(ops64):
    """Each parameter alone: a check that leaves one out would return the old vectors."""
    model, rng = make_model(), np.random.default_rng(0)
    before = cached(model, DOCS)
    for node in model.walk():
        for name in node.param_names:
            values = node.get_param(name)
            values += rng.normal(size=values.shape)
            now = cached(model, DOCS)
            assert_array_equal(now, plain(model, DOCS))
            assert not np.array_equal(now, before), f"{node.name}.{name}"
            before = now
    model.layers[0].attrs["max_chars"] = 2
    assert_array_equal(cached(model, DOCS), plain(model, DOCS))
    for node in model.walk():
        for name in node.param_names:
            node.set_param(name, node.get_param(name).astype("float64"))
    assert cached(model, DOCS).dtype == np.float64


def test_embed_words_cache_moves_to_the_gpu(ops):
    if ops.name == "numpy":
        pytest.skip("needs a GPU")
    model = make_model()
    expected = cached(model, DOCS)
    model.to_gpu(0)
    assert_allclose(cached(model, DOCS).get(), expected, atol=1e-4)
    model.to_cpu()
    assert_array_equal(cached(model, DOCS), expected)


def test_embed_words_cache_is_left_out_with_static_vectors():
    vocab = Vocab(strings=["cat"])
    vocab.set_vector("cat", np.ones(3, dtype="float32"))
    docs = [Doc(vocab, words=["cat"])]
    model = build_char_cnn_v1(**SMALL, include_static_vectors=True).initialize(X=docs)
    before = model.predict(docs)[0]
    vocab.set_vector("cat", np.full(3, 5, dtype="float32"))
    assert not np.array_equal(model.predict(docs)[0], before)
    assert len(cache_of(model)) == 0


def test_embed_words_cache_serves_several_threads():
    model = make_model(cache_size=20)
    docs = [Doc(VOCAB, words=[f"w{(i * j) % 37}" for j in range(8)]) for i in range(24)]
    expected = [plain(model, [doc]) for doc in docs]
    wrong = []

    def predict(start):
        for i in range(start, start + 40):
            doc = i % len(docs)
            if not np.allclose(model.predict([docs[doc]])[0], expected[doc], atol=1e-5):
                wrong.append(doc)

    threads = [threading.Thread(target=predict, args=(start,)) for start in range(0, 20, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.fixture
def nlp():
    nlp = spacy.blank("en")
    config = {
        "model": {
            "@architectures": "spacy.Tok2Vec.v2",
            "embed": {"@architectures": "spacy-charlm.CharCNN.v1", **SMALL},
            "encode": {
                "@architectures": "spacy.MaxoutWindowEncoder.v2",
                "width": 4,
                "depth": 1,
                "window_size": 1,
                "maxout_pieces": 2,
            },
        }
    }
    nlp.add_pipe("tok2vec", config=config)
    nlp.initialize()
    return nlp


def test_embed_words_cache_stays_behind_in_copies_and_bytes(nlp):
    empty = nlp.to_bytes()
    expected = nlp("A cat saw a dog.").tensor
    cache = cache_of(nlp.get_pipe("tok2vec").model.get_ref("embed"))
    assert len(cache) >= 6
    assert len(nlp.to_bytes()) - len(empty) < 100  # the strings of the text
    for other in (pickle.loads(pickle.dumps(nlp)), copy.deepcopy(nlp)):
        copied = cache_of(other.get_pipe("tok2vec").model.get_ref("embed"))
        assert copied is not cache and len(copied) == 0
        assert copied.max_words == cache.max_words
        assert_array_equal(other("A cat saw a dog.").tensor, expected)


def test_embed_words_with_two_processes(nlp):
    texts = ["A cat saw a dog.", "", "A dog."] * 3
    expected = [nlp(text).tensor for text in texts]
    for doc, tensor in zip(nlp.pipe(texts, n_process=2, batch_size=2), expected):
        assert_allclose(doc.tensor, tensor, atol=1e-5)


def test_embed_words_inside_a_memory_zone(nlp):
    expected = nlp("zone of words").tensor
    for _ in range(2):
        with nlp.memory_zone():
            tensor = nlp("zone of new words").tensor
    assert tensor.shape == (4, 4)
    assert_array_equal(nlp("zone of words").tensor, expected)

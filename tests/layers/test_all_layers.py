"""Every layer, held to the same rules: see CASES."""

import json
import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from spacy.attrs import LOWER
from spacy.ml.models.tok2vec import MaxoutWindowEncoder, build_Tok2Vec_model
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from thinc.api import HashEmbed, Linear, Maxout, Ragged

from spacy_charlm.architectures.char_cnn import build_char_cnn_v1
from spacy_charlm.layers.conv import conv_chars
from spacy_charlm.layers.embed_chars import embed_chars
from spacy_charlm.layers.embed_ngrams import embed_ngrams
from spacy_charlm.layers.embed_words import embed_words
from spacy_charlm.layers.mix_words import mix_words
from spacy_charlm.layers.pool import pool_rows
from spacy_charlm.layers.read_words import MASK, WORD_END, WORD_START, extract_chars
from spacy_charlm.types import HIDDEN_CHAR, CharBatch, MaskedDocs

WORDS = ["the", "cat", "saw", "The", "naïve", "encyclopaedia", "😀"]
VOCAB = Vocab(strings=WORDS)
VOCAB.vectors = Vectors(
    strings=VOCAB.strings,
    data=np.random.default_rng(3).normal(size=(len(WORDS) - 1, 3)).astype("float32"),
    keys=[VOCAB.strings[word] for word in WORDS[:-1]],
    name="tiny",
)
SMALL = {
    "width": 4,
    "windows": [3, 5],
    "filters": [3, 2],
    "char_width": 3,
    "char_rows": 40,
    "attrs": ["NORM", "SHAPE"],
    "rows": [7, 5],
    "ngrams": [3, 4],
    "ngram_rows": 11,
}
RNG = np.random.default_rng(0)


def make_doc(*words):
    return Doc(VOCAB, words=words)


DOCS = [
    make_doc("the", "cat", "saw", "the", "cat"),
    make_doc(),
    make_doc("encyclopaedia", "naïve", "The", "unseen"),
    make_doc("😀"),
]
FLOATS = [RNG.normal(size=(n, 3)).astype("float32") for n in (4, 1, 0, 7)]
IDS = [np.array(ids, dtype="int32") for ids in ([3, 3, 9, 3], [5], [], [9, 5, 5, 1, 19])]
# One word each: characters, attributes, static vector.
WORD_ROWS = [
    (np.array(ids, dtype="int32"), np.array([[n, 7]], dtype="uint64"), vector)
    for n, (ids, vector) in enumerate(zip(([3, 3, 9], [5], [9, 5, 5]), RNG.normal(size=(3, 1, 3))))
]


def pack_ragged(ops, items, like=FLOATS):
    data = np.concatenate([like[0][:0], *items])
    return Ragged(ops.asarray(data), ops.asarray1i([len(item) for item in items]))


def pack_ids(ops, items):
    return pack_ragged(ops, items, IDS)


def pack_words(ops, items):
    chars = pack_ids(ops, [chars for chars, _, _ in items])
    return CharBatch(
        chars=chars.dataXd,
        lower_chars=chars.dataXd + 1,
        char_lengths=chars.lengths,
        attrs=ops.asarray(np.concatenate([np.zeros((0, 2), "uint64"), *[a for _, a, _ in items]])),
        vectors=ops.asarray2f(np.concatenate([np.zeros((0, 3)), *[v for _, _, v in items]])),
        rows=ops.asarray1i(range(len(items))),
        lengths=[len(items)],
    )


def pack_docs(ops, items):
    return items


def unpack_rows(ops, Y):
    return list(ops.to_numpy(Y))


def unpack_list(ops, Y):
    return [ops.to_numpy(Yd) for Yd in Y]


def unpack_chars(ops, batch):
    """The characters of each token, Doc by Doc."""
    assert len(batch.chars) == batch.char_lengths.sum()
    words = np.split(ops.to_numpy(batch.chars), np.cumsum(ops.to_numpy(batch.char_lengths))[:-1])
    tokens = [words[row].tolist() for row in batch.rows]
    ends = np.cumsum(batch.lengths).tolist()
    return [tokens[end - n : end] for end, n in zip(ends, batch.lengths)]


@dataclass
class Case:
    build: Any
    items: list
    pack: Any
    unpack: Any
    nO: int = 0


def make_mix():
    chars = embed_chars(3, 20, [conv_chars(4, 3, 3)])
    hashes = [HashEmbed(4, 6, column=i, seed=i + 1) for i in range(2)]
    mix = Maxout(5, 16, nP=3, normalize=True)
    return mix_words(5, chars, hashes, Linear(2), mix, ngrams=embed_ngrams(2, 9, [2]))


def make_embed():
    chars = embed_chars(3, 40, [conv_chars(4, 3, 3)])
    mix = mix_words(5, chars, [HashEmbed(4, 6, column=0, seed=1)], None, Maxout(5, 8, nP=2))
    return embed_words(extract_chars(attrs=["NORM"], rows=40), mix)


def char_cnn_case(**settings):
    return Case(lambda: build_char_cnn_v1(**{**SMALL, **settings}), DOCS, pack_docs, unpack_list, 4)


CASES = {
    "pool_rows": Case(pool_rows, FLOATS, pack_ragged, unpack_rows, 3),
    "conv_chars": Case(lambda: conv_chars(4, 3, 3), FLOATS, pack_ragged, unpack_rows, 4),
    "conv_chars-1": Case(lambda: conv_chars(4, 3, 1), FLOATS, pack_ragged, unpack_rows, 4),
    "embed_chars": Case(
        lambda: embed_chars(3, 20, [conv_chars(4, 3, 3), conv_chars(2, 3, 5)]),
        IDS,
        pack_ids,
        unpack_rows,
        6,
    ),
    "embed_ngrams": Case(lambda: embed_ngrams(3, 7, [2, 3]), IDS, pack_ids, unpack_rows, 3),
    "mix_words": Case(make_mix, WORD_ROWS, pack_words, unpack_rows, 5),
    "extract_chars": Case(
        lambda: extract_chars(attrs=["NORM"], rows=40), DOCS, pack_docs, unpack_chars
    ),
    "embed_words": Case(make_embed, DOCS, pack_docs, unpack_list, 5),
    "char_cnn": char_cnn_case(),
    "char_cnn-no-attrs": char_cnn_case(attrs=[], rows=[]),
    "char_cnn-vectors": char_cnn_case(include_static_vectors=True),
    "char_cnn-no-ngrams": char_cnn_case(ngrams=[]),
    "char_cnn-nfkc": char_cnn_case(normalise="NFKC", max_chars=5),
    "char_cnn-windows": char_cnn_case(windows=[1, 3, 7], filters=[2, 2, 3]),
}
GRADIENT_CASES = [name for name in CASES if name != "extract_chars"]
BATCHES = {
    "full": lambda items: items,
    "nothing": lambda items: [],
    "empty": lambda items: [item for item in items if not len(item)],
    "two-empty": lambda items: [item for item in items if not len(item)] * 2,
}


def make_model(case, ops):
    model = case.build()
    for node in model.walk():
        node.ops = ops
    return model.initialize(X=case.pack(ops, case.items))


def arrays_of(X):
    """All arrays of an input, an output or a gradient."""
    if isinstance(X, Ragged):
        return [X.data, X.lengths]
    if isinstance(X, CharBatch):
        return [X.chars, X.lower_chars, X.char_lengths, X.attrs, X.vectors, X.rows]
    return [x for x in X if not isinstance(x, Doc)] if isinstance(X, list) else [X]


def draw_gradient(Y, rng):
    if isinstance(Y, list):
        return [rng.normal(size=Yd.shape).astype(Yd.dtype) for Yd in Y]
    return rng.normal(size=Y.shape).astype(Y.dtype)


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture(params=GRADIENT_CASES)
def gradient_case(request):
    return CASES[request.param]


def test_all_layers_shapes(case, ops):
    model = make_model(case, ops)
    Y = case.unpack(ops, model.predict(case.pack(ops, case.items)))
    assert len(Y) == len(case.items)
    for item, Yi in zip(case.items, Y):
        if case.unpack is unpack_list:
            assert Yi.shape == (len(item), case.nO) and Yi.dtype == "float32"
        elif case.unpack is unpack_rows:
            assert Yi.shape == (case.nO,)
        else:
            assert len(Yi) == len(item)


@pytest.mark.parametrize("batch", BATCHES)
def test_all_layers_backprop_returns_the_input_and_leaves_its_argument(gradient_case, ops, batch):
    case, model = gradient_case, make_model(gradient_case, ops)
    X = case.pack(ops, BATCHES[batch](case.items))
    Y, backprop = model.begin_update(X)
    dY = draw_gradient(Y, np.random.default_rng(1))
    dY = [ops.asarray2f(d) for d in dY] if isinstance(dY, list) else ops.asarray2f(dY)
    before = [array.copy() for array in arrays_of(dY)]
    dX = backprop(dY)
    assert type(dX) is type(X)
    for old, new in zip(before, arrays_of(dY)):
        assert_array_equal(ops.to_numpy(old), ops.to_numpy(new))
    if not isinstance(X, list):
        assert [a.shape for a in arrays_of(dX)] == [a.shape for a in arrays_of(X)]


@pytest.mark.parametrize("batch", BATCHES)
def test_all_layers_predict_equals_update(case, ops, batch):
    model = make_model(case, ops)
    X = case.pack(ops, BATCHES[batch](case.items))
    trained = case.unpack(ops, model.begin_update(X)[0])
    predicted = case.unpack(ops, model.predict(X))
    assert len(trained) == len(predicted)
    for Yt, Yp in zip(trained, predicted):
        assert np.array_equal(Yt, Yp) if case.nO else Yt == Yp


def test_all_layers_alone_equals_in_batch(case, ops):
    model = make_model(case, ops)
    together = case.unpack(ops, model.begin_update(case.pack(ops, case.items))[0])
    for item, Y in zip(case.items, together):
        (alone,) = case.unpack(ops, model.begin_update(case.pack(ops, [item]))[0])
        assert_allclose(np.array(alone), np.array(Y), atol=1e-6) if case.nO else alone == Y


def test_all_layers_bytes_round_trip(case, ops):
    model, fresh = make_model(case, ops), make_model(case, ops)
    for node in fresh.walk():
        for name in node.param_names:
            node.set_param(name, node.get_param(name) * 0)
    fresh.from_bytes(model.to_bytes())
    for node, other in zip(model.walk(), fresh.walk()):
        assert node.attrs == other.attrs
        if not node.name.startswith("ints-getitem"):  # thinc keeps a slice there
            json.dumps(node.attrs)
    X = case.pack(ops, case.items)
    for Y, Yf in zip(case.unpack(ops, model.predict(X)), case.unpack(ops, fresh.predict(X))):
        assert np.array_equal(Y, Yf) if case.nO else Y == Yf


@pytest.mark.parametrize("build", [pool_rows, lambda: conv_chars(4, 3, 3)])
def test_all_layers_gradient_of_inputs(build, ops64):
    model = build().initialize()
    for node in model.walk():
        for name in node.param_names:
            node.set_param(name, node.get_param(name).astype("float64"))
    X = pack_ragged(ops64, FLOATS)
    X = Ragged(X.dataXd.astype("float64"), X.lengths)
    Y, backprop = model.begin_update(X)
    dY = draw_gradient(Y, np.random.default_rng(1))
    dX = backprop(dY).dataXd
    assert dX.dtype == np.float64
    for place in np.ndindex(*X.dataXd.shape):
        sums = []
        for step in (1e-6, -2e-6):
            X.dataXd[place] += step
            sums.append((model.predict(X) * dY).sum())
        X.dataXd[place] += 1e-6
        assert_allclose(dX[place], (sums[0] - sums[1]) / 2e-6, atol=1e-8)


@pytest.mark.parametrize("name", [name for name in GRADIENT_CASES if name != "pool_rows"])
def test_all_layers_gradient_of_parameters(name, ops64, check_gradients):
    case = CASES[name]
    model = make_model(case, ops64)
    X = case.pack(ops64, case.items)
    if isinstance(X, Ragged) and X.dataXd.dtype == "float32":
        X = Ragged(X.dataXd.astype("float64"), X.lengths)
    rng = np.random.default_rng(1)
    weights = draw_gradient(model.predict(X), rng)
    weights = [np.asarray(w, dtype="float64") for w in weights]
    weights = weights if isinstance(X, list) else np.array(weights)

    def run(backprop=False):
        Y, back = model.begin_update(X)
        if backprop:
            back(weights)
        return sum((Yi * Wi).sum() for Yi, Wi in zip(Y, weights))

    check_gradients(model, run)


def test_all_layers_agree_across_devices(case, ops):
    if ops.name == "numpy":
        pytest.skip("compares CuPy with NumPy")
    from thinc.api import NumpyOps

    model, cpu = make_model(case, ops), make_model(case, NumpyOps())
    cpu.from_bytes(model.to_bytes())
    Y = case.unpack(ops, model.predict(case.pack(ops, case.items)))
    Yc = case.unpack(cpu.ops, cpu.predict(case.pack(cpu.ops, case.items)))
    for Yi, Yci in zip(Y, Yc):
        assert_allclose(np.array(Yi), np.array(Yci), atol=1e-4)


# What the layer that reads Docs promises.


def read(docs, **settings):
    model = extract_chars(**{"rows": 2**21, **settings})
    return unpack_chars(model.ops, model.predict(docs))


def spell(text):
    return [WORD_START, *[4 + ord(char) for char in text], WORD_END]


def test_extract_chars_reads_each_distinct_word_once():
    batch = extract_chars(rows=1000).predict(DOCS)
    assert len(batch.char_lengths) == len({token.text for doc in DOCS for token in doc})
    assert batch.lengths == [5, 0, 4, 1]


def test_extract_chars_tells_words_apart_by_their_attributes():
    doc = make_doc("ca", "ca")
    doc[0].norm_ = "can"
    assert len(extract_chars(attrs=["NORM"]).predict([doc]).char_lengths) == 2
    assert len(extract_chars().predict([doc]).char_lengths) == 1


@pytest.mark.parametrize("max_chars, text", [(2, "ae"), (3, "abe"), (4, "abde"), (5, "abcde")])
def test_extract_chars_keeps_head_and_tail(max_chars, text):
    assert read([make_doc("abcde")], max_chars=max_chars) == [[spell(text)]]


def test_extract_chars_folds_code_points_into_the_table():
    (word,) = read([make_doc("aƿ😀")], rows=30)[0]
    assert word == [WORD_START, *[4 + ord(char) % 26 for char in "aƿ😀"], WORD_END]


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
def test_extract_chars_normalises(form):
    composed, combined = (
        unicodedata.normalize("NFC", "naïve"),
        unicodedata.normalize("NFD", "naïve"),
    )
    assert composed != combined
    docs = [make_doc(composed), make_doc(combined)]
    assert read(docs)[0] != read(docs)[1]
    assert read(docs, normalise=form) == [[spell(composed)]] * 2
    ligature = read([make_doc("ﬁn")], normalise=form)
    assert ligature == [[spell("fin" if form == "NFKC" else "ﬁn")]]


def test_extract_chars_reads_lower_case_beside():
    model = extract_chars(rows=2**21)
    batch = model.predict([make_doc("Ab", "ÀÉ", "İ", "\U00010400")])
    ends = np.cumsum(batch.char_lengths)[:-1]
    words = [np.split(batch.lower_chars, ends)[row].tolist() for row in batch.rows]
    assert words == [spell(text) for text in ("ab", "àé", "İ", "\U00010400")]


WEIRD = {
    "spaces": [" ", "\n\n", "\t", "\u2003"],
    "long": ["x" * 100_000],
    "emoji": ["😀", "👩‍👩‍👧", "🇩🇪"],
    "combining": ["e" + "\u0301" * 50, "\u0301"],
    "right to left": ["שלום", "مرحبا", "\u202eabc"],
    "nul": ["\0", "a\0b"],
    "noncharacters": ["\uffff", "\U0010ffff"],
}


@pytest.mark.parametrize("name", WEIRD)
@pytest.mark.parametrize("normalise", ["none", "NFC", "NFKC"])
def test_char_cnn_takes_weird_words(name, normalise):
    doc = make_doc(*WEIRD[name])
    model = build_char_cnn_v1(**SMALL, normalise=normalise).initialize(X=DOCS)
    (Y,), backprop = model.begin_update([doc])
    assert Y.shape == (len(doc), 4) and np.isfinite(Y).all()
    assert backprop([Y]) == []
    if normalise == "none":
        expected = [spell(word[:16] + word[16:][-16:]) for word in WEIRD[name]]
        assert read([doc], max_chars=32) == [expected]


def test_extract_chars_mask_hides_characters_attributes_and_vector():
    hidden = np.array([True, False, True])
    docs = MaskedDocs([make_doc("the", "cat", "saw")], hidden, np.arange(3))
    batch = extract_chars(attrs=["NORM", "SHAPE"], include_static_vectors=True).predict(docs)
    first, second, third = batch.rows.tolist()
    assert first == third != second and len(batch.char_lengths) == 2
    chars = np.split(batch.chars, np.cumsum(batch.char_lengths)[:-1])
    assert chars[first].tolist() == [WORD_START, MASK, WORD_END]
    assert len(set(batch.attrs[first].tolist())) == 1
    assert not set(batch.attrs[first].tolist()) & set(batch.attrs[second].tolist())
    assert not batch.vectors[first].any() and batch.vectors[second].any()


def test_extract_chars_replaced_word_reads_the_other_token():
    doc = make_doc("the", "cat", "saw")
    docs = MaskedDocs([doc], np.zeros(3, bool), np.array([0, 0, 2]))
    layer = extract_chars(attrs=["NORM"], include_static_vectors=True)
    masked, plain = layer.predict(docs), layer.predict([make_doc("the", "the", "saw")])
    for ours, theirs in zip(arrays_of(masked), arrays_of(plain)):
        assert_array_equal(ours, theirs)
    assert [token.text for token in doc] == ["the", "cat", "saw"]


def test_masked_docs_travel_through_tok2vec():
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


@pytest.mark.parametrize("rate, share", [(0.0, 0), (0.4, 0.4), (1.0, 1)])
def test_vectors_dropout_hides_whole_vectors_in_training_only(rate, share):
    layer = extract_chars(include_static_vectors=True, vectors_dropout=rate)
    docs = [make_doc(*["the", "cat", "saw"] * 1000)]
    for is_train, expected in ((True, share), (False, 0)):
        batch, _ = layer(docs, is_train)
        vectors = batch.vectors[batch.rows]
        hidden = ~vectors.any(axis=1)
        assert abs(hidden.mean() - expected) < 0.04
        table = VOCAB.vectors.data[:3]
        assert_array_equal(vectors[~hidden], np.tile(table, (1000, 1))[~hidden])


def test_vectors_dropout_belongs_to_the_config_and_not_to_the_weights():
    docs = [make_doc("the")]
    without = build_char_cnn_v1(**SMALL, include_static_vectors=True).initialize(X=docs)
    model = build_char_cnn_v1(**SMALL, include_static_vectors=True, vectors_dropout=1.0)
    model.initialize(X=docs).from_bytes(without.to_bytes())
    assert not np.array_equal(model.begin_update(docs)[0][0], model.predict(docs)[0])


@pytest.mark.parametrize("attr", ["ORTH", "LOWER"])
@pytest.mark.parametrize("mode", ["default", "floret"])
def test_extract_chars_reads_static_vectors_as_spacy_does(mode, attr):
    vocab = Vocab(strings=WORDS)
    data = np.random.default_rng(3).normal(size=(7, 3)).astype("float32")
    settings = {"keys": [vocab.strings[word] for word in WORDS]}
    if mode == "floret":
        settings = {"mode": "floret", "minn": 2, "maxn": 3, "hash_count": 2}
    vocab.vectors = Vectors(strings=vocab.strings, data=data, attr=attr, **settings)
    doc = Doc(vocab, words=["The", "cat", "unseen", "the"])
    batch = extract_chars(include_static_vectors=True).predict([doc])
    assert_allclose(batch.vectors[batch.rows], [token.vector for token in doc])


@pytest.mark.parametrize("attr", ["ORTH", "LOWER"])
@pytest.mark.parametrize("mode", ["default", "floret"])
def test_extract_chars_reads_static_vectors_of_typos(mode, attr):
    """Of words that no StringStore knows; with a hidden character only by their characters."""
    vocab = Vocab(strings=WORDS, lex_attr_getters={LOWER: str.lower})
    data = np.random.default_rng(3).normal(size=(7, 3)).astype("float32")
    settings = {"keys": [vocab.strings[word] for word in WORDS]}
    if mode == "floret":
        settings = {"mode": "floret", "minn": 2, "maxn": 3, "hash_count": 2}
    vocab.vectors = Vectors(strings=vocab.strings, data=data, attr=attr, **settings)
    doc = Doc(vocab, words=["The", "cat", "saw"])
    known = len(vocab.strings)
    masked = MaskedDocs([doc], np.zeros(3, bool), np.arange(3), {0: "Teh", 1: f"c{HIDDEN_CHAR}t"})
    batch = extract_chars(include_static_vectors=True).predict(masked)
    assert len(vocab.strings) == known
    found, key = batch.vectors[batch.rows], "Teh" if attr == "ORTH" else "teh"
    expected = vocab.vectors.get_batch([key])[0] if mode == "floret" else np.zeros(3)
    assert_allclose(found[0], expected)
    assert_allclose(found[2], doc[2].vector)
    assert attr == "ORTH" or not found[1].any()


def test_two_runs_with_one_seed_are_equal():
    def run(seed):
        from thinc.api import fix_random_seed

        fix_random_seed(0)
        model = build_char_cnn_v1(
            **SMALL, include_static_vectors=True, vectors_dropout=0.5, seed=seed
        ).initialize(X=DOCS)
        return [np.concatenate(model.begin_update(DOCS)[0]) for _ in range(3)]

    assert_array_equal(run(1), run(1))
    assert not np.array_equal(run(1), run(2))


WRONG = [
    ({"windows": [2, 3]}, "E406.*found 2"),
    ({"windows": [3]}, "E407.*1 values in `windows` and 2 in `filters`"),
    ({"windows": [], "filters": []}, "E407"),
    ({"rows": [5]}, "E407.*2 values in `attrs` and 1 in `rows`"),
    ({"attrs": ["NORM", "NONE"]}, "E401.*'NONE'"),
    ({"normalise": "nfd"}, "E402.*'nfd'"),
    ({"max_chars": 1}, "E403.*max_chars = 1"),
    ({"char_rows": 4}, "E403.*char_rows = 4"),
    ({"vectors_dropout": 1.1}, "E404.*1.1"),
    ({"ngrams": [3, 0]}, r"E408.*\[3, 0\]"),
    ({"ngrams": [3], "ngram_rows": 0}, "E408.*ngram_rows = 0"),
]


@pytest.mark.parametrize("settings, match", WRONG)
def test_char_cnn_names_the_wrong_setting(settings, match):
    with pytest.raises(ValueError, match=match):
        build_char_cnn_v1(**{**SMALL, **settings})


def test_char_cnn_without_the_vectors_that_it_should_read():
    model = build_char_cnn_v1(**SMALL, include_static_vectors=True)
    with pytest.raises(ValueError, match="E405"):
        model.initialize(X=[Doc(Vocab(), words=["a"])])

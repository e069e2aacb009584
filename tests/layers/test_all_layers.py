"""Every layer, held to the same rules: see CASES."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from spacy.tokens import Doc
from thinc.api import HashEmbed, Linear, Maxout, Model, Ragged, chain, list2ragged, uniform_init

from spacy_charlm.architectures.char_cnn import build_char_cnn_v1
from spacy_charlm.architectures.identity_encoder import build_identity_encoder_v1
from spacy_charlm.architectures.textcat_mean import POOLINGS
from spacy_charlm.layers.attention import attention
from spacy_charlm.layers.conv import conv
from spacy_charlm.layers.crf import TagScores, crf
from spacy_charlm.layers.embed_chars import embed_chars
from spacy_charlm.layers.embed_ngrams import embed_ngrams
from spacy_charlm.layers.embed_words import embed_words
from spacy_charlm.layers.mix_words import mix_words
from spacy_charlm.layers.ngram_weights import ngram_weights, set_ngram_weights
from spacy_charlm.layers.pool import pool
from spacy_charlm.layers.read_chars import read_chars
from spacy_charlm.layers.read_words import read_words
from spacy_charlm.layers.weigh_words import weigh_words
from spacy_charlm.layers.word_hashes import hash_words
from spacy_charlm.types import WordChars
from tests.sample_docs import DOCS, SMALL, SampleLexicons, SampleTable

RNG = np.random.default_rng(0)
FLOATS = [RNG.normal(size=(n, 3)).astype("float32") for n in (4, 1, 0, 7)]
EMISSIONS = [RNG.normal(size=(n, 5)).astype("float32") for n in (4, 1, 0, 7)]
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


def pack_emissions(ops, items):
    return pack_ragged(ops, items, EMISSIONS)


def pack_words(ops, items):
    chars = pack_ids(ops, [chars for chars, _, _ in items])
    return WordChars(
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


def unpack_ragged(ops, Yr):
    return np.split(ops.to_numpy(Yr.dataXd), np.cumsum(ops.to_numpy(Yr.lengths)))[:-1]


def unpack_tags(ops, scores):
    return unpack_ragged(ops, scores.emissions)


def unpack_ids(ops, Yr):
    return [ids.tolist() for ids in unpack_ragged(ops, Yr)]


def unpack_words(ops, batch):
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
    length: Any = len  # of what is unpacked, by item


def look_up(nO, nV):
    """thinc's Embed over a Ragged array, with gradients in float64 where the table is."""

    def forward(model, Xr, is_train):
        E, ids = model.get_param("E"), Xr.dataXd

        def backprop(dYr):
            dE = model.ops.alloc2f(*E.shape, dtype=E.dtype)
            model.ops.scatter_add(dE, ids, dYr.dataXd)
            model.inc_grad("E", dE)
            return Ragged(model.ops.alloc1i(len(ids)), Xr.lengths)

        return Ragged(E[ids], Xr.lengths), backprop

    def init(model, X=None, Y=None):
        model.set_param("E", uniform_init(model.ops, (nV, nO)))

    return Model("look_up", forward, init=init, params={"E": None})


def make_mix():
    chars = embed_chars(3, 20, [conv(4, 3, 3)])
    hashes = [HashEmbed(4, 6, column=i, seed=i + 1) for i in range(2)]
    mix = Maxout(5, 16, nP=3, normalize=True)
    return mix_words(5, chars, hashes, Linear(2), mix, ngrams=embed_ngrams(2, 9, [2]))


def make_embed():
    chars = embed_chars(3, 40, [conv(4, 3, 3)])
    mix = mix_words(5, chars, [HashEmbed(4, 6, column=0, seed=1)], None, Maxout(5, 8, nP=2))
    return embed_words(read_words(attrs=["NORM"], nV=40), mix)


def char_cnn_case(**settings):
    return Case(lambda: build_char_cnn_v1(**{**SMALL, **settings}), DOCS, pack_docs, unpack_list, 4)


CASES = {
    "ngram_weights": Case(
        lambda: ngram_weights(chain(build_char_cnn_v1(**SMALL), list2ragged(), pool(mean=True))),
        DOCS,
        pack_docs,
        unpack_rows,
        4,
    ),
    "weigh_words": Case(
        lambda: weigh_words(build_char_cnn_v1(**SMALL)), DOCS, pack_docs, unpack_list, 4
    ),
    "pool": Case(pool, FLOATS, pack_ragged, unpack_rows, 3),
    "pool-mean": Case(lambda: pool(mean=True), FLOATS, pack_ragged, unpack_rows, 3),
    "attention": Case(attention, FLOATS, pack_ragged, unpack_rows, 3),
    "mean_max": Case(POOLINGS["mean_max"][0], FLOATS, pack_ragged, unpack_rows, 6),
    "crf": Case(crf, EMISSIONS, pack_emissions, unpack_tags, 5),
    "conv": Case(lambda: conv(4, 3, 3), FLOATS, pack_ragged, unpack_ragged, 4),
    "conv-1": Case(lambda: conv(4, 3, 1), FLOATS, pack_ragged, unpack_ragged, 4),
    "conv-9": Case(lambda: conv(4, 3, 9), FLOATS, pack_ragged, unpack_ragged, 4),
    "conv-conv": Case(
        lambda: chain(look_up(3, 20), conv(4, 3, 3), conv(2, 4, 5)),
        IDS,
        pack_ids,
        unpack_ragged,
        2,
    ),
    "conv-pool": Case(
        lambda: chain(look_up(3, 20), conv(4, 3, 3), pool()), IDS, pack_ids, unpack_rows, 4
    ),
    "embed_chars": Case(
        lambda: embed_chars(3, 20, [conv(4, 3, 3), conv(2, 3, 5)]),
        IDS,
        pack_ids,
        unpack_rows,
        6,
    ),
    "embed_ngrams": Case(lambda: embed_ngrams(3, 7, [2, 3]), IDS, pack_ids, unpack_rows, 3),
    "mix_words": Case(make_mix, WORD_ROWS, pack_words, unpack_rows, 5),
    "read_words": Case(lambda: read_words(attrs=["NORM"], nV=40), DOCS, pack_docs, unpack_words),
    "read_chars": Case(
        lambda: read_chars(40), DOCS, pack_docs, unpack_ids, length=lambda doc: len(doc.text)
    ),
    "read_chars-strings": Case(
        lambda: read_chars(40, bounds=True),
        [doc.text for doc in DOCS],
        pack_docs,
        unpack_ids,
        length=lambda text: len(text) + 2,
    ),
    "embed_words": Case(make_embed, DOCS, pack_docs, unpack_list, 5),
    "char_cnn": char_cnn_case(),
    "char_cnn-no-attrs": char_cnn_case(attrs=[], rows=[]),
    "char_cnn-vectors": char_cnn_case(include_static_vectors=True),
    "char_cnn-table": char_cnn_case(table=SampleTable(), vectors_dropout=0.0),
    "char_cnn-lexicons": char_cnn_case(lexicons=SampleLexicons()),
    "char_cnn-table-lexicons": char_cnn_case(table=SampleTable(), lexicons=SampleLexicons()),
    "char_cnn-vectors-lexicons": char_cnn_case(
        include_static_vectors=True, lexicons=SampleLexicons()
    ),
    "char_cnn-no-ngrams": char_cnn_case(ngrams=[]),
    "char_cnn-nfkc": char_cnn_case(normalise="NFKC", max_chars=5),
    "identity_encoder": Case(
        lambda: chain(build_char_cnn_v1(**SMALL), build_identity_encoder_v1(4)),
        DOCS,
        pack_docs,
        unpack_list,
        4,
    ),
    "char_cnn-windows": char_cnn_case(windows=[1, 3, 7], filters=[2, 2, 3]),
}
GRADIENT_CASES = [name for name, case in CASES.items() if case.nO]
WITHOUT_PARAMETERS = ("pool", "pool-mean", "mean_max")
FLOAT_CASES = [
    name
    for name, case in CASES.items()
    if any(case.items is floats for floats in (FLOATS, EMISSIONS))
]
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
    model.initialize(X=case.pack(ops, case.items))
    for node in model.walk():
        if "Q" in node.param_names:  # it starts at zero, where its gradient by the input is zero
            node.set_param("Q", ops.asarray1f(np.linspace(-1, 1, node.get_dim("nO"))))
        if node.name == "ngram_weights":
            keys = hash_words(np.concatenate([doc.to_array("LOWER") for doc in DOCS]))[::2]
            set_ngram_weights(node, keys, RNG.normal(size=(4, len(keys))), np.ones(4))
    return model


def arrays_of(X):
    """All arrays of an input, an output or a gradient."""
    if isinstance(X, Ragged):
        return [X.data, X.lengths]
    if isinstance(X, TagScores):
        return [*arrays_of(X.emissions), *X[1:]]
    if isinstance(X, WordChars):
        return [X.chars, X.lower_chars, X.char_lengths, X.attrs, X.vectors, X.rows]
    return [x for x in X if not isinstance(x, Doc | str)] if isinstance(X, list) else [X]


def draw_gradient(ops, Y, dtype="float32"):
    """A gradient of an output; characters have none."""
    rng = np.random.default_rng(1)
    if isinstance(Y, WordChars):
        return Y
    if isinstance(Y, Ragged):
        return Ragged(ops.asarray(rng.normal(size=Y.dataXd.shape), dtype=dtype), Y.lengths)
    if isinstance(Y, TagScores):
        weights = [ops.asarray(rng.normal(size=each.shape), dtype=dtype) for each in Y[1:]]
        return TagScores(draw_gradient(ops, Y.emissions, dtype), *weights)
    if isinstance(Y, list):
        return [ops.asarray(rng.normal(size=Yd.shape), dtype=dtype) for Yd in Y]
    return ops.asarray(rng.normal(size=Y.shape), dtype=dtype)


def dot(Y, dY):
    pairs = zip(floats_of(Y), floats_of(dY), strict=True)
    return sum((Yi * dYi).sum() for Yi, dYi in pairs)


def floats_of(Y):
    if isinstance(Y, TagScores):
        return [Y.emissions.dataXd, *Y[1:]]
    return Y if isinstance(Y, list) else [Y.dataXd if isinstance(Y, Ragged) else Y]


def in_float64(X):
    if isinstance(X, Ragged) and X.dataXd.dtype == "float32":
        return Ragged(X.dataXd.astype("float64"), X.lengths)
    return X


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def test_all_layers_shapes(case, ops):
    model = make_model(case, ops)
    Y = case.unpack(ops, model.predict(case.pack(ops, case.items)))
    assert len(Y) == len(case.items)
    for item, Yi in zip(case.items, Y):
        if case.unpack in (unpack_list, unpack_ragged, unpack_tags):
            assert Yi.shape == (len(item), case.nO) and Yi.dtype == "float32"
        elif case.unpack is unpack_rows:
            assert Yi.shape == (case.nO,)
        else:
            assert len(Yi) == case.length(item)


@pytest.mark.parametrize("batch", BATCHES)
def test_all_layers_backprop_returns_the_input_and_leaves_its_argument(case, ops, batch):
    model = make_model(case, ops)
    X = case.pack(ops, BATCHES[batch](case.items))
    Y, backprop = model.begin_update(X)
    dY = draw_gradient(ops, Y)
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


@pytest.mark.parametrize("name", FLOAT_CASES)
def test_all_layers_gradient_of_inputs(name, ops64):
    case = CASES[name]
    model = make_model(case, ops64)
    for node in model.walk():
        for name in node.param_names:
            node.set_param(name, node.get_param(name).astype("float64"))
    X = in_float64(case.pack(ops64, case.items))
    Y, backprop = model.begin_update(X)
    dY = draw_gradient(ops64, Y, "float64")
    dX = backprop(dY).dataXd
    assert dX.dtype == np.float64
    for place in np.ndindex(*X.dataXd.shape):
        sums = []
        for step in (1e-6, -2e-6):
            X.dataXd[place] += step
            sums.append(dot(model.predict(X), dY))
        X.dataXd[place] += 1e-6
        assert_allclose(dX[place], (sums[0] - sums[1]) / 2e-6, atol=1e-8)


@pytest.mark.parametrize(
    "name", [name for name in GRADIENT_CASES if name not in ("pool", "mean_max")]
)
def test_all_layers_gradient_of_parameters(name, ops64, check_gradients):
    case = CASES[name]
    model = make_model(case, ops64)
    X = in_float64(case.pack(ops64, case.items))
    dY = draw_gradient(ops64, model.predict(X), "float64")

    def run(backprop=False):
        Y, back = model.begin_update(X)
        if backprop:
            back(dY)
        return dot(Y, dY)

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

import json
from pathlib import Path

import numpy as np
import pytest
import srsly
from numpy.testing import assert_allclose, assert_array_equal
from spacy.ml.models.tok2vec import MaxoutWindowEncoder, MultiHashEmbed, build_Tok2Vec_model
from spacy.tokens import Doc, DocBin
from spacy.training.initialize import init_nlp
from spacy.training.pretrain import pretrain
from spacy.util import load_config
from spacy.vocab import Vocab
from thinc.api import Adam, Model, fix_random_seed, get_current_ops, set_current_ops

from spacy_charlm.architectures.char_cnn import build_char_cnn_v1
from spacy_charlm.card import CARD_ATTR, read_card, read_weights
from spacy_charlm.objectives import masking as masking_module
from spacy_charlm.objectives.heads import create_linear_head_v1, create_maxout_head_v1
from spacy_charlm.objectives.lmao import ONE, create_lmao_v1
from spacy_charlm.objectives.losses import (
    ContrastiveLoss,
    CosineLoss,
    CrossEntropyLoss,
    SampledSoftmaxLoss,
    SquaredErrorLoss,
)
from spacy_charlm.objectives.masking import WordMasking
from spacy_charlm.types import Mask, TargetBatch

CONFIGS = Path(__file__).parents[2] / "configs"
WORDS = ["the", "cat", "saw", "a", "dog", "and", "slept"]
VALUES = np.random.default_rng(5).normal(size=(len(WORDS), 3)).astype("float32")
TEXTS = ["the cat saw a dog", "a dog slept", "the dog saw the cat", "the cat and the dog slept"]
VOCAB = Vocab()
DOCS = [Doc(VOCAB, words=text.split()) for text in TEXTS]
VECTOR_LOSSES = [CosineLoss, SquaredErrorLoss, ContrastiveLoss]


def few_samples():
    return SameSample(n_samples=10)


ID_LOSSES = [CrossEntropyLoss, few_samples]
LOSSES = [*VECTOR_LOSSES, *ID_LOSSES]


@pytest.fixture(autouse=True)
def same_ops():
    """Draw the same weights; the configs' `use_blas` changes the backend of the process."""
    before = get_current_ops()
    fix_random_seed(0)
    yield
    set_current_ops(before)


class FakeTarget:
    """The word's own vector and, as a second part, that of the word after it."""

    kind = "vectors"
    unit = "token"
    nO = 3

    def __init__(self, nParts=1):
        self.nParts = nParts

    def open(self, vocab):
        self.opened = vocab

    def describe(self):
        return {"name": "fake", "width": 3}

    def __call__(self, ops, docs):
        rows = []
        for doc in docs:
            found = [WORDS.index(t.text) if t.text in WORDS else -1 for t in doc] + [-1]
            rows.extend(found[i : i + self.nParts] for i in range(len(doc)))
        array = np.array(rows, dtype="int32").reshape(len(rows), self.nParts)
        return TargetBatch(ops.asarray2f(VALUES), ops.asarray2i(array))


class FakeTexts(FakeTarget):
    """Of a text the vector of its first word, and as a second part that of its second word."""

    unit = "text"

    def __call__(self, ops, docs):
        starts = np.cumsum([0, *map(len, docs)])[:-1]
        batch = FakeTarget.__call__(self, ops, docs)
        rows = [
            batch.rows[start] if len(doc) else [-1] * self.nParts
            for start, doc in zip(starts, docs)
        ]
        array = np.array(rows, dtype="int32").reshape(len(docs), self.nParts)
        return TargetBatch(batch.values, ops.asarray2i(array))

    def weigh_tokens(self, ops, docs):
        """The last letters of the alphabet weigh most; "a" has no weight."""
        return ops.asarray1f([ord(token.text[0]) - ord("a") for doc in docs for token in doc])


class FakeIds(FakeTarget):
    """The same words by id, in a vocabulary in which most ids never occur."""

    kind = "ids"
    nO = 30

    def __call__(self, ops, docs):
        return TargetBatch(None, super().__call__(ops, docs).rows)


class SameSample(SampledSoftmaxLoss):
    """The same draw at each call."""

    def sample(self, ops, ids, nO):
        self.restart(0)
        return super().sample(ops, ids, nO)


class SameMasking:
    """The same draw at each call."""

    def __init__(self, **settings):
        self.settings = settings

    def __call__(self, docs):
        return WordMasking(**self.settings)(docs)

    def restart(self, *key):
        pass


class GivenMasking:
    """Nothing hidden, given weights."""

    def __init__(self, weights):
        self.weights = weights

    def __call__(self, docs):
        nT = sum(map(len, docs))
        weights = np.array(self.weights, dtype="float32")
        return Mask(np.zeros(nT, bool), np.arange(nT), weights)

    def restart(self, *key):
        pass


def make_ours():
    embed = build_char_cnn_v1(
        4, windows=[3], filters=[3], char_width=3, char_rows=40, rows=[9], ngram_rows=20, seed=1
    )
    return build_Tok2Vec_model(embed, MaxoutWindowEncoder(4, 1, 3, 1))


def make_spacys():
    embed = MultiHashEmbed(4, ["NORM", "SHAPE"], [20, 9], include_static_vectors=False)
    return build_Tok2Vec_model(embed, MaxoutWindowEncoder(4, 1, 3, 1))


def make_stub(vectors):
    """A tok2vec that says given vectors (nT, 4) and keeps the gradient that comes back."""

    def forward(model, docs, is_train):
        ends = np.cumsum([len(doc) for doc in docs])[:-1]

        def backprop(dYs):
            model.attrs["gradient"] = np.concatenate(dYs)
            return []

        return np.split(vectors, ends), backprop

    return Model("stub", forward, dims={"nO": 4}, attrs={"reads_masks": True, "gradient": None})


def make_target(loss, nParts=1):
    return FakeIds(nParts) if loss.kind == "ids" else FakeTarget(nParts)


def make_head(hidden_size):
    return create_maxout_head_v1(hidden_size, 2) if hidden_size else create_linear_head_v1()


def make_model(tok2vec, *, target=None, loss=None, masking=None, hidden_size=6):
    loss = loss or CosineLoss()
    create = create_lmao_v1(
        target or make_target(loss), loss, make_head(hidden_size), masking or WordMasking()
    )
    tok2vec.initialize(X=DOCS)
    return create(VOCAB, tok2vec).initialize(X=DOCS)


def update(model, docs, optimizer=None):
    """What `spacy.training.pretrain.make_update` does."""
    prediction, backprop = model.begin_update(docs)
    value, gradient = model.attrs["loss"](model.ops, docs, prediction)
    backprop(gradient)
    if optimizer is not None:
        model.finish_update(optimizer)
    return value


def parameters(model):
    return {
        (i, name): node.get_param(name).copy()
        for i, node in enumerate(model.walk())
        for name in node.param_names
    }


# The rows that count.


def test_lmao_rows_that_do_not_count():
    """No loss, no gradient and no work of the head at rows without a target or a weight."""
    docs = [Doc(VOCAB, words=["the", "unknown", "cat"]), Doc(VOCAB), Doc(VOCAB, words=["dog", "a"])]
    weights = [1.0, 1.0, 0.5, 0.0, 2.0]
    vectors = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    tok2vec = make_stub(vectors)
    model = make_model(tok2vec, masking=GivenMasking(weights))
    head = model.get_ref("output_layer")
    predictions, backprop = model.begin_update(docs)
    prediction = predictions[ONE]
    assert prediction.vectors.shape == (3, 3)
    assert_array_equal(prediction.weights, np.array([1, 0.5, 2], dtype="float32"))
    assert_allclose(prediction.vectors, head.predict(vectors[[0, 2, 4]]), rtol=1e-6)
    value, gradient = model.attrs["loss"](model.ops, docs, predictions)
    backprop(gradient)
    assert_array_equal(tok2vec.attrs["gradient"].any(axis=1), [True, False, True, False, True])
    goal = VALUES[[WORDS.index(word) for word in ("the", "cat", "a")]]
    cosines = (prediction.vectors * goal).sum(1)
    cosines /= np.linalg.norm(prediction.vectors, axis=1) * np.linalg.norm(goal, axis=1)
    assert_allclose(value, np.average(1 - cosines, weights=[1, 0.5, 2]), rtol=1e-5)


@pytest.mark.parametrize("loss", VECTOR_LOSSES)
def test_lmao_with_two_targets_per_token(loss):
    """Each part counts for itself: of a Doc's last word only the first."""
    docs = [Doc(VOCAB, words=["the", "cat", "unknown"]), Doc(VOCAB, words=["dog"])]
    vectors = np.random.default_rng(0).normal(size=(4, 4)).astype("float32")
    tok2vec = make_stub(vectors)
    masking = GivenMasking([1.0, 2.0, 1.0, 0.5])
    model = make_model(tok2vec, target=FakeTarget(2), loss=loss(), masking=masking)
    predictions, backprop = model.begin_update(docs)
    prediction = predictions[ONE]
    # the -> the, cat; cat -> cat; dog -> dog
    goals = prediction.targets.values[prediction.targets.rows[:, 0]]
    assert_array_equal(goals, VALUES[[WORDS.index(w) for w in "the cat cat dog".split()]])
    assert len(prediction.targets.values) == 3  # nothing that is no target of these rows
    assert_array_equal(prediction.weights, np.array([1, 1, 2, 0.5], dtype="float32"))
    both = model.get_ref("output_layer").predict(vectors[[0, 1, 3]])
    assert_allclose(prediction.vectors[[0, 2, 3]], both[:, :3], rtol=1e-6)
    assert_allclose(prediction.vectors[1], both[0, 3:], rtol=1e-6)
    value, gradient = model.attrs["loss"](model.ops, docs, predictions)
    expected, _ = loss()(prediction.vectors, prediction.targets, prediction.weights)
    assert value == expected
    backprop(gradient)
    assert_array_equal(tok2vec.attrs["gradient"].any(axis=1), [True, True, False, True])
    weights = model.get_ref("output_layer").layers[-1].get_grad("b")
    assert_allclose(weights[3:], gradient[ONE][1], rtol=1e-6)


@pytest.mark.parametrize("nParts", [1, 2])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("hidden_size", [0, 6])
def test_lmao_gradient_check(loss, nParts, hidden_size, check_objective):
    masking = SameMasking(rate=0.4, visible_weight=0.5, visible_share=0.8)
    model = make_model(
        make_ours(),
        target=make_target(loss(), nParts),
        loss=loss(),
        masking=masking,
        hidden_size=hidden_size,
    )

    check_objective(model, DOCS)


@pytest.mark.parametrize("nParts", [1, 2])
@pytest.mark.parametrize("loss", VECTOR_LOSSES)
@pytest.mark.parametrize("hidden_size", [0, 6])
def test_lmao_gradient_check_of_texts(loss, nParts, hidden_size, check_objective):
    """With empty texts, repeated words, tokens without weight and a text without a target."""
    texts = ["", *TEXTS, "the the cat the", "", "unknown cat", "a a dog", ""]
    docs = [Doc(VOCAB, words=text.split()) for text in texts]
    masking = SameMasking(rate=0.4, visible_weight=0.5, visible_share=0.8)
    model = make_model(
        make_ours(),
        target=FakeTexts(nParts),
        loss=loss(),
        masking=masking,
        hidden_size=hidden_size,
    )

    check_objective(model, docs)


def test_lmao_of_texts():
    """The head reads weighted averages of all tokens; texts without a target get no gradient."""
    texts = ["the cat a unknown", "", "unknown cat", "a a", "dog"]
    docs = [Doc(VOCAB, words=text.split()) for text in texts]
    vectors = np.random.default_rng(0).normal(size=(9, 4)).astype("float32")
    tok2vec = make_stub(vectors)
    # What a token counts in the loss of tokens is of no matter.
    model = make_model(tok2vec, target=FakeTexts(), masking=GivenMasking([0.0, 2.0, 3.0] * 3))
    predictions, backprop = model.begin_update(docs)
    prediction = predictions[ONE]
    letters = np.array([ord(token.text[0]) - ord("a") for doc in docs for token in doc])
    first = np.average(vectors[:4], axis=0, weights=letters[:4])
    averages = np.array([first, np.zeros(4), vectors[8]], dtype="float32")
    head = model.get_ref("output_layer")
    assert_allclose(prediction.vectors, head.predict(averages), rtol=1e-5, atol=1e-6)
    assert_array_equal(prediction.weights, np.ones(3, dtype="float32"))
    goals = prediction.targets.values[prediction.targets.rows[:, 0]]
    assert_array_equal(goals, VALUES[[WORDS.index(word) for word in ("the", "a", "dog")]])
    _, gradient = model.attrs["loss"](model.ops, docs, predictions)
    backprop(gradient)
    counts = [True, True, False, True, False, False, False, False, True]
    assert_array_equal(tok2vec.attrs["gradient"].any(axis=1), counts)
    found, batch = model.attrs["predict_hidden"](docs)
    assert_allclose(found.vectors, prediction.vectors, rtol=1e-5, atol=1e-6)
    assert_array_equal(found.weights, prediction.weights)
    assert len(batch.rows) == len(docs)
    assert model.attrs["weigh"](docs, predictions) == 3


@pytest.mark.parametrize("make_tok2vec", [make_ours, make_spacys])
@pytest.mark.parametrize("loss", VECTOR_LOSSES)
def test_lmao_learns_texts(loss, make_tok2vec):
    target, optimizer = FakeTexts(), Adam(0.01)
    model = make_model(make_tok2vec(), target=target, loss=loss())
    docs = [*DOCS, Doc(VOCAB), Doc(VOCAB, words=["dog"])]
    values = [update(model, docs, optimizer) for _ in range(20)]
    assert np.mean(values[-3:]) < 0.9 * np.mean(values[:3])


@pytest.mark.parametrize("make_tok2vec", [make_ours, make_spacys])
@pytest.mark.parametrize("loss", LOSSES)
def test_lmao_learns(loss, make_tok2vec):
    model, optimizer = make_model(make_tok2vec(), loss=loss()), Adam(0.01)
    values = [update(model, DOCS, optimizer) for _ in range(20)]
    assert np.mean(values[-3:]) < 0.9 * np.mean(values[:3])


def test_lmao_runs_with_one_seed_are_equal():
    from thinc.api import fix_random_seed

    def run(seed):
        fix_random_seed(0)
        model, optimizer = make_model(make_ours(), masking=WordMasking(seed=seed)), Adam(0.01)
        return [update(model, DOCS, optimizer) for _ in range(3)]

    assert run(1) == run(1) != run(2)


def test_lmao_visible_words_count():
    def n_rows(**settings):
        model = make_model(make_ours(), masking=WordMasking(rate=0.3, **settings))
        return sum(len(model.predict(DOCS * 5)[ONE].vectors) for _ in range(4)) / (20 * 19)

    assert n_rows() == 1
    assert n_rows(visible_weight=0.0) == n_rows(visible_share=0.0) < 0.45
    assert 0.5 < n_rows(visible_share=0.5) < 0.8


# The Docs.


@pytest.mark.parametrize("make_tok2vec, rebuilds", [(make_ours, False), (make_spacys, True)])
def test_lmao_rebuilds_docs_only_for_others(make_tok2vec, rebuilds, monkeypatch):
    built = []

    def make_doc(*args, **kwargs):
        built.append(Doc(*args, **kwargs))
        return built[-1]

    model = make_model(make_tok2vec(), masking=WordMasking(rate=0.6))
    monkeypatch.setattr(masking_module, "Doc", make_doc)
    docs = [*DOCS, Doc(VOCAB)]
    update(model, docs, Adam(0.01))
    assert len(built) == (len(docs) if rebuilds else 0)
    assert [doc.text.strip() for doc in DOCS] == TEXTS


@pytest.mark.parametrize("make_tok2vec", [make_ours, make_spacys])
def test_lmao_hides_words(make_tok2vec):
    """Where every word is hidden, the words play no part."""
    model = make_model(
        make_tok2vec(), masking=WordMasking(rate=1.0, mask_share=1.0, random_share=0)
    )
    one = model.predict([Doc(VOCAB, words=["the", "cat"])])[ONE].vectors
    two = model.predict([Doc(VOCAB, words=["dog", "slept"])])[ONE].vectors
    assert_array_equal(one, two)


@pytest.mark.parametrize("make_tok2vec", [make_ours, make_spacys])
@pytest.mark.parametrize("texts", [[""], ["", ""], ["unknown words"], [" ", ""], []])
@pytest.mark.parametrize("make_target", [FakeTarget, FakeTexts])
def test_lmao_survives_batches_without_a_target(make_tok2vec, texts, make_target):
    model, optimizer = make_model(make_tok2vec(), target=make_target()), Adam(0.01)
    docs = [Doc(VOCAB, words=text.split()) for text in texts]
    before = parameters(model)
    assert update(model, docs, optimizer) == 0.0
    for key, value in parameters(model).items():
        assert_array_equal(value, before[key])
    assert update(model, [*docs, *DOCS], optimizer) > 0


def test_lmao_opens_its_target_when_it_is_built():
    target = FakeTarget()
    create = create_lmao_v1(target, CosineLoss(), make_head(6), WordMasking())
    assert not hasattr(target, "opened")
    create(VOCAB, make_ours())
    assert target.opened is VOCAB


@pytest.mark.parametrize("name", ["target", "loss", "head", "masking"])
def test_lmao_names_a_part_that_is_no_block(name):
    parts = {"target": FakeTarget(), "loss": CosineLoss(), "masking": WordMasking()}
    parts["head"] = make_head(6)
    with pytest.raises(ValueError, match=f"E561.*`{name}`.*'cosine'"):
        create_lmao_v1(**{**parts, name: "cosine"})


@pytest.mark.parametrize(
    "target, loss", [(FakeIds(), CosineLoss()), (FakeTarget(), CrossEntropyLoss())]
)
def test_lmao_refuses_a_loss_that_does_not_fit(target, loss):
    with pytest.raises(ValueError, match="E309.*(CosineLoss|CrossEntropyLoss)"):
        create_lmao_v1(target, loss, make_head(6), WordMasking())


def test_lmao_refuses_an_unknown_unit():
    target = FakeTarget()
    target.unit = "page"
    with pytest.raises(ValueError, match="E311.*'page'"):
        create_lmao_v1(target, CosineLoss(), make_head(6), WordMasking())


@pytest.mark.parametrize("sizes", [(-1, 3), (0, 3), (300, 0), (2.5, 3), (300, 1.5)])
def test_lmao_names_sizes_of_a_head_that_are_wrong(sizes):
    with pytest.raises(ValueError, match="E560"):
        create_maxout_head_v1(*sizes)


# Ids of words.


@pytest.mark.parametrize("nParts", [1, 2])
@pytest.mark.parametrize("hidden_size", [0, 6])
def test_lmao_samples_the_softmax_without_bias(nParts, hidden_size):
    """With all ids, and on average with some, it is the full softmax."""

    def run(loss):
        fix_random_seed(0)
        model = make_model(
            make_ours(),
            target=FakeIds(nParts),
            loss=loss,
            masking=SameMasking(rate=0.3),
            hidden_size=hidden_size,
        )
        predictions, backprop = model.begin_update(DOCS)
        width = predictions[ONE].vectors.shape[1]
        value, gradient = model.attrs["loss"](model.ops, DOCS, predictions)
        backprop(gradient)
        return width, value, [n.get_grad(name) for n in model.walk() for name in n.grad_names]

    full_width, full, full_gradients = run(CrossEntropyLoss())
    width, value, gradients = run(SampledSoftmaxLoss(n_samples=FakeIds.nO))
    assert (full_width, full) == (FakeIds.nO, value) and width == FakeIds.nO
    for one, other in zip(full_gradients, gradients, strict=True):
        assert_array_equal(one, other)
    found = [run(SampledSoftmaxLoss(n_samples=5, seed=seed)) for seed in range(60)]
    assert {width for width, _, _ in found} == {len(WORDS) + 5}
    values = [value for _, value, _ in found]
    assert np.std(values) > 0
    assert np.mean(values) == pytest.approx(full, abs=4 * np.std(values) / len(values) ** 0.5)


def test_lmao_evaluates_ids_with_the_full_softmax():
    model = make_model(make_ours(), loss=few_samples(), masking=SameMasking(rate=0.9))
    prediction, batch = model.attrs["predict_hidden"](DOCS)
    assert batch.values is None and prediction.vectors.shape[1] == FakeIds.nO
    words = np.array([WORDS.index(token.text) for doc in DOCS for token in doc])
    hidden = SameMasking(rate=0.9)(DOCS).hidden
    assert_array_equal(prediction.targets.rows[:, 0], words[hidden])
    value, _ = model.attrs["hidden_loss"](DOCS, prediction)
    logits = prediction.vectors - np.log(np.exp(prediction.vectors).sum(1, keepdims=True))
    expected = -logits[np.arange(len(logits)), prediction.targets.rows[:, 0]].mean()
    assert value == pytest.approx(expected, rel=1e-5)


# Numbers that are not finite.


def spoil(monkeypatch, what, call):
    """Let the loss or its gradient be NaN at one of the calls."""
    plain, calls = CosineLoss.__call__, []

    def spoiled(self, *args):
        value, gradient = plain(self, *args)
        calls.append(1)
        if len(calls) != call:
            return value, gradient
        return (np.nan, gradient) if what == "loss" else (value, gradient * np.nan)

    monkeypatch.setattr(CosineLoss, "__call__", spoiled)


@pytest.mark.parametrize("make_tok2vec", [make_ours, make_spacys])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_lmao_stops_before_a_spoiled_update(what, make_tok2vec, monkeypatch):
    model, optimizer = make_model(make_tok2vec()), Adam(0.01)
    spoil(monkeypatch, what, call=3)
    update(model, DOCS, optimizer)
    update(model, [Doc(VOCAB)], optimizer)  # a batch, too
    update(model, DOCS, optimizer)
    before = parameters(model)
    match = f"E305.*a {what} of .* in batch 4 .*4 texts.*'the cat saw a dog"
    with pytest.raises(ValueError, match=match):
        update(model, DOCS, optimizer)
    for key, value in parameters(model).items():
        assert_array_equal(value, before[key])


# spaCy's own commands.

SMALL = {
    "components.tok2vec.model.embed.width": 8,
    "components.tok2vec.model.embed.windows": [3],
    "components.tok2vec.model.embed.filters": [4],
    "components.tok2vec.model.embed.char_width": 4,
    "components.tok2vec.model.embed.char_rows": 100,
    "components.tok2vec.model.embed.ngram_rows": 50,
    "components.tok2vec.model.encode.depth": 1,
}


@pytest.fixture
def pretraining(tmp_path):
    """The config of a short pretraining of five batches."""
    srsly.write_jsonl(tmp_path / "text.jsonl", [{"text": text} for text in TEXTS * 5])
    lines = [f"{word} {' '.join(map(str, row))}\n" for word, row in zip(WORDS, VALUES)]
    (tmp_path / "vectors.txt").write_text("".join(lines))
    overrides = {
        **SMALL,
        "paths.raw_text": str(tmp_path / "text.jsonl"),
        "paths.target_vectors": str(tmp_path / "vectors.txt"),
        "pretraining.objective.head.hidden_size": 8,
        "pretraining.batcher.size": 19,
        "corpora.pretrain.min_words": 0,
    }
    return load_config(CONFIGS / "pretrain" / "cosine.cfg", overrides=overrides)


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_pretrain_keeps_the_last_good_weights(what, pretraining, tmp_path, monkeypatch):
    spoil(monkeypatch, what, call=3)
    with pytest.raises(ValueError, match="E305.*in batch 3 "):
        pretrain(pretraining.interpolate(), tmp_path)
    weights = read_weights((tmp_path / "model-last.bin").read_bytes(), "model-last.bin")
    arrays = [array for params in weights["params"] for array in params.values()]
    assert arrays and all(np.isfinite(array).all() for array in arrays)
    assert read_card(weights)["updates"] == 2


@pytest.mark.parametrize("way", ["load_weights", "init_tok2vec"])
def test_pretrained_weights_load_into_train(way, pretraining, tmp_path):
    pretrain(pretraining.interpolate(), tmp_path)
    path = tmp_path / "model-last.bin"
    weights = read_weights(path.read_bytes(), path.name)
    card = read_card(weights)
    assert card["words"] == 5 * 19 and card["updates"] > 2
    assert card["target"]["name"] == "vectors.txt"
    assert str(tmp_path) not in json.dumps(card)

    docs = []
    for i, text in enumerate(TEXTS):
        doc = Doc(VOCAB, words=text.split())
        doc.cats = {"A": float(i % 2), "B": 1.0 - i % 2}
        docs.append(doc)
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "train.spacy")
    overrides = {**SMALL, "paths.train": str(tmp_path / "train.spacy")}
    overrides["paths.dev"] = overrides["paths.train"]
    overrides["paths.init_weights" if way == "load_weights" else "paths.init_tok2vec"] = str(path)
    config = load_config(CONFIGS / "train" / "textcat.cfg", overrides=overrides)
    if way == "init_tok2vec":
        config["pretraining"] = pretraining["pretraining"]
        config["corpora"]["pretrain"] = pretraining["corpora"]["pretrain"]
        config["paths"]["raw_text"] = pretraining["paths"]["raw_text"]
        config["paths"]["target_vectors"] = "not opened here"
    nlp = init_nlp(config)
    model = nlp.get_pipe("tok2vec").model
    for node, params in zip(model.walk(), weights["params"]):
        for name in node.param_names:
            assert_array_equal(node.get_param(name), params[name])
    assert json.loads(model.attrs[CARD_ATTR]) == card
    assert set(nlp("the cat").cats) == {"A", "B"}

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from spacy.ml.models.tok2vec import MaxoutWindowEncoder, MultiHashEmbed, build_Tok2Vec_model
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Adam, fix_random_seed

from spacy_charlm.architectures.char_cnn import build_char_cnn_v1
from spacy_charlm.card import CARD_ATTR
from spacy_charlm.objectives.heads import create_linear_head_v1, create_maxout_head_v1
from spacy_charlm.objectives.lmao import create_lmao_v1, create_multi_lmao_v1
from spacy_charlm.objectives.losses import (
    ContrastiveLoss,
    CosineLoss,
    CrossEntropyLoss,
    SquaredErrorLoss,
)
from spacy_charlm.objectives.masking import WordMasking
from spacy_charlm.targets.ngram_vectors import NgramVectors
from spacy_charlm.targets.spelling_vectors import SpellingVectors
from spacy_charlm.types import TargetBatch

WORDS = ["the", "cat", "saw", "a", "dog", "and", "slept"]
VOCAB = Vocab()
TEXTS = ["the cat saw a dog", "", "the dog Tom saw the cat"]
DOCS = [Doc(VOCAB, words=text.split()) for text in TEXTS]


class Table:
    kind = "vectors"
    unit = "token"
    nParts = 1

    def __init__(self, nO=3):
        self.nO = nO
        self.values = np.random.default_rng(nO).normal(size=(len(WORDS), nO)).astype("float32")

    def open(self, vocab):
        pass

    def describe(self):
        return {"name": f"table {self.nO}"}

    def __call__(self, ops, docs):
        rows = [WORDS.index(t.text) if t.text in WORDS else -1 for doc in docs for t in doc]
        rows = np.array(rows, dtype="int32").reshape(-1, 1)
        return TargetBatch(ops.asarray2f(self.values), ops.asarray2i(rows))


class Ids(Table):
    kind = "ids"

    def __call__(self, ops, docs):
        return TargetBatch(None, super().__call__(ops, docs).rows)


class Texts(Table):
    """The vector of the last word of a text."""

    unit = "text"

    def __call__(self, ops, docs):
        rows = [WORDS.index(doc[-1].text) if doc and doc[-1].text in WORDS else -1 for doc in docs]
        rows = np.array(rows, dtype="int32").reshape(-1, 1)
        return TargetBatch(ops.asarray2f(self.values), ops.asarray2i(rows))

    def weigh_tokens(self, ops, docs):
        return ops.asarray1f([len(token) for doc in docs for token in doc])


class SameMasking(WordMasking):
    """The same draw at each call."""

    def __call__(self, docs):
        self.restart(0)
        return super().__call__(docs)


def make_parts(**more):
    return {
        "words": {
            "target": Table(3),
            "loss": CosineLoss(),
            "head": create_maxout_head_v1(5),
            **more,
        },
        "near": {
            "target": NgramVectors(Table(2), [-1, 1]),
            "loss": SquaredErrorLoss(),
            "head": create_linear_head_v1(),
            "weight": 0.25,
        },
        "far": {
            "target": Table(4),
            "loss": ContrastiveLoss(),
            "head": create_maxout_head_v1(maxout_pieces=2),
        },
        "ids": {
            "target": Ids(len(WORDS)),
            "loss": CrossEntropyLoss(),
            "head": create_linear_head_v1(),
            "weight": 0.5,
        },
        "text": {
            "target": Texts(3),
            "loss": ContrastiveLoss(0.5),
            "head": create_linear_head_v1(),
            "weight": 0.75,
        },
    }


def make_tok2vec():
    fix_random_seed(0)
    embed = build_char_cnn_v1(
        4, windows=[3], filters=[3], char_width=3, char_rows=40, rows=[9], ngram_rows=20, seed=1
    )
    tok2vec = build_Tok2Vec_model(embed, MaxoutWindowEncoder(4, 1, 3, 1))
    tok2vec.initialize(X=DOCS)
    return tok2vec


def make_model(parts=None, masking=None, create=create_multi_lmao_v1):
    model = create(parts or make_parts(), masking or SameMasking())
    return model(VOCAB, make_tok2vec()).initialize(X=DOCS)


def update(model, docs, optimizer=None):
    prediction, backprop = model.begin_update(docs)
    value, gradient = model.attrs["loss"](model.ops, docs, prediction)
    backprop(gradient)
    if optimizer is not None:
        model.finish_update(optimizer)
    return value


def test_multi_lmao_is_the_weighted_sum_of_its_parts():
    """Loss and tok2vec gradients are those of the objectives of one part each."""
    model = make_model()
    value = update(model, DOCS)
    tok2vec, *heads = model.layers
    expected_value, sums = 0.0, {}
    for part, head in zip(make_parts().values(), heads):
        one = create_lmao_v1(part["target"], part["loss"], part["head"], SameMasking())
        one = one(VOCAB, make_tok2vec()).initialize(X=DOCS)
        one.layers[1].from_bytes(head.to_bytes())
        weight = part.get("weight", 1.0)
        expected_value += weight * update(one, DOCS)
        for i, node in enumerate(one.layers[0].walk()):
            for param in node.grad_names:
                key = (i, param)
                sums[key] = sums.get(key, 0) + weight * node.get_grad(param)
    assert value == pytest.approx(expected_value, rel=1e-5)
    assert sums
    for i, node in enumerate(tok2vec.walk()):
        for param in node.grad_names:
            assert_allclose(node.get_grad(param), sums[i, param], rtol=1e-5, atol=1e-5)


def test_multi_lmao_gradient_check(check_objective):
    model = make_model()

    check_objective(model, DOCS)


def make_spelling_part():
    return {
        "target": SpellingVectors(width=3),
        "loss": CosineLoss(),
        "head": create_linear_head_v1(),
        "weight": 0.5,
        "layer": "chars",
    }


def test_gradient_check_of_a_part_that_reads_the_characters(check_objective):
    parts = {"words": make_parts()["words"], "spelling": make_spelling_part()}
    check_objective(make_model(parts, SameMasking(rate=0.5)), DOCS)


def test_a_part_that_reads_the_characters_leaves_all_later_layers_alone():
    model = make_model({"spelling": make_spelling_part()})
    update(model, DOCS)
    names = {node.name for node in model.get_ref("tok2vec").walk() if node.grad_names}
    assert names == {"embed_chars", "conv"}


def test_a_part_that_reads_the_characters_skips_hidden_and_replaced_words():
    masking = SameMasking(rate=0.6, mask_share=0.5, random_share=0.5)
    mask = masking(DOCS)
    seen = ~mask.hidden & (mask.source == np.arange(len(mask.source)))
    assert 0 < seen.sum() < (~mask.hidden).sum()
    predictions = make_model({"spelling": make_spelling_part()}, masking).predict(DOCS)
    assert len(predictions["spelling"].vectors) == seen.sum()


def test_a_part_that_reads_the_characters_needs_a_char_cnn():
    parts = {"spelling": make_spelling_part()}
    wrong = {"spelling": {**make_spelling_part(), "layer": "embed"}}
    with pytest.raises(ValueError, match="E308.*`spelling`.*found 'embed'"):
        create_multi_lmao_v1(wrong, WordMasking())
    embed = MultiHashEmbed(4, ["NORM"], [9], include_static_vectors=False)
    tok2vec = build_Tok2Vec_model(embed, MaxoutWindowEncoder(4, 1, 3, 1))
    with pytest.raises(ValueError, match="E310.*`spelling`.*found 'extract_features"):
        create_multi_lmao_v1(parts, WordMasking())(VOCAB, tok2vec)


def test_multi_lmao_learns_each_part():
    model, optimizer = make_model(masking=WordMasking()), Adam(0.01)
    values = [update(model, DOCS, optimizer) for _ in range(30)]
    assert np.mean(values[-3:]) < 0.8 * np.mean(values[:3])


@pytest.mark.parametrize("texts", [[], [""], ["Tom"], ["", " "]])
def test_multi_lmao_survives_batches_without_a_target(texts):
    model = make_model()
    docs = [Doc(VOCAB, words=text.split()) for text in texts]
    assert update(model, docs, Adam(0.01)) == 0.0


def test_multi_lmao_with_a_part_that_has_no_target_in_the_batch():
    """A single word has no neighbours."""
    model = make_model()
    docs = [Doc(VOCAB, words=["cat"])]
    predictions = model.predict(docs)
    assert [len(p.vectors) for p in predictions.values()] == [1, 0, 1, 1, 1]
    assert np.isfinite(update(model, docs, Adam(0.01)))


def test_multi_lmao_evaluates_its_first_part():
    model = make_model(masking=SameMasking(rate=0.5))
    prediction, batch = model.attrs["predict_hidden"](DOCS)
    head = create_maxout_head_v1(5)
    one = create_lmao_v1(Table(3), CosineLoss(), head, SameMasking(rate=0.5))
    one = one(VOCAB, make_tok2vec()).initialize(X=DOCS)
    one.layers[1].from_bytes(model.layers[1].to_bytes())
    expected, _ = one.attrs["predict_hidden"](DOCS)
    assert_allclose(prediction.vectors, expected.vectors, rtol=1e-5)
    assert_array_equal(batch.values, Table(3).values)
    found = model.attrs["hidden_loss"](DOCS, prediction)[0]
    assert found == pytest.approx(one.attrs["hidden_loss"](DOCS, expected)[0])


def test_multi_lmao_writes_every_target_on_the_card():
    model = make_model()
    update(model, DOCS, Adam(0.01))
    card = model.get_ref("tok2vec").attrs[CARD_ATTR]
    assert '"objective": "spacy-charlm.MultiLMAO.v1"' in card
    assert '"words": {"name": "table 3"}' in card and '"far": {"name": "table 4"}' in card


@pytest.mark.parametrize(
    "parts, message",
    [
        ({}, "E306.*`parts`.*found none"),
        ({"a": {"target": Table()}}, r"E306.*`parts.a`.*found \['target'\]"),
        ({"a": make_parts(wait=1)["words"]}, "E306.*wait"),
        ({"a": 3}, "E306.*found 3"),
        ({"a": {**make_parts()["words"], "loss": "cosine"}}, "E561.*`parts.a.loss`"),
        ({"a": make_parts(weight=0)["words"]}, "E307.*`a`.*found 0"),
    ],
)
def test_multi_lmao_names_what_is_wrong(parts, message):
    with pytest.raises(ValueError, match=message):
        create_multi_lmao_v1(parts, WordMasking())
    with pytest.raises(ValueError, match="E561.*`masking`"):
        create_multi_lmao_v1(make_parts(), None)

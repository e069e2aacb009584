import numpy as np
import pytest
from numpy.testing import assert_array_equal
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_charlm.objectives.masking import MASK_TEXT, WordMasking, hide_words
from spacy_charlm.types import Mask, MaskedDocs

N = 40_000


def shares(masking):
    mask = masking.draw(N)
    replaced = mask.source != np.arange(N)
    return mask, mask.hidden.mean(), replaced.mean()


@pytest.mark.parametrize(
    "rate, mask_share, random_share",
    [
        (0.15, 0.8, 0.1),
        (0.5, 0.0, 1.0),
        (0.5, 1.0, 0.0),
        (0.3, 0.0, 0.0),
        (0, 0.8, 0.1),
        (1, 0.5, 0.5),
    ],
)
def test_word_masking_keeps_its_shares(rate, mask_share, random_share):
    masking = WordMasking(rate, mask_share, random_share, visible_weight=0.0)
    mask, hidden, replaced = shares(masking)
    assert abs(hidden - rate * mask_share) < 0.01
    assert abs(replaced - rate * random_share) < 0.01
    assert abs(mask.weights.mean() - rate) < 0.01
    assert not (mask.hidden & (mask.source != np.arange(N))).any()
    assert mask.source.min() >= 0 and mask.source.max() < N
    assert set(mask.weights.tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("weight, share", [(1.0, 1.0), (0.25, 1.0), (0.5, 0.3), (2.0, 0.0)])
def test_word_masking_visible_words_count(weight, share):
    masking = WordMasking(0.2, 1.0, 0.0, visible_weight=weight, visible_share=share)
    mask, hidden, _ = shares(masking)
    visible = mask.weights[~mask.hidden]
    assert (mask.weights[mask.hidden] == 1).all()
    assert set(visible.tolist()) <= {0.0, weight}
    assert abs((visible > 0).mean() - share) < 0.01
    assert mask.weights.dtype == "float32"


def test_word_masking_is_seeded():
    def draw(seed):
        masking = WordMasking(seed=seed)
        return [masking.draw(100) for _ in range(3)]

    for one, two in zip(draw(1), draw(1)):
        for name in ("hidden", "source", "weights"):
            assert_array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(draw(1)[0].hidden, draw(2)[0].hidden)
    first, second, _ = draw(1)
    assert not np.array_equal(first.hidden, second.hidden)


def test_word_masking_of_nothing():
    mask = WordMasking()([])
    assert len(mask.hidden) == len(mask.source) == len(mask.weights) == 0


@pytest.mark.parametrize(
    "settings, match",
    [
        ({"rate": 1.2}, "E302.*`rate`.*found 1.2"),
        ({"rate": -0.1}, "E302.*`rate`"),
        ({"rate": float("nan")}, "E302.*`rate`"),
        ({"mask_share": 2}, "E302.*`mask_share`"),
        ({"random_share": -1}, "E302.*`random_share`"),
        ({"mask_share": 0.8, "random_share": 0.3}, r"E302.*`mask_share \+ random_share`"),
        ({"visible_share": 1.5}, "E302.*`visible_share`"),
        ({"visible_weight": -1}, "E303.*found -1"),
    ],
)
def test_word_masking_names_the_wrong_setting(settings, match):
    with pytest.raises(ValueError, match=match):
        WordMasking(**settings)


DOCS = [
    Doc(Vocab(), words=["a", "cat", "!"], spaces=[True, False, False]),
    Doc(Vocab()),
    Doc(Vocab(), words=["dogs"], spaces=[False]),
]
MASK = Mask(np.array([True, False, False, False]), np.array([0, 3, 2, 3]), np.ones(4, "float32"))


def test_hide_words_rebuilds_docs():
    docs = hide_words(DOCS, MASK, rebuild=True)
    assert [doc.text for doc in docs] == [f"{MASK_TEXT} dogs!", "", "dogs"]
    assert [len(doc) for doc in docs] == [3, 0, 1]
    assert [doc.text for doc in DOCS] == ["a cat!", "", "dogs"]
    assert not isinstance(docs, MaskedDocs)


def test_hide_words_leaves_docs_alone():
    docs = hide_words(DOCS, MASK, rebuild=False)
    assert isinstance(docs, MaskedDocs) and list(docs) == DOCS
    assert docs.hidden is MASK.hidden and docs.source is MASK.source


def test_hide_words_of_an_empty_batch():
    nothing = Mask(np.zeros(0, bool), np.arange(0), np.zeros(0, "float32"))
    for rebuild in (True, False):
        assert [len(doc) for doc in hide_words([DOCS[1]], nothing, rebuild=rebuild)] == [0]
        assert hide_words([], nothing, rebuild=rebuild) == []

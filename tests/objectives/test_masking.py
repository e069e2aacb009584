import numpy as np
import pytest
import spacy
from numpy.testing import assert_array_equal
from spacy.attrs import NORM, ORTH, SHAPE
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_charlm.layers.read_words import MASKED_ID, find_words, read_words, spell_words
from spacy_charlm.noise.typos import Typos
from spacy_charlm.objectives.masking import (
    MASK_TEXT,
    WordMasking,
    create_char_masking_v1,
    create_typo_masking_v1,
    hide_words,
)
from spacy_charlm.types import HIDDEN_CHAR, Mask, MaskedDocs

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


@pytest.mark.parametrize("settings", [{"rate": 1.0}, {"rate": 0.5}, {"visible_share": 0.0}])
def test_word_masking_leaves_single_words_alone(settings):
    """Nothing around them says which word it was, and they count."""
    vocab = Vocab()
    lengths = [1, 0, 3, 1, 1, 0, 2, 1]
    docs = [Doc(vocab, words=["x"] * n) for n in lengths]
    alone = np.repeat(lengths, lengths) == 1
    masking, plain = (WordMasking(random_share=0.2, **settings) for _ in range(2))
    for _ in range(5):
        mask, drawn = masking(docs), plain.draw(sum(lengths))
        assert not mask.hidden[alone].any() and (mask.weights[alone] == 1).all()
        assert_array_equal(mask.source[alone], np.flatnonzero(alone))
        for name in ("hidden", "source", "weights"):
            assert_array_equal(getattr(mask, name)[~alone], getattr(drawn, name)[~alone])


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
        ({"rate": 1.2}, "E560.*`rate`.*found 1.2"),
        ({"rate": -0.1}, "E560.*`rate`"),
        ({"rate": float("nan")}, "E560.*`rate`"),
        ({"mask_share": 2}, "E560.*`mask_share`"),
        ({"random_share": -1}, "E560.*`random_share`"),
        ({"mask_share": 0.8, "random_share": 0.3}, r"E302.*`mask_share \+ random_share`"),
        ({"visible_share": 1.5}, "E560.*`visible_share`"),
        ({"visible_weight": -1}, "E560.*found -1"),
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


# Typos and hidden characters.

NLP = spacy.blank("en")
NOISY = [NLP.make_doc("The cat can't have seen 12 dogs ." * 20), NLP.make_doc("")]
N_NOISY = len(NOISY[0])


def make_typo_masking(masking, seed=0, **settings):
    return create_typo_masking_v1(masking, Typos(**settings), seed)


def plain(**settings):
    return WordMasking(**{"rate": 0.0, "visible_weight": 0.5, **settings})


def spell(mask):
    return [mask.texts.get(i, token.text) for i, token in enumerate(NOISY[0])]


def test_typo_masking_changes_words_and_lets_them_count():
    mask = make_typo_masking(plain(), rate=0.5, seed=1)(NOISY)
    assert 0.3 * N_NOISY < len(mask.texts) < 0.6 * N_NOISY
    words = [token.text for token in NOISY[0]]
    assert all(mask.texts[i] != words[i] for i in mask.texts)
    assert not mask.hidden.any() and (mask.source == np.arange(N_NOISY)).all()
    changed = np.isin(np.arange(N_NOISY), list(mask.texts))
    assert_array_equal(mask.weights, np.where(changed, 1.0, 0.5))


def test_typo_masking_leaves_hidden_and_replaced_words_alone():
    inner = plain(rate=0.6, mask_share=0.5, random_share=0.3, visible_weight=1.0)
    mask = make_typo_masking(inner, rate=1.0)(NOISY)
    touched = mask.hidden | (mask.source != np.arange(N_NOISY))
    assert touched.sum() > 0.3 * N_NOISY and mask.texts
    assert not touched[list(mask.texts)].any()


def test_noise_can_be_put_on_noise():
    typos = make_typo_masking(plain(), rate=0.5)
    mask = create_char_masking_v1(typos, rate=1.0)(NOISY)
    hidden = [HIDDEN_CHAR in text for text in mask.texts.values()]
    assert any(hidden) and not all(hidden)  # a word has a typo or hidden characters, not both


@pytest.mark.parametrize("create", [make_typo_masking, create_char_masking_v1])
def test_noise_masking_is_seeded_and_restarts(create):
    def draw(seed, *key):
        masking = create(WordMasking(seed=seed), seed=seed)
        if key:
            masking.restart(*key)
        return masking(NOISY)

    for one, two in ((draw(1), draw(1)), (draw(1, 3, 4), draw(1, 3, 4))):
        assert one.texts == two.texts
        assert_array_equal(one.hidden, two.hidden)
    assert draw(1).texts != draw(2).texts and draw(1, 3).texts != draw(1, 4).texts


def test_char_masking_hides_runs_and_keeps_something():
    mask = create_char_masking_v1(plain(), rate=1.0, max_run=3)(NOISY)
    runs = set()
    for i, text in mask.texts.items():
        word = NOISY[0][i].text
        assert len(text) == len(word) and text.strip(HIDDEN_CHAR)
        assert all(new in (old, HIDDEN_CHAR) for old, new in zip(word, text))
        assert HIDDEN_CHAR * text.count(HIDDEN_CHAR) in text
        runs.add(text.count(HIDDEN_CHAR))
    assert runs == {1, 2, 3}


def test_typo_masking_with_real_misspellings(tmp_path):
    path = tmp_path / "misspellings.tsv"
    path.write_text("".join(f"cta{i}\tcat\n" for i in range(3)), encoding="utf8")
    masking = make_typo_masking(plain(), rate=1.0, kinds=["natural"], misspellings=path)
    found = {NOISY[0][i].text: text for i, text in masking(NOISY).texts.items()}
    assert set(found) == {"cat"} and found["cat"].startswith("cta")


def test_noise_masking_reads_no_file_before_it_is_used(tmp_path):
    masking = make_typo_masking(plain(), misspellings=tmp_path / "none.tsv")
    with pytest.raises(FileNotFoundError, match="none.tsv"):
        masking(NOISY)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: make_typo_masking(plain(), rate=1.5), "E560"),
        (lambda: make_typo_masking(plain(), kinds=["natural"]), "E701"),
        (lambda: make_typo_masking(plain(), keyboard="dvorak"), "E702"),
        (lambda: make_typo_masking(plain(), kinds=["drop", "extra_space"]), "E706.*extra_space"),
        (lambda: create_typo_masking_v1(plain(), None), "E561.*`typos`"),
        (lambda: make_typo_masking(None), "E561.*`masking`"),
        (lambda: create_char_masking_v1(plain(), rate=-1), "E560"),
        (lambda: create_char_masking_v1(plain(), max_run=0), "E560"),
    ],
)
def test_noise_masking_names_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# How the embed layer reads them.


def test_other_characters_are_read_as_a_text_with_them_would_be():
    """Words, attributes and characters are those of a Doc with the typos in its text."""
    reader = read_words(attrs=["NORM", "SHAPE"], nV=1000)
    doc, typed = NLP.make_doc("The cat saw Zoe"), NLP.make_doc("Teh cat saww Zoe")
    before = len(NLP.vocab.strings)
    masked = MaskedDocs([doc], np.zeros(4, bool), np.arange(4), {0: "Teh", 2: "saww"})
    found, expected = find_words(reader, masked), find_words(reader, [typed])
    assert_array_equal(found.ids[found.rows], expected.ids[expected.rows])
    assert_array_equal(found.keys, expected.keys)
    ours, theirs = spell_words(reader, found), spell_words(reader, expected)
    for name in ("chars", "char_lengths", "attrs", "rows"):
        assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert len(NLP.vocab.strings) == before


def test_typos_do_not_fill_the_string_store():
    reader = read_words(attrs=["NORM", "SHAPE", "PREFIX"], nV=1000)
    doc = NLP.make_doc("The cat")
    before = len(NLP.vocab.strings)
    texts = {0: "Thfoobarbaz", 1: "cquxquxat"}
    reader.predict(MaskedDocs([doc], np.zeros(2, bool), np.arange(2), texts))
    assert len(NLP.vocab.strings) == before


def test_hidden_characters_are_the_mask_row():
    reader = read_words(attrs=["NORM", "SHAPE"], nV=1000)
    doc = NLP.make_doc("cat")
    text = f"c{HIDDEN_CHAR}t"
    words = find_words(reader, MaskedDocs([doc], np.zeros(1, bool), np.arange(1), {0: text}))
    assert words.ids[0, 1:].tolist() == [MASKED_ID, MASKED_ID]
    assert spell_words(reader, words).chars.tolist() == [1, 4 + ord("c"), 3, 4 + ord("t"), 2]


def test_other_layers_get_docs_with_the_typos():
    mask = make_typo_masking(plain(), rate=0.5)(NOISY)
    docs = hide_words(NOISY, mask, rebuild=True)
    assert [token.text for token in docs[0]] == spell(mask)
    assert docs[0].to_array([ORTH, NORM, SHAPE]).shape == (N_NOISY, 3)

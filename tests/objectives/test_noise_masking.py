import numpy as np
import pytest
import spacy
from numpy.testing import assert_array_equal
from spacy.attrs import NORM, ORTH, SHAPE

from spacy_charlm.layers.read_words import MASKED_ID, extract_chars, find_words, read_words
from spacy_charlm.objectives.masking import (
    WordMasking,
    create_char_masking_v1,
    create_typo_masking_v1,
    hide_words,
)
from spacy_charlm.types import HIDDEN_CHAR, MaskedDocs

NLP = spacy.blank("en")
DOCS = [NLP.make_doc("The cat can't have seen 12 dogs ." * 20), NLP.make_doc("")]
N = len(DOCS[0])


def plain(**settings):
    return WordMasking(**{"rate": 0.0, "visible_weight": 0.5, **settings})


def spell(mask):
    return [mask.texts.get(i, token.text) for i, token in enumerate(DOCS[0])]


def test_typo_masking_changes_words_and_lets_them_count():
    mask = create_typo_masking_v1(plain(), rate=0.5, seed=1)(DOCS)
    assert 0.3 * N < len(mask.texts) < 0.6 * N
    words = [token.text for token in DOCS[0]]
    assert all(mask.texts[i] != words[i] for i in mask.texts)
    assert not mask.hidden.any() and (mask.source == np.arange(N)).all()
    changed = np.isin(np.arange(N), list(mask.texts))
    assert_array_equal(mask.weights, np.where(changed, 1.0, 0.5))


def test_typo_masking_leaves_hidden_and_replaced_words_alone():
    inner = plain(rate=0.6, mask_share=0.5, random_share=0.3, visible_weight=1.0)
    mask = create_typo_masking_v1(inner, rate=1.0)(DOCS)
    touched = mask.hidden | (mask.source != np.arange(N))
    assert touched.sum() > 0.3 * N and mask.texts
    assert not touched[list(mask.texts)].any()


def test_noise_can_be_put_on_noise():
    typos = create_typo_masking_v1(plain(), rate=0.5)
    mask = create_char_masking_v1(typos, rate=1.0)(DOCS)
    hidden = [HIDDEN_CHAR in text for text in mask.texts.values()]
    assert any(hidden) and not all(hidden)  # each word has one noise or the other


@pytest.mark.parametrize("create", [create_typo_masking_v1, create_char_masking_v1])
def test_noise_masking_is_seeded_and_restarts(create):
    def draw(seed, *key):
        masking = create(WordMasking(seed=seed), seed=seed)
        if key:
            masking.restart(*key)
        return masking(DOCS)

    for one, two in ((draw(1), draw(1)), (draw(1, 3, 4), draw(1, 3, 4))):
        assert one.texts == two.texts
        assert_array_equal(one.hidden, two.hidden)
    assert draw(1).texts != draw(2).texts and draw(1, 3).texts != draw(1, 4).texts


def test_char_masking_hides_runs_and_keeps_something():
    mask = create_char_masking_v1(plain(), rate=1.0, max_run=3)(DOCS)
    runs = set()
    for i, text in mask.texts.items():
        word = DOCS[0][i].text
        assert len(text) == len(word) and text.strip(HIDDEN_CHAR)
        assert all(new in (old, HIDDEN_CHAR) for old, new in zip(word, text))
        assert HIDDEN_CHAR * text.count(HIDDEN_CHAR) in text
        runs.add(text.count(HIDDEN_CHAR))
    assert runs == {1, 2, 3}


def test_typo_masking_with_real_misspellings(tmp_path):
    path = tmp_path / "misspellings.tsv"
    path.write_text("".join(f"cta{i}\tcat\n" for i in range(3)), encoding="utf8")
    masking = create_typo_masking_v1(plain(), 1.0, kinds=["natural"], misspellings=path)
    found = {DOCS[0][i].text: text for i, text in masking(DOCS).texts.items()}
    assert set(found) == {"cat"} and found["cat"].startswith("cta")


def test_noise_masking_reads_no_file_before_it_is_used(tmp_path):
    masking = create_typo_masking_v1(plain(), misspellings=tmp_path / "none.tsv")
    with pytest.raises(FileNotFoundError, match="none.tsv"):
        masking(DOCS)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: create_typo_masking_v1(plain(), rate=1.5), "E700"),
        (lambda: create_typo_masking_v1(plain(), kinds=["natural"]), "E701"),
        (lambda: create_typo_masking_v1(plain(), keyboard="dvorak"), "E702"),
        (lambda: create_typo_masking_v1(None), "E304.*`masking.masking`"),
        (lambda: create_char_masking_v1(plain(), rate=-1), "E700"),
        (lambda: create_char_masking_v1(plain(), max_run=0), "E704"),
    ],
)
def test_noise_masking_names_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# What the embed layer reads.


def test_other_characters_are_read_as_a_text_with_them_would_be():
    """The same words, attributes and characters as of a Doc that has the typos in its text."""
    extract = extract_chars(attrs=["NORM", "SHAPE"], rows=1000)
    doc, typed = NLP.make_doc("The cat saw Zoe"), NLP.make_doc("Teh cat saww Zoe")
    before = len(NLP.vocab.strings)
    masked = MaskedDocs([doc], np.zeros(4, bool), np.arange(4), {0: "Teh", 2: "saww"})
    found, expected = find_words(extract, masked), find_words(extract, [typed])
    assert_array_equal(found.ids[found.rows], expected.ids[expected.rows])
    assert_array_equal(found.keys, expected.keys)
    ours, theirs = read_words(extract, found), read_words(extract, expected)
    for name in ("chars", "char_lengths", "attrs", "rows"):
        assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert len(NLP.vocab.strings) == before


def test_typos_do_not_fill_the_string_store():
    extract = extract_chars(attrs=["NORM", "SHAPE", "PREFIX"], rows=1000)
    doc = NLP.make_doc("The cat")
    before = len(NLP.vocab.strings)
    texts = {0: "Thfoobarbaz", 1: "cquxquxat"}
    extract.predict(MaskedDocs([doc], np.zeros(2, bool), np.arange(2), texts))
    assert len(NLP.vocab.strings) == before


def test_hidden_characters_are_the_mask_row():
    extract = extract_chars(attrs=["NORM", "SHAPE"], rows=1000)
    doc = NLP.make_doc("cat")
    text = f"c{HIDDEN_CHAR}t"
    words = find_words(extract, MaskedDocs([doc], np.zeros(1, bool), np.arange(1), {0: text}))
    assert words.ids[0, 1:].tolist() == [MASKED_ID, MASKED_ID]
    assert read_words(extract, words).chars.tolist() == [1, 4 + ord("c"), 3, 4 + ord("t"), 2]


def test_other_layers_get_docs_with_the_typos():
    mask = create_typo_masking_v1(plain(), rate=0.5)(DOCS)
    docs = hide_words(DOCS, mask, rebuild=True)
    assert [token.text for token in docs[0]] == spell(mask)
    assert docs[0].to_array([ORTH, NORM, SHAPE]).shape == (N, 3)

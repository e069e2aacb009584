import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from spacy_charlm.noise.misspellings import read_misspellings
from spacy_charlm.noise.noisy_docs import make_noisy_doc
from spacy_charlm.noise.tables import KEYBOARDS, neighbour_keys
from spacy_charlm.noise.typos import KINDS, Typos
from spacy_charlm.training.typo_augmenter import create_typos_v1

WORDS = ["letter", "spelling", "Keyboard", "noise", "words", "hyphen-ated", "naïve", "xyz"]
EDITS = {  # length before and after
    "key": 0,
    "swap": 0,
    "drop": -1,
    "insert": 1,
    "repeat": 1,
    "case": 0,
    "lookalike": 0,
    "accent": 0,
}


def run(words, seed=0, **settings):
    return Typos(**settings)(words, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_typos_keep_their_rate_exactly(kind):
    """Of words that can take the edit, to four standard deviations over 100,000 words."""
    words = WORDS * (100_000 // len(WORDS))
    able = [a != b for a, b in zip(words, run(words, rate=1.0, kinds=[kind]))]
    assert sum(able) > 0.7 * len(words)
    n, rate = sum(able), 0.2
    changed = sum(a != b for a, b in zip(words, run(words, rate=rate, kinds=[kind])))
    assert abs(changed - rate * n) < 4 * np.sqrt(n * rate * (1 - rate))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep_first, keep_last", [(False, False), (True, True)])
def test_typos_make_one_edit_and_keep_the_ends(kind, keep_first, keep_last):
    words = WORDS * 200
    found = run(words, rate=1.0, kinds=[kind], keep_first=keep_first, keep_last=keep_last)
    firsts = lasts = 0
    for word, noisy in zip(words, found):
        if noisy == word:
            continue
        assert len(noisy) - len(word) == EDITS[kind]
        firsts += noisy[0] != word[0]
        lasts += noisy[-1] != word[-1]
        if EDITS[kind] == 0:
            differ = [i for i, (a, b) in enumerate(zip(word, noisy)) if a != b]
            if kind == "swap":
                assert len(differ) == 2 and differ[1] == differ[0] + 1
                assert sorted(word) == sorted(noisy)
            else:
                assert len(differ) == 1
    if keep_first:
        assert firsts == lasts == 0
    elif kind not in ("insert", "repeat"):
        assert firsts


def test_typos_touch_neighbouring_keys():
    table = neighbour_keys("qwerty")
    near = {chr(code) for code in table[ord("g")] if code >= 0}
    assert near == set("fhtyvb") and {chr(c) for c in table[ord("G")] if c >= 0} == set("FHTYVB")
    assert {chr(c) for c in neighbour_keys("azerty")[ord("a")] if c >= 0} == set("zq")
    for keyboard in KEYBOARDS:
        table = neighbour_keys(keyboard)
        for code in np.flatnonzero(table[:, 0] >= 0).tolist():
            assert all(code in table[other] for other in table[code] if other >= 0)


def test_typos_are_seeded():
    assert run(WORDS * 9, 3, rate=0.5) == run(WORDS * 9, 3, rate=0.5) != run(WORDS * 9, 4, rate=0.5)


@pytest.mark.parametrize("words", [[], [""], ["a"], ["ا"], ["\0a"], ["😀", "1"], ["x" * 100_000]])
@pytest.mark.parametrize("kind", KINDS)
def test_typos_take_any_words(words, kind):
    assert len(run(words, rate=1.0, kinds=[kind])) == len(words)


def test_typos_natural_ones_come_from_the_list():
    listed = {"letter": ["leter", "lettre"]}
    found = run(
        ["letter", "Letter", "other"] * 50, rate=1.0, kinds=["natural"], misspellings=listed
    )
    assert set(found) == {"leter", "lettre", "Leter", "Lettre", "other"}


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"rate": 1.5}, "E700.*1.5"),
        ({"kinds": ["other"]}, "E701.*other"),
        ({"kinds": ["natural"]}, "E701.*misspellings"),
        ({"keyboard": "dvorak"}, "E702.*dvorak"),
    ],
)
def test_typos_name_a_wrong_setting(wrong, message):
    with pytest.raises(ValueError, match=message):
        Typos(**wrong)


def test_misspellings_are_divided_by_word(tmp_path):
    path = tmp_path / "some.tsv"
    lines = [f"wrng{i}x{j}\tword{i}" for i in range(50) for j in range(2)]
    path.write_text("\n".join(lines), encoding="utf8")
    train = read_misspellings(path, share=0.8)
    rest = read_misspellings(path, share=0.8, rest=True)
    assert (len(train), len(rest)) == (40, 10) and not set(train) & set(rest)
    assert sorted(train | rest) == sorted(read_misspellings(path))
    path.write_text("no tab", encoding="utf8")
    with pytest.raises(ValueError, match="E703.*line 1"):
        read_misspellings(path)


@st.composite
def docs(draw):
    """Docs with entities, spans, heads, tags and categories."""
    words = draw(st.lists(st.sampled_from([*WORDS, " ", "\n", "."]), min_size=0, max_size=12))
    n = len(words)
    doc = Doc(
        Vocab(),
        words=words,
        spaces=[draw(st.booleans()) for _ in words],
        tags=[f"T{i}" for i in range(n)],
        heads=[draw(st.integers(0, i)) for i in range(n)],
        deps=[f"d{i % 3}" for i in range(n)],
    )
    if n:
        start = draw(st.integers(0, n - 1))
        end = draw(st.integers(start + 1, n))
        doc.set_ents([Span(doc, start, end, label="E")])
        doc.spans["some"] = [Span(doc, start, end, label="S"), Span(doc, 0, n, label="ALL")]
    doc.cats = {"good": draw(st.floats(0, 1))}
    return doc


@settings(max_examples=60, deadline=None)
@given(doc=docs(), seed=st.integers(0, 99))
def test_noisy_docs_keep_their_labels(doc, seed):
    before = doc.to_json()
    noisy = make_noisy_doc(doc, Typos(0.7), np.random.default_rng(seed))
    assert doc.to_json() == before
    assert len(noisy) == len(doc) and noisy.cats == doc.cats
    for clean, other in zip(doc, noisy):
        assert (clean.tag_, clean.dep_, clean.head.i) == (other.tag_, other.dep_, other.head.i)
        assert (clean.ent_iob_, clean.ent_type_) == (other.ent_iob_, other.ent_type_)
        assert clean.whitespace_ == other.whitespace_
        assert not clean.is_space or clean.text == other.text
    for name in ("start", "end", "label_"):
        clean_spans = [getattr(span, name) for span in doc.spans.get("some", [])]
        assert clean_spans == [getattr(span, name) for span in noisy.spans.get("some", [])]


def test_typo_augmenter_gives_clean_and_noisy_texts():
    nlp = spacy.blank("en")
    doc = nlp.make_doc("London is a wonderful place for spelling mistakes, they say.")
    doc.set_ents([Span(doc, 0, 1, label="PLACE")])
    example = spacy.training.Example(nlp.make_doc(doc.text), doc)
    augment = create_typos_v1(rate=0.5, seed=1)
    clean, noisy = augment(nlp, example)
    assert clean is example
    assert noisy.text != example.text and len(noisy.reference.ents) == 1
    assert list(create_typos_v1(level=0.0)(nlp, example)) == [example]
    assert len(list(create_typos_v1(keep_clean=False)(nlp, example))) == 1

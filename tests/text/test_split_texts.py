import random
import time

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc

from spacy_charlm.text import split_texts as module
from spacy_charlm.text.read_texts import Words
from spacy_charlm.text.split_texts import find_end, split_text

NLP = spacy.blank("en")


def chunks_of(text, max_length=0):
    return list(split_text(NLP, text, max_length))


def texts_of(text, max_length):
    return [chunk.text for chunk in chunks_of(text, max_length)]


def test_split_text_short_text_is_the_tokenizers_own():
    (doc,) = chunks_of("I can't go.", 5)
    assert [w.text for w in doc] == ["I", "ca", "n't", "go", "."]
    assert len(chunks_of("I can't go.", 4)) == 2


@pytest.mark.parametrize(
    "text, expected",
    [
        ("One two. Three four five six", ["One two. ", "Three four five six"]),
        ("One two three!? Four five six seven", ["One two three!? ", "Four five six seven"]),
        ("One two three four five six seven", ["One two three four five ", "six seven"]),
        ("One two three\nfour five six", ["One two three\n", "four five six"]),
        ("A. Bb cc dd ee ff", ["A. Bb cc dd ee ", "ff"]),  # an end in the first half: too early
        ('One two." Three four five', ['One two." ', "Three four five"]),
        ('One two. "Three four five', ["One two. ", '"Three four five']),
        ("One two three. ) four five", ["One two three. ", ") four five"]),
        ("Dr. Bb cc e.g. dd ee", ["Dr. Bb cc e.g. dd ", "ee"]),
    ],
)
def test_split_text_splits_at_sentence_ends(text, expected):
    assert texts_of(text, 5) == expected


def test_split_text_leaves_marks_together():
    doc = NLP("a b c d ! ! ! e f")
    assert (
        find_end(Doc(NLP.vocab, ["a", "b", "c", "!", "!", "d"], [True] * 3 + [False] * 3), 0, 4)
        == 4
    )
    assert find_end(Doc(NLP.vocab, ["a", "b", ".", "c", "!", "!"], [False] * 6), 0, 5) == 3
    assert find_end(doc, 0, 6) == 6


@pytest.mark.parametrize("max_length", [1, 2, 3, 10])
def test_split_text_keeps_max_length_and_words(max_length):
    text = 'He can\'t. "No!" she said:  gonna\tgo... (U.S.) \n\n Hm?! ' * 5
    whole, chunks = NLP.make_doc(text), chunks_of(text, max_length)
    assert max(map(len, chunks)) <= max_length
    assert min(map(len, chunks[:-1])) > max_length // 2
    for attribute in ("text_with_ws", "norm", "norm_", "shape_"):
        expected = [getattr(token, attribute) for token in whole]
        assert [getattr(token, attribute) for chunk in chunks for token in chunk] == expected
    assert "can" in [token.norm_ for chunk in chunks for token in chunk]


@pytest.mark.parametrize("spaces", [None, [True, False, True, False, True]])
def test_split_text_splits_words(spaces):
    words = Words(["a", "b.", "c\xa0d", "e", "."], spaces)
    chunks = chunks_of(words, 2)
    assert [[w.text for w in chunk] for chunk in chunks] == [["a", "b."], ["c\xa0d", "e"], ["."]]
    assert [bool(w.whitespace_) for chunk in chunks for w in chunk] == (spaces or [True] * 5)
    assert all(chunk.has_unknown_spaces == (spaces is None) for chunk in chunks)


def test_split_text_keeps_annotations():
    doc = Doc(NLP.vocab, ["a", "b", "c", "d"], tags=list("wxyz"), ents=["O", "O", "B-X", "I-X"])
    assert chunks_of(doc) == [doc]
    first, second = chunks_of(doc, 2)
    assert [token.tag_ for token in [*first, *second]] == list("wxyz")
    assert not first.ents and [ent.text for ent in second.ents] == ["c d"]


def test_split_text_cuts_blocks_after_white_space():
    text = "word " * 30_000
    chunks = chunks_of(text)
    assert [len(chunk.text) for chunk in chunks] == [100_000, 50_000]
    text = "x" + "word\n" * 30_000
    assert "".join(chunk.text for chunk in chunks_of(text)) == text
    assert [len(chunk.text) for chunk in chunks_of(text)] == [99_996, 50_005]


def test_split_text_respects_max_length_of_nlp(monkeypatch):
    monkeypatch.setattr(NLP, "max_length", 7)
    assert texts_of("One two three four", 0) == ["One ", "two ", "three ", "four"]
    assert "".join(texts_of("x" * 50, 0)) == "x" * 50


def test_split_text_cuts_runs_into_one_doc():
    (doc,) = chunks_of(f"a {'x' * 2500} b")
    assert [len(token) for token in doc] == [1, 1000, 1000, 500, 1]
    assert len(chunks_of("x" * 1000)[0]) == 1
    assert doc.text == f"a {'x' * 2500} b"


def make_hard_texts():
    marks = "!?.,;:-()[]{}'\"…“”_*/\\#@"
    rng = random.Random(0)
    return {
        "letters": "x" * 100_000,
        "marks": "".join(rng.choice(marks) for _ in range(100_000)),
        "underscores": "_" * 100_000,
        "emoji": "👩🏽\u200d🚀🎉😀" * 10_000,
        "combining": "e\u0301\u0327" * 30_000,
        "accents": "\u0301\u0300" * 20_000,
        "right to left": "שָׁלוֹם עליכם. مرحبا بالعالم؟ " * 1_000,
        "NUL": "\0a\0 \0\0" * 1_000,
        "white space": " \t\u2028\r\n\u00a0" * 1_000,
        "links": "http://example.com/?a=%20&b=_" * 1_000,
    }


@pytest.mark.parametrize("name", make_hard_texts())
def test_split_text_hard_texts_are_quick_and_whole(name):
    text = make_hard_texts()[name]
    start = time.process_time()
    chunks = chunks_of(text, 500)
    # Below 1.5 s on one core; the tokenizer alone needs 17 s for the emoji.
    assert time.process_time() - start < 4
    assert "".join(chunk.text for chunk in chunks) == text
    assert max(map(len, chunks)) <= 500


CHARACTERS = st.one_of(
    st.sampled_from(" .!?\n\t\"')_aB"), st.characters(exclude_categories=("Cs",))
)


@settings(deadline=None, max_examples=150)
@given(text=st.text(CHARACTERS, min_size=1, max_size=200), max_length=st.integers(0, 20))
def test_split_text_joined_are_the_text(text, max_length):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_BLOCK", 50)
        patch.setattr(module, "MAX_RUN", 10)
        chunks = chunks_of(text, max_length)
    assert "".join(chunk.text for chunk in chunks) == text
    assert all(0 < len(chunk) <= (max_length or 50) for chunk in chunks)


@pytest.mark.parametrize("before", ["", "a ", "a b\n", "word " * 20, "x" * 31 + " ", "a\t" * 40])
@pytest.mark.parametrize("mark", ["-", "_", "🎉"])
def test_split_text_cuts_marks_above_32_only(monkeypatch, before, mark):
    seen = []
    make_doc = NLP.make_doc
    monkeypatch.setattr(NLP, "make_doc", lambda text: seen.append(text) or make_doc(text))
    for n_marks, expected in ((32, 1), (33, 2), (65, 3)):
        seen.clear()
        chunks_of(f"{before}{mark * n_marks} after")
        assert len(seen) == expected
        assert all(mark * 33 not in part for part in seen)

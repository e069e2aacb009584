import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Span
from spacy.training import Example

from spacy_charlm.noise.noisy_docs import make_noisy_example
from spacy_charlm.noise.spaces import SPACE_KINDS, change_spaces, drop_misfits
from spacy_charlm.noise.typos import Typos

NLP = spacy.blank("en")
TEXT = "Yesterday Anna Smith flew from Leeds to New York , said the Times ."


def make_example(text=TEXT, ents=(("Anna Smith", "PER"), ("Leeds", "LOC"), ("New York", "LOC"))):
    doc = NLP.make_doc(text)
    spans = []
    for name, label in ents:
        start = text.index(name)
        spans.append(doc.char_span(start, start + len(name), label=label))
    doc.set_ents(spans)
    doc.cats = {"news": 1.0}
    return Example(NLP.make_doc(text), doc)


def squeeze(text):
    return "".join(text.split())


@pytest.mark.parametrize("kind", SPACE_KINDS)
def test_spaces_keep_their_rate_exactly(kind):
    words, rng = ["letter", "spelling", "words"] * 33_000, np.random.default_rng(0)
    text = change_spaces(words, [True] * len(words), [kind], 0.2, rng)
    edits = abs(text.count(" ") - len(words))
    n = len(words)
    assert abs(edits - 0.2 * n) < 4 * np.sqrt(n * 0.2 * 0.8)
    assert squeeze(text) == "".join(words)


def test_spaces_share_the_rate_with_other_kinds():
    """Edits per word: half of the words draw a typo, half a space."""
    typos, rng = Typos(0.3, ["drop", "missing_space"]), np.random.default_rng(0)
    words = ["letter"] * 50_000
    typed = typos(words, rng)
    dropped = sum(word != "letter" for word in typed)
    text = change_spaces(typed, [True] * len(words), typos.kinds, typos.rate, rng)
    missing = len(words) - text.count(" ")
    for edits in (dropped, missing):
        assert abs(edits - 0.15 * len(words)) < 4 * np.sqrt(len(words) * 0.15 * 0.85)


def test_an_entity_keeps_its_characters():
    example, rng = make_example(), np.random.default_rng(1)
    n_kept = n_dropped = 0
    for _ in range(100):
        noisy, dropped = make_noisy_example(NLP, example, Typos(0.5, SPACE_KINDS), rng)
        assert squeeze(noisy.predicted.text) == squeeze(TEXT)
        kept = {squeeze(ent.text): ent.label_ for ent in noisy.reference.ents}
        assert len(kept) + dropped == 3
        assert kept.items() <= {"AnnaSmith": "PER", "Leeds": "LOC", "NewYork": "LOC"}.items()
        assert noisy.reference.cats == {"news": 1.0}
        # What is kept is found among the tokens of the text, with the same characters.
        aligned = noisy.get_aligned_spans_y2x(noisy.reference.ents)
        assert {squeeze(span.text): span.label_ for span in aligned} == kept
        n_kept += len(kept)
        n_dropped += dropped
    assert n_kept > 50 and n_dropped > 10


def test_a_given_up_entity_is_not_annotated():
    example = make_example("in Leeds now", [("Leeds", "LOC")])
    doc = example.reference
    assert drop_misfits(doc, NLP.make_doc("inLeeds now")) == 1
    assert not doc.ents and [token.ent_iob for token in doc] == [2, 0, 2]
    doc = make_example("in Leeds now", [("Leeds", "LOC")]).reference
    assert drop_misfits(doc, NLP.make_doc("in Le eds now")) == 0
    assert [ent.text for ent in doc.ents] == ["Leeds"]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "Leeds", "can't", "x.y", "—", "\n", "naïve"]), max_size=8),
    st.integers(0, 9),
)
def test_examples_with_other_spaces_train(words, seed):
    """Any text can be aligned, and NER gets gold labels from it."""
    doc = NLP.make_doc(" ".join(words))
    if len(doc) > 1:
        doc.set_ents([Span(doc, 0, 1, label="X")])
    noisy, _ = make_noisy_example(
        NLP,
        Example(NLP.make_doc(doc.text), doc),
        Typos(0.7, ["drop", *SPACE_KINDS]),
        np.random.default_rng(seed),
    )
    labels = noisy.get_aligned_ner()
    assert len(labels) == len(noisy.predicted)


@pytest.mark.parametrize("words", [[], ["a"], [" "]])
def test_spaces_of_little(words):
    text = change_spaces(words, [False] * len(words), SPACE_KINDS, 1.0, np.random.default_rng(0))
    assert text == "".join(words)

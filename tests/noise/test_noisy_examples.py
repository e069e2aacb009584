import logging

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, Span, SpanGroup, Token
from spacy.training import Corpus, Example
from spacy.vocab import Vocab

from spacy_charlm.noise.noisy_examples import (
    copy_labels,
    create_typo_augmenter_v1,
    drop_misaligned_spans,
    make_noisy_example,
)
from spacy_charlm.noise.typos import COMMON_KINDS, SPACE_KINDS, Typos

NLP = spacy.blank("en")
TEXT = "Yesterday Anna Smith flew from Leeds to New York , said the Times ."
WORDS = ["letter", "Keyboard", "can't", "x.y", "—", "naïve", "Rock's", " ", "\n", "."]
R = np.random.default_rng


def make_example(text=TEXT, ents=(("Anna Smith", "PER"), ("Leeds", "LOC"), ("New York", "LOC"))):
    doc = NLP.make_doc(text)
    spans = []
    for name, label in ents:
        start = text.index(name)
        spans.append(doc.char_span(start, start + len(name), label=label))
    doc.set_ents(spans)
    doc.spans["some"] = spans
    doc.cats = {"news": 1.0}
    return Example(NLP.make_doc(text), doc)


def squeeze(text):
    return "".join(text.split())


@st.composite
def docs(draw):
    """Docs with all kinds of labels, or some of them."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=0, max_size=12))
    n = len(words)
    every = draw(st.booleans())
    doc = Doc(
        Vocab(),
        words=words,
        spaces=draw(st.sampled_from([None, [i % 3 > 0 for i in range(n)]])),
        tags=[f"T{i}" for i in range(n)],
        heads=[draw(st.integers(0, i)) for i in range(n)] if every else None,
        deps=[f"d{i % 3}" for i in range(n)] if every else None,
        morphs=[f"N={i % 2}" for i in range(n)] if every else None,
        lemmas=[word.lower() for word in words] if every else None,
    )
    if n:
        start = draw(st.integers(0, n - 1))
        end = draw(st.integers(start + 1, n))
        doc.set_ents([Span(doc, start, end, label="E", kb_id="Q1")], default="missing")
        spans = [Span(doc, start, end, label="S"), Span(doc, 0, n, label="ALL")]
        doc.spans["some"] = SpanGroup(doc, name="some", attrs={"by": "hand"}, spans=spans)
    doc.cats = {"good": draw(st.floats(0, 1))}
    return doc


def labels(doc):
    ends = [
        ("start", span.start, "end", span.end) for span in (*doc.ents, *doc.spans.get("some", []))
    ]
    groups = {key: (group.name, group.attrs) for key, group in doc.spans.items()}
    return [
        [
            (
                t.tag_,
                t.dep_,
                t.head.i,
                str(t.morph),
                t.lemma_,
                t.ent_iob_,
                t.ent_type_,
                t.ent_kb_id_,
            )
            for t in doc
        ],
        [
            doc.has_annotation(name)
            for name in ("TAG", "DEP", "MORPH", "LEMMA", "ENT_IOB", "SENT_START")
        ],
        [bool(token.whitespace_) for token in doc],
        (doc.cats, ends, groups, doc.has_unknown_spaces),
    ]


@settings(max_examples=60, deadline=None)
@given(doc=docs(), kinds=st.sampled_from([COMMON_KINDS, SPACE_KINDS, ["drop", *SPACE_KINDS]]))
def test_noisy_examples_keep_their_labels(doc, kinds):
    """For any kinds of typos, labels stay, and so do entities that the text still has."""
    before = doc.to_json()
    nlp = spacy.blank("en", vocab=doc.vocab)
    example = Example(nlp.make_doc(doc.text), doc)
    noisy, counts = make_noisy_example(nlp, example, Typos(0.7, kinds), R(0), drop_spans=False)
    assert doc.to_json() == before and counts.dropped == 0
    assert labels(noisy.reference) == labels(doc)
    assert all(new.text == old.text for new, old in zip(noisy.reference, doc) if old.is_space)
    assert squeeze(noisy.text) == squeeze(noisy.reference.text)
    n_changed = sum(new.text != old.text for new, old in zip(noisy.reference, doc))
    assert n_changed <= counts.edited <= counts.words <= len(doc)
    # Without the dropped entities, NER can be trained on the remaining ones.
    trained, _ = make_noisy_example(nlp, example, Typos(0.7, kinds), R(0))
    assert len(trained.get_aligned_ner()) == len(trained.predicted)
    assert len(trained.get_aligned_spans_y2x(trained.reference.ents)) == len(trained.reference.ents)


def test_an_entity_keeps_its_characters():
    example, rng = make_example(), R(1)
    n_kept = n_dropped = 0
    for _ in range(100):
        noisy, counts = make_noisy_example(NLP, example, Typos(0.5, SPACE_KINDS), rng)
        assert squeeze(noisy.predicted.text) == squeeze(TEXT)
        kept = {squeeze(ent.text): ent.label_ for ent in noisy.reference.ents}
        assert kept == {squeeze(one.text): one.label_ for one in noisy.reference.spans["some"]}
        assert 2 * len(kept) + counts.dropped == 6
        assert kept.items() <= {"AnnaSmith": "PER", "Leeds": "LOC", "NewYork": "LOC"}.items()
        assert noisy.reference.cats == {"news": 1.0}
        # The entities that are kept align with tokens of the text with the same characters.
        aligned = noisy.get_aligned_spans_y2x(noisy.reference.ents)
        assert {squeeze(span.text): span.label_ for span in aligned} == kept
        n_kept += len(kept)
        n_dropped += counts.dropped
    assert n_kept > 50 and n_dropped > 10


def test_a_dropped_entity_is_not_annotated():
    example = make_example("in Leeds now", [("Leeds", "LOC")])
    doc = example.reference
    assert drop_misaligned_spans(doc, NLP.make_doc("inLeeds now")) == 2
    assert not doc.ents and not doc.spans["some"]
    assert [token.ent_iob for token in doc] == [2, 0, 2]
    doc = make_example("in Leeds now", [("Leeds", "LOC")]).reference
    assert drop_misaligned_spans(doc, NLP.make_doc("in Le eds now")) == 0
    assert [ent.text for ent in doc.ents] == ["Leeds"]


def test_an_entity_is_dropped_where_a_typo_moves_the_tokens():
    """The text "Rock's" has two tokens; without the apostrophe it has one."""
    example = make_example("Rock's hits", [("Rock", "ORG")])
    found = set()
    for i in range(30):
        noisy, counts = make_noisy_example(NLP, example, Typos(1.0, ["drop"]), R(i))
        found.add((len(noisy.predicted), len(noisy.reference.ents), counts.dropped))
    assert {(n_ents, dropped) for n, n_ents, dropped in found if n == 2} == {(0, 2)}
    assert {(n_ents, dropped) for n, n_ents, dropped in found if n == 3} == {(1, 0)}


def test_given_tokens_stay(tmp_path):
    """Tokens of a corpus with `gold_preproc`, and of Docs with unknown spaces."""
    words = ["in", "Le-eds", "can", "not", "now"]
    doc = Doc(NLP.vocab, words=words, tags=list("ABCDE"))
    assert doc.has_unknown_spaces
    spaced = Doc(NLP.vocab, words=words, spaces=[True, True, False, True, False])
    for reference, gold_preproc in ((doc, False), (spaced, True)):
        example = Corpus("none.spacy", gold_preproc=gold_preproc)._make_example(
            NLP, reference, gold_preproc
        )
        for kinds in (COMMON_KINDS, [*COMMON_KINDS, *SPACE_KINDS]):
            noisy, _ = make_noisy_example(NLP, example, Typos(0.5, kinds), R(0))
            found = [token.text for token in noisy.predicted]
            assert found == [token.text for token in noisy.reference] != words
            assert noisy.reference.has_unknown_spaces == reference.has_unknown_spaces


def test_custom_attributes_stay_with_their_tokens():
    Token.set_extension("charlm_test", default=None, force=True)
    Span.set_extension("charlm_test", default=None, force=True)
    doc = NLP.make_doc("a b c d e")
    doc[3]._.charlm_test, doc[1:3]._.charlm_test = "token", "span"
    doc.user_data["other"] = 1
    copy = copy_labels(doc, ["aa", "b", "cc", "dd", "e"])
    assert [token._.charlm_test for token in copy] == [None, None, None, "token", None]
    assert copy[1:3]._.charlm_test == "span" and copy.user_data["other"] == 1
    Token.remove_extension("charlm_test")
    Span.remove_extension("charlm_test")


@pytest.mark.parametrize("text", ["", "a", " ", "\n\n"])
def test_noisy_examples_of_little(text):
    doc = NLP.make_doc(text)
    example = Example(NLP.make_doc(text), doc)
    noisy, counts = make_noisy_example(NLP, example, Typos(1.0, SPACE_KINDS), R(0))
    assert noisy.text == text and counts.edited == 0


# The augmenter.


def make_augmenter(level=1.0, keep_clean=True, seed=0, **settings):
    return create_typo_augmenter_v1(Typos(**settings), level, keep_clean, seed)


def make_place(text="London is a wonderful place for spelling mistakes, they say."):
    doc = NLP.make_doc(text)
    doc.set_ents([Span(doc, 0, 1, label="PLACE")])
    return Example(NLP.make_doc(text), doc)


def test_typo_augmenter_gives_clean_and_noisy_texts():
    example = make_place()
    clean, noisy = make_augmenter(rate=0.5, seed=1)(NLP, example)
    assert clean is example
    assert noisy.text != example.text and len(noisy.reference.ents) == 1
    assert list(make_augmenter(level=0.0)(NLP, example)) == [example]
    assert len(list(make_augmenter(keep_clean=False)(NLP, example))) == 1


@pytest.mark.parametrize("rate", [0.2, 0.8, 1.0])
def test_typo_augmenter_keeps_its_rate_exactly(rate):
    augment = make_augmenter(rate=rate, kinds=["repeat"], keep_clean=False)
    example = make_place("letter " * 1000)
    shares = [
        sum(token.text != "letter" for token in next(augment(NLP, example)).reference) / 1000
        for _ in range(200)
    ]
    # The rate of each text is drawn evenly.
    deviation = np.sqrt((min(rate, 1 - rate) ** 2 / 3 + 0.25 / 1000) / 200)
    assert abs(np.mean(shares) - rate) < 4 * deviation


def test_typo_augmenter_uses_misspellings(tmp_path):
    path = tmp_path / "some.tsv"
    path.write_text("\n".join(f"wrng{i}\tword{i}" for i in range(10)), encoding="utf8")
    augment = make_augmenter(rate=1.0, misspellings=path, keep_clean=False)
    example = make_place(" ".join(f"word{i}" for i in range(10)))
    texts = [next(augment(NLP, example)).text for _ in range(20)]
    assert any("wrng" in text for text in texts)


def test_typo_augmenter_counts_entities_that_are_dropped(caplog):
    """As a warning, because the log of spaCy does not show messages below that level."""
    caplog.set_level(logging.WARNING, logger="spacy")
    augment = make_augmenter(rate=1.0, kinds=["missing_space"], keep_clean=False)
    for _ in range(12):
        (noisy,) = augment(NLP, make_place("London is big"))
        assert not noisy.reference.ents
    found = [record.message for record in caplog.records]
    assert [message.split()[2] for message in found] == ["1", "10"]


@pytest.mark.parametrize(
    "wrong, message",
    [({"level": 5}, "E560.*5"), ({"kinds": []}, "E701"), ({"per": "text"}, "E705")],
)
def test_typo_augmenter_refuses_a_wrong_setting(wrong, message):
    with pytest.raises(ValueError, match=message):
        make_augmenter(**wrong)

import logging

import numpy as np
import pytest
import spacy
from spacy.tokens import Span
from spacy.training import Example

from spacy_charlm.noise.noisy_examples import create_typos_v1

NLP = spacy.blank("en")


def make_example(text="London is a wonderful place for spelling mistakes, they say."):
    doc = NLP.make_doc(text)
    doc.set_ents([Span(doc, 0, 1, label="PLACE")])
    return Example(NLP.make_doc(text), doc)


def test_typo_augmenter_gives_clean_and_noisy_texts():
    example = make_example()
    clean, noisy = create_typos_v1(rate=0.5, seed=1)(NLP, example)
    assert clean is example
    assert noisy.text != example.text and len(noisy.reference.ents) == 1
    assert list(create_typos_v1(level=0.0)(NLP, example)) == [example]
    assert len(list(create_typos_v1(keep_clean=False)(NLP, example))) == 1


@pytest.mark.parametrize("rate", [0.2, 0.8, 1.0])
def test_typo_augmenter_keeps_its_rate_exactly(rate):
    augment = create_typos_v1(rate=rate, kinds=["repeat"], keep_clean=False)
    example = make_example("letter " * 1000)
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
    augment = create_typos_v1(rate=1.0, misspellings=path, keep_clean=False)
    example = make_example(" ".join(f"word{i}" for i in range(10)))
    texts = [next(augment(NLP, example)).text for _ in range(20)]
    assert any("wrng" in text for text in texts)


def test_typo_augmenter_counts_entities_that_are_given_up(caplog):
    """Where a user sees it: spaCy's log shows warnings, not messages."""
    caplog.set_level(logging.WARNING, logger="spacy")
    augment = create_typos_v1(rate=1.0, kinds=["missing_space"], keep_clean=False)
    for _ in range(12):
        (noisy,) = augment(NLP, make_example("London is big"))
        assert not noisy.reference.ents
    found = [record.message for record in caplog.records]
    assert [message.split()[2] for message in found] == ["1", "10"]


@pytest.mark.parametrize(
    "wrong, message",
    [({"level": 5}, "E707.*5"), ({"kinds": []}, "E701"), ({"per": "text"}, "E705")],
)
def test_typo_augmenter_names_a_wrong_setting(wrong, message):
    with pytest.raises(ValueError, match=message):
        create_typos_v1(**wrong)

import json

import numpy as np
import pytest
import spacy
from numpy.testing import assert_array_equal
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_charlm.objectives.heads import create_linear_head_v1
from spacy_charlm.objectives.lmao import create_lmao_v1
from spacy_charlm.objectives.losses import CosineLoss
from spacy_charlm.objectives.masking import WordMasking
from spacy_charlm.targets.ngram_vectors import NgramVectors
from spacy_charlm.targets.word_ids import WordIds
from spacy_charlm.text.text_corpus import TextCorpus

TEXTS = ["The cat saw the dog .", "A dog saw \n the dog .", "", "the cat  slept 🙂 🙂"]


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "text.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in TEXTS), encoding="utf8")
    return TextCorpus(path)


def make(corpus, **settings):
    target = WordIds(corpus, **{"min_count": 1, **settings})
    target.open(Vocab())
    return target


def test_word_ids_are_ranked_by_frequency_then_by_the_word(corpus):
    assert make(corpus).words[:5] == ["dog", "the", ".", "cat", "saw"]
    assert make(corpus, lower=True).words[:2] == ["the", "dog"]
    assert make(corpus, max_words=2).words == ["dog", "the"]
    assert set(make(corpus, min_count=3).words) == {"dog", "the"}
    assert not any(word.isspace() for word in make(corpus).words)
    assert "🙂" in make(corpus).words


def test_word_ids_of_a_batch(corpus, ops):
    target = make(corpus)
    vocab = Vocab()
    docs = [
        Doc(vocab, words=["the", "unicorn", "dog", " ", "the"]),
        Doc(vocab),
        Doc(Vocab(), words=["The"]),
    ]
    batch = target(ops, docs)
    assert batch.values is None
    expected = [target.words.index("the"), -1, target.words.index("dog"), -1]
    expected += [target.words.index("the"), target.words.index("The")]
    assert_array_equal(ops.to_numpy(batch.rows), np.array(expected).reshape(-1, 1))
    assert target(ops, []).rows.shape == target(ops, [Doc(vocab)]).rows.shape == (0, 1)


def test_word_ids_in_lower_case(corpus, ops):
    target = make(corpus, lower=True)
    rows = target(ops, [Doc(spacy.blank("en").vocab, words=["THE", "the"])]).rows
    assert rows[0, 0] == rows[1, 0] == 0


def test_word_ids_of_neighbours(corpus, ops):
    """NgramVectors moves ids in the same way as vectors."""
    target = NgramVectors(WordIds(corpus, min_count=1), [-1, 1])
    target.open(Vocab())
    words = target.target.words
    assert (target.kind, target.nO, target.nParts) == ("ids", len(words), 2)
    rows = target(ops, [Doc(Vocab(), words=["the", "cat", "saw"])]).rows
    expected = [[-1, "cat"], ["the", "saw"], ["cat", -1]]
    expected = [[words.index(x) if x != -1 else -1 for x in row] for row in expected]
    assert_array_equal(ops.to_numpy(rows), expected)


def test_word_ids_read_nothing_in_the_constructor(tmp_path):
    target = WordIds(TextCorpus(tmp_path / "not there.txt"))
    with pytest.raises(FileNotFoundError, match="E102.*not there.txt"):
        target.open(Vocab())


def test_word_ids_on_the_card_distinguish_vocabularies_and_hold_no_text(corpus):
    one, other = make(corpus).describe(), make(corpus, max_words=3).describe()
    assert one == make(corpus).describe() != other
    assert json.loads(json.dumps(one)) == one and "dog" not in json.dumps(one)


def test_word_ids_name_what_is_wrong(corpus):
    for settings in ({"max_words": 0}, {"min_count": 0}):
        with pytest.raises(ValueError, match="E560.*from 1"):
            WordIds(corpus, **settings)
    with pytest.raises(ValueError, match="E220.*100"):
        make(corpus, min_count=100)
    with pytest.raises(ValueError, match="E215"):
        WordIds(corpus).describe()
    with pytest.raises(ValueError, match="E309.*WordIds.*CosineLoss"):
        create_lmao_v1(WordIds(corpus), CosineLoss(), create_linear_head_v1(), WordMasking())


def test_word_ids_of_a_reader_whose_docs_have_their_own_vocab():
    docs = [Doc(Vocab(), words=["cat", "dog"]), Doc(Vocab(), words=["dog", "bird"])]
    target = make(lambda nlp: docs)
    assert target.words == ["dog", "bird", "cat"]


def test_word_ids_are_used_after_open(corpus, ops):
    target = WordIds(corpus)
    for use in (lambda: target.nO, lambda: target(ops, [Doc(Vocab(), words=["the"])])):
        with pytest.raises(ValueError, match="E215"):
            use()

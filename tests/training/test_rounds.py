import numpy as np
import pytest
import spacy
from spacy.attrs import NORM, ORTH, SPACY
from spacy.tokens import DocBin
from spacy.training import Corpus
from spacy.training.batchers import minibatch_by_words

from spacy_charlm.text import prefetch as module
from spacy_charlm.text.prefetch import BoundedTokenizer, Prefetch
from spacy_charlm.text.text_corpus import TextCorpus
from spacy_charlm.training.rounds import Rounds, scan_corpus

TEXTS = [f"Text {i} can't be word{i}, nor the other{i % 7} one." for i in range(60)]


WORDS = [f"single{i}" for i in range(50)]


@pytest.fixture
def path(tmp_path):
    (tmp_path / "raw.txt").write_text("\n".join(TEXTS), encoding="utf8")
    (tmp_path / "words.list").write_text("\n".join(WORDS), encoding="utf8")
    return tmp_path / "raw.txt"


def batch(docs):
    return minibatch_by_words(docs, 40, tolerance=0.0, get_length=len)


def read(rounds, epoch=0, first=0):
    """Read the shards of each step: words, norms and spaces."""
    return [
        [
            [
                (part, [doc.to_array([ORTH, SPACY, NORM]).tolist() for doc in docs])
                for part, docs in s
            ]
            for s in steps
        ]
        for steps in rounds.read(epoch, first)
    ]


def make_rounds(path, words=True, alike=2, **settings):
    mixed = {"words": path.with_name("words.list"), "words_alike": alike} if words else {}
    corpus = TextCorpus(path, shuffle=True, buffer_size=20, **mixed)
    return Rounds(spacy.blank("en"), corpus, batch, **{"block_size": 500, **settings})


def texts_of(found):
    nlp = spacy.blank("en")
    for text in TEXTS:
        nlp.make_doc(text)
    return [
        "".join(nlp.vocab.strings[orth] + " " * space for orth, space, _ in rows)
        for steps in found
        for step in steps
        for _, docs in step
        for rows in docs
    ]


def test_rounds_hold_every_text_once_in_another_order_each_pass(path):
    rounds = make_rounds(path, words=False)
    first, second = texts_of(read(rounds, 0)), texts_of(read(rounds, 1))
    assert sorted(first) == sorted(second) == sorted(TEXTS)
    assert first != second
    assert texts_of(read(rounds, 0)) == first


def test_rounds_hold_other_words_each_pass(path):
    """Another tenth of the tokens, in each pass other ones."""
    rounds, nlp = make_rounds(path, alike=0), spacy.blank("en")
    passes = [
        [
            doc.text
            for steps in rounds.read(epoch)
            for step in steps
            for _, docs in step
            for doc in docs
        ]
        for epoch in range(2)
    ]
    first, second = ([text for text in texts if text in WORDS] for texts in passes)
    n_tokens = sum(len(nlp.make_doc(text)) for text in TEXTS)
    assert len(first) == len(second) == n_tokens // 9
    assert sorted(passes[0]) == sorted([*TEXTS, *first]) and first != second
    assert set(first[:50]) == set(WORDS) == set([*first[50:], *second][:50])


@pytest.mark.parametrize("n_shards", [1, 3])
def test_rounds_begin_where_they_are_told_to(n_shards, path):
    rounds = make_rounds(path, n_shards=n_shards, shards=range(n_shards))
    whole = read(rounds)
    assert len(whole) >= 2
    for first in range(len(whole) + 1):
        assert read(rounds, 0, first) == whole[first:]


def test_rounds_are_shared_out(path):
    """Two processes together read the same as one alone."""
    whole = read(make_rounds(path, n_shards=4, shards=(0, 1, 2, 3)))
    shares = [read(make_rounds(path, n_shards=4, shards=own)) for own in ((0, 1), (2, 3))]
    assert len(shares[0]) == len(shares[1]) == len(whole)
    for number, steps in enumerate(whole):
        for i, step in enumerate(steps):
            found = [batch for share in shares for own in share[number][i : i + 1] for batch in own]
            assert found == step


def test_rounds_are_the_same_however_many_processes_tokenise(path):
    expected = read(make_rounds(path))
    assert "can't" in " ".join(TEXTS)  # whose "ca" has the norm "can"
    for n_process in (1, 3):
        rounds = make_rounds(path)
        rounds.prefetch = Prefetch(rounds.nlp, rounds.corpus, n_process)
        assert read(rounds) == expected
        assert read(rounds, 0, 2) == expected[2:]
        rounds.prefetch.close()


def test_prefetch_reads_a_bounded_number_of_rounds_ahead(path):
    nlp, taken = spacy.blank("en"), []

    def rounds():
        for i in range(20):
            taken.append(i)
            yield [[f"round {i}"]]

    prefetch = Prefetch(nlp, TextCorpus(path), 1)
    found = prefetch.tokenise(rounds())
    assert [next(found)[0].lengths for _ in range(3)] == [[2]] * 3
    assert len(taken) <= 6
    found.close()
    prefetch.close()


def test_prefetch_passes_an_error_on(path):
    prefetch = Prefetch(spacy.blank("en"), TextCorpus(path), 1)
    with pytest.raises(TypeError, match="int"):
        list(prefetch.tokenise([[[3]]]))
    prefetch.close()


def test_rounds_read_other_readers(tmp_path):
    nlp = spacy.blank("en")
    path = tmp_path / "raw.spacy"
    DocBin(docs=[nlp.make_doc(text) for text in TEXTS]).to_disk(path)
    (tmp_path / "words.list").write_text("\n".join(WORDS), encoding="utf8")
    mixed = TextCorpus(path, words=tmp_path / "words.list")
    n_words = mixed.measure("en").words - TextCorpus(path).measure("en").words
    for corpus, n_docs in ((Corpus(path), 60), (TextCorpus(path), 60), (mixed, 60 + n_words)):
        rounds = Rounds(spacy.blank("en"), corpus, batch, block_size=500)
        whole = read(rounds)
        assert len(whole) > 2 and read(rounds, 0, 1) == whole[1:]
        assert sum(len(docs) for steps in whole for step in steps for _, docs in step) == n_docs
    batches = [docs for steps in rounds.read(0) for step in steps for _, docs in step]
    assert all(doc.vocab is rounds.nlp.vocab for docs in batches for doc in docs)


def test_scan_corpus_counts_and_knows_the_texts_again(path):
    nlp = spacy.blank("en")
    scan = scan_corpus(nlp, TextCorpus(path))
    assert (scan.texts, scan.blank) == (60, 0)
    assert scan.characters == sum(map(len, TEXTS))
    assert scan == scan_corpus(nlp, TextCorpus(path))
    path.write_text("\n".join([*TEXTS[:-1], "", "another"]), encoding="utf8")
    other = scan_corpus(nlp, TextCorpus(path))
    assert (other.texts, other.blank) == (60, 1) and other.digest != scan.digest
    assert scan_corpus(nlp, Corpus(path)) is None


def test_bounded_tokenizer_renews_its_vocab(monkeypatch):
    monkeypatch.setattr(module, "MAX_LEXEMES", 50)
    nlp = spacy.blank("en")
    n_lexemes, n_strings = len(nlp.vocab), len(nlp.vocab.strings)
    maker, sizes = BoundedTokenizer(nlp.tokenizer, nlp.max_length, nlp.vocab), []
    for i in range(30):
        with maker.memory_zone():
            doc = maker.make_doc(" ".join(f"w{i}x{j}" for j in range(20)) + " can't")
            assert (doc[-2].text, doc[-2].norm_) == ("ca", "can")
        sizes.append(len(maker.vocab))
    assert max(sizes) < n_lexemes + 150
    assert (len(nlp.vocab), len(nlp.vocab.strings)) == (n_lexemes, n_strings)


def test_bounded_tokenizer_leaves_vectors_where_they_are():
    """Layers read vectors from the Doc's vocab, so it is kept, and a memory zone frees words."""
    nlp = spacy.blank("en")
    nlp.vocab.set_vector("cat", np.ones(3, dtype="float32"))
    maker = BoundedTokenizer(nlp.tokenizer, nlp.max_length, nlp.vocab)
    assert maker.vocab is nlp.vocab
    with maker.memory_zone():
        assert maker.make_doc("a cat")[1].has_vector
        maker.make_doc("somethingnew")
    assert "somethingnew" not in nlp.vocab.strings

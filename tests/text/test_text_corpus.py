import gzip
import json
import random

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.training.batchers import configure_minibatch_by_words
from spacy.util import registry

from spacy_charlm.text.text_corpus import MAX_PASSES, CorpusSize, TextCorpus, draw_sample

NLP = spacy.blank("en")


@pytest.fixture
def path(tmp_path):
    """Ten texts of three words, with two blank ones between them."""
    lines = [f"text number {i}\n" for i in range(10)]
    path = tmp_path / "text.txt"
    path.write_text("".join(lines[:5]) + "\n \t\u2003\n" + "".join(lines[5:]))
    return path


def texts_of(corpus):
    return [doc.text for doc in corpus(NLP)]


def test_text_corpus_reads_everything_in_order(path):
    corpus = TextCorpus(path)
    docs = list(corpus(NLP))
    assert all(isinstance(doc, Doc) and doc.vocab is NLP.vocab for doc in docs)
    assert [doc.text for doc in docs] == [f"text number {i}" for i in range(10)]
    assert (corpus.counts.texts, corpus.counts.words, corpus.counts.docs) == (10, 30, 10)
    assert (corpus.counts.blank, corpus.counts.short, corpus.counts.split) == (2, 0, 0)


def test_text_corpus_reads_every_format_of_a_folder(tmp_path):
    record = json.dumps({"text": "two"}).encode()
    (tmp_path / "a.txt").write_bytes(b"one")
    (tmp_path / "b.jsonl").write_bytes(record + b'\n{"tokens": ["three", "!"]}')
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"four"))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "e.jsonl.gz").write_bytes(gzip.compress(record))
    docs = [Doc(NLP.vocab, ["five"], [False]), Doc(NLP.vocab), Doc(NLP.vocab, [" "], [False])]
    DocBin(docs=docs).to_disk(tmp_path / "f.spacy")
    corpus = TextCorpus(str(tmp_path))
    assert texts_of(corpus) == ["one", "two", "three ! ", "four", "two", "five"]
    assert corpus.counts.blank == 2


def test_text_corpus_min_length_skips_and_counts(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("one\none two\none two three four\n")
    corpus = TextCorpus(path, min_length=2)
    assert texts_of(corpus) == ["one two", "one two three four"]
    assert (corpus.counts.short, corpus.counts.texts, corpus.counts.words) == (1, 2, 6)
    # The length is that of the text, not of the chunk.
    corpus = TextCorpus(path, min_length=3, max_length=1)
    assert texts_of(corpus) == ["one ", "two ", "three ", "four"]
    assert (corpus.counts.short, corpus.counts.split, corpus.counts.docs) == (2, 1, 4)


def test_text_corpus_max_length_splits_and_drops_nothing(path):
    corpus = TextCorpus(path, max_length=2)
    docs = list(corpus(NLP))
    assert [len(doc) for doc in docs] == [2, 1] * 10
    assert "".join(doc.text for doc in docs[:2]) == "text number 0"
    assert (corpus.counts.split, corpus.counts.docs, corpus.counts.words) == (10, 20, 30)


def test_text_corpus_max_length_zero_never_splits(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("word . " * 1_000)
    assert [len(doc) for doc in TextCorpus(path, max_length=0)(NLP)] == [2_000]
    assert max(len(doc) for doc in TextCorpus(path)(NLP)) == 500


def test_text_corpus_limit_counts_texts_before_splitting(path):
    corpus = TextCorpus(path, limit=6, max_length=1)
    assert len(texts_of(corpus)) == 18
    assert corpus.counts.texts == 6
    # The lines after the limit are not decoded.
    path.write_bytes(b"one\ntwo\n\xff\n")
    assert texts_of(TextCorpus(path, limit=2)) == ["one", "two"]


def test_text_corpus_shuffle_shuffles_each_pass_differently(path):
    corpus = TextCorpus(path, shuffle=True)
    plain = texts_of(TextCorpus(path))
    first, second = texts_of(corpus), texts_of(corpus)
    assert sorted(first) == sorted(second) == plain
    assert len({tuple(first), tuple(second), tuple(plain)}) == 3
    again = TextCorpus(path, shuffle=True)
    assert [texts_of(again), texts_of(again)] == [first, second]


def test_text_corpus_seed_and_buffer_size_change_the_order(path):
    plain = texts_of(TextCorpus(path))
    orders = [
        texts_of(TextCorpus(path, shuffle=True, **settings))
        for settings in ({}, {"seed": 1}, {"buffer_size": 3})
    ]
    assert all(sorted(order) == plain for order in orders)
    assert len(set(map(tuple, orders))) == 3
    assert texts_of(TextCorpus(path, shuffle=True, buffer_size=1)) == plain
    # With a buffer of three, the first text is one of the first three.
    assert orders[2][0] in plain[:3]


def test_text_corpus_limit_and_shuffle_keep_to_the_same_texts(path):
    corpus = TextCorpus(path, limit=4, shuffle=True)
    for _ in range(3):
        assert sorted(texts_of(corpus)) == [f"text number {i}" for i in range(4)]


def test_text_corpus_keeps_chunks_together_when_shuffled(path):
    texts = texts_of(TextCorpus(path, shuffle=True, max_length=2))
    assert set(texts[::2]) == {"text number "}


def test_text_corpus_shows_its_counts_once_a_pass(path, capsys):
    corpus = TextCorpus(path, min_length=3, max_length=2)
    for _ in range(2):
        texts_of(corpus)
        output = " ".join(capsys.readouterr().out.split())
        assert "10 texts, 30 words; 10 texts split (in all 20 Docs), 2 skipped" in output
        assert output.count("(2 blank, 0 too short)") == 1
    next(iter(corpus(NLP)))
    assert not capsys.readouterr().out
    assert corpus.counts.docs == 1


def test_text_corpus_reads_nothing_before_the_first_pass(tmp_path):
    corpus = TextCorpus(tmp_path / "later.txt")
    (tmp_path / "later.txt").write_text("text")
    assert texts_of(corpus) == ["text"]


def test_text_corpus_reads_a_small_text_several_times(path):
    """Each pass in an order of its own; the words of a sample tell how many there are."""
    corpus = TextCorpus(path, min_words=61, shuffle=True)
    texts = texts_of(corpus)
    passes = [texts[i : i + 10] for i in range(0, 30, 10)]
    assert corpus.count_passes("en") == 3 == corpus.n_passes and len(texts) == 30
    assert len({tuple(found) for found in passes}) == 3
    assert len({tuple(sorted(found)) for found in passes}) == 1
    assert TextCorpus(path, min_words=60).count_passes("en") == 2
    assert TextCorpus(path, min_words=10**6).count_passes("en") == MAX_PASSES


@pytest.mark.parametrize(
    "settings, words", [({}, 30), ({"limit": 4}, 12), ({"min_length": 3, "shuffle": True}, 30)]
)
def test_text_corpus_measures_a_pass(path, settings, words):
    size = TextCorpus(path, **settings).measure("en")
    assert size == CorpusSize(words // 3 * len("text number 0"), words, doc_words=3.0)


def test_text_corpus_measures_formats_and_long_texts(tmp_path):
    docs = [Doc(NLP.vocab, ["a", "b", "c"], [False] * 3)]
    DocBin(docs=docs).to_disk(tmp_path / "a.spacy")
    (tmp_path / "b.jsonl").write_text('{"tokens": ["New York", "!"]}')
    assert TextCorpus(tmp_path).measure("en") == CorpusSize(
        characters=12, words=5, doc_words=13 / 5
    )
    (tmp_path / "c.txt").write_text("word " * 20_000 + "\n" + "x y z\n" * 3_000)
    size = TextCorpus(tmp_path / "c.txt").measure("en")
    assert size.characters == 115_000
    assert size == TextCorpus(tmp_path / "c.txt", shuffle=True).measure("en")


@pytest.mark.parametrize("longest", [5, 80, 200])
def test_text_corpus_estimates_what_a_batch_holds(longest, tmp_path):
    rng = random.Random(0)
    path = tmp_path / "text.txt"
    path.write_text("".join("word " * rng.randint(1, longest) + "\n" for _ in range(1_000)))
    corpus = TextCorpus(path)
    batcher = configure_minibatch_by_words(size=300, tolerance=0.2, discard_oversize=False)
    n_batches = len(list(batcher(corpus(NLP))))
    size = corpus.measure("en")
    assert size.words / size.fill_batch(300) == pytest.approx(n_batches, rel=0.05)


WORDS = [f"w{i}" for i in range(16)]


def mix(path, **settings):
    words = path.with_name("words.list")
    words.write_text("\n".join(WORDS))
    return TextCorpus(path, **{"words": words, "words_share": 0.25, **settings})


def test_text_corpus_mixes_single_words_in(path):
    """30 tokens and 10 words, which do not come twice before all have come once."""
    corpus, drawn = mix(path), []
    for _ in range(4):
        texts = texts_of(corpus)
        words = [text for text in texts if text in WORDS]
        assert [text for text in texts if text not in WORDS] == texts_of(TextCorpus(path))
        # As near to the share as can be, all along.
        assert [text in WORDS for text in texts] == [False, True] * 10
        drawn += words
    for start in (0, 16):
        assert sorted(drawn[start : start + 16]) == sorted(WORDS)
    assert drawn[:16] != drawn[16:32]
    assert (corpus.counts.texts, corpus.counts.words, corpus.counts.single) == (10, 30, 10)
    assert str(corpus.counts).endswith("; and 10 single words")
    again, other = mix(path), mix(path, seed=1)
    assert [text for _ in range(4) for text in texts_of(again) if text in WORDS] == drawn
    assert [text for _ in range(4) for text in texts_of(other) if text in WORDS] != drawn


@pytest.mark.parametrize(
    "settings, n_texts, n_words",
    [
        ({"shuffle": True}, 10, 10),
        ({"limit": 4}, 4, 4),
        ({"min_length": 3, "max_length": 2}, 20, 10),  # words are not too short
        ({"words_share": 0.5}, 10, 30),
        ({"words_share": 0.0}, 10, 0),
        ({"words": None}, 10, 0),
        ({"min_words": 75}, 20, 20),  # two passes of 40 tokens
        ({"words_alike": 3}, 10, 10),  # two groups and half of one
    ],
)
def test_text_corpus_measures_single_words(path, settings, n_texts, n_words):
    corpus = mix(path, **settings)
    docs = list(corpus(NLP))
    assert sum(doc.text in WORDS for doc in docs) == n_words
    assert len(docs) == n_texts + n_words
    size, n_passes = corpus.measure("en"), corpus.count_passes("en")
    assert size.words * n_passes == sum(map(len, docs))
    mean = sum(map(len, WORDS)) / len(WORDS)
    characters = TextCorpus(path, limit=corpus.limit).measure("en").characters
    assert size.characters == round(characters + n_words // n_passes * mean)
    if "max_length" not in settings:
        assert size.doc_words == pytest.approx(sum(len(d) ** 2 for d in docs) / sum(map(len, docs)))


# No two words of different families are alike.
FAMILIES = [[f"{letter * 4}{end}" for end in "xyz"] for letter in "abcdefgh"]


def read_groups(corpus, n_passes):
    """Read the single words, and split them where a text follows."""
    groups = [[]]
    for _ in range(n_passes):
        for doc in corpus(NLP):
            if len(doc) == 1:
                groups[-1].append(doc.text)
            elif groups[-1]:
                groups.append([])
    return groups


def test_text_corpus_keeps_words_that_are_alike_together(path):
    """One Doc per word; the word that is drawn comes first, and none twice before all have come."""
    path.with_name("families.list").write_text("\n".join(sum(FAMILIES, [])))
    settings = {"words": path.with_name("families.list"), "words_alike": 2, "words_share": 0.5}
    groups = read_groups(TextCorpus(path, shuffle=True, **settings), 3)
    assert [len(group) for group in groups] == [3] * 30
    assert all(sorted(group) in FAMILIES for group in groups)
    assert sorted(group[0] for group in groups[:24]) == sum(FAMILIES, [])
    # A rare group begins earlier than its share, so that it is not split; the last one is cut.
    rare = TextCorpus(path, **{**settings, "words_share": 0.25})
    assert [len(group) for group in read_groups(rare, 1)] == [3, 3, 3, 1]


def test_text_corpus_draws_the_same_words_that_are_alike(path):
    corpus = mix(path, words_alike=4)
    groups = [read_groups(corpus, 1) for _ in range(3)]
    assert len({str(group) for group in groups}) == 3
    again = mix(path, words_alike=4)
    again.n_passes = 2
    assert read_groups(again, 1) == groups[2]
    assert read_groups(mix(path, words_alike=4, seed=1), 1) != groups[0]


@pytest.mark.parametrize(
    "words, n_alike, size",
    [(["one"], 5, 1), (["one", "two"], 5, 2), (["one", "eleven", "x" * 30, "7"], 2, 3)],
)
def test_text_corpus_fills_up_with_random_words(path, words, n_alike, size):
    path.with_name("words.list").write_text("\n".join(words))
    corpus = TextCorpus(
        path, words=path.with_name("words.list"), words_alike=n_alike, words_share=0.5
    )
    drawn = sum(read_groups(corpus, 1), [])
    assert len(drawn) == 30 and set(drawn) == set(words)
    groups = [drawn[i : i + size] for i in range(0, 30, size)]
    assert all(len(set(group)) == size for group in groups)


def test_text_corpus_words_alike_of_no_words_is_an_error(path):
    with pytest.raises(ValueError, match="charlm E330.*`words_alike` is 4"):
        TextCorpus(path, words_alike=4)


def test_text_corpus_errors(tmp_path):
    with pytest.raises(ValueError, match=r"charlm E101.*--paths\.raw_text"):
        list(TextCorpus(None)(NLP))
    with pytest.raises(FileNotFoundError, match="charlm E102"):
        list(TextCorpus(tmp_path / "nowhere.txt")(NLP))
    with pytest.raises(ValueError, match="charlm E103"):
        list(TextCorpus(tmp_path)(NLP))


@pytest.mark.parametrize("content", ["", "\n", " \n\t\r\n\u2028\n"])
def test_text_corpus_empty_is_an_error(tmp_path, content):
    path = tmp_path / "text.txt"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"charlm E105.*text\.txt.*0 texts"):
        list(TextCorpus(path)(NLP))


def test_text_corpus_nothing_long_enough_is_an_error(path):
    with pytest.raises(ValueError, match=r"charlm E105.*12 skipped.*10 too short.*min_length"):
        list(TextCorpus(path, min_length=4)(NLP))


@pytest.mark.parametrize(
    "name, value",
    [
        ("min_length", -1),
        ("max_length", -1),
        ("limit", -5),
        ("buffer_size", 0),
        ("min_words", -1),
        ("words_share", 1.0),
        ("words_alike", -1),
    ],
)
def test_text_corpus_setting_out_of_range_is_an_error(path, name, value):
    with pytest.raises(ValueError, match=f"charlm E560.*{name}.*found {value}"):
        TextCorpus(path, **{name: value})


def test_text_corpus_resolves_from_config(path):
    block = {"@readers": "spacy-charlm.TextCorpus.v1", "path": str(path), "limit": 3}
    corpus = registry.resolve({"corpus": block})["corpus"]
    assert texts_of(corpus) == ["text number 0", "text number 1", "text number 2"]
    filled = registry.fill({"corpus": block})["corpus"]
    assert {**filled, "max_length": 1} != filled
    assert json.loads(json.dumps(filled)) == {
        **block,
        "min_length": 0,
        "max_length": 500,
        "shuffle": False,
        "seed": 0,
        "buffer_size": 10_000,
        "min_words": 0,
        "words": None,
        "words_share": 0.1,
        "words_alike": 0,
    }
    # spacy train resolves the block with paths.raw_text = null.
    assert registry.resolve({"corpus": {**block, "path": None}})["corpus"] is not None


def test_draw_sample_gives_each_item_the_same_chance():
    assert draw_sample(iter("abc"), 5, random.Random(0)) == list("abc")
    drawn = [i for seed in range(500) for i in draw_sample(range(10), 3, random.Random(seed))]
    counts = [drawn.count(i) for i in range(10)]
    assert sum(counts) == 1500 and min(counts) > 110 and max(counts) < 190
    assert len(set(draw_sample(range(100), 50, random.Random(0)))) == 50

import os
import signal
from collections import Counter

import numpy as np
import pytest
import spacy
import srsly
from spacy.vectors import Vectors
from typer.testing import CliRunner

import spacy_charlm
from spacy_charlm.cli import app
from spacy_charlm.text.text_corpus import TextCorpus
from spacy_charlm.vectors import train_vectors as module
from spacy_charlm.vectors.ngrams import count_ngrams, read_bags, write_bags
from spacy_charlm.vectors.tokens import write_tokens
from spacy_charlm.vectors.train_vectors import VectorSettings, train_vectors
from spacy_charlm.vectors.windows import count_neighbours

FOOD = "bread cheese butter apple soup salad"
MUSIC = "violin piano cello drum flute tuba"
COMMON = "the a of and in on"


def write_texts(path, n=300, seed=0):
    """Texts about food or about music, with common words in both."""
    rng = np.random.default_rng(seed)
    texts = []
    for i in range(n):
        words = rng.choice((FOOD if i % 2 else MUSIC).split(), 6)
        common = rng.choice(COMMON.split(), 6)
        mixed = rng.permutation(np.concatenate([words, common]))
        texts.append({"text": " ".join(mixed).capitalize()})
    srsly.write_jsonl(path, texts)
    return path


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def texts(tmp_path):
    return write_texts(tmp_path / "texts.jsonl")


def load_vectors(folder):
    nlp = spacy.load(folder)
    return nlp.vocab


def measure_topics(vocab):
    """Mean cosine of words of one topic minus that of words of different ones."""
    X = {
        name: np.stack([vocab.get_vector(word) for word in words.split()])
        for name, words in (("food", FOOD), ("music", MUSIC))
    }
    X = {name: rows / np.linalg.norm(rows, axis=1, keepdims=True) for name, rows in X.items()}
    same = [X[name] @ X[name].T for name in X]
    return (
        np.mean([m[np.triu_indices(6, 1)].mean() for m in same]) - (X["food"] @ X["music"].T).mean()
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "document"},
        {"mode": "document", "ngrams": 2},
        {"mode": "window"},
        {"mode": "window", "subwords": True, "rows": 500},
        {"mode": "window", "lower": False},
    ],
    ids=str,
)
def test_train_vectors_learns_topics_and_is_reproducible(tmp_path, texts, settings):
    epochs = 150 if "subwords" in settings else 30  # the rows of parts are shared by many words
    made = VectorSettings(dim=16, epochs=epochs, **settings)
    outcome = train_vectors(texts, tmp_path / "a", made)
    assert not outcome.stopped and outcome.texts == 300 and outcome.words == 300 * 12
    vocab = load_vectors(tmp_path / "a")
    assert measure_topics(vocab) > 0.3
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "config.cfg",
        "meta.json",
        "tokenizer",
        "vocab",
    ]
    train_vectors(texts, tmp_path / "b", made)
    assert np.array_equal(vocab.vectors.data, load_vectors(tmp_path / "b").vectors.data)


def test_train_vectors_bigrams_have_keys_and_the_length_is_the_idf(tmp_path, texts):
    train_vectors(texts, tmp_path / "out", VectorSettings(ngrams=2, dim=8, epochs=2))
    vocab = load_vectors(tmp_path / "out")
    bags = []
    for row in srsly.read_jsonl(texts):
        words = row["text"].lower().split()
        bags.append({*words, *map(" ".join, zip(words, words[1:]))})
    counts = Counter(ngram for bag in bags for ngram in bag)
    kept = {ngram for ngram, count in counts.items() if count >= 5}
    assert {vocab.strings[key] for key in vocab.vectors.key2row} == kept
    for ngram in kept:
        length = np.linalg.norm(vocab.get_vector(ngram))
        assert length == pytest.approx(np.log(301 / counts[ngram]), abs=1e-4)


def test_train_vectors_any_word_has_a_vector_with_subwords(tmp_path, texts):
    settings = VectorSettings(mode="window", subwords=True, rows=500, dim=8, epochs=2)
    train_vectors(texts, tmp_path / "out", settings)
    vectors = load_vectors(tmp_path / "out").vectors
    assert vectors.mode == "floret" and vectors["violins"].any()


def test_find_pieces_gives_the_rows_that_spacy_averages(rng):
    settings = VectorSettings(mode="window", subwords=True, rows=50, dim=4)
    vectors = module._make_subword_vectors(settings)
    vectors.data[:] = rng.standard_normal(vectors.data.shape)
    words = ["a", "bread", "übergrößen", "breads"]
    pieces, starts = module._find_pieces(vectors, words)
    for i, word in enumerate(words):
        mean = vectors.data[pieces[starts[i] : starts[i + 1]]].mean(axis=0)
        assert np.allclose(mean, vectors.get_batch([word])[0], atol=1e-6)


@pytest.mark.parametrize("mode", ["document", "window"])
def test_train_vectors_resumes_exactly_after_a_signal(tmp_path, texts, monkeypatch, mode):
    settings = VectorSettings(mode=mode, dim=8, epochs=10)
    train_vectors(texts, tmp_path / "whole", settings)
    # After each signal the training goes on; the checkpoints of whole passes are written as well.
    monkeypatch.setattr(module, "SECONDS", 0.0)
    folder, n_shown, runs = tmp_path / "parts", 0, 0

    def show(title, done, words, note):
        nonlocal n_shown
        n_shown += title == "Training"
        if title == "Training" and n_shown % 7 == 0:
            os.kill(os.getpid(), signal.SIGINT)

    outcome = train_vectors(texts, folder, settings, show=show)
    while outcome.stopped:
        assert not (folder / "vocab").exists()
        runs += 1
        outcome = train_vectors(texts, folder, settings, resume=True, show=show)
    assert runs >= 1
    expected, found = (load_vectors(tmp_path / name).vectors for name in ("whole", "parts"))
    assert np.array_equal(expected.data, found.data)


def test_train_vectors_refuses_to_resume_what_is_not_there_or_has_changed(tmp_path, texts):
    settings = VectorSettings(dim=8, epochs=10)
    with pytest.raises(ValueError, match="Expected a training to resume"):
        train_vectors(texts, tmp_path / "out", settings, resume=True)

    def stop(title, done, words, note):
        if title == "Training":
            os.kill(os.getpid(), signal.SIGINT)

    assert train_vectors(texts, tmp_path / "out", settings, show=stop).stopped
    with pytest.raises(ValueError, match="--resume"):
        train_vectors(texts, tmp_path / "out", settings)
    with pytest.raises(ValueError, match="dim: 8, now 9"):
        changed = VectorSettings(dim=9, epochs=10)
        train_vectors(texts, tmp_path / "out", changed, resume=True)
    write_texts(texts, seed=1)
    with pytest.raises(ValueError, match="text: "):
        train_vectors(texts, tmp_path / "out", settings, resume=True)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"mode": "sentence"}, "mode"),
        ({"mode": "window", "ngrams": 2}, "bigrams"),
        ({"subwords": True}, "subwords"),
        ({"mode": "window", "subwords": True, "idf": True}, "idf"),
        ({"dim": 0}, "dim"),
        ({"epochs": 0}, "epochs"),
        ({"ngrams": 3}, "ngrams"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        VectorSettings(**settings)


def test_train_vectors_of_texts_without_frequent_words(tmp_path):
    path = tmp_path / "texts.jsonl"
    srsly.write_jsonl(path, [{"text": "one two"}, {"text": "three two"}])
    with pytest.raises(ValueError, match="at least 5 texts.* the most frequent one occurs in 2"):
        train_vectors(path, tmp_path / "out", VectorSettings())
    settings = VectorSettings(min_count=2, dim=4, epochs=2)
    assert train_vectors(path, tmp_path / "out", settings).rows == 1


def test_bags_are_the_distinct_ngrams_of_each_text(tmp_path, monkeypatch):
    monkeypatch.setattr("spacy_charlm.vectors.tokens.BLOCK", 7)  # several blocks
    texts = ["to be or not to be", "be or", "x", "not  to be", "to be"]
    path = tmp_path / "texts.jsonl"
    srsly.write_jsonl(path, [{"text": text} for text in texts])
    tokens = write_tokens(spacy.blank("en"), TextCorpus(path, max_length=0), tmp_path)
    vocab = count_ngrams(tokens, 2, 2, 100)
    write_bags(tokens, vocab, 2, tmp_path)
    bags = read_bags(tmp_path)
    found = [
        {vocab.names[row] for row in bags.rows[start:end]}
        for start, end in zip(bags.starts, bags.starts[1:])
    ]
    assert found == [
        {"to", "be", "or", "not", "to be", "be or", "not to"},
        {"be", "or", "be or"},
        set(),
        {"not", "to", "be", "not to", "to be"},
        {"to", "be", "to be"},
    ]
    assert dict(zip(vocab.names, vocab.counts.tolist()))["to be"] == 3


def test_count_neighbours_weighs_by_distance_and_stays_in_the_text():
    rows, text_of = np.array([0, 1, 2, 0]), np.array([0, 0, 0, 1])
    words, neighbours, weights = count_neighbours(rows, text_of, window=2)
    found = {pair: w for *pair_, w in zip(words, neighbours, weights) for pair in [tuple(pair_)]}
    assert found == {(0, 1): 1, (1, 0): 1, (1, 2): 1, (2, 1): 1, (0, 2): 0.5, (2, 0): 0.5}
    for few in (rows[:0], rows[:1]):
        assert not any(map(len, count_neighbours(few, text_of[: len(few)])))


def test_train_vectors_from_python(tmp_path, texts):
    trained = spacy_charlm.train_vectors(texts, tmp_path / "out", dim=8, epochs=2)
    assert trained.epoch == 2 and load_vectors(tmp_path / "out").vectors.shape[1] == 8


def test_vectors_train_command(tmp_path, texts):
    arguments = ["vectors", "train", str(texts), str(tmp_path / "out"), "--dim", "8"]
    result = CliRunner().invoke(app, [*arguments, "--epochs", "2", "--ngrams", "2"])
    assert result.exit_code == 0, result.output
    assert "from 300 texts" in result.output
    assert isinstance(load_vectors(tmp_path / "out").vectors, Vectors)
    result = CliRunner().invoke(app, [*arguments, "--mode", "words"])
    assert result.exit_code == 1 and "document, window" in result.output

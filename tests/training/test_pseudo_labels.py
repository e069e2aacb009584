import random

import numpy as np
import pytest
import spacy
import srsly
from numpy.testing import assert_allclose
from spacy.tokens import DocBin
from spacy.training import Corpus
from spacy.vocab import Vocab

import spacy_charlm
from spacy_charlm.training import raw_labels
from spacy_charlm.training.pseudo_labels import label_texts
from spacy_charlm.training.vector_classifier import VectorClassifier

GOOD, BAD = "good fine warm kind bright".split(), "bad dull cold rude dark".split()
REST = "the film was a bit".split()


def make_text(rng, label):
    return " ".join(rng.choices(GOOD if label == "pos" else BAD, k=3) + rng.choices(REST, k=3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """20 labelled texts, 60 raw ones (labels in truths.json), vectors of the words."""
    folder, rng, nlp = tmp_path_factory.mktemp("data"), random.Random(0), spacy.blank("en")
    for name, n in (("train", 20), ("dev", 30)):
        docs = DocBin()
        for _ in range(n):
            label = rng.choice(["pos", "neg"])
            doc = nlp.make_doc(make_text(rng, label))
            doc.cats = {other: float(other == label) for other in ("pos", "neg")}
            docs.add(doc)
        docs.to_disk(folder / f"{name}.spacy")
    truths = [rng.choice(["pos", "neg"]) for _ in range(60)]
    srsly.write_json(folder / "truths.json", truths)
    texts = [{"text": make_text(rng, label)} for label in truths]
    srsly.write_jsonl(folder / "raw.jsonl", texts)
    random_vectors = np.random.default_rng(0).normal(size=(15, 8)).astype("float32")
    random_vectors *= 0.3
    random_vectors[:5, 0] += 1
    random_vectors[5:10, 0] -= 1
    vocab = Vocab()
    for word, vector in zip(GOOD + BAD + REST, random_vectors, strict=True):
        vocab.set_vector(word, vector)
    vocab.to_disk(folder / "vectors")
    return folder


def run(folder, output, **settings):
    raw = settings.pop("raw", folder / "raw.jsonl")
    train = settings.pop("train", folder / "train.spacy")
    return label_texts(train, raw, folder / "vectors", output, **settings)


def read(output):
    nlp = spacy.blank("en")
    return [example.reference for example in Corpus(output)(nlp)]


def test_labels_raw_texts_like_the_labelled_ones(folder, tmp_path):
    found = run(folder, tmp_path / "out", dev=folder / "dev.spacy")
    docs = read(tmp_path / "out")
    truths = srsly.read_json(folder / "truths.json")
    assert [max(doc.cats, key=doc.cats.get) for doc in docs[20:]] == truths
    assert [doc.text for doc in docs[20:]] == [
        record["text"] for record in srsly.read_jsonl(folder / "raw.jsonl")
    ]
    assert (found.labelled, found.texts, found.known, found.bare) == (20, 60, 0, 0)
    assert found.labels == {label: truths.count(label) for label in ("neg", "pos")}
    assert found.accuracy == 1.0


def test_keeps_the_labelled_texts_first(folder, tmp_path):
    run(folder, tmp_path / "out")
    given = read(folder / "train.spacy")
    for doc, expected in zip(read(tmp_path / "out"), given):
        assert (doc.text, doc.cats) == (expected.text, expected.cats)


def test_shards_hold_all_texts_in_order(folder, tmp_path, monkeypatch):
    run(folder, tmp_path / "one")
    monkeypatch.setattr(raw_labels, "BATCH", 7)
    monkeypatch.setattr(raw_labels, "SHARD", 10)
    run(folder, tmp_path / "many")
    assert len(list((tmp_path / "many").glob("raw-*.spacy"))) > 3
    one, many = read(tmp_path / "one"), read(tmp_path / "many")
    assert [(d.text, d.cats) for d in one] == [(d.text, d.cats) for d in many]


def test_leaves_out_texts_that_are_known_and_texts_without_vectors(folder, tmp_path):
    dev, train = read(folder / "dev.spacy"), read(folder / "train.spacy")
    raw = tmp_path / "raw.txt"
    raw.write_text(f"{dev[0].text}\n{train[3].text}\nxyzzy plugh\n\ngood film\n", encoding="utf8")
    found = run(folder, tmp_path / "out", raw=raw, dev=folder / "dev.spacy")
    assert (found.texts, found.known, found.bare) == (1, 2, 1)
    assert [doc.text for doc in read(tmp_path / "out")[20:]] == ["good film"]


def test_limit_counts_raw_texts(folder, tmp_path):
    assert run(folder, tmp_path / "out", limit=7).texts == 7


def test_several_labels(folder, tmp_path):
    nlp, docs = spacy.blank("en"), DocBin()
    rng = random.Random(1)
    for happy, long in ((1, 0), (0, 0), (1, 1), (0, 1)) * 10:
        text = make_text(rng, "pos" if happy else "neg")
        doc = nlp.make_doc(f"{text} was a bit" if long else text)
        doc.cats = {"happy": happy, "long": long}
        docs.add(doc)
    docs.to_disk(tmp_path / "train.spacy")
    found = run(folder, tmp_path / "out", train=tmp_path / "train.spacy", multilabel=True)
    labelled = read(tmp_path / "out")[40:]
    assert found.texts == 60
    assert all(set(doc.cats) == {"happy", "long"} for doc in labelled)
    truths = srsly.read_json(folder / "truths.json")
    assert np.mean([doc.cats["happy"] == (t == "pos") for doc, t in zip(labelled, truths)]) > 0.9


def test_the_vector_of_a_text_is_the_mean_over_its_distinct_words(folder):
    teacher = VectorClassifier(folder / "vectors", exclusive=True)
    nlp = spacy.blank("en")
    vectors = Vocab().from_disk(folder / "vectors").vectors
    X, has_vector = teacher._embed([nlp.make_doc("good good bad"), nlp.make_doc("xyzzy")])
    keys = [spacy.strings.get_string_id(word) for word in ("good", "bad")]
    assert_allclose(X[0], np.mean([vectors[key] for key in keys], axis=0), rtol=1e-6)
    assert has_vector.tolist() == [True, False]


def test_one_class_is_refused_and_nothing_is_written(folder, tmp_path):
    docs = read(folder / "train.spacy")
    for doc in docs:
        doc.cats = {"pos": 1.0, "neg": 0.0}
    DocBin(docs=docs).to_disk(tmp_path / "one.spacy")
    with pytest.raises(ValueError, match="E510.*two classes or more"):
        run(folder, tmp_path / "out", train=tmp_path / "one.spacy")
    assert not (tmp_path / "out").exists()


def test_a_folder_with_files_is_refused(folder, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf8")
    with pytest.raises(ValueError, match="E556"):
        run(folder, tmp_path)
    assert (tmp_path / "notes.txt").read_text(encoding="utf8") == "mine"


def test_a_failure_leaves_no_half_of_the_texts(folder, tmp_path):
    raw = tmp_path / "raw.jsonl"
    raw.write_text('{"text": "good film"}\n' * 500 + '{"text": 3}\n', encoding="utf8")
    with pytest.raises(ValueError, match="E107"):
        run(folder, tmp_path / "out", raw=raw)
    assert not (tmp_path / "out").exists()


def test_development_texts_without_the_labels_are_refused(folder, tmp_path):
    docs = read(folder / "dev.spacy")
    for doc in docs:
        doc.cats = {"other": 1.0}
    DocBin(docs=docs).to_disk(tmp_path / "other.spacy")
    with pytest.raises(ValueError, match="E573"):
        run(folder, tmp_path / "out", dev=tmp_path / "other.spacy")


def test_api_takes_strings(folder, tmp_path):
    paths = [str(folder / name) for name in ("train.spacy", "raw.jsonl", "vectors")]
    found = spacy_charlm.label_texts(*paths, str(tmp_path / "out"), limit=5)
    assert found.texts == 5

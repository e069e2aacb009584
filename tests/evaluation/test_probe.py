import random
import sys
from pathlib import Path

import numpy as np
import pytest
import spacy
import srsly
from spacy.tokens import Doc, DocBin, Span
from spacy.util import load_config
from thinc.api import fix_random_seed

from spacy_charlm.evaluation.labelled_texts import (
    WHOLE_TEXT,
    Items,
    make_items,
    read_labelled,
    shuffle_labelled,
)
from spacy_charlm.evaluation.probe import (
    GUESS,
    PRETRAINED,
    RANDOM,
    LinearProbe,
    _draw,
    _split,
    probe,
)
from spacy_charlm.evaluation.text_vectors import embed_items, read_by_tok2vec
from spacy_charlm.pipeline.find_tok2vec import load_tok2vec

CONFIG = Path(__file__).parents[2] / "configs" / "pretrain" / "cosine.cfg"
SMALL = {"filters": [8, 8], "rows": [50], "ngram_rows": 200, "char_width": 8}
GOOD, BAD, OTHER = ["fine", "great"], ["poor", "awful"], ["film", "plot", "the", "a", "was"]


def make_config(path=None, width=16, stem="cosine"):
    overrides = {"paths.target_vectors": None if path is None else str(path)}
    for name, value in {"width": width, **SMALL}.items():
        overrides[f"components.tok2vec.model.embed.{name}"] = value
    # With more layers random weights mix the words of a text beyond recognition.
    overrides["components.tok2vec.model.encode.depth"] = 1
    config = load_config(CONFIG.with_name(f"{stem}.cfg"), overrides=overrides, interpolate=True)
    config["nlp"]["pipeline"] = ["tok2vec", "textcat"]
    config["components"]["textcat"] = {"factory": "textcat"}
    return config


def make_records(n=90, shuffled=False):
    rng = random.Random(0)
    records = []
    for i in range(n):
        words = rng.choices(OTHER, k=6) + rng.choices((GOOD, BAD)[i % 2], k=3)
        label = rng.choice(("pos", "neg")) if shuffled else ("pos", "neg")[i % 2]
        records.append({"text": " ".join(words), "label": label})
    return records


@pytest.fixture(autouse=True)
def few_strengths(monkeypatch):
    monkeypatch.setattr("spacy_charlm.evaluation.probe.STRENGTHS", (0.1, 10.0))


@pytest.fixture
def texts(tmp_path):
    srsly.write_jsonl(tmp_path / "texts.jsonl", make_records())
    return tmp_path / "texts.jsonl"


@pytest.fixture
def tokens(tmp_path):
    nlp = spacy.blank("en")
    docs = []
    for record in make_records(40):
        doc = nlp.make_doc(record["text"])
        for token in doc:
            token.tag_ = "X" if token.text in OTHER else "Y"
        doc.ents = [Span(doc, t.i, t.i + 1, label="BAD") for t in doc if t.text in BAD]
        docs.append(doc)
    DocBin(docs=docs, attrs=["ORTH", "TAG", "ENT_IOB", "ENT_TYPE"]).to_disk(tmp_path / "t.spacy")
    return tmp_path / "t.spacy"


def get_accuracy(scores, name=RANDOM):
    return next(s for s in scores if s.source == name and s.metric == "accuracy").mean


def test_probe_signal_beats_shuffled_labels(texts, tmp_path):
    path = tmp_path / "control.jsonl"
    srsly.write_jsonl(path, make_records(shuffled=True))
    settings = {"n_dev": 30, "n_labels": 60, "draws": 1}
    scores = probe(make_config(), None, texts, **settings)
    control = probe(make_config(), None, path, **settings)
    assert get_accuracy(scores) > 0.9
    assert get_accuracy(control) < 0.75
    assert get_accuracy(scores, GUESS) < 0.75
    for score in scores:
        assert score.n_units == 30 and score.unit == "texts"
        assert score.conditions["task"] == "cats" and score.conditions["classes"] == 2


def test_probe_rows_weights_and_target(texts, tmp_path):
    lines = [f"{word} {i} {i * i} 1" for i, word in enumerate(GOOD + BAD + OTHER, start=1)]
    (tmp_path / "vectors.txt").write_text("\n".join(lines), encoding="utf8")
    config = make_config(tmp_path / "vectors.txt")
    fix_random_seed(7)
    _, tok2vec = load_tok2vec(config)
    tok2vec.to_disk(tmp_path / "model.bin")
    settings = {"n_dev": 30, "n_labels": 20, "draws": 2, "limit_dev": 10}
    scores = probe(config, tmp_path / "model.bin", texts, **settings)
    rows = [score for score in scores if score.metric == "accuracy"]
    names = [PRETRAINED, RANDOM, "target vectors.txt", GUESS]
    assert [row.source for row in rows] == names
    assert [row.conditions.get("width") for row in rows] == [16, 16, 3, None]
    assert all(row.n_units == 10 and row.n_seeds == 2 for row in rows)
    assert [score.source for score in scores if score.metric == "C"] == names[:3]
    again = probe(config, tmp_path / "model.bin", texts, **{**settings, "draws": 1})
    for score, same in zip(scores, again):
        assert score.values[:1] == same.values
    with pytest.raises(ValueError, match=r"E503.*\n.*weights"):
        probe(make_config(width=4), tmp_path / "model.bin", texts, **settings)
    with pytest.raises(ValueError, match="E502"):
        probe(config, tmp_path / "none.bin", texts, **settings)


def test_probe_without_target_vectors(texts, tmp_path):
    """The config names none, or a target that predicts ids, or one of whole texts."""
    (tmp_path / "vectors.txt").write_text(f"{GOOD[0]} 1 2\n", encoding="utf8")
    of_texts = make_config()
    block = {"@misc": "spacy-charlm.TextVectors.v1", "path": str(tmp_path / "vectors.txt")}
    of_texts["pretraining"]["objective"]["target"] = block
    for config in (make_config(), make_config(stem="word_ids"), of_texts):
        scores = probe(config, None, texts, n_dev=30, n_labels=20, draws=1)
        assert {score.source for score in scores} == {RANDOM, GUESS}


@pytest.mark.parametrize("task, metrics", [("tag", ["accuracy"]), ("ents", ["micro_f", "macro_f"])])
def test_probe_tokens(tokens, task, metrics):
    settings = {"n_dev": 10, "n_labels": 250, "draws": 1}
    scores = probe(make_config(), None, tokens, task=task, **settings)
    found = {score.metric: score for score in scores if score.source == RANDOM}
    assert list(found) == [*metrics, "C"]
    assert all(found[metric].mean > 0.7 for metric in metrics), scores
    for score in found.values():
        assert score.n_units == 90 and score.unit == "tokens" and score.conditions["task"] == task


def test_labelled_texts_reads_each_task(tokens, tmp_path):
    nlp = spacy.blank("en")
    data = read_labelled(tokens, nlp.vocab)
    assert data.task == "ents" and set(sum(data.labels, [])) == {"O", "BAD"}
    assert read_labelled(tokens, nlp.vocab, "tag").task == "tag"
    docs = [nlp.make_doc(text) for text in ("a", "b", "c")]
    docs[0].cats, docs[1].cats = {"x": 1.0, "y": 0.0}, {"x": 0.0, "y": 1.0}
    DocBin(docs=docs).to_disk(tmp_path / "cats.spacy")
    assert read_labelled(tmp_path / "cats.spacy", nlp.vocab).labels == [["x"], ["y"]]
    docs[0].cats, docs[1].cats = {"x": 1.0}, {"x": 0.0}
    DocBin(docs=docs).to_disk(tmp_path / "cats.spacy")
    assert read_labelled(tmp_path / "cats.spacy", nlp.vocab).labels == [["x"], ["not x"]]
    for cats in (3, None, {"x": "1"}, {"x": None}):
        docbin = DocBin(docs=docs)
        docbin.cats[0] = cats
        docbin.to_disk(tmp_path / "cats.spacy")
        with pytest.raises(ValueError, match="E110.*cats.spacy"):
            read_labelled(tmp_path / "cats.spacy", nlp.vocab)
    for cats in ({"x": 1.0, "y": 1.0}, {"x": 0.0, "y": 0.0}):
        docs[0].cats = cats
        DocBin(docs=docs).to_disk(tmp_path / "cats.spacy")
        with pytest.raises(ValueError, match="E616"):
            read_labelled(tmp_path / "cats.spacy", nlp.vocab)
    with pytest.raises(ValueError, match="E615"):
        read_labelled(tmp_path / "cats.spacy", nlp.vocab, "pos")


@pytest.mark.parametrize(
    "name, content, task, code",
    [
        ("a.jsonl", '{"text": "a"}', "auto", "E614.*line 1"),
        ("a.jsonl", '{"text": "a", "label": "b"}\n\n[1]', "auto", "E614.*line 3"),
        ("a.jsonl", '{"text": "a", "label": ""}', "auto", "E614"),
        ("a.jsonl", '{"text": "a", "label": "\\ud800"}', "auto", "E614.*surrogate"),
        ("a.jsonl", '{"text": "\\ud800", "label": "b"}', "auto", "E614.*surrogate"),
        ("a.jsonl", "{", "auto", "E106.*line 1"),
        ("a.jsonl", "", "auto", "E615"),
        ("a.jsonl", '{"text": "a", "label": "b"}', "ents", "E615"),
        ("a.jsonl", "", "colour", "E612"),
        ("a.csv", "", "auto", "E613"),
        ("a.spacy", "text", "auto", "E110"),
        ("missing.jsonl", None, "auto", "E613"),
    ],
)
def test_labelled_texts_bad_file(tmp_path, name, content, task, code):
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf8")
    with pytest.raises(ValueError, match=code):
        read_labelled(tmp_path / name, spacy.blank("en").vocab, task)


@pytest.mark.parametrize(
    "settings, code",
    [
        ({}, "E619.*neither"),
        ({"n_dev": 10, "dev": "texts.jsonl"}, "E619.*both"),
        ({"n_dev": 90}, "E617.*91.*--n-dev"),
        ({"n_dev": 10, "n_labels": 81}, "E617.*81.*--n-labels"),
        ({"n_dev": 10, "draws": 0}, "E617.*--draws"),
        ({"n_dev": 10, "n_labels": 2}, "E618"),
        ({"n_dev": 10, "component": "ner"}, "E610"),
        ({"n_dev": 10, "component": "textcat"}, "E611"),
        ({"n_dev": 10, "layer": "nothing"}, "E611"),
    ],
)
def test_probe_bad_settings(texts, settings, code):
    settings = {"n_labels": 20, **settings}
    with pytest.raises(ValueError, match=code):
        probe(make_config(), None, texts, **settings)


def test_probe_one_class(tmp_path):
    srsly.write_jsonl(tmp_path / "one.jsonl", [{"text": "a", "label": 1}] * 30)
    with pytest.raises(ValueError, match="E618"):
        probe(make_config(), None, tmp_path / "one.jsonl", n_dev=10, n_labels=10)


def test_probe_without_scikit_learn(texts, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(ImportError, match=r"E601.*spacy-charlm\[probe\]"):
        probe(make_config(), None, texts, n_dev=10)


def test_probe_split_is_first_labels_and_last_dev(texts):
    data = shuffle_labelled(read_labelled(texts, spacy.blank("en").vocab), 3)
    order = list(range(90))
    random.Random(3).shuffle(order)
    expected = [make_records()[i]["text"] for i in order]
    train, dev = _split(data, 10, texts)
    assert dev.texts == expected[-10:]
    items, drawn = _draw(train, 30, 3, 3, texts)
    chosen = [[train.texts[i] for i in items.text_of[part]] for part in drawn]
    assert chosen[0] == expected[:30] and chosen[1] == expected[30:60]
    # The third draw starts again from the beginning after 80 texts.
    assert chosen[2] == expected[60:80] + expected[:10]


def test_text_vectors_means_and_tokens():
    nlp, tok2vec = load_tok2vec(make_config())
    texts = ["One two .", "", "Three four five", Doc(nlp.vocab, words=["six", "one"])]
    plain = [tok2vec.predict([nlp.make_doc(t) if isinstance(t, str) else t])[0] for t in texts]
    labels = np.array(["x"] * 3)
    readers = {"a": read_by_tok2vec(tok2vec)}
    items = Items(texts, np.array([3, 0, 1]), np.full(3, WHOLE_TEXT), labels)
    X = embed_items(nlp, items, readers, "test")["a"]
    np.testing.assert_allclose(X[0], plain[3].mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(X[1], plain[0].mean(axis=0), rtol=1e-4, atol=1e-5)
    assert not X[2].any()
    items = Items(texts, np.array([2, 0, 2]), np.array([2, 1, 0]), labels)
    X = embed_items(nlp, items, readers, "test")["a"]
    np.testing.assert_allclose(X, [plain[2][2], plain[0][1], plain[2][0]], rtol=1e-4, atol=1e-5)


def test_make_items_leaves_out_unlabelled_tokens(tokens):
    data = read_labelled(tokens, spacy.blank("en").vocab, "tag")
    data.labels[0][1] = ""
    items = make_items(data)
    assert len(items) == 40 * 9 - 1 and items.token_of[:2].tolist() == [0, 2]


def test_linear_probe_scores_unseen_labels_and_rare_ones():
    X = np.array([[1.0], [1.1], [-1.0], [-1.1], [5.0]])
    fitted = LinearProbe().fit(X, np.array(["a", "a", "b", "b", "rare"]))
    assert fitted.score(np.array([[1.0], [-1.0]]), np.array(["a", "new"])) == {"accuracy": 0.5}
    fitted = LinearProbe(by_entity=True).fit(X[:4], np.array(["E", "E", "O", "O"]))
    scores = fitted.score(np.array([[1.0], [1.0]]), np.array(["E", "O"]))
    assert scores["micro_f"] == pytest.approx(2 / 3)

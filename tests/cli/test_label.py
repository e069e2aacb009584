import random

import numpy as np
import pytest
import spacy
import srsly
from spacy.tokens import DocBin
from spacy.vocab import Vocab
from typer.testing import CliRunner

from spacy_charlm.cli import app

WORDS = {"pos": "good fine warm".split(), "neg": "bad dull cold".split()}


@pytest.fixture
def arguments(tmp_path):
    """Labelled texts, raw texts and vectors."""
    rng, nlp = random.Random(0), spacy.blank("en")
    texts = {
        label: [" ".join(rng.choices(WORDS[label], k=4)) for _ in range(15)] for label in WORDS
    }
    docs = []
    for label, some in texts.items():
        for text in some[:8]:
            docs.append(nlp.make_doc(text))
            docs[-1].cats = {other: float(other == label) for other in WORDS}
    DocBin(docs=docs).to_disk(tmp_path / "train.spacy")
    raw = [{"text": text} for some in texts.values() for text in some[8:]]
    srsly.write_jsonl(tmp_path / "raw.jsonl", [*raw, {"text": docs[0].text}, {"text": "xyzzy"}])
    vocab = Vocab()
    for sign, words in zip((1.0, -1.0), WORDS.values()):
        for i, word in enumerate(words):
            vocab.set_vector(word, np.array([sign, i - 1.0], dtype="float32"))
    vocab.to_disk(tmp_path / "vectors")
    names = ("train.spacy", "raw.jsonl", "vectors", "labelled")
    return ["label", *(str(tmp_path / name) for name in names)]


def test_label_prints_counts_and_accuracy(arguments, tmp_path):
    result = CliRunner().invoke(app, [*arguments, "--dev", str(tmp_path / "train.spacy")])
    assert result.exit_code == 0, result.output
    assert "100.0 % of the labels" in result.output
    assert "2 that are among the labelled ones" in " ".join(result.output.split())
    assert sorted(path.name for path in (tmp_path / "labelled").iterdir()) == [
        "labelled.spacy",
        "raw-00000.spacy",
    ]


def test_label_says_what_is_wrong(arguments, tmp_path):
    (tmp_path / "labelled").mkdir()
    (tmp_path / "labelled" / "mine.txt").write_text("keep", encoding="utf8")
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1 and "E556" in result.output
    result = CliRunner().invoke(app, [*arguments[:2], str(tmp_path / "no.jsonl"), *arguments[3:]])
    assert result.exit_code == 1


def test_label_stopped_by_the_user(arguments, monkeypatch, tmp_path):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("spacy_charlm.training.pseudo_labels.label_texts", stop)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 130 and "nothing was written" in result.output

import pytest
import spacy
import srsly
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from typer.testing import CliRunner

from spacy_charlm.cli import app

TEXTS = ["Ann saw the old house", "the house of Bo was near"]


@pytest.fixture
def arguments(tmp_path):
    """Annotated texts, raw texts and two pipelines."""
    nlp = spacy.blank("en")
    nlp.add_pipe("charlm_ner")
    docs = [
        Doc(nlp.vocab, words=TEXTS[0].split(), ents=["B-PER", "O", "O", "O", "O"]),
        Doc(nlp.vocab, words=TEXTS[1].split(), ents=["O", "O", "O", "B-PER", "O", "O"]),
    ]
    DocBin(docs=docs).to_disk(tmp_path / "train.spacy")
    raw = [{"text": text} for text in (*TEXTS, "short", "the house of Ann was old")]
    srsly.write_jsonl(tmp_path / "raw.jsonl", raw)
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in docs]
    nlp.initialize(lambda: examples)
    for name in ("one", "two"):
        nlp.to_disk(tmp_path / name)
    names = ("train.spacy", "raw.jsonl", "labelled", "one", "two")
    return ["label-entities", *(str(tmp_path / name) for name in names)]


def test_label_entities_prints_counts_and_scores(arguments, tmp_path):
    more = ["--dev", str(tmp_path / "train.spacy"), "--bias", "-1", "--min-votes", "1"]
    result = CliRunner().invoke(app, [*arguments, *more])
    assert result.exit_code == 0, result.output
    printed = " ".join(result.output.split())
    assert "PER" in printed and "an F1 of" in printed
    assert "2 that are among the labelled ones, 1 with fewer than 5 words" in printed
    assert "2 labelled texts and 1 others" in printed
    assert sorted(path.name for path in (tmp_path / "labelled").iterdir()) == [
        "labelled.spacy",
        "raw-00000.spacy",
    ]


def test_label_entities_says_what_is_wrong(arguments, tmp_path):
    result = CliRunner().invoke(app, [*arguments, "--min-votes", "3"])
    assert result.exit_code == 1 and "E560" in result.output
    result = CliRunner().invoke(app, [*arguments, str(tmp_path / "three")])
    assert result.exit_code == 1 and "E05" in result.output
    for more in (["--bias", "1"], ["--repeat", "0"]):
        assert CliRunner().invoke(app, [*arguments, *more]).exit_code == 2
    assert CliRunner().invoke(app, arguments[:4]).exit_code == 2
    assert not (tmp_path / "labelled").exists()


def test_label_entities_stopped_by_the_user(arguments, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("spacy_charlm.training.pseudo_entities.label_entities", stop)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 130 and "nothing was written" in result.output

import gzip
import sys
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin
from typer.testing import CliRunner

SCRIPTS = Path(__file__).parents[2] / "scripts"
if not SCRIPTS.is_dir():
    pytest.skip("scripts/ is not beside tests/", allow_module_level=True)
SENTENCE = (
    "# text = She can't.\n"
    "1\tShe\tshe\tPRON\tPRP\t_\t2\tnsubj\t_\t_\n"
    "2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No\n"
    "2\tca\tcan\tAUX\tMD\t_\t0\troot\t_\t_\n"
    "3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_\n"
    "4\t.\t.\tPUNCT\t.\t_\t2\tpunct\t_\t_\n\n"
)


@pytest.fixture
def run(tmp_path):
    import typer

    sys.path.insert(0, str(SCRIPTS))
    try:
        import ewt_corpus
    finally:
        sys.path.remove(str(SCRIPTS))
    app = typer.Typer()
    app.command()(ewt_corpus.main)

    def run(*arguments):
        return CliRunner().invoke(app, [str(tmp_path), str(tmp_path / "out"), *arguments])

    return run


def read(path):
    return list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))


def test_ewt_corpus_keeps_tokens_and_trees(run, tmp_path):
    (tmp_path / "ewt").mkdir()
    (tmp_path / "ewt" / "en_ewt-ud-train.conllu").write_text(SENTENCE * 10, encoding="utf8")
    with gzip.open(tmp_path / "ewt" / "en_ewt-ud-dev.conllu.gz", "wt", encoding="utf8") as file:
        file.write(SENTENCE * 2)  # the same, zipped
    result = run("--sizes", "2", "--sizes", "5", "--n-stop", "3")
    assert result.exit_code == 0, result.output
    sizes = {"raw": 10, "train-2": 2, "train-5": 5, "train-all": 7, "stop": 3}
    docs = {name: read(tmp_path / "out" / f"{name}.spacy") for name in sizes}
    assert {name: len(found) for name, found in docs.items()} == sizes
    dev = read(tmp_path / "out" / "dev.spacy")
    assert len(dev) == 2
    assert [token.text for token in dev[0]] == ["She", "ca", "n't", "."]
    assert [token.head.i for token in dev[0]] == [1, 1, 1, 1]
    assert [token.tag_ for token in dev[0]] == ["PRP", "MD", "RB", "."]
    assert dev[0][1].dep_ == "ROOT"


def test_ewt_corpus_names_what_is_missing(run):
    result = run()
    assert result.exit_code == 1

import gzip
import sys
from pathlib import Path

import pytest
import spacy
import srsly
from spacy.tokens import DocBin

SCRIPTS = Path(__file__).parents[2] / "scripts"
if not SCRIPTS.is_dir():
    pytest.skip("scripts/ is not beside tests/", allow_module_level=True)
CONLL = (
    "@paulwalk\tO\nEmpire\tB-location\nState\tI-location\nBuilding\tI-location\n.\tO\n\t\n"
    'He\tO\nsaid\tO\n"\tO\nhi\tO\n"\tO\n\n\n'
    "Ann\tI-person\nEve\tB-person\nX\tI-product\n"
)


@pytest.fixture(scope="module")
def wnut():
    sys.path.insert(0, str(SCRIPTS))
    try:
        import wnut_corpus

        yield wnut_corpus
    finally:
        sys.path.remove(str(SCRIPTS))


@pytest.fixture
def data(tmp_path):
    for name in ("wnut17", "imdb"):
        (tmp_path / "data" / name).mkdir(parents=True)
    folder = tmp_path / "data" / "wnut17"
    train = "\n\t\n".join(f"word{i}\tO\nParis\tB-location" for i in range(20))
    (folder / "train.conll").write_text(train, encoding="utf8")
    (folder / "dev.conll").write_text(CONLL, encoding="utf8")
    with gzip.open(folder / "raw.txt.gz", "wt", encoding="utf8") as file:
        file.write("a post 😀\n\n  \nanother\nthird\n")
    with gzip.open(tmp_path / "data" / "imdb" / "unlabelled.jsonl.gz", "wt") as file:
        file.writelines(srsly.json_dumps({"text": f"review {i}"}) + "\n" for i in range(5))
    return tmp_path / "data"


def read_docs(path):
    return list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))


def test_wnut_corpus_reads_sentences_and_tags(wnut, tmp_path):
    path = tmp_path / "a.conll"
    path.write_text(CONLL, encoding="utf8")
    first, second, third = wnut.read_conll(path)
    assert first[0] == ["@paulwalk", "Empire", "State", "Building", "."]
    assert first[1] == ["O", "B-location", "I-location", "I-location", "O"]
    assert second[0] == ["He", "said", '"', "hi", '"']
    # an I- without its beginning begins an entity
    assert third[1] == ["B-person", "B-person", "B-product"]


def test_wnut_corpus_other_line_ends(wnut, tmp_path):
    path = tmp_path / "a.conll"
    # a line separator of Unicode inside a token is no line end
    path.write_bytes("a\u2028b\tO\r\n\t\r\nc\tO".encode())
    assert list(wnut.read_conll(path)) == [(["a\u2028b"], ["O"]), (["c"], ["O"])]


@pytest.mark.parametrize("line", ["word", "word O", "word\tX", "word\tB-", "\tO", "a\tb\tO"])
def test_wnut_corpus_bad_line(wnut, tmp_path, line):
    path = tmp_path / "a.conll"
    path.write_text(f"good\tO\n{line}\n", encoding="utf8")
    with pytest.raises(ValueError, match=r"a\.conll, line 2: expected a token, a tab and O"):
        list(wnut.read_conll(path))


@pytest.mark.parametrize(
    "words, text",
    [
        (["Hello", ",", "world", "!"], "Hello, world!"),
        (["I", "'m", "(", "not", ")", "here"], "I'm (not) here"),
        (["He", "said", '"', "hi", '"', "."], 'He said "hi".'),
        (["do", "n't", "#", "tag"], "don't #tag"),
        ([",", "x"], ", x"),
        (["one"], "one"),
    ],
)
def test_wnut_corpus_spaces(wnut, words, text):
    doc = wnut.make_doc(spacy.blank("en").vocab, words, ["O"] * len(words))
    assert [token.text for token in doc] == words
    assert doc.text == text


def test_wnut_corpus_writes_all_files(wnut, data, tmp_path):
    output = tmp_path / "out"
    wnut.main(data, output, n_imdb=2, n_raw=0, stop_share=0.1, seed=0)
    train, stop, dev = (read_docs(output / f"{n}.spacy") for n in ("train", "stop", "dev"))
    assert (len(train), len(stop), len(dev)) == (18, 2, 3)
    assert {d.text for d in train} | {d.text for d in stop} == {f"word{i} Paris" for i in range(20)}
    assert [(e.text, e.label_) for e in dev[0].ents] == [("Empire State Building", "location")]
    assert not dev[0].has_unknown_spaces
    # a word outside an entity is known to be outside, not missing
    assert dev[1][0].ent_iob_ == "O"
    texts = [row["text"] for row in srsly.read_jsonl(output / "raw.jsonl")]
    assert texts == ["a post 😀", "another", "third", "review 0", "review 1"]
    assert [row["text"] for row in srsly.read_jsonl(output / "posts.jsonl")] == texts[:3]
    wnut.main(data, output, n_imdb=0, n_raw=2, stop_share=0.1, seed=0)
    assert [row["text"] for row in srsly.read_jsonl(output / "raw.jsonl")] == texts[:2]
    assert [d.text for d in read_docs(output / "stop.spacy")] == [d.text for d in stop]
    wnut.main(data, output, n_imdb=0, n_raw=2, stop_share=0.1, seed=1)
    assert [d.text for d in read_docs(output / "stop.spacy")] != [d.text for d in stop]


def test_wnut_corpus_leaves_out_posts_of_dev(wnut, data, tmp_path):
    """However they are tokenised, and in whatever case."""
    output = tmp_path / "out"
    wnut.main(data, output, n_imdb=0, n_raw=0, stop_share=0.1, seed=0)
    post = read_docs(output / "dev.spacy")[0].text
    with gzip.open(data / "wnut17" / "raw.txt.gz", "at", encoding="utf8") as file:
        file.write(f"{post.upper().replace(' ', '  ')}\nnew\n")
    wnut.main(data, output, n_imdb=0, n_raw=0, stop_share=0.1, seed=0)
    texts = [row["text"] for row in srsly.read_jsonl(output / "posts.jsonl")]
    assert texts == ["a post 😀", "another", "third", "new"]


def test_wnut_corpus_without_posts(wnut, data, tmp_path):
    (data / "wnut17" / "raw.txt.gz").unlink()
    wnut.main(data, tmp_path / "out", n_imdb=1, n_raw=0, stop_share=0.5, seed=0)
    assert list(srsly.read_jsonl(tmp_path / "out" / "raw.jsonl")) == [{"text": "review 0"}]


def test_wnut_corpus_missing_file(wnut, data, tmp_path, capsys):
    (data / "wnut17" / "dev.conll").unlink()
    with pytest.raises(SystemExit, match="1"):
        wnut.main(data, tmp_path / "out", n_imdb=1, n_raw=0, stop_share=0.5, seed=0)
    assert "dev.conll" in capsys.readouterr().out

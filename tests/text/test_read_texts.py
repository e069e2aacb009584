import codecs
import gc
import gzip
import json
import zlib

import pytest
import srsly
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from spacy_charlm.text.read_texts import Words, list_files, read_texts


def read(path, content=None):
    if content is not None:
        content = gzip.compress(content) if path.suffix == ".gz" else content
        path.write_bytes(content)
    return list(read_texts(path, Vocab()))


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "A.TXT"])
def test_read_texts_txt_is_one_text_a_line(tmp_path, name):
    content = codecs.BOM_UTF8 + "one\r\n\ntwo\u2028\x0b\x85 still two\0\n thrée".encode()
    assert read(tmp_path / name, content) == ["one", "", "two\u2028\x0b\x85 still two\0", " thrée"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_read_texts_jsonl_takes_text_and_tokens(tmp_path, name):
    lines = [
        '{"text": "a\\u0000b\u2028c", "meta": 1}',
        "",
        '{"tokens": ["a", "b"]}',
        '{"text": "wins not", "tokens": ["a", "b"], "spaces": [false, true]}',
        '{"text": "", "tokens": null}',
    ]
    assert read(tmp_path / name, codecs.BOM_UTF8 + "\r\n".join(lines).encode()) == [
        "a\0b\u2028c",
        "",
        Words(["a", "b"], None),
        Words(["a", "b"], [False, True]),
        "",
    ]


def test_read_texts_spacy_keeps_annotations(tmp_path):
    doc = Doc(Vocab(), words=["New", "York"], ents=["B-GPE", "I-GPE"])
    DocBin(docs=[doc]).to_disk(tmp_path / "a.spacy")
    (read_doc,) = read(tmp_path / "a.spacy")
    assert [ent.label_ for ent in read_doc.ents] == ["GPE"]


def test_read_texts_streams(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\nno json\n')
    texts = read_texts(path, Vocab())
    assert next(texts) == "one"
    with pytest.raises(ValueError, match="E106"):
        next(texts)


def test_list_files_sorts_and_ignores_others(tmp_path):
    for name in ("b.txt", "a.jsonl.gz", "sub/c.spacy", "README.md", ".d.txt", ".e/f.txt", "g.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "h.txt").mkdir()
    names = [path.relative_to(tmp_path).as_posix() for path in list_files(tmp_path)]
    assert names == ["a.jsonl.gz", "b.txt", "sub/c.spacy"]


def test_list_files_reads_below_a_hidden_folder_that_is_named(tmp_path):
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "a.txt").touch()
    assert len(list_files(tmp_path / ".hidden")) == 1


def test_list_files_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"charlm E102.*nowhere"):
        list_files(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"charlm E103.*\.jsonl\.gz"):
        list_files(tmp_path)
    (tmp_path / "a.pdf").touch()
    with pytest.raises(ValueError, match=r"charlm E104.*a\.pdf"):
        list_files(tmp_path / "a.pdf")


@pytest.mark.parametrize("line", ['{"text": "a"', '{"text": "a"} b', '{"text": NaN}', "text"])
def test_read_texts_names_line_of_invalid_json(tmp_path, line):
    content = f'{{"text": "fine"}}\n\n{line}\n'.encode()
    with pytest.raises(ValueError, match=r'E106.*a\.jsonl.*line 3 .*\{"text": "The first text'):
        read(tmp_path / "a.jsonl", content)


@pytest.mark.parametrize(
    "record, found",
    [
        ({}, "neither 'text' nor 'tokens' but an empty object"),
        ({"txt": "a", "id": 1}, "neither 'text' nor 'tokens' but 'txt', 'id'"),
        ({"text": None}, "neither"),
        ({"text": 1}, "'text' of type int"),
        ({"text": ["a"]}, "'text' of type list"),
        ({"text": "\ud800"}, "half of a surrogate pair"),
        ({"tokens": ["\ud800"]}, "half of a surrogate pair"),
        ({"tokens": "a b"}, "'tokens' that is not a list"),
        ({"tokens": ["a", 1]}, "'tokens' that is not a list"),
        ({"tokens": ["a", ""]}, "'tokens' that is not a list"),
        ({"tokens": ["a"], "spaces": True}, "'spaces' that is not a list"),
        ({"tokens": ["a"], "spaces": [1]}, "'spaces' that is not a list"),
        ({"tokens": ["a"], "spaces": []}, "0 'spaces' for 1 'tokens'"),
        (["a"], "list instead of an object"),
        ("a", "str instead of an object"),
        (None, "NoneType instead of an object"),
    ],
)
def test_read_texts_names_line_of_bad_record(tmp_path, record, found):
    content = b'{"text": "fine"}\n' + json.dumps(record).encode()
    with pytest.raises(
        ValueError, match=rf"E107.*a\.jsonl.*line 2, but found {found}.*Valid lines"
    ):
        read(tmp_path / "a.jsonl", content)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl.gz"])
def test_read_texts_names_byte_that_is_not_utf8(tmp_path, name):
    with pytest.raises(ValueError, match=rf"E108.*{name}.*line 2, byte 4 "):
        read(tmp_path / name, b"\ncaf\xe9\n")
    with pytest.raises(ValueError, match="E108.*line 1, byte 1 "):
        read(tmp_path / name, "text".encode("utf-16"))


def test_read_texts_names_damaged_gzip(tmp_path):
    path = tmp_path / "a.txt.gz"
    whole = gzip.compress("".join(f"text {i**7}\n" for i in range(20_000)).encode())
    path.write_bytes(whole[:5])
    with pytest.raises(ValueError, match=r"E109.*a\.txt\.gz.*after line 0 "):
        read(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"E109.*after line [1-9]\d+ "):
        read(path)
    path.write_bytes(whole[:500] + bytes(500) + whole[1000:])
    with pytest.raises(ValueError, match="E109"):
        read(path)


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_read_texts_recognises_gzip_by_its_content(tmp_path, name):
    for content in (b"text", gzip.compress(b"text")):
        (tmp_path / name).write_bytes(content)
        assert read(tmp_path / name) == ["text"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        zlib.compress(b""),
        zlib.compress(b"\x05"),
        zlib.compress(b"\xc1"),
        zlib.compress(b"\x82\xa1"),
        zlib.compress(srsly.msgpack_dumps({"attrs": []})),
        DocBin(docs=[Doc(Vocab(), words=["a"])]).to_bytes()[:-9],
    ],
)
def test_read_texts_names_damaged_spacy(tmp_path, content):
    with pytest.raises(ValueError, match=r"E110.*a\.spacy.*DocBin|E110.*DocBin.*a\.spacy"):
        read(tmp_path / "a.spacy", content)
    assert gc.isenabled()


@pytest.mark.parametrize("lost", ["zyx", "xyz"])
def test_read_texts_names_spacy_without_its_strings(tmp_path, lost):
    doc = Doc(Vocab(), words=["zyx"])
    doc[0].norm_ = "xyz"
    docbin = DocBin(docs=[doc])
    docbin.strings.discard(lost)
    with pytest.raises(ValueError, match="E110"):
        read(tmp_path / "a.spacy", docbin.to_bytes())

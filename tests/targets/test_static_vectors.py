import gc
import gzip
import io
import json
import os
from pathlib import Path

import numpy
import pytest
import spacy
import srsly
from numpy.testing import assert_array_equal
from spacy.tokens import Doc
from spacy.util import registry
from spacy.vectors import Vectors
from spacy.vocab import Vocab

from spacy_charlm.targets import target_tables
from spacy_charlm.targets.read_vectors import read_table
from spacy_charlm.targets.static_vectors import MIN_WORDS, StaticVectors
from spacy_charlm.targets.target_tables import SubwordTable

ROWS = {
    "the": [0.5, -1.25, 2.0],
    "cat": [1e-05, 3.0, -0.125],
    "sat": [4.0, 5.0, 6.0],
    "<unk>": [7.0, 8.0, 9.0],
    "nil": [0.0, 0.0, 0.0],
}
TEXT = "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in ROWS.items())


def make_docs(*texts, vocab=None):
    vocab = Vocab() if vocab is None else vocab
    return [Doc(vocab, words=text.split("|") if text else []) for text in texts]


def make_vectors(words, *, vocab=None, attr="ORTH"):
    vocab = spacy.blank("en").vocab if vocab is None else vocab
    data = numpy.asarray(list(words.values()), dtype="float32")
    keys = [vocab.strings.add(word) for word in words]
    vocab.vectors = Vectors(strings=vocab.strings, data=data, keys=keys, attr=attr, name="tiny")
    return vocab


def make_floret(rows=50, **settings):
    vocab = spacy.blank("en").vocab
    data = numpy.random.default_rng(0).normal(size=(rows, 4)).astype("float32")
    settings = {"minn": 2, "maxn": 3, "hash_count": 2, **settings}
    vocab.vectors = Vectors(strings=vocab.strings, data=data, mode="floret", **settings)
    return vocab


def open_text(tmp_path, text, name="vectors.txt", **settings):
    path = tmp_path / name
    data = text if isinstance(text, bytes) else text.encode("utf8")
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    target = StaticVectors(path, **settings)
    target.open(Vocab())
    return target


def look_up(ops, target, docs):
    """A simple reference implementation: one vector, or None, per token."""
    batch = target(ops, docs)
    values, rows = ops.to_numpy(batch.values), ops.to_numpy(batch.rows)
    assert values.dtype == "float32" and values.flags.c_contiguous
    assert rows.dtype == "int32" and rows.shape == (sum(map(len, docs)), 1)
    assert set(rows[rows >= 0].tolist()) == set(range(len(values)))
    assert len(numpy.unique(values, axis=0)) == len(values)
    return [values[row].tolist() if row >= 0 else None for row in rows[:, 0]]


def as_float32(row):
    return numpy.asarray(row, dtype="float32").tolist()


@pytest.mark.parametrize("header", ["", "5 3\n", "\ufeff", "\ufeff5 3\r\n"])
@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
def test_static_vectors_reads_text(tmp_path, ops, header, name):
    target = open_text(tmp_path, header + TEXT, name)
    assert (target.nO, target.nParts) == (3, 1)
    found = look_up(ops, target, make_docs("the|cat|dog|the", "", "sat"))
    the, cat, sat = (as_float32(ROWS[word]) for word in ("the", "cat", "sat"))
    assert found == [the, cat, None, the, sat]
    assert target.counts == {"tokens": 5, "targets": 4}


def test_static_vectors_leaves_out_rows_that_are_not_words(tmp_path, ops):
    target = open_text(tmp_path, TEXT + "\u00a0 1 2 3\n")
    docs = make_docs("<unk>|nil| |\n|\u00a0|the")
    assert look_up(ops, target, docs) == [None] * 5 + [ROWS["the"]]
    target = open_text(tmp_path, TEXT, unknown=["the"])
    assert look_up(ops, target, make_docs("the|THE|<unk>")) == [None, None, ROWS["<unk>"]]


def test_static_vectors_shared_row_of_unknown_has_no_target(ops):
    vocab = make_vectors(ROWS)
    vocab.vectors.add("rare", row=vocab.vectors.key2row[vocab.strings["<unk>"]])
    vocab.vectors.add("feline", row=vocab.vectors.key2row[vocab.strings["cat"]])
    target = StaticVectors()
    target.open(vocab)
    cat = as_float32(ROWS["cat"])
    assert look_up(ops, target, make_docs("rare|feline|cat")) == [None, cat, cat]


def test_static_vectors_falls_back_to_lower_case(tmp_path, ops):
    the = ROWS["the"]
    lower = open_text(tmp_path, TEXT + "<UNK> 1 1 1\n")
    assert look_up(ops, lower, make_docs("The|THE|the|Dog")) == [the, the, the, None]
    cased = open_text(tmp_path, TEXT + "Cat 1 1 1\n")
    assert look_up(ops, cased, make_docs("The|Cat|the")) == [None, [1.0, 1.0, 1.0], the]


@pytest.mark.parametrize("number", ["0.123456789012", "-.5", "5.", "+1e-3", "1E5", "12", "-0.0"])
def test_static_vectors_reads_numbers_exactly(tmp_path, ops, number):
    target = open_text(tmp_path, f"the 1 {number}\nof 1 2\n")
    assert look_up(ops, target, make_docs("the")) == [as_float32([1, float(number)])]


def test_static_vectors_reads_odd_white_space(tmp_path, ops):
    text = "the 1 2 3 \n\nof\t4\t5\t6\n. . . 7 8 9\nto  1  1  1\na\u00a0b 2 2 2\n\n"
    target = open_text(tmp_path, text)
    expected = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 1, 1], [2, 2, 2]]
    assert look_up(ops, target, make_docs("the|of|. . .|to|a\u00a0b")) == expected


def test_static_vectors_keeps_first_of_repeated_words(tmp_path, ops, caplog):
    target = open_text(tmp_path, "the 1 2\nof 3 4\nthe 5 6\n")
    assert "W201" in caplog.text and "1 lines" in caplog.text
    assert look_up(ops, target, make_docs("the")) == [[1, 2]]
    assert target.describe()["rows"] == 2


@pytest.mark.parametrize(
    "text,message",
    [
        ("the 1 2 3\nof 1 2\n", "E204.*a word and 3 numbers.*line 2, but found 2"),
        ("2 3\nthe 1 2\nof 1 2\n", "E204.*a word and 3 numbers.*line 2, but found 2"),
        ("the\nof\n", "E204.*line 1"),
        (" 1 2 3\nof\n", "E204.*line 2"),
        ("the 1 2\nof 1 2 3\n", "E205.*a word and 2 numbers.*line 2, but found 3"),
        ("2 2\nthe 1 2 3\nof 1 2 3\n", "E205.*line 2"),
        ("the 1 2 3\nof 1 x 3\n", "E206.*line 2.*'x'"),
        ("the 1 2 3\nof 1 - 3\n", "E206.*line 2.*'-'"),
        ("the 1 2 3\nof 1 2 3e\n", "E206.*line 2.*'3e'"),
        ("the 1 2 3\nof 1 true 3\n", "E206.*line 2.*'true'"),
        ("the 1 2 3\nof 1 2,0 3\n", "E206.*line 2.*'2,0'"),
        ("the 1 2\n\nof nan 2\n", "E207.*line 3.*'of'"),
        ("the 1 2\nof 1 -inf\n", "E207.*line 2.*'of'"),
        ("the 1 2\nof 1 1e39\n", "E207.*line 2.*'of'"),
        (b"the 1 2\ncaf\xe9 1 2\n", "E208.*line 2"),
        ("", "E209"),
        ("\n\n", "E209"),
        ("2 3\n", "E209"),
        ("0 3\nthe 1 2 3\n", "E209"),
        ("3 2\nthe 1 2\nof 1 2\n", "E210.*Expected 3 vectors.*but found 2"),
        ("1 2\nthe 1 2\nof 1 2\n", "E210.*Expected 1 vectors.*but found 2"),
        ("2 2 2 3 2 2166136261 < >\n0 1 2\n1 1 2\n", "E212.*--mode floret"),
    ],
)
def test_static_vectors_names_the_bad_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        open_text(tmp_path, text)


def test_static_vectors_damaged_gzip(tmp_path):
    path = tmp_path / "vectors.txt.gz"
    path.write_bytes(gzip.compress(TEXT.encode("utf8") * 100)[:-20])
    with pytest.raises(ValueError, match="E211"):
        StaticVectors(path).open(Vocab())


def test_static_vectors_of_another_width(tmp_path):
    with pytest.raises(ValueError, match="E213.*Expected vectors of width 300, but found width 3"):
        open_text(tmp_path, TEXT, width=300)
    assert open_text(tmp_path, TEXT, width=3).nO == 3


def test_static_vectors_missing_vectors(tmp_path):
    with pytest.raises(ValueError, match="E201"):
        StaticVectors().open(Vocab())
    with pytest.raises(ValueError, match="E202"):
        StaticVectors(tmp_path / "nothing").open(Vocab())
    with pytest.raises(ValueError, match="E203.*no such file"):
        StaticVectors(tmp_path).open(Vocab())
    spacy.blank("en").to_disk(tmp_path / "pipeline")
    with pytest.raises(ValueError, match="E203.*without words"):
        StaticVectors(tmp_path / "pipeline").open(Vocab())
    (tmp_path / "vectors").write_bytes(b"no array")
    with pytest.raises(ValueError, match="E553"):
        StaticVectors(tmp_path).open(Vocab())


def test_static_vectors_bad_folder(tmp_path):
    vocab = make_vectors({**ROWS, "bad": [1.0, numpy.nan, 2.0]})
    vocab.to_disk(tmp_path)
    with pytest.raises(ValueError, match="E207.*row 5.*'bad'"):
        StaticVectors(tmp_path).open(Vocab())
    numpy.save(tmp_path / "short.npy", numpy.ones((2, 3), dtype="float32"))
    (tmp_path / "short.npy").rename(tmp_path / "vectors")
    with pytest.raises(ValueError, match="E553.*up to row 5"):
        StaticVectors(tmp_path).open(Vocab())


def save_array(values):
    file = io.BytesIO()
    numpy.save(file, values)
    return file.getvalue()


TABLE = save_array(numpy.ones((5, 3), "float32"))
CONFIG = '{{"mode": "{mode}", "minn": {minn}, "maxn": {maxn}, "hash_count": {count}, {more}}}'
FLORET = {"mode": "floret", "minn": 2, "maxn": 3, "count": 2, "more": '"bow": "<"'}


@pytest.mark.parametrize(
    "name, content",
    [
        ("vectors", b""),
        ("vectors", TABLE[:20]),
        ("vectors", TABLE[:-1]),
        ("vectors", TABLE.replace(b"(5, 3)", b"(5, 3 ")),  # tokenize.TokenError
        ("vectors", TABLE.replace(b"(5, 3)", b"(15,) ")),
        ("vectors", TABLE.replace(b"<f4", b"<i4")),
        ("vectors", save_array(numpy.array(["x"] * 5))),
        ("key2row", b""),
        ("key2row", b"\xc1"),
        ("key2row", srsly.msgpack_dumps([1, 2])),
        ("key2row", srsly.msgpack_dumps({"cat": 1})),
        ("key2row", srsly.msgpack_dumps({1: -1})),
        ("key2row", srsly.msgpack_dumps({1: 0.5})),
        ("key2row", srsly.msgpack_dumps({1: None})),
        ("strings.json", b"{"),
        ("strings.json", b"5"),
        ("strings.json", b"[5, null]"),
        ("vectors.cfg", b"{"),
        ("vectors.cfg", b"[]"),
        ("vectors.cfg", b'{"mode": "other"}'),
        ("vectors.cfg", b'{"attr": 99999}'),
        ("vectors.cfg", CONFIG.format(**{**FLORET, "count": 0}).encode()),
        ("vectors.cfg", CONFIG.format(**{**FLORET, "count": 5}).encode()),
        ("vectors.cfg", CONFIG.format(**{**FLORET, "minn": 4}).encode()),
        ("vectors.cfg", CONFIG.format(**{**FLORET, "maxn": 2**31}).encode()),
        ("vectors.cfg", CONFIG.format(**{**FLORET, "minn": '"2"'}).encode()),
        ("vectors.cfg", CONFIG.format(**{**FLORET, "more": '"bow": null'}).encode()),
    ],
)
def test_static_vectors_name_a_damaged_file(tmp_path, name, content):
    make_vectors(ROWS).vectors.to_disk(tmp_path)
    (tmp_path / name).write_bytes(content)
    found = name.removesuffix(".cfg")  # spaCy reads the settings together with the table
    for read in (StaticVectors(tmp_path).open, lambda vocab: read_table(tmp_path)):
        with pytest.raises(ValueError, match=rf"E553.*{found}'"):
            read(Vocab())
        assert gc.isenabled()


def test_static_vectors_needs_open(ops):
    target = StaticVectors()
    for use in (lambda: target(ops, []), lambda: target.nO, target.describe):
        with pytest.raises(ValueError, match="E215"):
            use()


def test_static_vectors_no_word_in_common(tmp_path, ops):
    target = open_text(tmp_path, TEXT)
    docs = make_docs("|".join(["katze", "hund", " "] * 200))
    target(ops, docs)
    target(ops, docs)
    with pytest.raises(ValueError, match=r"E214.*1200 words.*'the', 'cat', 'sat'.*'katze', 'hund'"):
        target(ops, docs)
    spaces = make_docs("|".join([" "] * 2 * MIN_WORDS))
    target = open_text(tmp_path, TEXT)
    target(ops, spaces)
    target(ops, make_docs("the"))
    target(ops, docs * 3)


@pytest.mark.parametrize("folder", ["", "vocab"])
def test_static_vectors_reads_pipeline(tmp_path, ops, folder):
    nlp = spacy.blank("en")
    make_vectors(ROWS, vocab=nlp.vocab)
    nlp.to_disk(tmp_path / "pipeline")
    target = StaticVectors(tmp_path / "pipeline" / folder)
    target.open(Vocab())
    expected = [ROWS["the"], as_float32(ROWS["cat"]), None]
    assert look_up(ops, target, make_docs("The|cat|dog")) == expected


def test_static_vectors_reads_vectors_alone(tmp_path, ops):
    make_vectors(ROWS).vectors.to_disk(tmp_path / "vectors")
    for path in (tmp_path, tmp_path / "vectors"):
        target = StaticVectors(path)
        target.open(Vocab())
        assert look_up(ops, target, make_docs("the|dog")) == [ROWS["the"], None]


def test_static_vectors_of_the_vocab_are_not_written(ops):
    vocab = make_vectors(ROWS)
    before, keys = vocab.vectors.data.copy(), dict(vocab.vectors.key2row)
    target = StaticVectors()
    target.open(vocab)
    batch = target(ops, make_docs("the|cat", vocab=vocab))
    batch.values[:] = 100
    assert_array_equal(vocab.vectors.data, before)
    assert vocab.vectors.key2row == keys
    assert look_up(ops, target, make_docs("the")) == [ROWS["the"]]
    assert target.describe()["name"] == "tiny"


def test_static_vectors_respects_attr(ops):
    vocab = make_vectors({**ROWS, "Sat": [1, 1, 1]}, attr="LOWER")
    target = StaticVectors()
    target.open(vocab)
    docs = make_docs("SAT|Sat|the|DOG", vocab=vocab)
    assert look_up(ops, target, docs) == [ROWS["sat"], ROWS["sat"], ROWS["the"], None]


def test_static_vectors_symbols_and_mixed_vocabs(tmp_path, ops):
    # For the names of its own symbols, spaCy uses small ids instead of hashes.
    target = open_text(tmp_path, "NORM 1 2\nnsubj 3 4\nthe 5 6\n")
    docs = make_docs("NORM|nsubj") + make_docs("the|dog")
    assert look_up(ops, target, docs) == [[1, 2], [3, 4], [5, 6], None]


@pytest.mark.parametrize("make", [lambda: make_vectors(ROWS), make_floret])
def test_static_vectors_empty(ops, make):
    target = StaticVectors()
    target.open(make())
    for docs in ([], make_docs(""), make_docs("", "")):
        assert look_up(ops, target, docs) == []
        assert target(ops, docs).values.shape == (0, target.nO)
    assert look_up(ops, target, make_docs("", " ", "")) == [None]


def test_static_vectors_floret(tmp_path, ops):
    vocab = make_floret()
    vocab.to_disk(tmp_path)
    words = ["cat", "Cat", "cat", "unheard-of", "\N{CAT FACE}", "a\u0301"]
    expected = vocab.vectors.get_batch(words)
    for path in (None, tmp_path):
        target = StaticVectors(path)
        target.open(vocab)
        assert target.describe()["mode"] == "floret"
        for _ in range(2):
            docs = make_docs("|".join(words), " |<unk>", "x" * 100_000)
            found = look_up(ops, target, docs)
            numpy.testing.assert_allclose(found[: len(words)], expected, atol=1e-6)
            assert found[len(words) :] == [None] * 3


def test_static_vectors_floret_zero_rows(ops):
    vocab = make_floret()
    vocab.vectors.data[:] = 0
    target = StaticVectors()
    target.open(vocab)
    assert look_up(ops, target, make_docs("cat|dog")) == [None, None]
    with pytest.raises(ValueError, match="E214"):
        target(ops, make_docs("|".join(["cat"] * MIN_WORDS)))


@pytest.mark.parametrize("make", [lambda: make_vectors(ROWS), make_floret])
def test_static_vectors_memory_is_bounded(ops, monkeypatch, make):
    vocab = make()
    monkeypatch.setattr(target_tables, "MAX_WORDS", 10)
    monkeypatch.setattr(target_tables, "MAX_BYTES", 10 * 4 * 4)
    monkeypatch.setattr(target_tables, "MAX_LETTERS", 20)
    target, plain = StaticVectors(), StaticVectors()
    target.open(vocab)
    rng = numpy.random.default_rng(0)
    words = [*ROWS, *(f"word{i}" for i in range(40))]
    # The last batch has more distinct words than the cache has rows.
    for size in (3, 6, 6, 6, 30):
        docs = make_docs("|".join(rng.choice(words, size)), "the")
        plain.open(vocab)
        assert look_up(ops, target, docs) == look_up(ops, plain, docs)
        if isinstance(target._table, SubwordTable):
            assert len(target._table._slots) <= max(10, size + 1)
        else:
            assert len(target._table._rows) <= 10 + size + 1


def test_static_vectors_alone_equals_in_batch(ops):
    target = StaticVectors()
    target.open(make_floret())
    docs = make_docs("a|cat|sat", "", "the|cat", "on|a|mat|a")
    alone = [row for doc in docs for row in look_up(ops, target, [doc])]
    assert look_up(ops, target, docs) == alone


def test_static_vectors_describe(tmp_path):
    target = open_text(tmp_path, TEXT)
    card = target.describe()
    assert json.loads(json.dumps(card)) == card
    assert str(tmp_path) not in json.dumps(card)
    assert (card["name"], card["rows"], card["width"]) == ("vectors.txt", 5, 3)
    assert (card["mode"], len(card["digest"])) == ("default", 16)
    digests = {card["digest"]}
    for text in (TEXT.replace("cat", "dog"), TEXT.replace("4.0", "4.5")):
        digests.add(open_text(tmp_path, text).describe()["digest"])
    assert len(digests) == 3
    assert open_text(tmp_path, TEXT, "other.gz").describe()["digest"] == card["digest"]


def test_static_vectors_floret_digest_covers_settings():
    digests = set()
    for vocab in (make_floret(), make_floret(maxn=4), make_floret()):
        target = StaticVectors()
        target.open(vocab)
        digests.add(target.describe()["digest"])
    assert len(digests) == 2


def test_static_vectors_config(tmp_path):
    block = {"target": {"@misc": "spacy-charlm.StaticVectors.v1"}}
    filled = registry.fill(block)
    assert json.loads(json.dumps(filled)) == filled
    assert set(filled["target"]) == {"@misc", "path", "unknown", "width", "ngram"}
    # Nothing is read before `open`: the file need not exist.
    block["target"]["path"] = str(tmp_path / "later.txt")
    target = registry.resolve(block)["target"]
    assert isinstance(target, StaticVectors)
    assert target.path == tmp_path / "later.txt"


BIGRAMS = {"a": [1, 0], "good": [0, 1], "not good": [3, 4], "good not": [5, 6], "x y z": [7, 8]}


@pytest.mark.parametrize(
    "more, unknown, text, expected",
    [
        # White space is skipped, Docs are apart.
        (
            {},
            [],
            "not|good|a|not| \n|good|not",
            ["", "not good", "", "", "", "not good", "good not"],
        ),
        ({}, [], "Not|GOOD", ["", "not good"]),  # no key has an upper-case letter
        ({"A": [9, 9]}, [], "not|good|Not|good|not", ["", "not good", "", "", "good not"]),
        ({}, ["not good"], "not|good|not|x|y", ["", "", "good not", "", ""]),
        ({"not good": [0, 0]}, [], "not|good|not", ["", "", "good not"]),
        ({}, [], "good", [""]),
        ({}, [], "", []),
    ],
)
@pytest.mark.parametrize("in_folder", [True, False])
def test_static_vectors_of_bigrams(ops, tmp_path, more, unknown, text, expected, in_folder):
    vocab = make_vectors({**BIGRAMS, **more})
    if in_folder:
        vocab.to_disk(tmp_path / "vocab")
    target = StaticVectors(tmp_path if in_folder else None, unknown, ngram=2)
    target.open(vocab)
    found = look_up(ops, target, make_docs(text, "", "good|a", "not"))
    assert found == [as_float32(BIGRAMS[key]) if key else None for key in expected] + [None] * 3
    assert target.describe()["ngram"] == 2


def test_static_vectors_without_bigrams():
    for vocab, message in (
        (make_vectors({"a": [1, 2], "x y z": [3, 4]}), "E221.*'tiny'.*'a', 'x y z'.*default"),
        (make_floret(), "E221.*floret"),
    ):
        with pytest.raises(ValueError, match=message):
            StaticVectors(ngram=2).open(vocab)
    with pytest.raises(ValueError, match="E560.*`ngram`"):
        StaticVectors(ngram=3)


@pytest.mark.skipif("CHARLM_DATA" not in os.environ, reason="CHARLM_DATA names no data folder")
def test_static_vectors_glove_imdb(ops):
    target = StaticVectors(Path(os.environ["CHARLM_DATA"]) / "vectors/glove.imdb.100d.txt.gz")
    target.open(Vocab())
    assert target.describe()["rows"] == 39_594
    found = look_up(ops, target, make_docs("The|movie|<unk>|qqqqzzzz"))
    assert [row is not None for row in found] == [True, True, False, False]
    assert found[0][:2] == as_float32([0.958394, -0.516230])

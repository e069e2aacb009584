import subprocess
import sys
from pathlib import Path

import pytest
import spacy
import srsly
from spacy.tokens import DocBin

SCRIPTS = Path(__file__).parents[2] / "scripts"
if not SCRIPTS.is_dir():
    pytest.skip("scripts/ is not beside tests/", allow_module_level=True)
NAMES = ("textcat_train", "textcat_dev", "ner_train", "ner_dev")


@pytest.fixture(scope="module")
def modules():
    sys.path.insert(0, str(SCRIPTS))
    try:
        import stdlib_corpus
        import stdlib_labels
        import stdlib_names

        yield stdlib_corpus, stdlib_labels, stdlib_names
    finally:
        sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Run the program once, with a hash seed of its own."""
    path = tmp_path_factory.mktemp("stdlib")
    command = [sys.executable, str(SCRIPTS / "stdlib_corpus.py"), str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    vocab = spacy.blank("en").vocab
    docs = {n: list(DocBin().from_disk(path / f"{n}.spacy").get_docs(vocab)) for n in NAMES}
    return path, [row["text"] for row in srsly.read_jsonl(path / "raw.jsonl")], docs


@pytest.fixture(scope="module")
def small_library(modules, tmp_path_factory):
    """A library of three modules."""
    root = tmp_path_factory.mktemp("lib")
    (root / "shop.py").write_text(
        '"""Sell things with the stock module."""\n'
        "class SoldOutError(Exception):\n"
        '    """Raised by buy() at night."""\n'
        "def buy(item, copy, *, max_price=None):\n"
        '    """Buy *item* for max_price; a copy is free. Use stock.count_items.\n\n'
        "    Raise SoldOutError or ValueError, see :func:`shop.buy`.\n"
        '    """\n'
    )
    (root / "stock.py").write_text('def count_items(): """Count what there is to buy."""\n')
    (root / "broken.py").write_text("def")
    return modules[2].read_library(root)


def test_stdlib_corpus_has_words_and_labels(corpus, modules):
    _, raw, docs = corpus
    assert modules[0].count_words(raw) >= 200_000
    for name in ("textcat_train", "textcat_dev"):
        counts = modules[0].count_labels(docs[name])
        assert sorted(counts) == sorted(modules[0].PACKAGES)
        assert max(counts.values()) <= 2 * min(counts.values())
    for name in ("ner_train", "ner_dev"):
        counts = modules[0].count_labels(docs[name])
        assert sorted(counts) == sorted(modules[1].LABELS)
        assert min(counts.values()) >= 20
    assert len(docs["textcat_train"]) == 200
    assert len(docs["textcat_dev"]) >= 500
    assert len(docs["ner_train"]) == 300
    assert len(docs["ner_dev"]) >= 300


def test_stdlib_corpus_ner_dev_names_are_new(corpus, modules):
    get_key = modules[1].get_key
    train, dev = (
        {get_key(ent.text) for doc in corpus[2][name] for ent in doc.ents}
        for name in ("ner_train", "ner_dev")
    )
    assert dev
    assert not train & dev


def test_stdlib_corpus_dev_texts_are_held_out(corpus):
    _, raw, docs = corpus
    texts = {name: [doc.text for doc in docs[name]] for name in NAMES}
    for task in ("textcat", "ner"):
        assert not set(texts[f"{task}_train"]) & set(texts[f"{task}_dev"])
        assert len(set(texts[f"{task}_dev"])) == len(texts[f"{task}_dev"])
    assert not set(raw) & set(texts["textcat_dev"])
    assert not set(raw) & set(texts["ner_dev"])


def test_stdlib_corpus_hides_the_name_of_the_package(corpus):
    for doc in (*corpus[2]["textcat_train"], *corpus[2]["textcat_dev"]):
        label = max(doc.cats, key=doc.cats.__getitem__)
        assert label not in doc.text.lower()


@pytest.mark.slow
def test_stdlib_corpus_is_deterministic(corpus, modules):
    path, _, docs = corpus
    nlp, library = spacy.blank("en"), modules[2].read_library()
    train, dev = modules[0].make_textcat(nlp, library, 200, 80, 0)
    for name, again in (("textcat_train", train), ("textcat_dev", dev)):
        expected = [(doc.text, doc.cats) for doc in docs[name]]
        assert [(doc.text, doc.cats) for doc in again] == expected
        data = DocBin(docs=again, store_user_data=False).to_bytes()
        assert data == (path / f"{name}.spacy").read_bytes()


def test_stdlib_names_reads_without_importing(small_library, modules):
    assert "SoldOutError" in small_library.exceptions
    assert {"shop", "stock"} <= small_library.modules
    assert {"buy", "count_items", "stock.count_items"} <= small_library.functions
    assert [doc.module for doc in small_library.docstrings] == ["shop", "shop", "shop", "stock"]
    assert small_library.docstrings[-1].text == "Count what there is to buy."
    with pytest.raises(SystemExit, match=r"found no ast\.py"):
        monkey = pytest.MonkeyPatch()
        with monkey.context() as m:
            m.setattr(modules[2].sysconfig, "get_path", lambda name: "/nowhere")
            modules[2].find_root()


def test_stdlib_labels_needs_evidence_for_english_words(small_library, modules):
    prose = modules[1].find_prose_words(doc.text for doc in small_library.docstrings)
    assert "copy" in prose
    found = [
        [
            (doc.text[start:end], label)
            for start, end, label in modules[1].find_mentions(doc, small_library, prose)
        ]
        for doc in small_library.docstrings
    ]
    buy = [
        ("item", "ARGUMENT"),
        ("max_price", "ARGUMENT"),
        ("stock.count_items", "FUNCTION"),
        ("SoldOutError", "EXCEPTION"),
        ("ValueError", "EXCEPTION"),
        ("shop.buy", "FUNCTION"),
    ]
    assert sorted(found, key=len) == [[], [("stock", "MODULE")], [("buy", "FUNCTION")], buy]

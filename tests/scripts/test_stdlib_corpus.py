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
TASKS = {"textcat": ("train", "stop", "eval", "typos"), "ner": ("train", "stop", "eval")}
NAMES = [f"{task}_{part}" for task, parts in TASKS.items() for part in parts]


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
    assert modules[0].count_words(raw) >= 180_000
    for name in NAMES:
        counts = modules[0].count_labels(docs[name])
        labels = modules[1].LABELS if name.startswith("ner") else modules[0].CHAPTERS
        assert sorted(counts) == sorted(labels)
        assert min(counts.values()) >= 15
        if name.startswith("textcat"):
            assert max(counts.values()) <= 1.5 * min(counts.values())
    sizes = {name: len(some) for name, some in docs.items()}
    assert sizes["textcat_train"] == sizes["textcat_stop"] == 140
    assert sizes["textcat_eval"] == sizes["textcat_typos"] >= 900
    assert sizes["ner_train"] == 100 and sizes["ner_eval"] >= 500


def test_stdlib_corpus_scored_names_are_new(corpus, modules):
    get_key = modules[1].get_key
    train, stop, scored = (
        {get_key(ent.text) for doc in corpus[2][f"ner_{part}"] for ent in doc.ents}
        for part in TASKS["ner"]
    )
    assert train and stop and scored
    assert not train & scored and not stop & scored and not train & stop


def test_stdlib_corpus_scored_texts_are_held_out(corpus):
    _, raw, docs = corpus
    for task in TASKS:
        parts = [[doc.text for doc in docs[f"{task}_{part}"]] for part in ("train", "stop", "eval")]
        texts = [text for part in parts for text in part]
        assert len(set(texts)) == len(texts)
        assert not set(raw) & {*parts[1], *parts[2]}


def test_stdlib_corpus_typos_are_in_a_fifth_of_the_words(corpus, modules):
    pairs = list(zip(corpus[2]["textcat_eval"], corpus[2]["textcat_typos"]))
    assert all(clean.cats == typed.cats for clean, typed in pairs)
    words = [pair for docs in pairs for pair in zip(*(doc.text.split() for doc in docs))]
    assert 0.15 < sum(clean != typed for clean, typed in words) / len(words) < 0.25
    add_typos, (clean, typed) = modules[0].add_typos, pairs[0]
    nlp = spacy.blank("en")
    assert add_typos(nlp, [doc for doc, _ in pairs], 0.2, 0)[0].text == typed.text
    assert add_typos(nlp, [clean], 0.0, 0)[0].text == clean.text


@pytest.mark.slow
def test_stdlib_corpus_is_deterministic(corpus, modules):
    path, _, docs = corpus
    nlp, library = spacy.blank("en"), modules[2].read_library()
    for part, again in modules[0].make_textcat(nlp, library, 140, 150, 0).items():
        expected = [(doc.text, doc.cats) for doc in docs[f"textcat_{part}"]]
        assert [(doc.text, doc.cats) for doc in again] == expected
        data = DocBin(docs=again, store_user_data=False).to_bytes()
        assert data == (path / f"textcat_{part}.spacy").read_bytes()


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

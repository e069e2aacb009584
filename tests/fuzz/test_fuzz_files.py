"""Damaged and foreign files end in an error of this package, or load; nothing else happens.

Each input has a number. The number seeds its generator, so that the input of a failure can be made
again: `try_file(KIND, NUMBER, make_files(KIND, FOLDER))`.
"""

import gc
import gzip
import json
import math
import zlib
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import spacy
import srsly
from spacy.ml.models.tok2vec import build_hash_embed_cnn_tok2vec
from spacy.tokens import Doc, DocBin
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from thinc.api import fix_random_seed

from spacy_charlm.api import load
from spacy_charlm.card import CARD_ATTR, complete_card, write_card
from spacy_charlm.evaluation.inspect_weights import inspect_weights
from spacy_charlm.evaluation.labelled_texts import read_labelled
from spacy_charlm.noise.typos import read_misspellings
from spacy_charlm.objectives.heads import create_maxout_head_v1, load_head
from spacy_charlm.targets.read_vectors import read_table
from spacy_charlm.targets.static_vectors import StaticVectors
from spacy_charlm.targets.vector_cache import VectorCache
from spacy_charlm.text.text_corpus import TextCorpus
from spacy_charlm.training.load_weights import load_into

WORDS = ["the", "cat", "naïve", "😀"]
# Numbers that are too large, infinite or negative, and things of other types.
ODD = [None, True, 0, -1, 3, 2**31, 2**63, 0.5, math.nan, math.inf, "", "x", "ORTH"]
ODD += [[], [1], ["x"], {}, {"x": 1}, {"nO": None}]
BINARY = [
    b"",
    b"\xc1",
    np.zeros(0, "float32"),
    np.full((3, 4), math.nan, "float32"),
    np.full((3, 4), 1e300),
    np.ones((3, 4), "int64"),
    np.array(["x"]),
]


class Codec(NamedTuple):
    """How the values in a file are read and written, and what replaces one of them."""

    decode: Callable
    encode: Callable
    odd: list


def pack(tree):
    return srsly.msgpack_dumps(tree)


JSON = Codec(json.loads, lambda tree: json.dumps(tree).encode(), [*ODD, "\ud800"])
MSGPACK = Codec(srsly.msgpack_loads, pack, ODD + BINARY)
JSONL = Codec(
    lambda data: [json.loads(line) for line in data.splitlines()],
    lambda tree: b"\n".join(map(JSON.encode, tree if isinstance(tree, list) else [tree])),
    JSON.odd,
)


def zipped(codec, unzip, rezip):
    return Codec(
        lambda data: codec.decode(unzip(data)), lambda tree: rezip(codec.encode(tree)), codec.odd
    )


def decode_card(data):
    weights = srsly.msgpack_loads(data)
    return json.loads(srsly.msgpack_loads(weights["attrs"][0][CARD_ATTR]))


def encode_card(card):
    weights = srsly.msgpack_loads(save_tok2vec())
    weights["attrs"][0][CARD_ATTR] = pack(JSON.encode(card).decode())
    return pack(weights)


SPACY = zipped(MSGPACK, zlib.decompress, zlib.compress)
CODECS = {
    ".jsonl": JSONL,
    ".jsonl.gz": zipped(JSONL, gzip.decompress, gzip.compress),
    ".spacy": SPACY,
    ".json": JSON,
    ".cfg": JSON,
    "key2row": MSGPACK,
    ".bin": MSGPACK,
    ".card": Codec(decode_card, encode_card, JSON.odd),
}


def replace_value(codec, data, rng):
    """Replace, remove or repeat a random value of a tree of lists and dicts, at any depth."""
    tree = codec.decode(data)
    places, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        places += [(node, key) for key in keys]
        waiting += [node[key] for key in keys if isinstance(node[key], dict | list)]
    way = rng.integers(8)
    node, key = places[rng.integers(len(places))] if places else (tree, None)
    if way == 2 or not places:
        tree = codec.odd[rng.integers(len(codec.odd))]
    elif way == 0:
        del node[key]
    elif way == 1 and isinstance(node, list):
        node.insert(key, node[key])
    else:
        node[key] = codec.odd[rng.integers(len(codec.odd))]
    return codec.encode(tree)


def mutate(data, codec, others, rng):
    """Change the content of a file in one of nine ways."""
    way = rng.integers(12 if codec else 8)
    start, end = sorted(rng.integers(0, len(data) + 1, 2).tolist())
    changed = bytearray(data)
    if way < 2:
        for place in rng.integers(0, len(data), (1, 20)[way]):
            changed[place] ^= 1 << int(rng.integers(8))
    elif way == 2:
        del changed[start:]
    elif way == 3:
        changed[start:start] = bytes(rng.integers(0, 256, int(rng.integers(1, 20)), dtype="uint8"))
    elif way == 4:
        del changed[start:end]
    elif way == 5:
        changed[:] = changed[end:] + changed[start:end] + changed[:start]
    elif way == 6:
        changed[:] = others[rng.integers(len(others))]
    elif way == 7:
        changed.clear()
    else:
        return replace_value(codec, data, rng)
    return bytes(changed)


@cache
def make_nlp():
    return spacy.blank("en")


def make_tok2vec():
    fix_random_seed(0)
    model = build_hash_embed_cnn_tok2vec(
        width=4,
        depth=1,
        embed_size=5,
        window_size=1,
        maxout_pieces=2,
        subword_features=False,
        pretrained_vectors=None,
    )
    return model.initialize(X=[Doc(Vocab(), words=["one", "two"])])


@cache
def save_tok2vec():
    return make_tok2vec().to_bytes()


def make_texts(folder):
    rows = [{"text": "A cat.", "label": "a"}, {"text": "No.", "label": 2}]
    rows += [{"tokens": ["A", "cat"], "spaces": [True, False]}, {"tokens": ["no"], "text": None}]
    jsonl = JSONL.encode(rows)
    (folder / "a.jsonl").write_bytes(jsonl)
    (folder / "b.jsonl").write_bytes(JSONL.encode(rows[:2]))
    (folder / "a.txt").write_text("A naïve cat.\n\nNo 😀.\n", encoding="utf8")
    for name in ("a.jsonl", "a.txt"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes(), mtime=0))


def make_corpora(folder):
    vocab = Vocab()
    docs = [Doc(vocab, words=WORDS, tags=list("abcd"), ents=["B-X", "I-X", "O", "O"])]
    docs += [Doc(vocab, words=["no"], pos=["NOUN"], spaces=[False]), Doc(vocab)]
    docs[1].spans["some"] = [docs[1][0:1]]
    for cats, doc in zip(({"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}), docs):
        doc.cats = cats
    DocBin(docs=docs, store_user_data=True).to_disk(folder / "a.spacy")


def make_vectors(folder):
    values = np.random.default_rng(0).normal(size=(len(WORDS), 3)).astype("float32")
    lines = [f"{word} {' '.join(map(str, row))}" for word, row in zip(WORDS, values.tolist())]
    text = "\n".join([f"{len(WORDS)} 3", *lines, ""]).encode()
    (folder / "glove.txt").write_bytes(text)
    (folder / "glove.gz").write_bytes(gzip.compress(text, mtime=0))
    Vectors(data=values, keys=WORDS, strings=Vocab(strings=WORDS).strings).to_disk(folder / "words")
    Vectors(data=values, mode="floret", minn=2, maxn=3, hash_count=2).to_disk(folder / "floret")


def make_weights(folder):
    model = make_tok2vec()
    (folder / "plain.bin").write_bytes(model.to_bytes())
    model.attrs[CARD_ATTR] = write_card(model, objective="some", words=3)
    (folder / "digest.bin").write_bytes(complete_card(model.to_bytes(), {"command": "pretrain"}))
    (folder / "head.bin").write_bytes(create_maxout_head_v1(4, 2)(3, 4).initialize().to_bytes())


def make_cards(folder):
    embed = {"architecture": "spacy-charlm.CharCNN.v1", "settings": {"width": 4, "windows": [3]}}
    block = {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "width": 4,
        "depth": 1,
        "embed_size": 5,
        "window_size": 1,
        "maxout_pieces": 2,
        "subword_features": False,
        "pretrained_vectors": None,
    }
    card = {"words": 3, "target": {"name": "glove"}, "sizes": [], "versions": {"spacy": "3.8"}}
    config = {
        "components": {"tok2vec": {"factory": "tok2vec", "model": block}},
        "pretraining": {"component": "tok2vec", "layer": ""},
    }
    (folder / "spacys.card").write_bytes(encode_card({**card, "embed": None, "config": config}))
    (folder / "ours.card").write_bytes(encode_card({**card, "embed": embed}))


def make_misspellings(folder):
    (folder / "a.tsv").write_text("teh\tthe\nnaive\tnaïve\ncta\tcat\n", encoding="utf8")


def make_cache(folder):
    cached = VectorCache(folder / "cache", {"model": "some", "nO": 3}, dtype="float32")
    cached.add(b"k" * 16, np.ones((2, 3), "float32"))
    cached.close()


def read_corpus(path, number):
    list(TextCorpus(path)(make_nlp()))


def read_labels(path, number):
    if path.suffixes[0] != ".txt":
        labelled = read_labelled(path, Vocab())
        ("".join(label for labels in labelled.labels for label in labels)).encode("utf8")


def open_target(path, number):
    target = StaticVectors(path)
    target.open(Vocab())
    nlp = make_nlp()
    target(spacy.util.get_current_ops(), [nlp.make_doc(" ".join(WORDS))])


def open_table(path, number):
    read_table(path)


shared_tok2vec = cache(make_tok2vec)


def get_state(model):
    return [
        (
            node.name,
            repr(node.attrs),
            [(name, node.maybe_get_dim(name)) for name in node.dim_names],
            [(name, node.maybe_get_ref(name)) for name in node.ref_names],
            [(name, node.get_param(name).tobytes()) for name in node.param_names],
        )
        for node in model.walk()
    ]


def load_weights(path, number):
    """Load weights. If that fails, the model must be what it was."""
    model = shared_tok2vec()
    before = get_state(model)
    try:
        load_into(model, path)
    except (ValueError, OSError):
        assert get_state(model) == before, "the model has changed"
        raise
    shared_tok2vec.cache_clear()
    (vectors,) = model.predict([Doc(Vocab(), words=WORDS)])
    assert np.isfinite(vectors).all(), "the weights are not finite"


def inspect(path, number):
    report = inspect_weights(path)
    list(report.facts()), report.block_text(), report.n_parameters


def load_pipeline(path, number):
    if number % 100 == 0:  # it takes longer than all others
        load(path)


def read_head(path, number):
    load_head(path.read_bytes(), str(path)).predict(np.zeros((2, 4), "float32"))


def read_typos(path, number):
    read_misspellings(path)


def open_cache(path, number):
    cached = VectorCache(path, {"model": "some", "nO": 3}, dtype="float32")
    rows = cached.get(b"k" * 16)
    assert rows is None or (rows == 1).all()


# How the files of a kind are written, and how they are read.
KINDS = {
    "texts": (make_texts, [read_corpus, read_labels]),
    "corpora": (make_corpora, [read_corpus, read_labels]),
    "vectors": (make_vectors, [open_target, open_table]),
    "weights": (make_weights, [load_weights, inspect, load_pipeline, read_head]),
    "cards": (make_cards, [load_weights, inspect, load_pipeline]),
    "misspellings": (make_misspellings, [read_typos]),
    "cache": (make_cache, [open_cache]),
}


def make_files(kind, folder):
    """Write the valid files of a kind and return the content of each."""
    KINDS[kind][0](folder)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in paths}


def try_file(kind, number, files, folder):
    """Change one file, read it in all ways, and write it as it was. Return how often it loaded."""
    rng = np.random.default_rng([sum(map(ord, kind)), number])
    path, data = list(files.items())[rng.integers(len(files))]
    codec = next((codec for end, codec in CODECS.items() if path.name.endswith(end)), None)
    path.write_bytes(mutate(data, codec, list(files.values()), rng))
    loaded = 0
    for read in KINDS[kind][1]:
        # The target of a file in a folder of vectors, or of a cache, is the folder.
        target = folder / path.relative_to(folder).parts[0]
        try:
            read(target, number)
            loaded += 1
        except BaseException as err:
            if not isinstance(err, ValueError | OSError) or not str(err).startswith("[charlm E"):
                where = f"{kind}, number {number}, {read.__name__} of {path.name}"
                raise AssertionError(f"{where}: {err!r}") from err
        assert gc.isenabled(), f"{kind}, number {number}, {read.__name__}: gc is disabled"
    path.write_bytes(data)
    return loaded


@pytest.fixture(autouse=True)
def quick_srsly(monkeypatch):
    """Do not search the installed packages for plug-ins of msgpack each time it is used."""
    for registry in (srsly.msgpack_encoders, srsly.msgpack_decoders):
        monkeypatch.setattr(registry, "entry_points", False)


@pytest.mark.filterwarnings("ignore")  # NumPy and spaCy warn about odd values
@pytest.mark.parametrize("n_files", [150, pytest.param(7000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_fuzz_files_end_in_our_error_or_load(kind, n_files, tmp_path):
    files = make_files(kind, tmp_path)
    loaded = sum(try_file(kind, number, files, tmp_path) for number in range(n_files))
    n_reads = n_files * len(KINDS[kind][1])
    assert 0 < loaded < 0.9 * n_reads, "the changes are too hard or too weak"

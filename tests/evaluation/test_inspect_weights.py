from copy import deepcopy

import pytest
from spacy.tokens import Doc
from spacy.util import registry
from spacy.vocab import Vocab
from thinc.api import Config, Linear, chain, list2array

from spacy_charlm.card import CARD_ATTR, complete_card, read_weights, write_card
from spacy_charlm.evaluation.inspect_weights import (
    compare_block,
    inspect_weights,
    read_nodes,
    recognise_tok2vec,
)

EMBED = {"@architectures": "spacy-charlm.CharCNN.v1", "width": 4, "char_rows": 40, "ngram_rows": 9}
ENCODE = {
    "@architectures": "spacy.MaxoutWindowEncoder.v2",
    "width": 4,
    "depth": 1,
    "window_size": 1,
    "maxout_pieces": 3,
}
BLOCK = {"@architectures": "spacy.Tok2Vec.v2", "embed": EMBED, "encode": ENCODE}


def make_config(layer=""):
    model = deepcopy(BLOCK)
    if layer:
        model = {"@architectures": "some.Tagger.v1", layer: model}
    return {
        "nlp": {"lang": "en", "pipeline": ["words"]},
        "components": {"words": {"factory": "tok2vec", "model": model}},
        "pretraining": {"component": "words", "layer": layer},
    }


def write_weights(path, **facts):
    tok2vec = registry.resolve({"model": BLOCK})["model"]
    tok2vec.initialize(X=[Doc(Vocab(), words=["a"])])
    if facts:
        tok2vec.attrs[CARD_ATTR] = write_card(tok2vec, **facts)
    path.write_bytes(tok2vec.to_bytes())
    n_parameters = sum(
        node.get_param(name).size for node in tok2vec.walk() for name in node.param_names
    )
    return path, n_parameters


def test_inspect_weights_without_a_card(tmp_path):
    path, n_parameters = write_weights(tmp_path / "x.bin")
    report = inspect_weights(path)
    assert report.card is None and list(report.facts()) == []
    assert report.n_parameters == n_parameters and report.n_bytes == path.stat().st_size
    assert report.differences is None
    assert report.block_text().startswith("[components.tok2vec.model]\n@architectures")
    above = "[components]\n\n[components.tok2vec]\n\n"
    model = Config().from_str(above + report.block_text())["components"]["tok2vec"]["model"]
    assert model["encode"] == ENCODE and EMBED.items() <= model["embed"].items()


@pytest.mark.parametrize(
    "layer, section",
    [("", "components.words.model"), ("tok2vec", "components.words.model.tok2vec")],
)
def test_inspect_weights_takes_the_block_of_the_card(tmp_path, layer, section):
    facts = {
        "command": "charlm pretrain",
        "config": make_config(layer),
        "corpus": {"texts": 1200, "words": 70000, "blank": None},
        "scores": {"dev_loss": 0.25},
    }
    path, _ = write_weights(tmp_path / "x.bin", objective="some")
    path.write_bytes(complete_card(path.read_bytes(), facts))
    report = inspect_weights(path)
    assert report.section == section and report.block == BLOCK and report.notes == []
    assert report.block_text().startswith(f"[{section}]")
    shown = dict(report.facts())
    assert shown["corpus.texts"] == "1,200"
    assert shown["scores.dev_loss"] == "0.2500" and shown["corpus.blank"] == "-"
    assert not any(name.startswith(("config", "embed", "sizes")) for name in shown)


def test_inspect_weights_says_where_the_card_is_wrong(tmp_path):
    config = make_config()
    config["components"]["words"]["model"] = {**BLOCK, "embed": {**EMBED, "ngram_rows": 6}}
    path, _ = write_weights(tmp_path / "x.bin", config=config)
    assert any("embed.ngram_rows: weights 9" in note for note in inspect_weights(path).notes)


def test_inspect_weights_compares_with_a_config(tmp_path):
    path, _ = write_weights(tmp_path / "x.bin", words=3)
    config = Config({name: make_config()[name] for name in ("nlp", "components")})
    assert inspect_weights(path, config, "words").differences == []
    config["components"]["words"]["model"]["embed"]["ngram_rows"] = 7
    line = "embed.ngram_rows: weights 9, config 7"
    assert inspect_weights(path, config, "words").differences[0] == line


def test_inspect_weights_of_something_else(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"text")
    with pytest.raises(ValueError, match="E501"):
        inspect_weights(tmp_path / "x.bin")


MULTI_HASH = {
    "@architectures": "spacy.MultiHashEmbed.v2",
    "width": 4,
    "attrs": ["NORM", "PREFIX", "SHAPE"],
    "rows": [7, 5, 6],
    "include_static_vectors": False,
}
CHARACTERS = {
    "@architectures": "spacy.CharacterEmbed.v2",
    "width": 4,
    "rows": 9,
    "nM": 3,
    "nC": 2,
    "include_static_vectors": False,
    "feature": "LOWER",
}
CHAR_CNN = {
    "@architectures": "spacy-charlm.CharCNN.v1",
    "width": 4,
    "windows": [3],
    "filters": [3],
    "char_width": 3,
    "char_rows": 40,
    "max_chars": 20,
    "attrs": ["NORM"],
    "rows": [7],
    "normalise": "NFC",
    "include_static_vectors": False,
    "ngrams": [2, 3],
    "ngram_rows": 11,
    "seed": 3,
    "table": None,
    "lexicons": None,
    "vectors_dropout": 0.0,
    "cache_size": 20000,
}
MAXOUT = {
    "@architectures": "spacy.MaxoutWindowEncoder.v2",
    "width": 4,
    "depth": 2,
    "window_size": 1,
    "maxout_pieces": 2,
}
MISH = {"@architectures": "spacy.MishWindowEncoder.v2", "width": 4, "depth": 1, "window_size": 2}
IDENTITY = {"@architectures": "spacy-charlm.IdentityEncoder.v1", "width": 4}


def make_weights(embed, encode, *, card=False, vocab=None):
    block = {"@architectures": "spacy.Tok2Vec.v2", "embed": embed, "encode": encode}
    tok2vec = registry.resolve({"model": block})["model"]
    tok2vec.initialize(X=[Doc(vocab or Vocab(), words=["a", "cat"])])
    if card:
        tok2vec.attrs[CARD_ATTR] = write_card(tok2vec, words=3)
    return block, read_weights(tok2vec.to_bytes(), "x.bin")


@pytest.mark.parametrize("card", [False, True])
@pytest.mark.parametrize(
    "encode", [MAXOUT, {**MAXOUT, "depth": 1, "window_size": 2}, MISH, IDENTITY]
)
@pytest.mark.parametrize("embed", [MULTI_HASH, CHARACTERS, CHAR_CNN])
def test_recognise_tok2vec_gives_the_block_back(embed, encode, card):
    block, weights = make_weights(embed, encode, card=card)
    nodes = read_nodes(weights)
    found, notes = recognise_tok2vec(nodes)
    assert found == block
    assert compare_block(found, weights, nodes) == []
    kept = embed is not CHAR_CNN
    assert notes == [] if kept else "and embed.cache_size" in notes[0] and len(notes) == 1


def test_recognise_tok2vec_sees_hash_embed_cnn():
    block = {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "width": 4,
        "depth": 2,
        "embed_size": 10,
        "window_size": 1,
        "maxout_pieces": 3,
        "subword_features": True,
        "pretrained_vectors": None,
    }
    model = registry.resolve({"model": block})["model"]
    model.initialize(X=[Doc(Vocab(), words=["a"])])
    weights = read_weights(model.to_bytes(), "x.bin")
    found, notes = recognise_tok2vec(read_nodes(weights))
    assert found["embed"]["attrs"] == ["NORM", "PREFIX", "SUFFIX", "SHAPE"]
    assert found["embed"]["rows"] == [10, 5, 5, 5] and notes == []


@pytest.mark.parametrize("embed", [MULTI_HASH, CHAR_CNN])
def test_recognise_tok2vec_says_which_static_vectors(embed):
    vocab = Vocab()
    vocab.reset_vectors(width=6)
    vocab.set_vector("cat", [1.0] * 6)
    embed = {**embed, "include_static_vectors": True}
    block, weights = make_weights(embed, MAXOUT, vocab=vocab)
    nodes = read_nodes(weights)
    found, notes = recognise_tok2vec(nodes)
    assert found == block and compare_block(found, weights, nodes) == []
    if embed["@architectures"].startswith("spacy."):  # ours reads them without a layer of its own
        assert "static vectors of width 6" in notes[-1]


def test_recognise_tok2vec_leaves_out_what_it_does_not_know():
    embed = registry.resolve({"model": MULTI_HASH})["model"]
    encode = chain(list2array(), Linear(4, 4))
    tok2vec = registry.get("architectures", "spacy.Tok2Vec.v2")(embed, encode)
    tok2vec.initialize(X=[Doc(Vocab(), words=["a"])])
    found, notes = recognise_tok2vec(read_nodes(read_weights(tok2vec.to_bytes(), "x.bin")))
    assert found == {"embed": MULTI_HASH}
    assert notes == ["encode: not recognised in 'list2array>>linear'"]
    linear = read_weights(Linear(2, 2).initialize().to_bytes(), "x.bin")
    found, notes = recognise_tok2vec(read_nodes(linear))
    assert found == {} and "no spacy.Tok2Vec.v2" in notes[0]


@pytest.mark.parametrize(
    "part, change, line",
    [
        ("encode", {"depth": 3}, "number of layers"),
        ("encode", {"maxout_pieces": 3}, "nP: weights 2, config 3"),
        ("embed", {"attrs": ["NORM", "SUFFIX", "SHAPE"]}, "columns: weights"),
        ("embed", {"@architectures": "spacy.NoSuchEmbed.v1"}, "cannot be built here"),
    ],
)
def test_compare_block_sees_sizes_and_settings(part, change, line):
    block, weights = make_weights(MULTI_HASH, MAXOUT)
    block[part] = {**block[part], **change}
    lines = compare_block(block, weights, read_nodes(weights))
    assert any(line in found for found in lines)


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, []),
        ({"encode": {"depth": 2}}, ["encode.depth: weights 1, config 2"]),
        ({"embed": {"max_chars": 9}}, ["embed.max_chars: weights 32, config 9"]),
        (
            {"embed": {"ngram_rows": 7}, "encode": {"window_size": 2}},
            ["embed.ngram_rows: weights 9, config 7", "encode.window_size: weights 1, config 2"],
        ),
    ],
)
def test_inspect_weights_names_the_settings_that_differ(tmp_path, changes, expected):
    path, _ = write_weights(tmp_path / "x.bin")
    model = {name: {**BLOCK[name], **changes.get(name, {})} for name in ("embed", "encode")}
    report, same = (
        inspect_weights(path, Config(make_pipeline({**BLOCK, **some})), "words")
        for some in (model, {})
    )
    assert report.differences[: len(expected)] == expected
    assert bool(report.differences) == bool(expected) and same.differences == []
    assert same.n_equal - report.n_equal == len(expected) and same.n_equal > 15


def make_pipeline(model):
    config = make_config()
    components = {"words": {"factory": "tok2vec", "model": model}}
    return {"nlp": config["nlp"], "components": components}

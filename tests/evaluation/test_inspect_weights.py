import pytest
from spacy.tokens import Doc
from spacy.util import registry
from spacy.vocab import Vocab
from thinc.api import Config

from spacy_charlm.card import CARD_ATTR, complete_card, write_card
from spacy_charlm.evaluation.inspect_weights import inspect_weights

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
    model = BLOCK
    if layer:
        model = {"@architectures": "some.Tagger.v1", layer: BLOCK}
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

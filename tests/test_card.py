import json

import pytest
from spacy.ml.models.tok2vec import MaxoutWindowEncoder, MultiHashEmbed, build_Tok2Vec_model
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_charlm.architectures.char_cnn import build_char_cnn_v1
from spacy_charlm.card import CARD_ATTR, compare_weights, read_card, read_weights, write_card

SMALL = {
    "width": 4,
    "windows": [3],
    "filters": [3],
    "char_width": 3,
    "char_rows": 40,
    "attrs": ["NORM", "SHAPE"],
    "rows": [7, 5],
    "ngram_rows": 11,
}
DOCS = [Doc(Vocab(), words=["a", "cat"])]


def make_tok2vec(depth=1, **settings):
    embed = build_char_cnn_v1(**{**SMALL, **settings})
    encode = MaxoutWindowEncoder(embed.get_dim("nO"), 1, 3, depth)
    return build_Tok2Vec_model(embed, encode).initialize(X=DOCS)


def make_spacys():
    embed = MultiHashEmbed(4, ["NORM", "SHAPE"], [7, 5], include_static_vectors=False)
    return build_Tok2Vec_model(embed, MaxoutWindowEncoder(4, 1, 3, 1)).initialize(X=DOCS)


def save(tok2vec, **facts):
    tok2vec.attrs[CARD_ATTR] = write_card(tok2vec, **facts)
    return tok2vec.to_bytes()


def test_card_round_trip():
    weights = read_weights(save(make_tok2vec(), words=12, target={"name": "glove"}), "x.bin")
    card = read_card(weights)
    assert card["words"] == 12 and card["target"] == {"name": "glove"}
    assert card["embed"]["architecture"] == "spacy-charlm.CharCNN.v1"
    assert {name: card["embed"]["settings"][name] for name in SMALL} == SMALL
    assert card["versions"]["spacy"] and card["versions"]["thinc"]
    assert {"node": "conv", "dims": {"nO": 3, "nI": 3}} in card["sizes"]
    json.dumps(card)


def test_card_of_weights_without_one():
    tok2vec = make_tok2vec()
    weights = read_weights(tok2vec.to_bytes(), "x.bin")
    assert read_card(weights) is None
    assert compare_weights(weights, make_tok2vec()) == []


def test_card_survives_a_second_round():
    tok2vec = make_tok2vec().from_bytes(save(make_tok2vec(), words=3))
    assert read_card(read_weights(tok2vec.to_bytes(), "x.bin"))["words"] == 3


DIFFERENCES = [
    ({"width": 6}, "embed.width: weights 4, config 6"),
    ({"windows": [5]}, "embed.windows: weights [3], config [5]"),
    ({"windows": [3, 5], "filters": [3, 3]}, "embed.windows: weights [3], config [3, 5]"),
    (
        {"attrs": ["SHAPE", "NORM"]},
        "embed.attrs: weights ['NORM', 'SHAPE'], config ['SHAPE', 'NORM']",
    ),
    ({"max_chars": 20}, "embed.max_chars: weights 32, config 20"),
    ({"normalise": "NFC"}, "embed.normalise: weights 'none', config 'NFC'"),
    ({"seed": 3}, "embed.seed: weights 0, config 3"),
]


@pytest.mark.parametrize("settings, line", DIFFERENCES)
def test_compare_weights_names_the_setting(settings, line):
    weights = read_weights(save(make_tok2vec()), "x.bin")
    lines = compare_weights(weights, make_tok2vec(**settings))
    assert lines[0] == line
    assert compare_weights(weights, make_tok2vec()) == []


def test_compare_weights_names_the_layer():
    """The card does not describe the encoder, so the layers are compared."""
    weights = read_weights(save(make_tok2vec(depth=1)), "x.bin")
    (line,) = compare_weights(weights, make_tok2vec(depth=2))
    assert line.startswith("number of layers: weights ")
    plain = read_weights(make_tok2vec().to_bytes(), "x.bin")
    lines = compare_weights(plain, make_tok2vec(filters=[5]))
    assert any("conv), nO: weights 3, config 5" in line for line in lines)
    assert any("conv), parameter W: weights (3, 9), config (5, 9)" in line for line in lines)


def test_compare_weights_of_another_embed_layer():
    ours, spacys = make_tok2vec(), make_spacys()
    line = compare_weights(read_weights(save(spacys), "x.bin"), ours)[0]
    assert line == "embed: weights an embed layer of spaCy, config spacy-charlm.CharCNN.v1"
    line = compare_weights(read_weights(save(ours), "x.bin"), make_spacys())[0]
    assert line == "embed: weights spacy-charlm.CharCNN.v1, config an embed layer of spaCy"
    assert compare_weights(read_weights(save(make_spacys()), "x.bin"), make_spacys()) == []


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x80", b"\x93\x01\x02\x03", b"text\n" * 9])
def test_read_weights_of_something_else(data):
    with pytest.raises(ValueError, match="E501.*some.bin"):
        read_weights(data, "some.bin")

"""Weights of `charlm pretrain` carry a digest, by which any damage is detected."""

import gc
import pickle

import numpy as np
import pytest
import srsly
from spacy.ml.models.tok2vec import build_hash_embed_cnn_tok2vec
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_charlm.card import CARD_ATTR, complete_card, read_card, read_weights, write_card
from spacy_charlm.training.load_weights import load_into

MARKS = (b'"digest"', b'"has_digest"', CARD_ATTR.encode(), b'"command"', b"nodes", b"params")


def make_tok2vec():
    model = build_hash_embed_cnn_tok2vec(
        width=4,
        depth=1,
        embed_size=10,
        window_size=1,
        maxout_pieces=2,
        subword_features=False,
        pretrained_vectors=None,
    )
    model.initialize(X=[Doc(Vocab(), words=["one", "two"])])
    return model


@pytest.fixture(scope="module")
def data():
    model = make_tok2vec()
    model.attrs[CARD_ATTR] = write_card(model, objective="some", words=3)
    return complete_card(model.to_bytes(), {"command": "charlm pretrain", "scores": {"a": 0.5}})


class Executed:
    """Records whether it has been unpickled."""

    happened = False

    def __reduce__(self):
        return (setattr, (Executed, "happened", True))


def damage(data, rng):
    """Damage a file in one of seven ways."""
    damaged = bytearray(data)
    way = rng.integers(7)
    if way < 3:  # bits
        for place in rng.integers(0, len(data), (1, 3, 100)[way]):
            damaged[place] ^= 1 << int(rng.integers(8))
    elif way == 3:  # cut
        del damaged[int(rng.integers(len(data))) :]
    elif way == 4:  # longer
        damaged += bytes(rng.integers(0, 256, int(rng.integers(1, 50)), dtype="uint8"))
    elif way == 5:  # a part is missing or repeated
        start, end = sorted(rng.integers(0, len(data), 2))
        damaged[start:end] = bytes(damaged[start:end]) * int(rng.choice([0, 2]))
    else:  # the marks of the digest
        mark = MARKS[rng.integers(len(MARKS))]
        place = data.index(mark) + int(rng.integers(len(mark)))
        damaged[place] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def test_card_digest_leaves_whole_weights_alone(data, tmp_path):
    card = read_card(read_weights(data, "some.bin"))
    assert card["command"] == "charlm pretrain" and card["words"] == 3
    (tmp_path / "some.bin").write_bytes(data)
    model = make_tok2vec()
    load_into(model, tmp_path / "some.bin")
    assert model.attrs[CARD_ATTR] and model.to_bytes() == data


@pytest.mark.parametrize("n_files", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_card_digest_finds_any_damage(n_files, data, tmp_path):
    rng = np.random.default_rng(n_files)
    model = make_tok2vec()
    before = model.to_bytes()
    path = tmp_path / "model-last.bin"
    found = 0
    for _ in range(n_files):
        damaged = damage(data, rng)
        if damaged == data:
            continue
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="charlm E501.*model-last.bin"):
            load_into(model, path)
        assert gc.isenabled()
        found += 1
    assert found > 0.9 * n_files
    assert model.to_bytes() == before


@pytest.mark.filterwarnings("ignore")  # NumPy warns about damaged numbers
@pytest.mark.parametrize("n_files", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_card_of_spacys_weights_has_no_digest_and_damage_ends_in_our_error(n_files, tmp_path):
    rng = np.random.default_rng(n_files)
    plain = make_tok2vec().to_bytes()
    path = tmp_path / "model0.bin"
    errors = 0
    for _ in range(n_files):
        damaged = bytearray(plain)
        for place in rng.integers(0, len(plain), 20):
            damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged[: int(rng.integers(1, len(plain) + 1))])
        try:
            load_into(make_tok2vec(), path)
        except ValueError as err:
            assert "charlm E50" in str(err)
            errors += 1
        assert gc.isenabled()
    assert errors > 0.5 * n_files


@pytest.mark.parametrize("kind", ["pickle", "pickle as an array", "pickle as an attr"])
def test_card_reading_executes_nothing(kind, tmp_path):
    payload = pickle.dumps(Executed())
    if kind == "pickle":
        data = payload
    else:
        content = srsly.msgpack_loads(make_tok2vec().to_bytes())
        if kind == "pickle as an array":
            array = {b"nd": True, b"type": "|O", b"kind": b"O", b"shape": [1], b"data": payload}
            content["params"][-1] = {"W": array}
        else:
            content["attrs"][0][CARD_ATTR] = payload
        data = srsly.msgpack_dumps(content)
    (tmp_path / "some.bin").write_bytes(data)
    with pytest.raises(ValueError, match="charlm E50"):
        load_into(make_tok2vec(), tmp_path / "some.bin")
    assert not Executed.happened

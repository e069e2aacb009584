"""Weights of `charlm pretrain` carry a digest, by which any damage is detected."""

import gc
import pickle

import numpy as np
import pytest
import srsly
from spacy.ml.models.tok2vec import build_hash_embed_cnn_tok2vec
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_charlm.card import (
    CARD_ATTR,
    complete_card,
    name_damage,
    read_card,
    read_weights,
    write_card,
)
from spacy_charlm.errors import Errors
from spacy_charlm.evaluation.inspect_weights import inspect_weights
from spacy_charlm.objectives.heads import create_maxout_head_v1, load_head
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


def set_first(weights, values):
    """Set the first parameter that there is: W of the maxout layer."""
    for params in weights["params"]:
        for name in params:
            params[name] = values
            return


ARRAY = np.ones((4, 2, 16), "float32")
DAMAGED = [
    (lambda w: set_first(w, None), "E503(.|\n)*parameter [A-Z]: weights none, config"),
    (lambda w: w["params"][-1].clear(), "E503(.|\n)*parameter [A-Za-z]: weights none, config"),
    (lambda w: w["params"][-1].update(U=ARRAY), "E503(.|\n)*parameter U: config none"),
    (lambda w: set_first(w, ARRAY[:0]), r"E503(.|\n)*parameter [A-Z]: weights \(0,"),
    (lambda w: set_first(w, ARRAY * np.nan), "E550.*layer .*parameter [A-Z], but found nan"),
    (lambda w: set_first(w, ARRAY * 1e300), "E550.*layer .*parameter [A-Z], but found nan or inf"),
    (lambda w: set_first(w, ARRAY.astype(int)), "E550.*layer .*parameter [A-Z], but found int64"),
    (lambda w: set_first(w, [1.0]), "E550.*layer .*parameter [A-Z], but found list"),
    (lambda w: w["nodes"][0]["refs"].update(embed=None), "E503(.|\n)*reference embed"),
    (lambda w: w["nodes"][0]["refs"].update(other=1), "E503(.|\n)*reference other"),
    (lambda w: w["nodes"][0]["dims"].update(nX=3), "E503(.|\n)*nX: weights 3, config none"),
    (lambda w: w["nodes"][0]["dims"].update(nO="3"), "E501.*layer 0 has no name"),
    (lambda w: w["attrs"][0].update(some=1), "E501.*layer 0 has attributes"),
    (lambda w: w["nodes"].pop(), "E501.*nodes"),
    (lambda w: w["nodes"].__setitem__(1, 5), "E501.*layer 1 is incomplete"),
    # Found while loading, when most of the model has been replaced already.
    (lambda w: w["attrs"][-1].update(some=b"\xc1"), "E501"),
    (lambda w: w["shims"][-1].append(b"some"), "E501"),
]


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("change, match", DAMAGED)
def test_card_damaged_weights_leave_the_model_as_it_was(change, match, tmp_path):
    weights = srsly.msgpack_loads(make_tok2vec().to_bytes())
    for params in weights["params"]:
        params.update({name: values + 1 for name, values in params.items()})
    change(weights)
    (tmp_path / "some.bin").write_bytes(srsly.msgpack_dumps(weights))
    model = make_tok2vec()
    before = model.to_bytes()
    with pytest.raises(ValueError, match=match):
        load_into(model, tmp_path / "some.bin")
    assert model.to_bytes() == before and gc.isenabled()


@pytest.mark.parametrize("dtype", ["float16", "float64", ">f4"])
def test_card_casts_other_floats(dtype, tmp_path):
    weights = srsly.msgpack_loads(make_tok2vec().to_bytes())
    for params in weights["params"]:
        params.update({name: (values + 1).astype(dtype) for name, values in params.items()})
    (tmp_path / "some.bin").write_bytes(srsly.msgpack_dumps(weights))
    model = make_tok2vec()
    load_into(model, tmp_path / "some.bin")
    for node, params in zip(model.walk(), weights["params"]):
        for name, values in params.items():
            assert node.get_param(name).dtype == np.float32
            np.testing.assert_array_equal(node.get_param(name), values.astype("float32"))


@pytest.mark.parametrize(
    "card, match",
    [
        ("5", "E501"),
        ("[1]", "E501"),
        ('"some"', "E501"),
        ("{", "E501"),
        ('{"embed": 3}', "E501"),
        ('{"embed": {}}', None),
        ('{"embed": {"architecture": "x"}}', "E501"),
        ('{"embed": {"architecture": 1, "settings": {}}}', "E501"),
        ('{"embed": {"architecture": "x", "settings": [1]}}', "E501"),
        ('{"target": 3}', "E501"),
        ('{"target": null, "words": null, "config": null}', None),
        ('{"config": {"pretraining": 3}}', None),
        ("{}", None),
    ],
)
def test_card_of_any_json_is_harmless_or_an_error(card, match, tmp_path):
    path = tmp_path / "some.bin"
    model = make_tok2vec()
    model.attrs[CARD_ATTR] = card
    path.write_bytes(model.to_bytes())
    if match is None:
        load_into(make_tok2vec(), path)
        return
    for read in (lambda: load_into(make_tok2vec(), path), lambda: inspect_weights(path)):
        with pytest.raises(ValueError, match=f"{match}.*some.bin"):
            read()


def test_card_tells_heads_and_weights_apart(tmp_path):
    head = create_maxout_head_v1(4, 2)(3, 4).initialize().to_bytes()
    (tmp_path / "head-last.bin").write_bytes(head)
    with pytest.raises(ValueError, match="E503(.|\n)*weights of a head"):
        load_into(make_tok2vec(), tmp_path / "head-last.bin")
    report = inspect_weights(tmp_path / "head-last.bin")
    assert report.block == {} and "weights of a head" in report.notes[0]
    with pytest.raises(ValueError, match="E551.*some.bin"):
        load_head(make_tok2vec().to_bytes(), "some.bin")
    weights = srsly.msgpack_loads(head)
    weights["params"][-1]["b"] = None
    with pytest.raises(ValueError, match="E503(.|\n)*parameter b: weights none"):
        load_head(srsly.msgpack_dumps(weights), "some.bin")


def test_card_name_damage_leaves_our_errors_and_the_users_setting_alone():
    with pytest.raises(ValueError, match=r"^\[charlm E109\]"), name_damage("some.bin"):
        raise ValueError(Errors.E109)
    with pytest.raises(ValueError, match="E501.*some.bin.*MemoryError"), name_damage("some.bin"):
        raise MemoryError
    gc.disable()
    try:
        with pytest.raises(ValueError, match="E501"), name_damage("some.bin"):
            raise ValueError("some")
        assert not gc.isenabled()
    finally:
        gc.enable()


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

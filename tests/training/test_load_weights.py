import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import spacy
import srsly
from numpy.testing import assert_allclose, assert_array_equal
from spacy.ml.models.multi_task import create_pretrain_vectors
from thinc.api import Adam, fix_random_seed

from spacy_charlm.card import CARD_ATTR, write_card
from spacy_charlm.evaluation.inspect_weights import inspect_weights, load_pretrained
from spacy_charlm.training.load_weights import create_load_weights_v1
from spacy_charlm.training.optimizer import create_adam_v1

EMBED = {
    "@architectures": "spacy-charlm.CharCNN.v1",
    "width": 4,
    "windows": [3],
    "filters": [3],
    "char_width": 3,
    "char_rows": 40,
    "attrs": ["NORM", "SHAPE"],
    "rows": [7, 5],
    "ngram_rows": 11,
}
SPACYS = {
    "@architectures": "spacy.MultiHashEmbed.v2",
    "width": 4,
    "attrs": ["NORM", "SHAPE"],
    "rows": [7, 5],
    "include_static_vectors": False,
}


def make_nlp(config=None, **settings):
    nlp = spacy.blank("en", config=config or {})
    embed = settings if "@architectures" in settings else {**EMBED, **settings}
    encode = {
        "@architectures": "spacy.MaxoutWindowEncoder.v2",
        "width": embed["width"],
        "depth": 1,
        "window_size": 1,
        "maxout_pieces": 2,
    }
    tok2vec = {"@architectures": "spacy.Tok2Vec.v2", "embed": embed, "encode": encode}
    nlp.add_pipe("tok2vec", config={"model": tok2vec})
    nlp.add_pipe("sentencizer")
    nlp.initialize()
    return nlp


@pytest.fixture(scope="module")
def source():
    fix_random_seed(1)  # not the seed of the other tests
    return make_nlp()


@pytest.fixture
def path(tmp_path, source):
    model = source.get_pipe("tok2vec").model
    model.attrs[CARD_ATTR] = write_card(model, words=7, target={"name": "glove"})
    path = tmp_path / "model-last.bin"
    path.write_bytes(model.to_bytes())
    return path


def vectors(nlp):
    return nlp("A cat.").tensor


def test_load_weights_starts_from_them(path, source):
    nlp = make_nlp()
    assert not np.array_equal(vectors(nlp), vectors(source))
    assert create_load_weights_v1(path)(nlp) is nlp
    assert_array_equal(vectors(nlp), vectors(source))
    model = nlp.get_pipe("tok2vec").model
    assert model.attrs[CARD_ATTR] == source.get_pipe("tok2vec").model.attrs[CARD_ATTR]


def test_load_weights_into_a_layer(tmp_path, source):
    nlp = make_nlp()
    embed = source.get_pipe("tok2vec").model.get_ref("embed")
    (tmp_path / "embed.bin").write_bytes(embed.to_bytes())
    create_load_weights_v1(tmp_path / "embed.bin", layer="embed")(nlp)
    ours = nlp.get_pipe("tok2vec").model.get_ref("embed")
    # The two may have different backends, which agree up to rounding.
    assert_allclose(ours.predict([nlp("cat")])[0], embed.predict([nlp("cat")])[0], rtol=1e-5)


def test_load_weights_without_a_path():
    nlp = make_nlp()
    before = vectors(nlp)
    create_load_weights_v1(None)(nlp)
    create_load_weights_v1(None, component="nobody")(nlp)
    assert_array_equal(vectors(nlp), before)


def test_load_weights_waits_while_all_pipes_are_disabled(tmp_path):
    nlp = make_nlp()
    before, load = vectors(nlp), create_load_weights_v1(tmp_path / "missing.bin")
    with nlp.select_pipes(enable=[]):
        assert load(nlp) is nlp
    assert_array_equal(vectors(nlp), before)
    with pytest.raises(ValueError, match="E502.*missing.bin"):
        load(nlp)


def test_load_weights_into_a_frozen_component(path, source):
    nlp = make_nlp()
    with nlp.select_pipes(disable=["tok2vec"]):
        create_load_weights_v1(path)(nlp)
    assert_array_equal(vectors(nlp), vectors(source))


def test_load_weights_names_a_missing_file(path):
    with pytest.raises(ValueError, match="E502.*model3.bin.*in that folder: model-last.bin"):
        create_load_weights_v1(path.with_name("model3.bin"))(make_nlp())
    with pytest.raises(ValueError, match="E502.*no folder"):
        create_load_weights_v1(path.parent / "none" / "model3.bin")(make_nlp())
    (path.parent / "folder").mkdir()
    with pytest.raises(ValueError, match="E502"):
        create_load_weights_v1(path.parent / "folder")(make_nlp())


@pytest.mark.parametrize("component", ["textcat", "sentencizer"])
def test_load_weights_names_a_wrong_component(path, component):
    with pytest.raises(ValueError, match=rf"E504.*'{component}' is not one of \['tok2vec'\]"):
        create_load_weights_v1(path, component=component)(make_nlp())


def test_load_weights_names_a_wrong_layer(path):
    with pytest.raises(ValueError, match="E505.*'embedding' is not one of.*'embed'"):
        create_load_weights_v1(path, layer="embedding")(make_nlp())


def test_load_weights_names_what_differs(path):
    nlp = make_nlp(width=6, max_chars=20)
    before = vectors(nlp)
    match = (
        r"E503.*model-last.bin(.|\n)*embed.width: weights 4, config 6\n  embed.max_chars: weights"
    )
    with pytest.raises(ValueError, match=match):
        create_load_weights_v1(path)(nlp)
    assert_array_equal(vectors(nlp), before)


def test_load_weights_of_a_card_that_lacks_a_setting(tmp_path):
    """Weights older than the n-grams load into a config without n-grams."""
    fix_random_seed(1)
    old = make_nlp(ngrams=[]).get_pipe("tok2vec").model
    for node in old.walk():
        for name in ("ngrams", "ngram_rows"):
            node.attrs.get("settings", {}).pop(name, None)
    old.attrs[CARD_ATTR] = write_card(old)
    path = tmp_path / "model-last.bin"
    path.write_bytes(old.to_bytes())
    nlp = make_nlp(ngrams=[])
    create_load_weights_v1(path)(nlp)
    docs = [nlp.make_doc("the cat")]
    assert_array_equal(nlp.get_pipe("tok2vec").model.predict(docs)[0], old.predict(docs)[0])
    with pytest.raises(ValueError, match="E503(.|\n)*number of layers"):
        create_load_weights_v1(path)(make_nlp())
    assert inspect_weights(path).block["embed"]["ngrams"] == []


def test_load_weights_fails_where_init_tok2vec_would_be_ignored(path):
    nlp = make_nlp({"initialize": {"init_tok2vec": "some.bin"}})
    with pytest.raises(ValueError, match=r"E506.*some.bin"):
        create_load_weights_v1(path)(nlp)
    with pytest.raises(ValueError, match=r"E506.*some.bin"):
        create_load_weights_v1(None)(nlp)


def test_load_weights_of_spacys_own_pretraining(tmp_path):
    """Weights without a card are compared as well."""
    nlp = make_nlp(**SPACYS)
    nlp.vocab.set_vector("cat", np.ones(3, dtype="float32"))
    tok2vec = nlp.get_pipe("tok2vec").model
    objective = create_pretrain_vectors(2, 4, "cosine")(nlp.vocab, tok2vec)
    (tmp_path / "model0.bin").write_bytes(objective.get_ref("tok2vec").to_bytes())
    other = make_nlp(**SPACYS)
    create_load_weights_v1(tmp_path / "model0.bin")(other)
    assert_array_equal(vectors(other), vectors(nlp))
    with pytest.raises(ValueError, match="E503(.|\n)*weights 4, config 6"):
        create_load_weights_v1(tmp_path / "model0.bin")(make_nlp(**{**SPACYS, "width": 6}))
    with pytest.raises(ValueError, match="E503(.|\n)*number of layers"):
        create_load_weights_v1(tmp_path / "model0.bin")(make_nlp())


def test_load_weights_names_a_damaged_file(path):
    """A damaged file either loads or raises our error with its name."""
    data, rng, n_named = path.read_bytes(), random.Random(0), 0
    nlp = make_nlp()
    for i in range(60):
        damaged = bytearray(data)
        if i % 2:
            damaged = damaged[: rng.randrange(len(damaged))]
        else:
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(damaged))
        try:
            create_load_weights_v1(path)(nlp)
        except ValueError as err:
            assert str(err).count("[charlm E5") == 1 and "model-last.bin" in str(err)
            n_named += 1
        else:
            assert i % 2 == 0  # a changed digit of a number cannot be detected
            nlp.get_pipe("tok2vec").model.from_bytes(data)
    assert n_named > 35


def test_load_weights_scales_the_learning_rate(path):
    ours = {"training": {"optimizer": {"@optimizers": "spacy-charlm.Adam.v1"}}}
    nlp = make_nlp(config=ours)
    create_load_weights_v1(path, learn_rate_scale=0.0)(nlp)
    before = vectors(nlp)
    model = nlp.get_pipe("tok2vec").model
    docs = [nlp.make_doc("A cat sat.")]
    for optimizer, moves in ((create_adam_v1(), False), (Adam(), True)):
        Y, backprop = model.begin_update(docs)
        backprop(Y)
        model.finish_update(optimizer)
        assert np.array_equal(vectors(nlp), before) is not moves


def test_load_weights_delays_the_loaded_layers(path):
    nlp = make_nlp(config={"training": {"optimizer": {"@optimizers": "spacy-charlm.Adam.v1"}}})
    create_load_weights_v1(path, delay=2)(nlp)
    model, docs, optimizer = nlp.get_pipe("tok2vec").model, [nlp("A cat sat.")], create_adam_v1()
    before, moved = vectors(nlp), []
    for _ in range(4):
        Y, backprop = model.begin_update(docs)
        backprop(Y)
        model.finish_update(optimizer)
        moved.append(not np.array_equal(vectors(nlp), before))
    assert moved == [False, False, True, True]


@pytest.mark.parametrize(
    "scale, delay, name",
    [(0.1, 0, "Adam.v1"), (1.0, 5, "Adam.v1"), (-1.0, 0, "spacy-charlm.Adam.v1")],
)
def test_load_weights_refuses_a_scale_without_effect(path, scale, delay, name):
    nlp = make_nlp(config={"training": {"optimizer": {"@optimizers": name}}})
    with pytest.raises(ValueError, match=r"E507\].*learn_rate_scale"):
        create_load_weights_v1(path, learn_rate_scale=scale, delay=delay)(nlp)


def make_table(path=None, **settings):
    return {"table": {"@misc": "spacy-charlm.VectorTable.v1", "path": path, "width": 3, **settings}}


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "vectors.txt"
    rng = np.random.default_rng(0)
    rows = (" ".join(f"{x:.3f}" for x in rng.normal(size=5)) for _ in range(3))
    path.write_text("".join(f"{word} {row}\n" for word, row in zip(("a", "cat", "dog"), rows)))
    return str(path)


@pytest.fixture
def weights(table, tmp_path):
    """Weights with a table, of which the file has been removed, and their pipeline."""
    nlp = make_nlp(**make_table(table))
    path = tmp_path / "table.bin"
    save_with_card(nlp, path)
    return path, nlp


def save_with_card(nlp, path):
    model = nlp.get_pipe("tok2vec").model
    model.attrs[CARD_ATTR] = write_card(model, words=7)
    path.write_bytes(model.to_bytes())


def assert_loads_without_files(path, pipelines, source, folder):
    """Loaded, saved and loaded again, the weights compute what their source computes."""
    for nlp in pipelines:
        create_load_weights_v1(path)(nlp)
        assert_array_equal(vectors(nlp), vectors(source))
        nlp.to_disk(folder)
        assert_array_equal(vectors(spacy.load(folder)), vectors(source))
    assert_array_equal(vectors(load_pretrained(path)), vectors(source))


def test_load_weights_brings_the_table(weights, table, tmp_path):
    path, source = weights
    same, other = make_nlp(**make_table(table)), make_nlp(**make_table())
    assert not np.array_equal(vectors(same), vectors(source))
    Path(table).unlink()
    assert_loads_without_files(path, (same, other), source, tmp_path / "saved")
    with pytest.raises(ValueError, match="E290.*vectors.txt"):
        make_nlp(**make_table(table))


def test_load_weights_table_is_not_trained(weights):
    nlp = weights[1]
    model = nlp.get_pipe("tok2vec").model
    (node,) = (node for node in model.walk() if node.name == "vector_table")
    before = [node.get_param(name).copy() for name in node.param_names]
    docs, optimizer = [nlp.make_doc("A cat."), nlp.make_doc("")], Adam(0.1, L2=0.1)
    for _ in range(2):
        Y, backprop = model.begin_update(docs)
        backprop(Y)
        model.finish_update(optimizer)
    for name, values in zip(node.param_names, before):
        assert_array_equal(node.get_param(name), values)


def make_lexicons(path=None, names=("cities", "names")):
    block = {"@misc": "spacy-charlm.Lexicons.v1", "names": list(names), "path": path}
    return {"lexicons": block}


@pytest.fixture
def lists(tmp_path):
    folder = tmp_path / "lists"
    folder.mkdir()
    for name, text in (("cities", "New Cat\ndog"), ("names", "Cat"), ("products", "sat")):
        (folder / f"{name}.txt").write_text(text, encoding="utf8")
    return folder


@pytest.mark.parametrize("has_table", [False, True])
def test_load_weights_brings_the_lexicons(table, lists, tmp_path, has_table):
    more = make_table(table) if has_table else {}
    source = make_nlp(**make_lexicons(str(lists)), **more)
    path = tmp_path / "lexicons.bin"
    save_with_card(source, path)
    same = make_nlp(**make_lexicons(str(lists)), **more)
    other = make_nlp(**make_lexicons(), **make_table() if has_table else {})
    shutil.rmtree(lists)
    Path(table).unlink()
    assert_loads_without_files(path, (same, other), source, tmp_path / "saved")
    with pytest.raises(ValueError, match="E341.*'cities'.*lists"):
        make_nlp(**make_lexicons(str(lists)))


DIFFERENT_LEXICONS = [
    ({}, r"embed\.lexicons: weights \{.*'cities', 'names'.*\}, config None"),
    (make_lexicons(names=["cities", "products"]), r"names: weights .*'names'\], config .*products"),
    (make_lexicons(names=["names", "cities"]), r"names: weights .*'names'\], config .*'cities'\]"),
    (make_lexicons(names=["cities"]), r"names: weights .*'names'\], config \['cities'\]"),
    (make_lexicons("lists"), r"vector_table\), parameter E.*\(3, 6\).*\(4, 6\)"),
]


@pytest.mark.parametrize("settings, line", DIFFERENT_LEXICONS)
def test_load_weights_names_lexicons_that_do_not_fit(lists, tmp_path, monkeypatch, settings, line):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "lexicons.bin"
    save_with_card(make_nlp(**make_lexicons("lists")), path)
    (lists / "names.txt").write_text("Anna", encoding="utf8")
    nlp = make_nlp(**settings)
    with pytest.raises(ValueError, match=f"E503(.|\n)*{line}"):
        create_load_weights_v1(path)(nlp)
    differences = inspect_weights(path, nlp.config, "tok2vec").differences
    assert any(re.search(line, found) for found in differences)


def test_load_weights_without_the_lexicons_of_the_config(path):
    with pytest.raises(ValueError, match=r"E503(.|\n)*embed\.lexicons: weights None, config \{"):
        create_load_weights_v1(path)(make_nlp(**make_lexicons()))


DIFFERENT_TABLES = [
    ({}, r"embed\.table: weights \{.*'width': 3\}, config None"),
    (make_table(width=4), r"embed\.table\.width: weights 3, config 4"),
    (make_table("vectors.txt", max_words=2), r"vector_table\), parameter E.*\(3, 3\).*\(2, 3\)"),
]


@pytest.mark.parametrize("settings, line", DIFFERENT_TABLES)
def test_load_weights_names_a_table_that_does_not_fit(weights, monkeypatch, settings, line):
    monkeypatch.chdir(weights[0].parent)
    nlp = make_nlp(**settings)
    with pytest.raises(ValueError, match=f"E503(.|\n)*{line}"):
        create_load_weights_v1(weights[0])(nlp)
    assert any(
        re.search(line, found)
        for found in inspect_weights(weights[0], nlp.config, "tok2vec").differences
    )


@pytest.mark.parametrize("is_old", [False, True])
def test_load_weights_without_the_table_of_the_config(path, is_old):
    nlp = make_nlp(**make_table())
    if is_old:  # saved by a version without tables
        path.write_bytes(path.read_bytes().replace(b"table", b"other"))
    with pytest.raises(ValueError, match=r"E503(.|\n)*embed\.table: weights None, config \{"):
        create_load_weights_v1(path)(nlp)


@pytest.mark.parametrize("name", ["keys", "E", "scale"])
def test_load_weights_with_a_damaged_table(weights, name):
    damaged = srsly.msgpack_loads(weights[0].read_bytes())
    (params,) = (params for params in damaged["params"] if "keys" in params)
    params[name] = params[name][1:]
    weights[0].write_bytes(srsly.msgpack_dumps(damaged))
    with pytest.raises(ValueError, match="E501.*table of word vectors"):
        create_load_weights_v1(weights[0])(make_nlp(**make_table()))

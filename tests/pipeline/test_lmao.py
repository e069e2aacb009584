import numpy as np
import pytest
import spacy
from numpy.testing import assert_array_equal
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.training.loop import train_while_improving
from thinc.api import fix_random_seed, get_current_ops, set_current_ops

from spacy_charlm.pipeline.lmao import drop_lmao

TEXTS = [("the cat saw a dog", "A"), ("a dog slept", "B"), ("the dog saw the cat", "A")] * 3
WORDS = "the cat saw a dog slept".split()
CHAR_CNN = {
    "@architectures": "spacy-charlm.CharCNN.v1",
    "width": 8,
    "windows": [3],
    "filters": [6],
    "char_width": 4,
    "char_rows": 100,
    "attrs": [],
    "rows": [],
    "ngram_rows": 50,
}
HASH = {
    "@architectures": "spacy.MultiHashEmbed.v2",
    "width": 8,
    "attrs": ["NORM"],
    "rows": [50],
    "include_static_vectors": False,
}
ENCODE = {
    "@architectures": "spacy.MaxoutWindowEncoder.v2",
    "width": 8,
    "depth": 1,
    "window_size": 1,
    "maxout_pieces": 2,
}


@pytest.fixture(autouse=True)
def same_ops():
    before = get_current_ops()
    fix_random_seed(0)
    yield
    set_current_ops(before)


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    lines = [f"{word} {' '.join(f'{x:.3f}' for x in rng.normal(size=4))}" for word in WORDS]
    (tmp_path / "table.txt").write_text("\n".join(lines) + "\n", encoding="utf8")
    (tmp_path / "raw.txt").write_text("the cat slept\na dog saw the cat\n", encoding="utf8")
    return tmp_path


def tok2vec(embed=CHAR_CNN):
    return {"@architectures": "spacy.Tok2Vec.v2", "embed": embed, "encode": ENCODE}


def make_nlp(table, *, shared=True, embed=CHAR_CNN, lmao=True, **settings):
    """textcat with a shared tok2vec or one of its own, with or without charlm_lmao."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    source = tok2vec(embed)
    if shared:
        nlp.add_pipe("tok2vec", config={"model": source})
        source = {"@architectures": "spacy.Tok2VecListener.v1", "width": 8, "upstream": "*"}
    reduce = {"@architectures": "spacy-charlm.TextCatMean.v1", "exclusive_classes": True}
    nlp.add_pipe("textcat", config={"model": {**reduce, "tok2vec": source}})
    if lmao:
        where = {} if shared else {"component": "textcat", "layer": "tok2vec"}
        target = {"@misc": "spacy-charlm.StaticVectors.v1", "path": str(table / "table.txt")}
        nlp.add_pipe(
            "charlm_lmao",
            config={
                "objective": {"head": {"hidden_size": 6}, "target": target},
                **where,
                **settings,
            },
        )
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    return nlp, examples, optimizer


def make_examples(nlp):
    return [
        Example.from_dict(nlp.make_doc(text), {"cats": {"A": label == "A", "B": label == "B"}})
        for text, label in TEXTS
    ]


def train(nlp, examples, optimizer, steps=1):
    """As the training loop does: all updates, then all components finish."""
    history = []
    for _ in range(steps):
        losses = {}
        nlp.update(examples, sgd=False, losses=losses)
        for _, pipe in nlp.pipeline:
            if getattr(pipe, "is_trainable", False) and pipe.model is not None:
                pipe.finish_update(optimizer)
        history.append(losses)
    return history


def shared_parameters(nlp, shared=True):
    model = nlp.get_pipe("tok2vec").model if shared else nlp.get_pipe("textcat").model
    return [node.get_param(n).copy() for node in model.walk() for n in node.param_names]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("embed", [CHAR_CNN, HASH], ids=["ours", "spacys"])
def test_charlm_lmao_learns_beside_the_labels(table, shared, embed):
    nlp, examples, optimizer = make_nlp(table, shared=shared, embed=embed)
    optimizer.learn_rate = 0.02
    history = train(nlp, examples, optimizer, 60)
    for name in ("textcat", "charlm_lmao"):
        first, last = ([losses[name] for losses in part] for part in (history[:3], history[-3:]))
        assert np.mean(last) < 0.8 * np.mean(first), name
    assert max(nlp("the cat saw a dog").cats, key=nlp("the cat saw a dog").cats.get) == "A"


def test_charlm_lmao_learns_texts(table):
    """An objective whose unit is the text, alone."""
    target = {"@misc": "spacy-charlm.TextVectors.v1", "path": str(table / "table.txt")}
    objective = {"target": target, "loss": {"@misc": "spacy-charlm.ContrastiveLoss.v1"}}
    nlp, examples, optimizer = make_nlp(table, objective={**objective, "head": {"hidden_size": 6}})
    optimizer.learn_rate = 0.02
    history = [losses["charlm_lmao"] for losses in train(nlp, examples, optimizer, 60)]
    assert 0 < np.mean(history[-3:]) < 0.8 * np.mean(history[:3])


@pytest.mark.parametrize("shared", [True, False])
def test_charlm_lmao_moves_the_shared_tok2vec(table, shared):
    """Its gradients add to those of the labels."""
    results = []
    for lmao in (True, False):
        nlp, examples, optimizer = make_nlp(table, shared=shared, lmao=lmao)
        train(nlp, examples, optimizer, 3)
        results.append(shared_parameters(nlp, shared))
    assert any(not np.array_equal(a, b) for a, b in zip(*results))


def test_charlm_lmao_heads_are_trained_by_spacy(table):
    """By `nlp.update`, and by the loop of `spacy train`."""

    def heads(nlp):
        model = nlp.get_pipe("charlm_lmao").model
        return [node.get_param(n).copy() for node in model.walk() for n in node.param_names]

    nlp, examples, optimizer = make_nlp(table)
    before = heads(nlp)
    nlp.update(examples, sgd=optimizer)
    after = heads(nlp)
    assert not any(np.array_equal(a, b) for a, b in zip(before, after))
    loop = train_while_improving(
        nlp,
        optimizer,
        iter([(0, examples)]),
        evaluate=lambda: (0.0, {}),
        dropout=0.0,
        eval_frequency=1,
        accumulate_gradient=1,
        patience=0,
        max_steps=1,
        exclude=[],
        annotating_components=[],
        before_update=None,
    )
    _, info, _ = next(iter(loop))
    assert info["losses"]["charlm_lmao"] > 0
    assert not any(np.array_equal(a, b) for a, b in zip(after, heads(nlp)))


def test_charlm_lmao_is_off_at_prediction(table, tmp_path):
    nlp, examples, optimizer = make_nlp(table)
    train(nlp, examples, optimizer, 2)
    text = "the cat slept, and Tom"
    expected = nlp(text).cats
    with nlp.select_pipes(disable=["charlm_lmao"]):
        assert nlp(text).cats == expected
    nlp.to_disk(tmp_path / "nlp")
    assert not (tmp_path / "nlp" / "charlm_lmao").exists()
    (table / "table.txt").unlink()  # nothing of it is needed any more
    assert spacy.load(tmp_path / "nlp")(text).cats == expected
    copy = spacy.blank("en").from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert copy(text).cats == expected
    assert [doc.cats for doc in nlp.pipe([text, ""], n_process=2)][0] == expected


def test_drop_lmao_leaves_it_out_of_what_is_saved(table, tmp_path):
    nlp, examples, optimizer = make_nlp(table)
    train(nlp, examples, optimizer, 2)
    nlp.config["training"]["frozen_components"] = ["charlm_lmao", "textcat"]
    dropped = drop_lmao(nlp)
    assert dropped.config["training"]["frozen_components"] == ["textcat"]
    assert dropped.pipe_names == ["tok2vec", "textcat"] and "charlm_lmao" in nlp.pipe_names
    dropped.to_disk(tmp_path / "nlp")
    loaded = spacy.load(tmp_path / "nlp")
    assert loaded("the cat").cats == nlp("the cat").cats
    assert "charlm_lmao" not in loaded.config["components"]
    assert drop_lmao(loaded) is loaded
    before = shared_parameters(dropped)
    train(nlp, examples, optimizer)  # goes on, without touching the copy
    for one, two in zip(before, shared_parameters(dropped)):
        assert_array_equal(one, two)


def test_charlm_lmao_reads_a_stream_of_raw_text_without_end(table, monkeypatch):
    corpus = {"@readers": "spacy-charlm.TextCorpus.v1", "path": str(table / "raw.txt")}
    nlp, examples, optimizer = make_nlp(table, corpus=corpus, training_docs=False, words=10)
    pipe, seen = nlp.get_pipe("charlm_lmao"), []
    read = pipe._next_texts
    monkeypatch.setattr(pipe, "_next_texts", lambda: seen.append(read()) or seen[-1])
    assert all(losses["charlm_lmao"] > 0 for losses in train(nlp, examples, optimizer, 4))
    texts = [doc.text for docs in seen for doc in docs]
    assert texts == (["the cat slept", "a dog saw the cat"] * 9)[: len(texts)]
    assert len(seen) == 4 and all(10 <= sum(map(len, docs)) < 15 for docs in seen)


def test_charlm_lmao_comes_every_so_many_updates(table):
    nlp, examples, optimizer = make_nlp(table, every=3)
    losses = [losses["charlm_lmao"] for losses in train(nlp, examples, optimizer, 7)]
    assert [loss > 0 for loss in losses] == [True, False, False, True, False, False, True]


def test_charlm_lmao_weight_scales_its_gradients(table):
    def gradients(weight):
        nlp, examples, _ = make_nlp(table, weight=weight)
        pipe = nlp.get_pipe("charlm_lmao")
        pipe.update(examples)
        model = nlp.get_pipe("tok2vec").model
        return [node.get_grad(n).copy() for node in model.walk() for n in node.grad_names]

    one, three = gradients(1.0), gradients(3.0)
    assert one and any(array.any() for array in one)
    for a, b in zip(one, three):
        np.testing.assert_allclose(3 * a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("texts", [[""], [" "], ["Tom"]])
def test_charlm_lmao_survives_texts_without_a_target(table, texts):
    nlp, _, optimizer = make_nlp(table)
    docs = [nlp.make_doc(text) for text in texts]
    examples = [Example.from_dict(doc, {"cats": {"A": 1.0, "B": 0.0}}) for doc in docs]
    losses = train(nlp, examples, optimizer)[0]
    assert losses["charlm_lmao"] == 0.0
    nlp("")


def test_charlm_lmao_beside_a_frozen_tok2vec_leaves_it_alone(table):
    nlp, examples, optimizer = make_nlp(table)
    before = shared_parameters(nlp)
    losses = {}
    nlp.update(examples, sgd=optimizer, losses=losses, exclude=["tok2vec"], annotates=["tok2vec"])
    for one, two in zip(before, shared_parameters(nlp)):
        assert_array_equal(one, two)


def test_charlm_lmao_beside_a_tok2vec_that_the_config_freezes(table, caplog):
    """It says so, and spares the time of a pass that no weight would learn from."""
    nlp, examples, optimizer = make_nlp(table)
    nlp.config["training"]["frozen_components"] = ["tok2vec"]
    for _ in range(3):
        assert train(nlp, examples, optimizer)[0]["charlm_lmao"] == 0.0
    warnings = [record.message for record in caplog.records if "W750" in record.message]
    assert len(warnings) == 1 and "'tok2vec'" in warnings[0]


def test_charlm_lmao_goes_on_in_a_pipeline_that_was_saved(table, tmp_path):
    """With `spacy.load` and `resume_training`, as `source` in a config does."""
    nlp, examples, optimizer = make_nlp(table)
    nlp.to_disk(tmp_path / "nlp")
    loaded = spacy.load(tmp_path / "nlp")
    optimizer = loaded.resume_training()
    before = shared_parameters(loaded)
    for one, two in zip(before, shared_parameters(nlp)):
        assert_array_equal(one, two)
    losses = {}
    for _ in range(2):  # the heads are new, and zeros at first
        loaded.update(make_examples(loaded), sgd=optimizer, losses=losses)
    assert losses["charlm_lmao"] > 0
    assert any(not np.array_equal(a, b) for a, b in zip(before, shared_parameters(loaded)))


@pytest.mark.parametrize("factory", ["ner", "parser", "tagger", "textcat_multilabel"])
@pytest.mark.parametrize("shared", [True, False])
def test_charlm_lmao_beside_other_components(table, factory, shared):
    """With a shared tok2vec, and one of the component's own, which a layer may follow."""
    nlp = spacy.blank("en")
    source = tok2vec()
    if shared:
        nlp.add_pipe("tok2vec", config={"model": source})
        source = {"@architectures": "spacy.Tok2VecListener.v1", "width": 8, "upstream": "*"}
    model = {"@architectures": "spacy-charlm.TextCatMean.v1", "exclusive_classes": False}
    model = {**(model if factory.startswith("textcat") else {}), "tok2vec": source}
    more = {"min_action_freq": 1} if factory == "parser" else {}
    nlp.add_pipe(factory, config={"model": model, **more})
    where = {} if shared else {"component": factory, "layer": "tok2vec"}
    target = {"@misc": "spacy-charlm.StaticVectors.v1", "path": str(table / "table.txt")}
    nlp.add_pipe(
        "charlm_lmao", config={"objective": {"head": {"hidden_size": 6}, "target": target}, **where}
    )
    examples = []
    for text, label in TEXTS:
        doc = nlp.make_doc(text)
        labelled = Doc(
            nlp.vocab,
            words=[token.text for token in doc],
            tags=[token.text[0] for token in doc],
            heads=[max(0, token.i - 1) for token in doc],
            deps=["nsubj" if token.i else "ROOT" for token in doc],
            ents=["B-PET" if token.text in ("cat", "dog") else "O" for token in doc],
        )
        labelled.cats = {"A": float(label == "A")}
        examples.append(Example(doc, labelled))
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.02
    losses = [losses["charlm_lmao"] for losses in train(nlp, examples, optimizer, 20)]
    assert losses[-1] < 0.8 * losses[0]
    nlp("the cat")


@pytest.mark.parametrize("factory", ["ner", "tagger"])
def test_charlm_lmao_takes_no_whole_model(table, factory):
    """A tagger's whole model gives vectors for tokens, too: the tags."""
    nlp = spacy.blank("en")
    nlp.add_pipe(factory)
    target = {"@misc": "spacy-charlm.StaticVectors.v1", "path": str(table / "table.txt")}
    nlp.add_pipe("charlm_lmao", config={"objective": {"target": target}, "component": factory})
    doc = nlp.make_doc("the cat")
    labels = {"tags": ["D", "N"], "entities": ["O", "U-PET"]}
    with pytest.raises(ValueError, match="E743.*tok2vec"):
        nlp.initialize(lambda: [Example.from_dict(doc, labels)])


@pytest.mark.parametrize("reader", ["PlainTextCorpus", "JsonlCorpus"])
def test_charlm_lmao_reads_corpora_of_spacy(table, reader):
    name = {"PlainTextCorpus": "raw.txt", "JsonlCorpus": "raw.jsonl"}[reader]
    (table / "raw.jsonl").write_text('{"text": "the cat slept"}\n', encoding="utf8")
    corpus = {"@readers": f"spacy.{reader}.v1", "path": str(table / name)}
    nlp, examples, optimizer = make_nlp(table, corpus=corpus, training_docs=False, words=10)
    assert train(nlp, examples, optimizer)[0]["charlm_lmao"] > 0
    (table / name).write_text("", encoding="utf8")
    nlp, examples, optimizer = make_nlp(table, corpus=corpus, words=10)
    with pytest.raises(ValueError, match="E750.*charlm_lmao.corpus"):
        train(nlp, examples, optimizer)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"weight": 0}, "E740.*weight = 0"),
        ({"every": 0}, "E740.*every = 0"),
        ({"training_docs": False}, "E741"),
        ({"component": "ner"}, "E742.*'ner'.*textcat"),
        ({"component": "textcat", "layer": "tok2vec"}, "E744.*'textcat'"),
        ({"component": "textcat", "layer": "other"}, "E743.*'other'"),
    ],
)
def test_charlm_lmao_names_what_is_wrong(table, settings, message):
    with pytest.raises(ValueError, match=message):
        make_nlp(table, **settings)


def test_charlm_lmao_beside_a_component_without_a_model(table):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    target = {"@misc": "spacy-charlm.StaticVectors.v1", "path": str(table / "table.txt")}
    config = {"objective": {"target": target}, "component": "sentencizer"}
    nlp.add_pipe("charlm_lmao", config=config)
    with pytest.raises(ValueError, match="E749.*'sentencizer'"):
        nlp.initialize()


def test_charlm_lmao_builds_with_its_defaults():
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec")
    nlp.add_pipe("charlm_lmao")
    assert Language.get_factory_meta("charlm_lmao").factory == "charlm_lmao"
    with pytest.raises(ValueError, match="charlm E201"):  # no vectors to predict
        nlp.initialize()

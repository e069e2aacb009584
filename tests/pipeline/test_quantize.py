import pickle
import shutil
from functools import cache

import numpy as np
import pytest
import spacy
import srsly
from numpy.testing import assert_allclose, assert_array_equal
from spacy.cli.package import get_third_party_dependencies
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.util import registry
from thinc.api import Linear
from typer.testing import CliRunner

from spacy_charlm.cli import app
from spacy_charlm.pipeline.quantize import quantize_pipeline
from spacy_charlm.training.load_weights import create_load_weights_v1

EMBED = {
    "@architectures": "spacy-charlm.CharCNN.v1",
    "width": 32,
    "windows": [3],
    "filters": [32],
    "rows": [50],
    "ngram_rows": 400,
}
ENCODE = {
    "@architectures": "spacy.MaxoutWindowEncoder.v2",
    "width": 32,
    "depth": 2,
    "window_size": 1,
    "maxout_pieces": 2,
}
TOK2VEC = {"@architectures": "spacy.Tok2Vec.v2", "embed": EMBED, "encode": ENCODE}
LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": 32, "upstream": "*"}
MEAN = {
    "@architectures": "spacy-charlm.TextCatMean.v1",
    "exclusive_classes": True,
    "tok2vec": LISTENER,
}
# Components: ours, and those of spaCy, which have other kinds of layers.
OURS = {"tok2vec": {"model": TOK2VEC}, "textcat": {"model": MEAN}}
NAMES = ("tagger", "morphologizer", "parser", "ner", "senter", "textcat_multilabel", "spancat")
SPACYS = {name: {} for name in (*NAMES, "trainable_lemmatizer")}
SPACYS["parser"] = SPACYS["trainable_lemmatizer"] = {"min_action_freq": 1}
SPACYS["trainable_lemmatizer"] = {"min_tree_freq": 1}
PARSER = {
    "@architectures": "spacy.TransitionBasedParser.v2",
    "extra_state_tokens": False,
    "hidden_width": 32,
    "maxout_pieces": 2,
    "use_upper": True,
    "tok2vec": LISTENER,
}
READ_LABELS = {
    **OURS,
    "tagger": {"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": LISTENER}},
    "parser": {"model": {**PARSER, "state_type": "parser"}, "min_action_freq": 1},
    "ner": {"model": {**PARSER, "state_type": "ner"}},
    "charlm_ner": {"model": {"@architectures": "spacy-charlm.CRF.v1", "tok2vec": LISTENER}},
}
PIPELINES = {
    "ours": OURS,
    "spaCy's": SPACYS,
    "read labels": READ_LABELS,
    "empty": {},
    "rules": {"sentencizer": {}, "entity_ruler": {}},
}
NAMED = [pytest.param(n, marks=pytest.mark.slow) if n == "spaCy's" else n for n in PIPELINES]
TEXTS = ["Anna saw a good film in Leeds", "a bad film", "", "Nobody shouldn't've seen it :-)"]


def make_examples(nlp):
    examples = []
    for i, text in enumerate(TEXTS[:2]):
        doc = nlp.make_doc(text)
        words = [token.text for token in doc]
        gold = Doc(
            nlp.vocab,
            words=words,
            tags=[f"TAG{len(word)}" for word in words],
            pos=["NOUN"] * len(doc),
            morphs=["Number=Sing"] * len(doc),
            lemmas=[word.lower() for word in words],
            heads=[0] * len(doc),
            deps=["ROOT", *["odd-dep"] * (len(doc) - 1)],
            ents=["B-ODD", *["O"] * (len(doc) - 1)],
        )
        gold.cats = {"x": float(i), "y": 1.0 - i}
        gold.spans["sc"] = [Span(gold, 0, 1, label="ODDSPAN")]
        examples.append(Example(doc, gold))
    return examples


def make_nlp(components, lang="xx"):
    nlp = spacy.blank(lang)  # the tokenizer of xx is made in no time
    for name, config in components.items():
        nlp.add_pipe(name, config=config)
    nlp.vocab.strings.add("secret-word")
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    if "entity_ruler" in components:
        patterns = [{"label": "RULE", "pattern": [{"LOWER": "leeds"}]}]
        nlp.get_pipe("entity_ruler").add_patterns(patterns)
    for _ in range(8 if components else 0):
        nlp.update(examples, sgd=optimizer)
    return nlp


@pytest.fixture(scope="module")
def made():
    """Pipelines by name, made when they are asked for."""

    @cache
    def make(name):
        # Only the tokenizer of en has words with strings of their own.
        return make_nlp(PIPELINES[name], "en" if name == "read labels" else "xx")

    return make


def annotate(docs):
    """All annotations, with strings and not hashes; scores apart."""
    docs = list(docs)
    found = [
        [
            (t.tag_, t.pos_, str(t.morph), t.lemma_, t.dep_, t.head.i, t.norm_, t.ent_type_)
            for t in d
        ]
        for d in docs
    ]
    return found, [doc.cats for doc in docs]


def list_params(nlp):
    """All arrays, by component, layer and name."""
    return {
        (name, i, param): node.get_param(param)
        for name, pipe in nlp.components
        if hasattr(pipe, "model")
        for i, node in enumerate(pipe.model.walk())
        for param in node.param_names
        if node.has_param(param)
    }


def check_same(nlp, other, tolerance=0.0):
    theirs = list_params(other)
    assert list_params(nlp).keys() == theirs.keys()
    for key, values in list_params(nlp).items():
        assert theirs[key].dtype == values.dtype
        atol = tolerance * np.abs(values).max(initial=0)
        assert_allclose(theirs[key], values, rtol=0, atol=atol, err_msg=str(key))


@pytest.mark.parametrize("dtype, tolerance", [("int8", 0.004), ("float16", 0.0005)])
@pytest.mark.parametrize("name", NAMED)
def test_quantize_pipeline_loads_like_any_other(made, tmp_path, name, dtype, tolerance):
    nlp = made(name)
    before = list_params(nlp)
    quantize_pipeline(nlp, tmp_path / "small", dtype)
    assert all(values is before[key] for key, values in list_params(nlp).items())
    loaded = spacy.load(tmp_path / "small")
    check_same(nlp, loaded, tolerance)
    assert loaded.pipe_names == nlp.pipe_names
    expected, cats = annotate(nlp.pipe(TEXTS))
    found, their_cats = annotate(loaded.pipe(TEXTS))
    if dtype == "float16":
        assert found == expected
    for ours, theirs in zip(cats, their_cats):
        assert theirs == pytest.approx(ours, abs=0.02)
    # Once loaded, it is saved and copied as if it had never been small.
    assert annotate(loaded.pipe(TEXTS[:2], n_process=2)) == annotate(loaded.pipe(TEXTS[:2]))
    check_same(loaded, pickle.loads(pickle.dumps(loaded)))
    check_same(loaded, loaded.from_bytes(loaded.to_bytes()))
    loaded.to_disk(tmp_path / "large")
    check_same(loaded, spacy.load(tmp_path / "large"))
    # A second time nothing is lost, and there is one callback.
    again = quantize_pipeline(loaded, tmp_path / "again", dtype)
    check_same(loaded, again, 1e-6)
    assert (tmp_path / "again" / "config.cfg").read_text("utf8").count("dequantize") == 1


@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_quantize_pipeline_keeps_a_table_of_vectors_and_lists(tmp_path, dtype):
    """Its numbers are whole already; the factors of its rows are an array with one axis."""
    rows = "\n".join(f"film{i} {i % 7 - 3} {i % 5 - 2} 1" for i in range(1500))
    (tmp_path / "vectors.txt").write_text(rows, encoding="utf8")
    block = {"@misc": "spacy-charlm.VectorTable.v1", "path": str(tmp_path / "vectors.txt")}
    (tmp_path / "films.txt").write_text("\n".join(f"film{i}" for i in range(0, 3000, 2)), "utf8")
    lists = {"@misc": "spacy-charlm.Lexicons.v1", "names": ["films"], "path": str(tmp_path)}
    embed = {**EMBED, "table": {**block, "width": 3}, "lexicons": lists}
    nlp = make_nlp({"tok2vec": {"model": {**TOK2VEC, "embed": embed}}, "textcat": OURS["textcat"]})
    (tmp_path / "vectors.txt").unlink()
    (tmp_path / "films.txt").unlink()
    quantize_pipeline(nlp, tmp_path / "small", dtype)
    loaded = spacy.load(tmp_path / "small")
    check_same(nlp, loaded, 0.004)
    tables = [
        {name: node.get_param(name) for name in node.param_names}
        for node in (
            *nlp.get_pipe("tok2vec").model.walk(),
            *loaded.get_pipe("tok2vec").model.walk(),
        )
        if node.name == "vector_table"
    ]
    assert len(tables) == 4
    for ours, theirs in zip(tables[:2], tables[2:]):
        assert_array_equal(ours["E"], theirs["E"])
        assert_array_equal(ours["keys"], theirs["keys"])
        assert_allclose(ours["scale"], theirs["scale"], rtol=1e-3)
    assert_array_equal(tables[1]["scale"], tables[3]["scale"])


def measure(folder):
    return sum(path.stat().st_size for path in folder.rglob("model"))


def test_quantize_pipeline_makes_it_smaller(made, tmp_path):
    made("ours").to_disk(tmp_path / "large")
    for dtype, share in (("int8", 0.4), ("float16", 0.6)):
        quantize_pipeline(made("ours"), tmp_path / dtype, dtype)
        assert measure(tmp_path / dtype) < share * measure(tmp_path / "large")


@pytest.mark.parametrize("name, kept", [("ours", False), ("read labels", False), ("rules", True)])
def test_quantize_pipeline_drops_strings_that_nothing_reads(made, tmp_path, name, kept):
    loaded = quantize_pipeline(made(name), tmp_path / "small")
    assert ("secret-word" in loaded.vocab.strings) == kept
    quantize_pipeline(made(name), tmp_path / "kept", keep_strings=True)
    assert "secret-word" in spacy.load(tmp_path / "kept").vocab.strings


def test_quantize_pipeline_keeps_strings_of_vectors(tmp_path):
    nlp = make_nlp(OURS)
    nlp.vocab.set_vector("Leeds", np.ones(3, "float32"))
    loaded = quantize_pipeline(nlp, tmp_path / "small")
    assert "secret-word" in loaded.vocab.strings and loaded.vocab.has_vector("Leeds")


def test_quantize_pipeline_is_a_source_and_gives_weights(made, tmp_path):
    small = quantize_pipeline(made("ours"), tmp_path / "small")
    config = spacy.blank("xx").config.copy()
    config["nlp"]["pipeline"] = ["tok2vec", "textcat"]
    source = {"source": str(tmp_path / "small")}
    config["components"] = {"tok2vec": source, "textcat": source}
    config["training"]["frozen_components"] = ["tok2vec", "textcat"]
    read = {"@readers": "spacy.Corpus.v1", "path": str(tmp_path / "train.spacy")}
    config["corpora"] = {"train": read, "dev": read}
    docs = [example.reference for example in make_examples(small)]
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "train.spacy")
    nlp = init_nlp(config)
    check_same(small, nlp)
    nlp.to_disk(tmp_path / "trained")
    assert "dequantize" not in (tmp_path / "trained" / "config.cfg").read_text("utf8")
    check_same(small, spacy.load(tmp_path / "trained"))
    # The file of a component is also one of weights.
    fresh = make_nlp(OURS)
    create_load_weights_v1(tmp_path / "small" / "tok2vec" / "model")(fresh)
    doc, expected = fresh.make_doc("a film"), small.make_doc("a film")
    tok2vecs = [each.get_pipe("tok2vec") for each in (fresh, small)]
    assert_allclose(tok2vecs[0].predict([doc])[0], tok2vecs[1].predict([expected])[0])
    # Training goes on.
    examples = make_examples(small)
    before = {key: values.copy() for key, values in list_params(small).items()}
    small.update(examples, sgd=small.resume_training())
    assert any((values != before[key]).any() for key, values in list_params(small).items())


@registry.callbacks("test_quantize.mark.v1")
def create_mark():
    def mark(nlp):
        nlp.meta["marked"] = True
        return nlp

    return mark


def test_quantize_pipeline_keeps_a_callback(made, tmp_path):
    nlp = made("ours").from_bytes(made("ours").to_bytes())
    nlp.config["nlp"]["after_pipeline_creation"] = {"@callbacks": "test_quantize.mark.v1"}
    try:
        loaded = quantize_pipeline(nlp, tmp_path / "small")
    finally:
        nlp.config["nlp"]["after_pipeline_creation"] = None
    assert loaded.meta["marked"]
    check_same(nlp, loaded, 0.004)


def test_quantize_pipeline_names_its_package(made, tmp_path):
    loaded = quantize_pipeline(made("ours"), tmp_path / "small")
    config = loaded.config.copy()
    config["components"] = {}  # so that the callback alone tells
    assert any("spacy-charlm" in line for line in get_third_party_dependencies(config))


@Language.factory("test_quantize_late")
class Late:
    """A component that makes its layer when it is loaded, after the callback has run."""

    def __init__(self, nlp, name):
        self.model = Linear(nO=40, nI=40).initialize()

    def __call__(self, doc):
        return doc

    def to_disk(self, path, exclude=()):
        path.mkdir()
        (path / "model").write_bytes(self.model.to_bytes())

    def from_disk(self, path, exclude=()):
        self.model = Linear(nO=40, nI=40).from_bytes((path / "model").read_bytes())


def test_quantize_pipeline_refuses(made, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("test_quantize_late")
    output = tmp_path / "small"
    with pytest.raises(ValueError, match="E557.*W.*linear.*'test_quantize_late'"):
        quantize_pipeline(nlp, output)
    assert not output.exists()
    for name in ("empty", "ours"):
        with pytest.raises(ValueError, match="E540.*int8 or float16.*'int4'"):
            quantize_pipeline(made(name), output, "int4")
    output.mkdir()
    (output / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="E556.*small"):
        quantize_pipeline(made("ours"), output)
    assert (output / "mine.txt").exists()


def test_quantized_pipeline_with_damage(made, tmp_path):
    quantize_pipeline(made("ours"), tmp_path / "small")
    path = tmp_path / "small" / "tok2vec" / "model"
    weights = srsly.msgpack_loads(path.read_bytes())
    (i, *_) = (i for i, attrs in enumerate(weights["attrs"]) if "charlm_quantized" in attrs)
    whole = weights["attrs"][i]["charlm_quantized"]
    content = srsly.msgpack_loads(whole)
    renamed = srsly.msgpack_dumps({f"{name}2": part for name, part in content.items()})
    for damaged in (b"", whole[:-9], b"\x93" + whole, renamed, srsly.msgpack_dumps(3)):
        weights["attrs"][i]["charlm_quantized"] = damaged
        path.write_bytes(srsly.msgpack_dumps(weights))
        with pytest.raises(ValueError, match="charlm E555.*the layer"):
            spacy.load(tmp_path / "small")


def test_quantize_command_prints_sizes(made, tmp_path):
    made("ours").to_disk(tmp_path / "large")
    arguments = ["quantize", str(tmp_path / "large"), str(tmp_path / "small")]
    result = CliRunner().invoke(app, [*arguments, "--dtype", "float16"])
    assert result.exit_code == 0, result.output
    assert "tok2vec" in result.output and "bytes after" in result.output
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1 and "E556" in result.output
    shutil.rmtree(tmp_path / "large")
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1 and "E661" in result.output

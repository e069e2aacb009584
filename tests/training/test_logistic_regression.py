import random

import numpy as np
import pytest
import spacy
from numpy.testing import assert_allclose, assert_array_equal
from spacy.tokens import DocBin
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from thinc.api import Config

from spacy_charlm.training.calibrate import calibrate
from spacy_charlm.training.fit_regression import (
    STRENGTHS,
    choose_strength,
    fit_logistic_regression,
)
from spacy_charlm.training.init_config import ConfigOptions, init_config
from spacy_charlm.training.logistic_regression import LogisticRegression
from spacy_charlm.training.optimizer import create_adam_v1
from spacy_charlm.training.vector_classifier import VectorClassifier

WORDS = {"pos": "good fine warm kind bright".split(), "neg": "bad dull cold rude dark".split()}
SMALL = {
    "components.tok2vec.model.embed.width": 16,
    "components.tok2vec.model.embed.filters": [8, 8],
    "components.tok2vec.model.embed.ngram_rows": 100,
    "components.tok2vec.model.encode.depth": 1,
}
FIT = {"@misc": "spacy-charlm.LogisticRegression.v1"}
TASKS = pytest.mark.parametrize("task", ["textcat", "textcat_multilabel"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Texts with categories, one of them empty and one without categories; weights."""
    folder, rng = tmp_path_factory.mktemp("data"), random.Random(0)
    nlp = spacy.blank("en")
    docs = []
    for _ in range(80):
        label = rng.choice(sorted(WORDS))
        doc = nlp.make_doc(" ".join(rng.choices(WORDS[label], k=3) + rng.choices("abc", k=3)))
        doc.cats = {other: float(other == label) for other in WORDS}
        docs.append(doc)
    docs += [nlp.make_doc(""), nlp.make_doc("good")]
    docs[-2].cats = {"pos": 1.0, "neg": 0.0}
    DocBin(docs=docs).to_disk(folder / "all.spacy")
    for doc in docs:
        doc.cats = {name: float(name == "pos") for name in doc.cats}
    DocBin(docs=docs[:-1]).to_disk(folder / "one-class.spacy")
    other = init_nlp(make_config("textcat", folder, weights=None))
    (folder / "weights.bin").write_bytes(other.get_pipe("tok2vec").model.to_bytes())
    return folder


def make_config(task, folder, fit=FIT, weights="weights.bin", train="all.spacy", blocks=()):
    config = init_config(ConfigOptions(task=task, objective="none"))
    paths = {f"paths.{name}": str(folder / train) for name in ("train", "dev")}
    paths["paths.init_weights"] = str(folder / weights) if weights else None
    text = config.to_str(interpolate=False)
    config = Config().from_str(text, interpolate=False, overrides={**SMALL, **paths})
    config["initialize"]["after_init"]["fit"] = fit
    for section, key, block in blocks:
        config[section][key] = block
    return config


def get_head(nlp, name):
    model = nlp.get_pipe(name).model
    return {
        f"{ref}.{name}": model.get_ref(ref).get_param(name).copy()
        for ref, names in (
            ("standardise", ("mean", "variance", "batches")),
            ("output_layer", ("W", "b")),
        )
        for name in names
    }


def read_examples(nlp, folder):
    docs = DocBin().from_disk(folder / "all.spacy").get_docs(nlp.vocab)
    return [Example(nlp.make_doc(doc.text), doc) for doc in docs]


def draw(n=300, nI=6, nO=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, nI)) @ rng.normal(size=(nI, nI))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    return X, X[:, :nO] * 2 + np.arange(nO) - 1, rng


@pytest.mark.parametrize("C", [0.001, 0.1, 10.0])
@pytest.mark.parametrize("nO", [2, 4])
def test_logistic_regression_of_exclusive_classes_is_that_of_scikit_learn(C, nO):
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, logits, rng = draw(nO=nO)
    classes = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    W, b = fit_logistic_regression(X, np.eye(nO)[classes], True, C)
    expected = linear_model.LogisticRegression(C=C, tol=1e-8, max_iter=10_000).fit(X, classes)
    if nO == 2:
        W, b = W[1:] - W[:1], b[1:] - b[:1]
    else:
        b = b - b.mean() + expected.intercept_.mean()
    assert_allclose(W, expected.coef_, atol=1e-3)
    assert_allclose(b, expected.intercept_, atol=1e-3)


@pytest.mark.parametrize("C", [0.001, 0.1, 10.0])
def test_logistic_regression_of_other_classes_is_that_of_scikit_learn(C):
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, logits, rng = draw()
    truths = (logits + rng.logistic(size=logits.shape) > 0).astype("float64")
    truths[rng.random(truths.shape) < 0.2] = np.nan  # unknown
    W, b = fit_logistic_regression(X, truths, False, C)
    for i, known in enumerate(np.isfinite(truths).T):
        expected = linear_model.LogisticRegression(C=C, tol=1e-8, max_iter=10_000)
        expected.fit(X[known], truths[known, i])
        assert_allclose(W[i], expected.coef_[0], atol=1e-3)
        assert_allclose(b[i], expected.intercept_[0], atol=1e-3)


@pytest.mark.parametrize("exclusive", [True, False])
def test_choose_strength_trusts_clear_features_more_than_noise(exclusive):
    X, logits, rng = draw(nO=2)
    clear = np.eye(2)[(logits[:, 1] > logits[:, 0]).astype(int)]
    noise = np.eye(2)[rng.integers(2, size=len(X))]
    strengths = [choose_strength(X, truths, exclusive) for truths in (clear, noise)]
    assert strengths[0] > 0.1 > strengths[1]
    assert choose_strength(X[:1], clear[:1], exclusive) in STRENGTHS


@TASKS
def test_fit_classifies_the_training_texts(task, folder, keep_ops):
    nlp, plain = (init_nlp(make_config(task, folder, fit)) for fit in (FIT, None))
    for doc in DocBin().from_disk(folder / "all.spacy").get_docs(nlp.vocab):
        if len(doc) and doc.cats:
            scores = nlp(doc.text).cats
            assert all((scores[label] > 0.5) == (value == 1) for label, value in doc.cats.items())
    # Only the classifier's own layers differ.
    for name, value in get_head(plain, task).items():
        assert not np.array_equal(get_head(nlp, task)[name], value)
    texts = [nlp.make_doc("a good dull text")]
    for part in (nlp, plain):
        assert_array_equal(
            part.get_pipe("tok2vec").model.predict(texts)[0],
            plain.get_pipe("tok2vec").model.predict(texts)[0],
        )
    # The fit is on what the layer that standardises gives at the end.
    assert (get_head(nlp, task)["standardise.batches"] == 100).all()
    assert calibrate(nlp, read_examples(nlp, folder)).keys() == {task}


def test_fit_of_a_classifier_with_a_tok2vec_of_its_own(folder, keep_ops):
    config = make_config("textcat", folder, fit=None, weights=None).interpolate()
    tok2vec = config["components"].pop("tok2vec")["model"]
    config["components"]["textcat"]["model"]["tok2vec"] = tok2vec
    config["nlp"]["pipeline"] = ["textcat"]
    nlp = init_nlp(config)
    own = nlp.get_pipe("textcat").model.get_ref("tok2vec")
    before = get_head(nlp, "textcat")
    with pytest.raises(ValueError, match=r"E508.*\['textcat'\]"):  # another one was loaded
        LogisticRegression()(nlp, "textcat", own.copy())
    for name, value in get_head(nlp, "textcat").items():
        assert_array_equal(value, before[name])
    assert LogisticRegression()(nlp, "textcat", own)["textcat"] in STRENGTHS
    for name, value in get_head(nlp, "textcat").items():
        assert not np.array_equal(value, before[name])


def test_fit_leaves_sourced_classifiers_alone(tmp_path, folder, keep_ops):
    """Whether their training goes on or they are frozen."""
    first = init_nlp(make_config("textcat", folder))
    first.get_pipe("textcat").model.get_ref("output_layer").set_param("b", np.ones(2, dtype="f"))
    first.to_disk(tmp_path / "first")
    for frozen in ([], ["textcat"], ["tok2vec", "textcat"]):
        blocks = [("components", "textcat", {"source": str(tmp_path / "first")})]
        blocks.append(("training", "frozen_components", frozen))
        nlp = init_nlp(make_config("textcat", folder, blocks=blocks))
        for name, value in get_head(first, "textcat").items():
            assert_array_equal(get_head(nlp, "textcat")[name], value)


def test_fit_slows_down_the_fitted_classifier(folder, keep_ops):
    moved = []
    for scale in (1.0, 0.0):
        nlp = init_nlp(make_config("textcat", folder, {**FIT, "learn_rate_scale": scale}))
        before = get_head(nlp, "textcat")["output_layer.W"]
        nlp.update(read_examples(nlp, folder)[:5], sgd=create_adam_v1())
        moved.append(not np.array_equal(get_head(nlp, "textcat")["output_layer.W"], before))
    assert moved == [True, False]
    other = [("training", "optimizer", {"@optimizers": "Adam.v1"})]
    config = make_config("textcat", folder, {**FIT, "learn_rate_scale": 0.1}, blocks=other)
    config["initialize"]["after_init"].update(learn_rate_scale=1.0, delay=0)
    with pytest.raises(ValueError, match="E507"):
        init_nlp(config)


def test_fit_to_a_frozen_tok2vec(folder, keep_ops):
    frozen = [("training", "frozen_components", ["tok2vec"])]
    nlp = init_nlp(make_config("textcat", folder, blocks=frozen))
    assert_array_equal(nlp("good").cats["pos"] > 0.5, True)


def write_vectors(path, bigrams=("good fine",)):
    """One dimension tells good words from bad ones."""
    words = [*WORDS["pos"], *WORDS["neg"], *"abc", *bigrams]
    values = np.random.default_rng(0).normal(size=(len(words), 6)).astype("float32")
    values[:, 0] = [1.0] * 5 + [-1.0] * 5 + [0.0] * (len(words) - 10)
    vocab = Vocab()
    for word, row in zip(words, values):
        vocab.set_vector(word, row)
    vocab.to_disk(path)
    return path


@TASKS
def test_fit_gives_words_and_bigrams_weights(task, folder, tmp_path, keep_ops):
    vectors = write_vectors(tmp_path / "vectors")
    nlp = init_nlp(make_config(task, folder, {**FIT, "vectors": str(vectors)}))
    model = nlp.get_pipe(task).model
    bag = model.get_ref("ngram_weights")
    assert len(bag.get_param("keys")) == 14
    # The same as the regression on the mean vectors.
    docs = list(DocBin().from_disk(folder / "all.spacy").get_docs(nlp.vocab))
    classifier = VectorClassifier(vectors, exclusive=task == "textcat")
    classifier.fit(docs[:80], "all.spacy", nlp.get_pipe(task).labels)
    texts = [nlp.make_doc(text) for text in ("Good\nfine fine", "a dull b", "unknown", "")]
    X, has_vector = classifier._embed(texts)
    assert has_vector.tolist() == [True, True, False, False]
    logits = (X - classifier.mean) / classifier.deviation @ classifier.W.T + classifier.b
    for doc in texts:
        nlp.get_pipe("tok2vec").set_annotations([doc], nlp.get_pipe("tok2vec").predict([doc]))
    both = bag.predict(texts[:3])
    empty = [np.zeros(0, "uint32"), np.zeros((0, 0), "f"), np.zeros(0, "f")]
    kept = [bag.get_param(name) for name in ("keys", "W", "b")]
    for name, value in zip(("keys", "W", "b"), empty):
        bag.set_param(name, value)
    alone = bag.predict(texts[:3])
    for name, value in zip(("keys", "W", "b"), kept):
        bag.set_param(name, value)
    assert_allclose((both - alone)[:2], logits[:2] / 2, atol=1e-4)
    assert_array_equal(both[2], alone[2])
    nlp.to_disk(tmp_path / "saved")
    loaded = spacy.load(tmp_path / "saved")
    assert loaded("a good fine text").cats == pytest.approx(nlp("a good fine text").cats, abs=1e-6)
    nlp.get_pipe(task).add_label("new")
    assert nlp("a good fine text").cats.keys() == {"pos", "neg", "new"}


def test_ngram_weights_stay_as_they_are_in_training(folder, tmp_path, keep_ops):
    fit = {**FIT, "vectors": str(write_vectors(tmp_path / "vectors"))}
    nlp = init_nlp(make_config("textcat", folder, fit))
    bag = nlp.get_pipe("textcat").model.get_ref("ngram_weights")
    before = bag.get_param("W").copy()
    nlp.update(read_examples(nlp, folder)[:5], sgd=create_adam_v1())
    assert_array_equal(bag.get_param("W"), before)


def test_fit_says_what_is_wrong_with_the_vectors(folder, tmp_path, keep_ops):
    vectors = write_vectors(tmp_path / "vectors")
    fit = {**FIT, "vectors": str(vectors)}
    config = make_config("textcat", folder, fit)
    config["components"]["textcat"]["model"]["ngram_weights"] = False
    with pytest.raises(ValueError, match="E511.*'textcat'"):
        init_nlp(config)
    with pytest.raises(ValueError, match="E202"):
        init_nlp(make_config("textcat", folder, {**FIT, "vectors": str(tmp_path / "nothing")}))
    vocab = Vocab()
    vocab.vectors = Vectors(
        data=np.ones((20, 4), "f"), mode="floret", minn=3, maxn=4, hash_count=1, name="floret"
    )
    vocab.to_disk(tmp_path / "floret")
    with pytest.raises(ValueError, match="E224.*floret"):
        init_nlp(make_config("textcat", folder, {**FIT, "vectors": str(tmp_path / "floret")}))


@TASKS
def test_fit_needs_two_classes(task, folder, caplog, keep_ops):
    nlp, plain = (
        init_nlp(make_config(task, folder, fit, train="one-class.spacy")) for fit in (FIT, None)
    )
    assert caplog.text.count("W508") == 1
    for name, value in get_head(plain, task).items():
        assert_array_equal(get_head(nlp, task)[name], value)


def test_fit_says_what_is_wrong(folder, keep_ops):
    for blocks, match in (
        ([("training", "train_corpus", "corpora.nothing")], r"E509.*corpora.nothing"),
        ([("training", "train_corpus", "nothing.train")], r"E509.*nothing"),
        ([("components", "textcat", {"factory": "textcat"})], r"E508.*\['tok2vec', 'textcat'\]"),
    ):
        config = make_config("textcat", folder, fit=None, blocks=blocks)
        if match.startswith("E508"):
            nlp = init_nlp(config)
        else:
            nlp = init_nlp(make_config("textcat", folder, fit=None))
            nlp.config["training"] = config["training"]
        with pytest.raises(ValueError, match=match):
            LogisticRegression()(nlp, "tok2vec", nlp.get_pipe("tok2vec").model)
    with pytest.raises(ValueError, match="E560.*limit"):
        LogisticRegression(limit=-1)

import io
import random

import numpy as np
import pytest
import spacy
from numpy.testing import assert_array_equal
from spacy.tokens import DocBin
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from thinc.api import Config

from spacy_charlm.training.calibrate import calibrate, create_calibrate_v1, fit_scale
from spacy_charlm.training.init_config import ConfigOptions, init_config

WORDS = {"pos": "good fine warm kind bright".split(), "neg": "bad dull cold rude dark".split()}
SMALL = {
    "components.tok2vec.model.embed.width": 16,
    "components.tok2vec.model.embed.filters": [8, 8],
    "components.tok2vec.model.embed.ngram_rows": 100,
    "components.tok2vec.model.encode.depth": 1,
    "training.max_steps": 60,
    "training.eval_frequency": 20,
    "training.batcher.size": 100,
}
TASKS = pytest.mark.parametrize("task", ["textcat", "textcat_multilabel"])
LABELS = ("pos", "neg")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Texts, of which one in four has the wrong label."""
    folder, rng = tmp_path_factory.mktemp("data"), random.Random(0)
    nlp = spacy.blank("en")
    for name, n in (("train", 40), ("dev", 60)):
        docs = []
        for _ in range(n):
            label = rng.choice(LABELS)
            doc = nlp.make_doc(" ".join(rng.choices(WORDS[label], k=6)))
            wrong = rng.random() < 0.25
            doc.cats = {other: float((other == label) != wrong) for other in LABELS}
            docs.append(doc)
        DocBin(docs=docs).to_disk(folder / f"{name}.spacy")
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    """Train each pipeline once; return its folder."""

    def train_pipeline(task, calibrated=True):
        output = folder / f"{task}-{calibrated}"
        if not output.exists():
            config = init_config(ConfigOptions(task=task, objective="none"))
            if not calibrated:
                config["training"]["before_to_disk"] = None
            text = config.to_str(interpolate=False)
            paths = {f"paths.{name}": str(folder / f"{name}.spacy") for name in ("train", "dev")}
            config = Config().from_str(text, interpolate=False, overrides={**SMALL, **paths})
            nlp = init_nlp(config)
            output.mkdir()
            train(nlp, output, stdout=io.StringIO(), stderr=io.StringIO())
        return output / "model-best"

    return train_pipeline


def get_scale(nlp):
    model = nlp.get_pipe(nlp.pipe_names[-1]).model
    return float(model.get_ref("probabilities").get_param("scale")[0])


def get_params(nlp):
    return {
        (pipe, i, name): node.get_param(name)
        for pipe, component in nlp.pipeline
        for i, node in enumerate(component.model.walk())
        for name in node.param_names
        if name != "scale"
    }


def read_examples(nlp, folder, name="dev"):
    docs = DocBin().from_disk(folder / f"{name}.spacy").get_docs(nlp.vocab)
    return [Example(nlp.make_doc(doc.text), doc) for doc in docs]


def get_loss(nlp, examples):
    """The log loss, in which each category counts."""
    scores = [nlp(example.reference.text).cats for example in examples]
    return -np.mean(
        [
            np.log(some[label] if truth else 1 - some[label])
            for some, example in zip(scores, examples)
            for label, truth in example.reference.cats.items()
        ]
    )


@TASKS
def test_calibrate_changes_nothing_but_the_scale(task, folder, trained, keep_ops):
    plain, ours = (spacy.load(trained(task, calibrated)) for calibrated in (False, True))
    assert get_scale(plain) == 1
    expected, found = get_params(plain), get_params(ours)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert_array_equal(found[key], value)
    assert ours.meta["performance"] == plain.meta["performance"]
    examples = read_examples(ours, folder)
    assert get_loss(ours, examples) < get_loss(plain, examples) - 0.003
    for example in examples:
        first, second = plain(example.text).cats, ours(example.text).cats
        assert max(first, key=first.get) == max(second, key=second.get)
        assert first != second
    # The scale is the best one, and nearly the same wherever it is computed again.
    scale = get_scale(ours)
    for nlp in (plain, ours):
        assert calibrate(nlp, examples, limit=60) == {task: pytest.approx(scale, rel=1e-6)}
        assert get_scale(nlp) == pytest.approx(scale, rel=1e-6)
    layer = ours.get_pipe(task).model.get_ref("probabilities")
    lowest = get_loss(ours, examples)
    for factor in (0.8, 1.25):
        layer.set_param("scale", layer.get_param("scale") * 0 + factor * scale)
        assert get_loss(ours, examples) > lowest


@TASKS
def test_calibrate_lasts(task, trained, tmp_path, keep_ops):
    nlp = spacy.load(trained(task))
    scale, text = get_scale(nlp), "a good dark film"
    assert scale != 1
    nlp.to_disk(tmp_path / "again")
    copies = [spacy.load(tmp_path / "again"), spacy.blank("en", config=nlp.config)]
    copies[1].from_bytes(nlp.to_bytes())
    for copy in copies:
        assert copy(text).cats == nlp(text).cats and get_scale(copy) == scale
    for doc in nlp.pipe([text, text], n_process=2, batch_size=1):
        assert doc.cats == pytest.approx(nlp(text).cats, abs=1e-5)
    # Texts without categories, on which another component is trained, leave it as it is.
    assert calibrate(copies[0], [Example(nlp.make_doc(text), nlp.make_doc(text))]) == {}
    assert get_scale(copies[0]) == scale
    nlp.get_pipe(task).add_label("odd")
    assert get_scale(nlp) == scale
    assert {label: nlp(text).cats[label] for label in LABELS} == pytest.approx(
        copies[0](text).cats, abs=1e-5
    )


def test_calibrate_on_some_texts_and_then_another_callback(trained, keep_ops):
    nlp = spacy.load(trained("textcat"))
    all_texts = get_scale(nlp)
    called = []
    callback = create_calibrate_v1(limit=30, then=lambda nlp: called.append(get_scale(nlp)) or nlp)
    assert callback(nlp) is nlp
    some = get_scale(nlp)
    assert called == [some] and some != all_texts
    callback(nlp)
    assert get_scale(nlp) == some


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_fit_scale_finds_the_scale_that_labels_were_drawn_with(exclusive, scale):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3)) + 1
    if exclusive:
        noise = rng.gumbel(size=logits.shape)
        truths = np.eye(3)[(scale * logits + noise).argmax(axis=1)]
    else:
        truths = (rng.random(logits.shape) < 1 / (1 + np.exp(-scale * logits))).astype("f")
        truths[:, 1] = np.nan  # a label that is not known
    assert fit_scale(logits, truths, exclusive) == pytest.approx(scale, rel=0.05)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize(
    "signs, low, high",
    [
        ([1, 1, 1, 1], 0.3, 3),  # all right: not quite sure after four texts
        ([1, -1, 1, -1], 0, 0.02),  # half are wrong
        ([0, 0, 0, 0], 1, 1),  # nothing known, as before the first update
    ],
)
def test_fit_scale_of_few_texts(exclusive, signs, low, high):
    logits = np.array([[sign, -sign] for sign in signs], dtype="f")
    truths = np.array([[1, 0]] * 4, dtype="f")
    assert low <= fit_scale(logits, truths, exclusive) <= high


def test_calibrate_says_what_is_wrong():
    nlp = spacy.blank("en")
    nlp.add_pipe("textcat")
    with pytest.raises(ValueError, match="E571.*textcat"):
        calibrate(nlp, [])
    with pytest.raises(ValueError, match="E560.*-1"):
        create_calibrate_v1(limit=-1)

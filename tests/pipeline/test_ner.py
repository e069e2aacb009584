import io
import pickle

import pytest
import spacy
from numpy.testing import assert_array_equal
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from thinc.api import Config

from spacy_charlm.layers.crf import list_tags
from spacy_charlm.pipeline.ner import CharlmNER
from spacy_charlm.training.init_config import ConfigOptions, init_config

EMBED = {
    "@architectures": "spacy-charlm.CharCNN.v1",
    "width": 24,
    "windows": [3],
    "filters": [16],
    "rows": [50],
    "ngram_rows": 100,
}
TOK2VEC = {
    "@architectures": "spacy.Tok2Vec.v2",
    "embed": EMBED,
    "encode": {
        "@architectures": "spacy.MaxoutWindowEncoder.v2",
        "width": 24,
        "depth": 1,
        "window_size": 1,
        "maxout_pieces": 2,
    },
}
LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": 24, "upstream": "*"}
CRF = {"@architectures": "spacy-charlm.CRF.v1", "tok2vec": TOK2VEC}
# Words and entities: first token, token after the last one, label.
SENTENCES = [
    (
        "Anna Karenina met Oblonsky in Saint Petersburg today",
        [(0, 2, "PER"), (3, 4, "PER"), (5, 7, "LOC")],
    ),
    ("they left New York City for Rome", [(2, 5, "LOC"), (6, 7, "LOC")]),
    ("nobody saw them", []),
]
LABELS = ("LOC", "PER")


def make_example(nlp, words, ents, **settings):
    words = words.split()
    gold = Doc(nlp.vocab, words=words)
    gold.set_ents([Span(gold, start, end, label=label) for start, end, label in ents], **settings)
    return Example(Doc(nlp.vocab, words=words), gold)


def make_examples(nlp):
    return [make_example(nlp, *sentence) for sentence in SENTENCES]


def make_nlp(n_updates=60, model=CRF, listen=False):
    nlp = spacy.blank("xx")
    if listen:
        nlp.add_pipe("tok2vec", config={"model": TOK2VEC})
        model = {**CRF, "tok2vec": LISTENER}
    nlp.add_pipe("charlm_ner", config={"model": model})
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    losses = []
    for _ in range(n_updates):
        losses.append(nlp.update(make_examples(nlp), sgd=optimizer)["charlm_ner"])
    assert n_updates < 60 or losses[-1] < losses[0] / 20
    return nlp


@pytest.fixture(scope="module")
def trained():
    return make_nlp()


def find_ents(doc):
    return [(ent.start, ent.end, ent.label_) for ent in doc.ents]


def annotate(nlp, words, ents=(), **settings):
    doc = make_example(nlp, words, ents, **settings).reference if ents else None
    doc = doc or Doc(nlp.vocab, words=words.split())
    return nlp(doc)


@pytest.mark.parametrize("listen", [False, True])
@pytest.mark.parametrize("hidden_width", [0, 8])
def test_ner_learns_sentences_and_is_saved(listen, hidden_width, tmp_path):
    nlp = make_nlp(model={**CRF, "hidden_width": hidden_width}, listen=listen)
    scores = nlp.evaluate(make_examples(nlp))
    assert scores["ents_f"] == 1 and set(scores["ents_per_type"]) == set(LABELS)
    pipe = nlp.get_pipe("charlm_ner")
    assert pipe.labels == LABELS and pipe.label_data == list(LABELS)
    pipe.model.get_ref("crf").set_param("bias", pipe.model.ops.alloc1f(1) - 0.5)
    nlp.to_disk(tmp_path)
    copies = [spacy.load(tmp_path), spacy.blank("xx", config=nlp.config)]
    copies[1].from_bytes(nlp.to_bytes())
    copies.append(pickle.loads(pickle.dumps(copies[0])))
    for copy in copies:
        other = copy.get_pipe("charlm_ner")
        assert other.labels == LABELS
        assert float(other.model.get_ref("crf").get_param("bias")[0]) == -0.5
        for words, _ in SENTENCES:
            first, second = annotate(nlp, words), annotate(copy, words)
            assert find_ents(first) == find_ents(second)
            for tags, others in zip(pipe.predict([first]), other.predict([second])):
                assert_array_equal(tags, others)


def test_ner_has_the_defaults_of_ner():
    nlp = spacy.blank("xx")
    ours, theirs = nlp.add_pipe("charlm_ner"), nlp.add_pipe("ner")
    metas = [nlp.get_pipe_meta(name) for name in ("charlm_ner", "ner")]
    assert metas[0].default_score_weights == metas[1].default_score_weights
    assert metas[0].assigns == metas[1].assigns
    assert nlp.get_pipe_config("charlm_ner")["scorer"] == nlp.get_pipe_config("ner")["scorer"]
    assert ours.is_trainable and ours.labels == () == theirs.labels
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    losses = nlp.update(examples, sgd=optimizer)
    assert losses["charlm_ner"] > 0
    assert ours.labels == theirs.labels == LABELS
    again = Config().from_str(nlp.config.to_str())
    assert spacy.blank("xx", config=again).pipe_names == nlp.pipe_names


def test_ner_pipe_equals_call(trained):
    words = [words for words, _ in SENTENCES] * 3 + [""]
    alone = [find_ents(annotate(trained, each)) for each in words]
    docs = [Doc(trained.vocab, words=each.split()) for each in words]
    assert [find_ents(doc) for doc in trained.pipe(docs, batch_size=4)] == alone
    docs = [Doc(trained.vocab, words=each.split()) for each in words[:4]]
    many = trained.pipe(docs, batch_size=2, n_process=2)
    assert [find_ents(doc) for doc in many] == alone[:4]


def test_ner_of_empty_docs(trained):
    pipe = trained.get_pipe("charlm_ner")
    doc = trained(Doc(trained.vocab))
    assert doc.ents == ()
    assert [find_ents(doc) for doc in trained.pipe([Doc(trained.vocab)] * 2)] == [[], []]
    nlp = make_nlp(0)
    empty = Example(Doc(nlp.vocab), Doc(nlp.vocab))
    assert nlp.update([empty, empty]) == {"charlm_ner": 0.0}
    both = [empty, *make_examples(nlp), empty]
    assert nlp.update(both, drop=0.0)["charlm_ner"] > 0
    assert nlp.get_pipe("charlm_ner").score([]) == pipe.score([])


def test_ner_frozen_tok2vec_stays():
    nlp = make_nlp(2, listen=True)
    tok2vec, pipe = nlp.get_pipe("tok2vec"), nlp.get_pipe("charlm_ner")
    before = tok2vec.model.to_bytes(), pipe.model.to_bytes()
    optimizer = nlp.resume_training()
    nlp.update(make_examples(nlp), sgd=optimizer, exclude=["tok2vec"], annotates=["tok2vec"])
    assert tok2vec.model.to_bytes() == before[0] and pipe.model.to_bytes() != before[1]
    nlp.update(make_examples(nlp), sgd=optimizer)
    assert tok2vec.model.to_bytes() != before[0]


def get_gradients(nlp, examples):
    """The loss of a batch, and all gradients."""
    pipe = nlp.get_pipe("charlm_ner")
    loss = pipe.update(examples)["charlm_ner"]  # without an optimizer
    nodes = pipe.model.walk()
    gradients = [
        node.get_grad(name).copy()
        for node in nodes
        for name in node.param_names
        if node.has_grad(name)
    ]
    return loss, gradients


def test_ner_texts_without_annotation_do_not_count():
    nlp = make_nlp(0)
    examples = make_examples(nlp)
    blank = Doc(nlp.vocab, words=["Anna", "left"])
    bare = Example(Doc(nlp.vocab, words=["Anna", "left"]), blank)
    loss, gradients = get_gradients(nlp, [bare, bare])
    assert loss == 0 and not any(gradient.any() for gradient in gradients)
    loss, _ = get_gradients(nlp, examples)
    assert get_gradients(nlp, [*examples, bare])[0] == pytest.approx(loss, rel=1e-5)


def test_ner_learns_from_partial_annotation():
    """Tokens without annotation may have any tag, here that of other texts."""
    nlp = make_nlp(0)
    words = "Anna Karenina met Oblonsky"
    known = [make_example(nlp, words, [(0, 2, "PER"), (3, 4, "PER")])]
    # In this text, nothing but the last entity is known.
    partial = [make_example(nlp, words, [(3, 4, "PER")], default="missing")]
    loss, partial_loss = (get_gradients(nlp, some)[0] for some in (known, partial))
    assert 0 < partial_loss < loss
    optimizer = nlp.resume_training()
    for _ in range(60):
        nlp.update(known + partial, sgd=optimizer)
    assert find_ents(annotate(nlp, words)) == [(0, 2, "PER"), (3, 4, "PER")]


def test_ner_learns_the_segmentation_of_all_labels():
    """A second task on the same parameters: where entities are, whatever their labels."""
    nlp = make_nlp(0)
    pipe, examples = nlp.get_pipe("charlm_ner"), make_examples(nlp)
    config = {"model": CRF, "segmentation_weight": 0.5}
    both = spacy.blank("xx").add_pipe("charlm_ner", config=config)
    assert pipe.segmentation_weight == 0 and both.segmentation_weight == 0.5
    scores, _ = pipe.model.begin_update([eg.predicted for eg in examples])
    loss, _ = pipe.get_loss(examples, scores)
    swapped = []
    for words, ents in SENTENCES:
        ents = [(*place, LABELS[label == "LOC"]) for *place, label in ents]
        swapped.append(make_example(nlp, words, ents))
    other, _ = pipe.get_loss(swapped, scores)
    assert other != pytest.approx(loss, rel=1e-3)
    # With the other labels, the loss of the segmentation stays.
    pipe.segmentation_weight = 0.5
    added = [pipe.get_loss(some, scores)[0] for some in (examples, swapped)]
    assert added[0] - loss == pytest.approx(added[1] - other, rel=1e-3)
    assert 0 < added[0] - loss < 0.5 * loss


@pytest.mark.parametrize("weight", [-1, "0.5", True, None, float("nan")])
def test_ner_segmentation_weight_is_a_number(weight):
    model = spacy.blank("xx").add_pipe("charlm_ner", config={"model": CRF}).model
    with pytest.raises(ValueError, match="E560.*`segmentation_weight`.*charlm_ner"):
        CharlmNER(spacy.blank("xx"), model=model, scorer=None, segmentation_weight=weight)


def test_ner_segmentation_weight_is_trained_from_a_config(tmp_path, keep_ops):
    nlp = spacy.blank("xx")
    docs = [eg.reference for eg in make_examples(nlp)]
    DocBin(docs=docs).to_disk(tmp_path / "docs.spacy")
    config = init_config(ConfigOptions(task="ner", objective="none", lang="xx"))
    config["components"]["tok2vec"]["model"] = TOK2VEC
    ner = {"factory": "charlm_ner", "model": {**CRF, "tok2vec": LISTENER}}
    config["components"]["ner"] = {**ner, "segmentation_weight": 0.5}
    settings = {"max_steps": 60, "eval_frequency": 60, "dropout": 0.0}
    settings |= {"optimizer.learn_rate": 0.01}
    paths = dict.fromkeys(("paths.train", "paths.dev"), str(tmp_path / "docs.spacy"))
    overrides = {**paths, **{f"training.{name}": value for name, value in settings.items()}}
    text = config.to_str(interpolate=False)
    nlp = init_nlp(Config().from_str(text, interpolate=False, overrides=overrides))
    assert nlp.get_pipe("ner").segmentation_weight == 0.5
    train(nlp, tmp_path, stdout=io.StringIO(), stderr=io.StringIO())
    copy = spacy.load(tmp_path / "model-last")
    assert copy.get_pipe("ner").segmentation_weight == 0.5
    assert copy.evaluate(make_examples(copy))["ents_f"] == 1


def test_ner_entities_that_do_not_match_the_tokens_do_not_count():
    nlp = make_nlp(0)
    gold = Doc(
        nlp.vocab,
        words=["New", "York", "-", "based", "firm"],
        spaces=[True, *[False] * 2, True, False],
    )
    gold.ents = [Span(gold, 0, 2, label="LOC")]
    example = Example(Doc(nlp.vocab, words=["New", "York-based", "firm"]), gold)
    pipe = nlp.get_pipe("charlm_ner")
    scores, _ = pipe.model.begin_update([example.predicted])
    loss, gradient = pipe.get_loss([example], scores)
    assert loss > 0  # "firm" is outside
    assert example.get_aligned_ner()[2] == "O"
    assert gradient.emissions.lengths.tolist() == [3]


def test_ner_keeps_what_is_set(trained):
    words, ents = SENTENCES[0]
    assert find_ents(annotate(trained, words)) == ents
    # Preset entities, also of labels that the component does not have.
    for preset in ([(1, 3, "LOC")], [(0, 1, "ODD")], [(3, 4, "ODD"), (6, 8, "PER")]):
        for default in ("missing", "outside"):
            found = find_ents(annotate(trained, words, preset, default=default))
            assert set(preset) <= set(found)
    doc = Doc(trained.vocab, words=words.split())
    doc.set_ents([], blocked=[doc[3:4]], default="missing")
    assert find_ents(trained(doc)) == [ents[0], ents[2]]
    assert [token.ent_iob_ for token in doc] == ["B", "I", "O", "B", "O", "B", "I", "O"]
    again = find_ents(trained(doc))
    assert again == [ents[0], ents[2]]


def test_ner_entities_end_with_the_sentence(trained):
    words, ents = SENTENCES[1]
    doc = Doc(trained.vocab, words=words.split(), sent_starts=[i in (0, 3) for i in range(7)])
    for start, end, _ in find_ents(trained(doc)):
        assert not start < 3 < end
    doc = Doc(trained.vocab, words=["Anna", "\n", "Karenina", "met", "\n"])
    for ent in trained(doc).ents:
        assert not ent[0].is_space and not ent[-1].is_space


def test_ner_bias_raises_recall():
    nlp = make_nlp(4)
    layer = nlp.get_pipe("charlm_ner").model.get_ref("crf")
    counts = []
    for bias in (6.0, 0.0, -6.0):
        layer.set_param("bias", layer.ops.alloc1f(1) + bias)
        counts.append(
            sum(token.ent_iob_ != "O" for words, _ in SENTENCES for token in annotate(nlp, words))
        )
    assert counts[0] <= counts[1] <= counts[2] and counts[0] == 0 < counts[2]
    nlp.update(make_examples(nlp))
    assert float(layer.get_param("bias")[0]) == 0


def test_ner_labels_are_given_or_read(tmp_path):
    nlp = spacy.blank("xx")
    pipe = nlp.add_pipe("charlm_ner", config={"model": CRF})
    assert pipe.add_label("EXTRA") == 1 and pipe.add_label("EXTRA") == 0
    examples = make_examples(nlp)
    pipe.initialize(lambda: examples, nlp=nlp, labels=list(LABELS))
    assert pipe.labels == ("EXTRA", *LABELS)
    assert pipe.model.get_ref("output_layer").get_dim("nO") == len(list_tags(pipe.labels))
    assert pipe.add_label("PER") == 0
    pipe.initialize(lambda: examples, nlp=nlp)  # the labels are the same


def test_ner_says_what_is_wrong():
    nlp = spacy.blank("xx")
    pipe = nlp.add_pipe("charlm_ner", config={"model": CRF})
    bare = [make_example(nlp, "nobody saw them", [])]
    for labels in ({"0": {}}, "PER", ["PER", ""], [3]):
        with pytest.raises(ValueError, match="E760.*charlm_ner"):
            pipe.initialize(lambda: bare, labels=labels)
    pipe = nlp.create_pipe("charlm_ner", config={"model": CRF})
    for labels in (None, []):
        with pytest.raises(ValueError, match="E761.*charlm_ner"):
            pipe.initialize(lambda: bare, labels=labels)
    pipe.initialize(lambda: bare, labels=["PER"])
    with pytest.raises(ValueError, match="E762.*'PER'.*'LOC'.*Anna"):
        pipe.update(make_examples(nlp))
    with pytest.raises(ValueError, match="E763.*'LOC'"):
        pipe.add_label("LOC")
    tagger = {"@architectures": "spacy.Tagger.v2", "tok2vec": TOK2VEC}
    with pytest.raises(ValueError, match="E764.*charlm_ner"):
        nlp.create_pipe("charlm_ner", config={"model": tagger})
    output = pipe.model.get_ref("output_layer")
    output.set_param("b", output.get_param("b") + float("nan"))
    with pytest.raises(ValueError, match="E767.*charlm_ner"):
        pipe.update([make_example(nlp, "Anna left", [(0, 1, "PER")])])

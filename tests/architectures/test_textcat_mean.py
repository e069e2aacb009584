import pytest
import spacy
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_charlm.architectures.textcat_mean import POOLINGS

LABELS = {
    "textcat": [("a good film", "pos"), ("a bad film", "neg")],
    "textcat_multilabel": [("a good film", "pos"), ("a bad film", "neg")],
}
EMBED = {
    "@architectures": "spacy-charlm.CharCNN.v1",
    "width": 16,
    "windows": [3],
    "filters": [8],
    "rows": [20],
    "ngram_rows": 50,
}
ENCODE = {
    "@architectures": "spacy.MaxoutWindowEncoder.v2",
    "width": 16,
    "depth": 1,
    "window_size": 1,
    "maxout_pieces": 2,
}
TOK2VEC = {"@architectures": "spacy.Tok2Vec.v2", "embed": EMBED, "encode": ENCODE}
LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": 16, "upstream": "*"}


def make_nlp(name, listener, pooling="mean"):
    fix_random_seed(0)
    nlp = spacy.blank("en")
    if listener:
        nlp.add_pipe("tok2vec", config={"model": TOK2VEC})
    model = {
        "@architectures": "spacy-charlm.TextCatMean.v1",
        "tok2vec": LISTENER if listener else TOK2VEC,
        "exclusive_classes": name == "textcat",
        "pooling": pooling,
    }
    nlp.add_pipe(name, config={"model": model})
    examples = []
    for text, label in LABELS[name]:
        cats = {"pos": float(label == "pos"), "neg": float(label == "neg")}
        examples.append(Example.from_dict(nlp.make_doc(text), {"cats": cats}))
    nlp.initialize(lambda: examples)
    return nlp, examples


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize(
    "listener, pooling",
    [
        (False, "mean"),
        (True, "mean"),
        (True, "attention"),
        (True, "mean_max"),
        (True, "sublinear"),
        (False, "sublinear"),
    ],
)
def test_textcat_mean_overfits_two_sentences(tmp_path, name, listener, pooling):
    nlp, examples = make_nlp(name, listener, pooling)
    optimizer = nlp.create_optimizer()
    for _ in range(60):
        nlp.update(examples, sgd=optimizer)
    for text, label in LABELS[name]:
        cats = nlp(text).cats
        assert cats[label] > 0.9 and min(cats.values()) < 0.1
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert loaded("a good film").cats == nlp("a good film").cats
    assert set(loaded("").cats) == {"pos", "neg"}
    assert [doc.cats for doc in loaded.pipe(["", "a film", " "])]


def test_textcat_mean_takes_a_new_label():
    nlp, examples = make_nlp("textcat", listener=False)
    before = nlp("a good film").cats
    nlp.get_pipe("textcat").add_label("odd")
    assert nlp("a good film").cats == pytest.approx({**before, "odd": 0.0}, abs=1e-5)


def test_textcat_mean_starts_with_attention_as_the_mean():
    scores = [make_nlp("textcat_multilabel", False, how)[0]("a good film").cats for how in POOLINGS]
    mean, sublinear, attention, mean_max = scores
    assert attention == pytest.approx(mean, abs=1e-6) and mean_max != pytest.approx(mean, abs=1e-3)


def test_textcat_mean_names_an_unknown_pooling():
    with pytest.raises(
        ValueError, match="E540.*`pooling`.*mean, sublinear, attention, mean_max.*'max'"
    ):
        make_nlp("textcat", False, "max")

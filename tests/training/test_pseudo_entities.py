import random
import shutil

import pytest
import spacy
import srsly
from spacy.scorer import get_ner_prf
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Corpus, Example
from spacy.util import fix_random_seed

import spacy_charlm
from spacy_charlm.pipeline.ner import DEFAULTS
from spacy_charlm.training import raw_labels
from spacy_charlm.training.pseudo_entities import EntityFinder, count_votes, label_entities

NAMES = {"PER": ["Krasten", "Mirln", "Pelnd"], "LOC": ["TOXVI", "QUAZZO"]}
REST = "saw left the old red house near it".split()
WIDTH = 16
TOK2VEC = DEFAULTS["model"]["tok2vec"] | {"width": WIDTH, "depth": 1, "embed_size": 200}
LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": WIDTH, "upstream": "*"}


def make_words(rng):
    """Six words and a name of one or two tokens at place 2, and its label."""
    label = rng.choice(["PER", "LOC"])
    name = rng.choices(NAMES[label], k=rng.choice([1, 2]))
    words = rng.choices(REST, k=6)
    return words[:2] + name + words[2:], (2, 2 + len(name), label)


def make_doc(vocab, rng):
    words, (start, end, label) = make_words(rng)
    doc = Doc(vocab, words=words)
    doc.set_ents([Span(doc, start, end, label=label)])
    return doc


def train_pipeline(docs, kind, seed, path):
    """Train a small pipeline: charlm_ner with its own tok2vec or a listener, or spaCy's ner."""
    fix_random_seed(seed)
    nlp = spacy.blank("en")
    model = {"@architectures": "spacy-charlm.CRF.v1", "tok2vec": TOK2VEC}
    if kind == "listener":
        tok2vec = {"@architectures": "spacy.HashEmbedCNN.v2", **TOK2VEC}
        nlp.add_pipe("tok2vec", config={"model": tok2vec})
        nlp.add_pipe("sentencizer")
        model["tok2vec"] = LISTENER
    if kind == "ner":
        nlp.add_pipe("ner")
    else:
        nlp.add_pipe("charlm_ner", name="entities", config={"model": model})
    bare = [Doc(nlp.vocab, words=[token.text for token in doc]) for doc in docs]
    examples = [Example(predicted, doc) for predicted, doc in zip(bare, docs)]
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    for _ in range(12):
        nlp.update(examples, sgd=optimizer)
    nlp.to_disk(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """24 annotated texts, 12 for development, 30 raw ones, and three trained pipelines."""
    folder, rng = tmp_path_factory.mktemp("data"), random.Random(0)
    vocab = spacy.blank("en").vocab
    for name, n in (("train", 24), ("dev", 12)):
        docs = [make_doc(vocab, rng) for _ in range(n)]
        DocBin(docs=docs).to_disk(folder / f"{name}.spacy")
        if name == "train":
            for seed, kind in enumerate(("listener", "alone", "ner")):
                train_pipeline(docs, kind, seed, folder / kind)
    drawn = [make_words(rng) for _ in range(30)]
    texts = [{"text": " ".join([*words, str(i)])} for i, (words, _) in enumerate(drawn)]
    srsly.write_jsonl(folder / "raw.jsonl", texts)
    srsly.write_json(folder / "truths.json", [list(ent) for _, ent in drawn])
    return folder


def run(folder, output, kinds=("listener", "alone", "ner"), **settings):
    raw = settings.pop("raw", folder / "raw.jsonl")
    train = settings.pop("train", folder / "train.spacy")
    return label_entities(train, raw, output, [folder / kind for kind in kinds], **settings)


def read(path):
    nlp = spacy.blank("en")
    return [example.reference for example in Corpus(path)(nlp)]


def list_ents(doc):
    return [(ent.start, ent.end, ent.label_) for ent in doc.ents]


def summarise(docs):
    return [(doc.text, list_ents(doc), doc.to_array("ENT_IOB").tolist()) for doc in docs]


@pytest.mark.parametrize(
    "found, min_votes, ents, missing",
    [
        ([], 1, [], []),
        ([{(0, 2, "A")}, {(0, 2, "A")}, {(0, 2, "B")}], 2, [(0, 2, "A")], []),
        ([{(0, 2, "A")}, {(1, 3, "A")}, {(5, 6, "A")}], 2, [], [0, 1, 2, 5]),
        # The most votes, whatever the length
        ([{(0, 1, "A")}, {(0, 1, "A")}, {(0, 4, "A")}], 1, [(0, 1, "A")], [1, 2, 3]),
        # As many votes: the longer one, then the earlier one, then the first label
        ([{(0, 2, "A")}, {(1, 4, "A")}], 1, [(1, 4, "A")], [0]),
        ([{(1, 3, "A")}, {(0, 2, "B")}], 1, [(0, 2, "B")], [2]),
        ([{(0, 2, "B")}, {(0, 2, "A")}], 1, [(0, 2, "A")], []),
    ],
)
def test_count_votes(found, min_votes, ents, missing):
    for order in (found, found[::-1]):
        assert count_votes([(some, set()) for some in order], min_votes) == (ents, missing)
    more = {(8, 10, "A"), (0, 1, "A")}
    unsure = {*missing, 0, 8, 9} - {i for start, end, _ in ents for i in range(start, end)}
    assert count_votes([*((some, set()) for some in found), (set(), more)], min_votes) == (
        ents,
        sorted(unsure),
    )


def test_annotates_what_most_pipelines_find(folder, tmp_path):
    found = run(folder, tmp_path / "out", dev=folder / "dev.spacy")
    docs = read(tmp_path / "out")
    given = read(folder / "train.spacy")
    assert summarise(docs[:72]) == summarise(given) * 3
    texts = [record["text"] for record in srsly.read_jsonl(folder / "raw.jsonl")]
    assert [doc.text for doc in docs[72:]] == texts
    truths = [[tuple(ent)] for ent in srsly.read_json(folder / "truths.json")]
    right = [list_ents(doc) == ents for doc, ents in zip(docs[72:], truths)]
    assert sum(right) > 20
    assert found.labels == {
        label: sum(ent.label_ == label for doc in docs[72:] for ent in doc.ents)
        for label in ("LOC", "PER")
    }
    assert (found.labelled, found.texts, found.known, found.short) == (24, 30, 0, 0)
    iob = [i for doc in docs[72:] for i in doc.to_array("ENT_IOB").tolist()]
    assert found.missing == iob.count(0)
    assert min(found.precision, found.recall, found.f1) > 0.6


def test_the_bias_and_lost_votes_lead_to_missing_annotation(folder, tmp_path):
    kinds = ("listener", "alone")
    plain = run(folder, tmp_path / "plain", kinds, bias=0.0)
    biased = run(folder, tmp_path / "biased", kinds, bias=-1000.0)
    assert plain.labels == biased.labels and plain.missing < biased.missing
    # A bias beyond all scores leaves no O, except where transitions count for more.
    for doc in read(tmp_path / "biased")[72:]:
        assert not (doc.to_array("ENT_IOB") == 2).any()
    # The bias cannot be applied to spaCy's ner.
    for name, bias in (("one", 0.0), ("two", -1000.0)):
        assert run(folder, tmp_path / name, ("ner",), bias=bias).missing == 0


def test_one_pipeline_annotates_what_it_finds(folder, tmp_path):
    found = run(folder, tmp_path / "out", ("listener",), dev=folder / "dev.spacy", repeat=1)
    nlp = spacy.load(folder / "listener")
    docs = read(tmp_path / "out")[24:]
    assert [list_ents(doc) for doc in docs] == [
        list_ents(doc) for doc in nlp.pipe(doc.text for doc in docs)
    ]
    gold = read(folder / "dev.spacy")
    scores = get_ner_prf(Example(nlp(doc.text), doc) for doc in gold)
    assert (found.precision, found.recall, found.f1) == tuple(
        scores[f"ents_{name}"] for name in "prf"
    )


def test_only_the_tok2vec_of_the_component_runs(folder):
    assert EntityFinder(folder / "listener").nlp.pipe_names == ["tok2vec"]
    assert EntityFinder(folder / "alone").nlp.pipe_names == []


def test_shards_and_batches_change_nothing(folder, tmp_path, monkeypatch):
    run(folder, tmp_path / "one")
    monkeypatch.setattr(raw_labels, "BATCH", 7)
    monkeypatch.setattr(raw_labels, "SHARD", 10)
    run(folder, tmp_path / "many")
    names = sorted(path.name for path in (tmp_path / "many").iterdir())
    assert names == ["labelled.spacy", *(f"raw-0000{i}.spacy" for i in range(3))]
    assert summarise(read(tmp_path / "one")) == summarise(read(tmp_path / "many"))


def test_leaves_out_known_and_short_texts(folder, tmp_path):
    dev, train = (read(folder / f"{name}.spacy") for name in ("dev", "train"))
    loose = "  ".join(train[3].text.upper()) + " !"
    lines = [dev[0].text.replace(" ", "-"), loose, "the house", "", "Mirln saw the red house"]
    (tmp_path / "raw.txt").write_text("\n".join(lines), encoding="utf8")
    settings = {"raw": tmp_path / "raw.txt", "dev": folder / "dev.spacy"}
    found = run(folder, tmp_path / "out", ("alone",), **settings)
    assert (found.texts, found.known, found.short) == (1, 2, 1)
    assert read(tmp_path / "out")[-1].text == lines[-1]
    assert run(folder, tmp_path / "all", ("alone",), **settings, min_words=2).texts == 2


def test_limit_draws_from_the_whole_text(folder, tmp_path):
    drawn = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert run(folder, tmp_path / name, ("alone",), limit=6, seed=seed).texts == 6
        drawn[name] = [doc.text for doc in read(tmp_path / name)[72:]]
    assert drawn["a"] == drawn["b"] != drawn["c"]
    texts = [record["text"] for record in srsly.read_jsonl(folder / "raw.jsonl")]
    assert max(texts.index(text) for text in drawn["a"] + drawn["c"]) > 20


def test_annotation_and_tokens_of_raw_docs(folder, tmp_path):
    nlp = spacy.blank("en")
    doc = Doc(
        nlp.vocab, words=["can't", "Krasten", "see", "the", "house"], ents=["B-X"] + ["O"] * 4
    )
    DocBin(docs=[doc]).to_disk(tmp_path / "raw.spacy")
    run(folder, tmp_path / "out", raw=tmp_path / "raw.spacy")
    found = read(tmp_path / "out")[-1]
    assert [token.text for token in found] == [token.text for token in doc]
    assert not {ent.label_ for ent in found.ents} - set(NAMES)


def test_spacy_learns_from_the_folder(folder, tmp_path):
    run(folder, tmp_path / "out", bias=-1000.0)
    for factory in ("ner", "charlm_ner"):
        nlp = spacy.blank("en")
        nlp.add_pipe(factory)
        examples = list(Corpus(tmp_path / "out", gold_preproc=True)(nlp))
        assert len(examples) == 102
        assert any("-" in (eg.get_aligned_ner()) or None in eg.get_aligned_ner() for eg in examples)
        nlp.initialize(lambda: examples[:5] + examples[-5:])  # noqa: B023
        assert nlp.update(examples[-10:])[factory] > 0


def test_a_failure_leaves_no_half_of_the_texts(folder, tmp_path):
    raw = tmp_path / "raw.jsonl"
    raw.write_text('{"text": "Mirln saw the old house"}\n', encoding="utf8")

    def stop(done, words):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder, tmp_path / "out", ("alone",), raw=raw, show=stop)
    assert not (tmp_path / "out").exists()


def save_other(folder, path, change):
    """Save a pipeline that differs from the others."""
    nlp = spacy.load(folder / "alone")
    change(nlp)
    nlp.to_disk(path)
    return path


def test_pipelines_that_do_not_fit(folder, tmp_path):
    other = tmp_path / "other"
    save_other(folder, other, lambda nlp: nlp.add_pipe("entity_ruler", first=True))
    with pytest.raises(ValueError, match="E801.*entity_ruler"):
        run(folder, tmp_path / "out", ("alone", other))
    save_other(folder, other, lambda nlp: nlp.remove_pipe("entities"))
    with pytest.raises(ValueError, match="E801"):
        run(folder, tmp_path / "out", (other,))

    def split_hyphens(nlp):
        nlp.tokenizer.token_match = None
        nlp.tokenizer.infix_finditer = None

    shutil.rmtree(other)
    save_other(folder, other, split_hyphens)
    (tmp_path / "raw.txt").write_text("Mirln saw the red-old house", encoding="utf8")
    with pytest.raises(ValueError, match="E803.*red-old"):
        run(folder, tmp_path / "out", ("alone", other), raw=tmp_path / "raw.txt")
    docs = read(folder / "train.spacy")
    for doc in docs:
        doc.set_ents([Span(doc, 2, 3, label="ORG")])
    DocBin(docs=docs).to_disk(tmp_path / "train.spacy")
    train_pipeline(docs[:4], "alone", 0, tmp_path / "org")
    with pytest.raises(ValueError, match="E802.*labels.*PER.*ORG"):
        run(folder, tmp_path / "out", ("alone", tmp_path / "org"))
    with pytest.raises(ValueError, match="E805.*PER.*ORG"):
        run(folder, tmp_path / "out", ("alone",), train=tmp_path / "train.spacy")
    nlp = spacy.blank("de")
    nlp.add_pipe("ner")
    nlp.initialize(
        lambda: [
            Example(Doc(nlp.vocab, ["a"]), make_doc(nlp.vocab, random.Random(i))) for i in range(6)
        ]
    )
    nlp.to_disk(tmp_path / "de")
    with pytest.raises(ValueError, match="E802.*lang.*en.*de"):
        run(folder, tmp_path / "out", ("ner", tmp_path / "de"))
    with pytest.raises(OSError, match="E05"):
        run(folder, tmp_path / "out", ("nothing",))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"kinds": ()}, "E800"),
        ({"min_votes": 4}, "E560.*min_votes.*0 to 3.*4"),
        ({"bias": 0.5}, "E560.*bias"),
        ({"bias": float("nan")}, "E560.*bias"),
        ({"repeat": 0}, "E560.*repeat"),
        ({"limit": -1}, "E560.*limit"),
        ({"seed": -1}, "E560.*seed"),
    ],
)
def test_settings_out_of_range(settings, message, folder, tmp_path):
    with pytest.raises(ValueError, match=message):
        run(folder, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_texts_that_do_not_fit(folder, tmp_path):
    docs = read(folder / "train.spacy")
    for doc in docs:
        doc.set_ents([])
    bare = tmp_path / "bare.spacy"
    DocBin(docs=docs).to_disk(bare)
    for settings in ({"train": bare}, {"dev": bare}):
        with pytest.raises(ValueError, match="E804.*bare.spacy.*24 texts"):
            run(folder, tmp_path / "out", ("alone",), **settings)
    (tmp_path / "raw.txt").write_text(" \n", encoding="utf8")
    for limit in (0, 5):
        with pytest.raises(ValueError, match="E105"):
            run(folder, tmp_path / "out", ("alone",), raw=tmp_path / "raw.txt", limit=limit)
    with pytest.raises(ValueError, match="E556"):
        run(folder, tmp_path, ("alone",))


def test_api_takes_strings(folder, tmp_path):
    paths = [str(folder / name) for name in ("train.spacy", "raw.jsonl")]
    found = spacy_charlm.label_entities(
        *paths, str(tmp_path / "out"), [str(folder / "alone")], limit=5
    )
    assert found.texts == 5
    with pytest.raises(ValueError, match="E621.*pipelines"):
        spacy_charlm.label_entities(*paths, tmp_path / "out", str(folder / "alone"))

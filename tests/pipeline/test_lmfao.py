import gc

import numpy as np
import pytest
import spacy
import srsly
from numpy.testing import assert_allclose
from spacy.training import Example
from spacy.util import load_model_from_config

from spacy_charlm.decoding.word_table import SPELLING
from spacy_charlm.objectives.heads import (
    create_linear_head_v1,
    create_maxout_head_v1,
    load_head,
)
from spacy_charlm.training.pretrain import HEADS, LAST
from spacy_charlm.types import MaskedDocs

TEXTS = ["the cat saw a dog", "", " ", "the caat slept", "an [MASK] dog"]


@pytest.fixture
def pretrained(tiny):
    tiny.run("out", {"pretraining.max_epochs": 1})
    return tiny


def make_nlp(tiny, **settings):
    """Make a pipeline of the pretrained tok2vec and charlm_lmfao."""
    config = tiny.config().interpolate()
    nlp_config = spacy.blank("en").config.copy()
    nlp_config["nlp"]["pipeline"] = ["tok2vec"]
    nlp_config["components"] = {"tok2vec": config["components"]["tok2vec"]}
    nlp = load_model_from_config(nlp_config, auto_fill=True)
    out = tiny.folder / "out"
    nlp.add_pipe("charlm_lmfao", config=settings)
    nlp.config["initialize"]["components"]["charlm_lmfao"] = {
        "head": str(out / HEADS[LAST]),
        "vectors": str(tiny.folder / "vectors.txt"),
    }
    nlp.initialize()
    nlp.get_pipe("tok2vec").model.from_bytes((out / LAST).read_bytes())
    return nlp


def get_annotations(doc):
    return [(token._.charlm_words, token._.charlm_margin) for token in doc]


def test_charlm_lmfao_names_the_nearest_words(pretrained):
    nlp = make_nlp(pretrained, k=3)
    lines = (pretrained.folder / "vectors.txt").read_text(encoding="utf8").splitlines()
    table = {line.split()[0]: np.array(line.split()[1:], dtype=float) for line in lines}
    head = load_head((pretrained.folder / "out" / HEADS[LAST]).read_bytes(), "head")
    doc = nlp("the cat saw")
    (tokvecs,) = nlp.get_pipe("tok2vec").model.predict([nlp.make_doc("the cat saw")])
    for token, vector in zip(doc, head.predict(tokvecs)):
        cosines = {
            word: row @ vector / np.linalg.norm(row) / np.linalg.norm(vector)
            for word, row in table.items()
        }
        best = sorted(cosines, key=cosines.get, reverse=True)
        assert [word for word, _ in token._.charlm_words] == best[:3]
        scores = [score for _, score in token._.charlm_words]
        assert_allclose(scores, [cosines[word] for word in best[:3]], atol=2e-3)  # float16
        assert token._.charlm_margin == pytest.approx(scores[0] - scores[1])


def test_charlm_lmfao_survives_empty_texts_and_batches(pretrained):
    nlp = make_nlp(pretrained)
    alone = [get_annotations(nlp(text)) for text in TEXTS]
    for one, doc in zip(alone, nlp.pipe(TEXTS, batch_size=2)):
        together = get_annotations(doc)
        assert len(one) == len(together)
        for (words, _), (others, _) in zip(one, together):
            assert (words is None) == (others is None)
            if words is not None:
                assert [w for w, _ in words] == [w for w, _ in others]
    assert alone[1] == [] and alone[2] == [(None, None)]


def test_charlm_lmfao_fills_masks(pretrained):
    nlp = make_nlp(pretrained, k=4)
    pipe = nlp.get_pipe("charlm_lmfao")
    (words,) = pipe.fill("the [MASK] slept")
    assert len(words) == 4 and words[0][1] >= words[-1][1]
    first, second = pipe.fill("[MASK] cat saw a [MASK].", k=2)
    assert len(first) == len(second) == 2
    # The tokenizer itself splits [MASK].
    assert nlp("[MASK]")[0].text == "["
    with pytest.raises(ValueError, match="charlm E746"):
        pipe.fill("no mask")


def test_charlm_lmfao_hides_words_from_any_tok2vec(pretrained, tmp_path):
    """A tok2vec of spaCy cannot read masks, so it gets Docs without the words."""
    embed = {
        "@architectures": "spacy.MultiHashEmbed.v2",
        "width": 16,
        "attrs": ["NORM"],
        "rows": [100],
        "include_static_vectors": False,
    }
    overrides = {"pretraining.max_epochs": 1}
    blocks = {"components.tok2vec.model.embed": embed}
    pretrained.run("hash", overrides, blocks=blocks)
    config = pretrained.config(overrides, blocks).interpolate()
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config={"model": config["components"]["tok2vec"]["model"]})
    pipe = nlp.add_pipe("charlm_lmfao")
    nlp.config["initialize"]["components"]["charlm_lmfao"] = {
        "head": str(pretrained.folder / "hash" / HEADS[LAST]),
        "vectors": str(pretrained.folder / "vectors.txt"),
    }
    nlp.initialize()
    nlp.get_pipe("tok2vec").model.from_bytes((pretrained.folder / "hash" / LAST).read_bytes())
    hidden = np.array([False, True, False])
    found = [
        pipe.predict(MaskedDocs([nlp.make_doc(text)], hidden, np.arange(3)))
        for text in ("the cat slept", "the dog slept")
    ]
    assert_allclose(*found)
    assert not np.allclose(found[0], pipe.predict([nlp.make_doc("the cat slept")]))


def test_charlm_lmfao_of_another_pipeline(pretrained):
    """If copied with `source`, it would use the tok2vec of the other pipeline."""
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec")
    nlp.initialize()
    nlp.add_pipe("charlm_lmfao", source=make_nlp(pretrained))
    with pytest.raises(ValueError, match="E752.*Save the pipeline and load it"):
        nlp("the cat")


@pytest.mark.parametrize("text", ["a [MASK] b", "[MASK]", "x[MASK], y", "[MASK] [MASK]  z"])
def test_charlm_lmfao_keeps_the_text_around_a_mask(pretrained, text):
    doc = make_nlp(pretrained).get_pipe("charlm_lmfao")._make_masked(text)
    assert doc.text.rstrip() == text.rstrip()
    assert [token.text for token in doc].count("[MASK]") == text.count("[MASK]")


def test_charlm_lmfao_suggests_words(pretrained):
    pipe = make_nlp(pretrained).get_pipe("charlm_lmfao")
    found = pipe.suggest("Caat", k=3)
    assert found[0][0] == "cat"
    assert [score for _, score in found] == sorted((s for _, s in found), reverse=True)
    assert {"dog", "slept"}.isdisjoint(word for word, _ in found)  # spelled differently
    far = pipe.suggest("xxxxxxxxxxxxxxxxxxx", k=3)  # no similar spelling: by the vector alone
    assert len(far) == 3 and all(-1.001 <= score <= 1.001 for _, score in far)


def test_charlm_lmfao_suggests_for_a_token_in_its_text(pretrained):
    nlp = make_nlp(pretrained)
    pipe, doc = nlp.get_pipe("charlm_lmfao"), nlp.make_doc("the caat slept")
    found, alone = pipe.suggest(doc[1], k=99), pipe.suggest("caat", k=99)
    assert {word for word, _ in found} == {word for word, _ in alone}
    assert found != alone  # the context counts


def test_charlm_lmfao_suggests_what_the_context_predicts(pretrained, monkeypatch):
    """For a token, the word is hidden as well; a token alone has no context."""
    nlp = make_nlp(pretrained)
    pipe, read = nlp.get_pipe("charlm_lmfao"), []
    predict = pipe.predict
    monkeypatch.setattr(pipe, "predict", lambda docs: read.append(docs) or predict(docs))
    doc = nlp.make_doc("the caat slept")
    pipe.suggest(doc[1])
    assert isinstance(read[0], MaskedDocs) and np.flatnonzero(read[0].hidden).tolist() == [4]
    pipe.suggest("caat")
    pipe.suggest(nlp.make_doc("caat")[0])
    assert not any(isinstance(docs, MaskedDocs) for docs in read[1:])
    monkeypatch.undo()
    # Two words whose letters cost the same, apart from their rank.
    table = pipe._table
    own = np.ones((1, table.values.shape[1]))
    toward = [table.values[table.words.index(word)][None].astype(float) for word in ("cat", "saw")]
    scores = [
        dict(table.suggest("sat", own, 9, nlp.get_pipe("tok2vec").model.ops, v)) for v in toward
    ]
    assert scores[0]["cat"] - scores[0]["saw"] > scores[1]["cat"] - scores[1]["saw"]


def test_charlm_lmfao_learns_from_misspellings(pretrained, tmp_path):
    nlp = make_nlp(pretrained)
    path = tmp_path / "misspellings.tsv"
    # Here people type q for c: in four of five words, which are those that are learned from.
    lines = [
        f"{word.replace('c', 'q')}\t{word}\n" for word in ("cap", "act", "back", "cold", "ice")
    ]
    path.write_text("".join(lines), encoding="utf8")
    settings = dict(nlp.config["initialize"]["components"]["charlm_lmfao"])
    pipe = nlp.get_pipe("charlm_lmfao")
    plain = dict(pipe.suggest("qat"))["cat"]
    pipe.initialize(**settings, misspellings=path)
    learned = pipe.suggest("qat")
    assert dict(learned)["cat"] > plain
    nlp.to_disk(tmp_path / "nlp")
    path.unlink()
    loaded = spacy.load(tmp_path / "nlp")
    copy = load_model_from_config(nlp.config, auto_fill=True).from_bytes(nlp.to_bytes())
    for other in (loaded, copy):
        assert other.get_pipe("charlm_lmfao").suggest("qat") == learned
    # A pipeline of an older version has no costs.
    (tmp_path / "nlp" / "charlm_lmfao" / SPELLING).unlink()
    assert (
        dict(spacy.load(tmp_path / "nlp").get_pipe("charlm_lmfao").suggest("qat"))["cat"] == plain
    )
    (tmp_path / "nlp" / "charlm_lmfao" / SPELLING).write_bytes(srsly.msgpack_dumps([["a", 1]]))
    with pytest.raises(ValueError, match="charlm E554"):
        spacy.load(tmp_path / "nlp")
    with pytest.raises(FileNotFoundError, match="charlm E552"):
        pipe.initialize(**settings, misspellings=path)
    path.write_text("", encoding="utf8")
    with pytest.raises(ValueError, match="charlm E790.*misspellings = null"):
        pipe.initialize(**settings, misspellings=path)
    path.write_text("no tab\n", encoding="utf8")
    with pytest.raises(ValueError, match="charlm E703"):
        pipe.initialize(**settings, misspellings=path)


@pytest.mark.parametrize("search", ["exact", "csls", "f16", "i8"])
def test_charlm_lmfao_round_trips(search, pretrained, tmp_path):
    settings = {"csls": search == "csls"}
    if search in ("f16", "i8"):
        pytest.importorskip("usearch", reason="needs the extra ann")
        settings = {"approximate": True, "index_dtype": search}
    nlp = make_nlp(pretrained, **settings)
    expected = [get_annotations(nlp(text)) for text in TEXTS]
    nlp.to_disk(tmp_path / "nlp")
    (pretrained.folder / "vectors.txt").unlink()
    loaded = spacy.load(tmp_path / "nlp")
    copy = load_model_from_config(nlp.config, auto_fill=True).from_bytes(nlp.to_bytes())
    for other in (loaded, copy):
        assert [get_annotations(other(text)) for text in TEXTS] == expected
        assert other.get_pipe("charlm_lmfao").fill("the [MASK]") == nlp.get_pipe(
            "charlm_lmfao"
        ).fill("the [MASK]")


@pytest.mark.parametrize("search", ["exact", "approximate"])
def test_charlm_lmfao_is_saved_over_itself(search, pretrained, tmp_path):
    """Vectors and index are mapped from the files that are overwritten."""
    if search == "approximate":
        pytest.importorskip("usearch", reason="needs the extra ann")
    nlp = make_nlp(pretrained, approximate=search == "approximate")
    expected = get_annotations(nlp(TEXTS[0]))
    nlp.to_disk(tmp_path / "nlp")
    for _ in range(2):
        nlp = spacy.load(tmp_path / "nlp")
        nlp.to_disk(tmp_path / "nlp")
        assert get_annotations(nlp(TEXTS[0])) == expected
    assert get_annotations(spacy.load(tmp_path / "nlp")(TEXTS[0])) == expected


@pytest.mark.parametrize("build", [create_linear_head_v1(), create_maxout_head_v1(6, 2)])
def test_heads_load_from_their_weights(build):
    head = build(3, 4)
    head.initialize()
    X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    assert_allclose(load_head(head.to_bytes(), "head").predict(X), head.predict(X))


def test_charlm_lmfao_names_what_is_wrong(pretrained, tmp_path):
    with pytest.raises(ValueError, match="charlm E723"):
        spacy.blank("en").add_pipe("charlm_lmfao", config={"k": 0})
    with pytest.raises(ValueError, match="charlm E747"):
        spacy.blank("en").add_pipe("charlm_lmfao", config={"csls": True, "approximate": True})
    with pytest.raises(ValueError, match="charlm E754.*f16 or i8.*'f8'"):
        spacy.blank("en").add_pipe("charlm_lmfao", config={"index_dtype": "f8"})
    nlp = spacy.blank("en")
    nlp.add_pipe("charlm_lmfao")
    with pytest.raises(ValueError, match="charlm E745"):
        nlp.initialize()
    with pytest.raises(ValueError, match="charlm E745"):
        nlp("the cat")
    pipe = nlp.get_pipe("charlm_lmfao")
    out, vectors = pretrained.folder / "out", pretrained.folder / "vectors.txt"
    with pytest.raises(ValueError, match="charlm E502"):
        pipe.initialize(head=tmp_path / "none", vectors=vectors)
    with pytest.raises(ValueError, match="charlm E"):
        pipe.initialize(head=vectors, vectors=vectors)
    (tmp_path / "wide.txt").write_text("the 1 2 3 4 5\n", encoding="utf8")
    with pytest.raises(ValueError, match="charlm E722.*width 5.*width 4"):
        pipe.initialize(head=out / HEADS[LAST], vectors=tmp_path / "wide.txt")
    (tmp_path / "nan.txt").write_text("the 1 2 3 4\na 0 0 0 0\n", encoding="utf8")
    pipe.initialize(head=out / HEADS[LAST], vectors=tmp_path / "nan.txt")
    assert pipe.words == ["the"]
    (tmp_path / "nan.txt").write_text("a 0 0 0 0\n", encoding="utf8")
    with pytest.raises(ValueError, match="charlm E720"):
        pipe.initialize(head=out / HEADS[LAST], vectors=tmp_path / "nan.txt")
    pipe.initialize(head=out / HEADS[LAST], vectors=vectors)
    with pytest.raises(ValueError, match="charlm E723"):
        pipe.suggest("cat", k=0)
    assert pipe.suggest("") == pipe.suggest(" ") == []
    with pytest.raises(ValueError, match="charlm E742.*'tok2vec'"):
        pipe.suggest("cat")
    nlp.add_pipe("tok2vec", first=True)  # of another width
    nlp.get_pipe("tok2vec").initialize(lambda: [Example(nlp.make_doc("a"), nlp.make_doc("a"))])
    with pytest.raises(ValueError, match="charlm E753.*width 96"):
        pipe.suggest("cat")


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x05", b"\x82\xa1"])
def test_charlm_lmfao_of_damaged_files(data, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec")
    pipe = nlp.add_pipe("charlm_lmfao")
    with pytest.raises(ValueError, match="E554"):
        pipe.from_bytes(data)
    pipe.to_disk(tmp_path)
    for path in tmp_path.iterdir():
        kept = path.read_bytes()
        if kept:
            path.write_bytes(data)
            with pytest.raises(ValueError, match="E554|E720"):
                pipe.from_disk(tmp_path)
            path.write_bytes(kept)
    assert gc.isenabled()

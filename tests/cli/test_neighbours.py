from functools import partial

import numpy as np
import pytest
import spacy
import srsly
from numpy.testing import assert_array_equal
from spacy.vectors import Vectors
from typer.testing import CliRunner

from spacy_charlm.cli import app
from spacy_charlm.cli.neighbours import show_words
from spacy_charlm.evaluation.inspect_weights import load_pretrained
from spacy_charlm.evaluation.text_vectors import embed_words
from spacy_charlm.evaluation.word_neighbours import RidgeReadout, WordNeighbours
from spacy_charlm.pipeline.find_tok2vec import get_tok2vec
from spacy_charlm.targets.read_vectors import read_table
from spacy_charlm.training.pretrain import LAST

WORDS = "the a cat dog saw heard and slept near old red house sang Leeds rain".split()


@pytest.fixture
def weights(tiny):
    tiny.run("out", {"pretraining.max_epochs": 1})
    return tiny.folder / "out" / LAST


@pytest.fixture
def vectors(tmp_path):
    rng = np.random.default_rng(0)
    lines = [f"{word} {' '.join(f'{x:.3f}' for x in rng.normal(size=4))}" for word in WORDS]
    path = tmp_path / "table.txt"
    path.write_text("\n".join([*lines, "<unk> 0 0 0 0"]) + "\n", encoding="utf8")
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["neighbours", *map(str, arguments)])


def test_neighbours_names_words(weights, vectors, tmp_path):
    typed = tmp_path / "misspellings.tsv"
    pairs = [f"{word}{end}\t{word}\n" for word in WORDS if word.islower() for end in ("x", "yz")]
    typed.write_text("".join(pairs), encoding="utf8")
    output = tmp_path / "scores" / "found.json"
    result = run(
        weights, vectors, "cat", "caat", "-k", 2, "--misspellings", typed, "--output", output
    )
    assert result.exit_code == 0, result.output
    assert "15 words; readout fitted on 15" in result.output and "misspelled words" in result.output
    rows = [
        s
        for s in srsly.read_json(output)["scores"]
        if s["conditions"] == {"task": "misspelled words", "frequency": "all"}
    ]
    for source in (weights.name, f"{weights.name}, own vectors"):
        scores = {s["metric"]: s for s in rows if s["source"] == source}
        assert scores["mrr"]["n_units"] == 6  # a fifth of 14 words, two each
        assert 0 <= scores["p_at_1"]["mean"] <= scores["p_at_10"]["mean"] <= 1
    assert (
        result.output
        == run(
            weights, vectors, "cat", "caat", "-k", 2, "--misspellings", typed, "--output", output
        ).output
    )
    assert run(weights, vectors, "cat", "--csls").exit_code == 0


def test_neighbours_readout_finds_words_that_it_was_fitted_on(weights, vectors):
    """As many words as the tok2vec is wide: the least squares go through all of them."""
    names, values = read_table(vectors)
    assert names == WORDS
    nlp = load_pretrained(weights)
    readout = RidgeReadout(partial(embed_words, nlp), names[:6], values[:6])
    found = readout(names[:6])
    assert found.shape == (6, 4) and found.dtype == "float32"
    nearest = np.argmin(((found[:, None] - values[None, :6]) ** 2).sum(-1), axis=1)
    assert (nearest == np.arange(6)).mean() > 0.8
    assert readout([]).shape == (0, 4)


def test_neighbours_by_spelling(weights, vectors):
    """With a large weight, the nearest words are spelled alike, whatever the vectors say."""
    table = WordNeighbours(weights, vectors, spelling=100.0)
    found = table.find(WORDS, 1)
    assert np.mean([words[0][0] == word for words, word in zip(found, WORDS)]) > 0.8
    assert run(weights, vectors, "cat", "--spelling", 0.5).exit_code == 0


def test_neighbours_by_the_characters(weights, vectors):
    table = WordNeighbours(weights, vectors, chars=True)
    embed = get_tok2vec(load_pretrained(weights, "en")).get_ref("embed")
    found = table._embed(["cat", "caat", "cat"])
    assert found.shape == (3, sum(embed.attrs["settings"]["filters"]))
    assert_array_equal(found[0], found[2])
    assert (found[0] != found[1]).any()
    assert [row[0][0] for row in table.find(WORDS, 1)] == WORDS
    assert run(weights, vectors, "cat", "--chars").exit_code == 0
    result = run(weights, vectors, "cat", "--chars", "--spelling", 1)
    assert result.exit_code == 2 and "--spelling" in result.output


def test_neighbours_scores_words_that_were_held_out(weights, vectors, tmp_path):
    """The readout is not fitted on them; floret has a readout into the same table."""
    rng, nlp = np.random.default_rng(0), spacy.blank("en")
    data = rng.normal(size=(300, 9)).astype("float32")
    settings = {"minn": 2, "maxn": 3, "hash_count": 1, "strings": nlp.vocab.strings}
    nlp.vocab.vectors = Vectors(mode="floret", data=data, **settings)
    nlp.to_disk(tmp_path / "floret")
    (tmp_path / "words.txt").write_text("cat\nnobody\nrain\n", encoding="utf8")
    arguments = ("--held-out", tmp_path / "words.txt", "--floret", tmp_path / "floret")
    output = tmp_path / "scores.json"
    result = run(weights, vectors, *arguments, "--output", output)
    assert result.exit_code == 0, result.output
    assert "fitted on 13" in result.output  # of 15
    ours, floret = (
        s
        for s in srsly.read_json(output)["scores"]
        if s["metric"] == "cosine" and s["conditions"]["frequency"] == "all"
    )
    assert ours["source"] == weights.name and floret["source"] == str(tmp_path / "floret")
    assert ours["n_units"] == floret["n_units"] == 2  # of the table
    assert ours["mean"] != floret["mean"]
    (tmp_path / "words.txt").write_text("nobody\n", encoding="utf8")
    assert "none of the table's words" in run(weights, vectors, *arguments).output


def test_neighbours_in_a_folder_of_vectors(weights, tmp_path):
    nlp = spacy.blank("en")
    for i, word in enumerate(WORDS):
        nlp.vocab.set_vector(word, np.eye(15, 4, -(i % 4), dtype="float32")[i % 15] + i)
    nlp.to_disk(tmp_path / "vectors")
    names, values = read_table(tmp_path / "vectors")
    assert sorted(names) == sorted(WORDS) and values.shape == (15, 4)
    assert run(weights, tmp_path / "vectors", "cat").exit_code == 0


@pytest.mark.parametrize(
    "case",
    ["no table", "floret", "weights", "no floret", "no fit", "no file", "empty word", "no chars"],
)
def test_neighbours_names_what_is_wrong(case, weights, vectors, tmp_path):
    floret = tmp_path / "floret"
    data = np.ones((9, 4), dtype="float32")
    strings = spacy.blank("en").vocab.strings
    Vectors(mode="floret", data=data, minn=2, maxn=3, hash_count=1, strings=strings).to_disk(floret)
    more = []
    if case == "no table":
        vectors, message = tmp_path / "none.txt", "charlm E202"
    elif case == "empty word":
        more, message = ["cat", ""], "charlm E665"
    elif case == "floret":
        vectors, message = floret, "charlm E725"
    elif case == "weights":
        weights, message = vectors, "charlm E"
    elif case == "no file":
        more, message = ["--held-out", tmp_path / "none.txt"], "none.txt"
    elif case == "no chars":
        nlp = spacy.blank("en")
        tok2vec = nlp.add_pipe("tok2vec").model
        nlp.initialize()
        weights, more, message = tmp_path / "spacy.bin", ["--chars"], "charlm E731"
        weights.write_bytes(tok2vec.to_bytes())
    elif case == "no fit":
        more, message = ["--n-fit", 0], "charlm E730"
    else:
        typed = tmp_path / "typed.tsv"
        typed.write_text("catt\tcat\n", encoding="utf8")
        more, message = ["--misspellings", typed, "--floret", tmp_path / "typed.tsv"], "charlm E"
    result = run(weights, vectors, "cat", *more)
    assert result.exit_code == 1 and message in result.output, result.output


def test_neighbours_folds_wide_tables(capsys):
    words = ["Donaudampfschifffahrtsgesellschaftskapitän", "cat"]
    show_words(words, [[(f"{word}s", 0.5)] * 10 for word in words], {"cat"})
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.count("cats\xa00.50") == 10

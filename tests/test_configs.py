import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import spacy
import srsly
from spacy.cli.debug_config import debug_config
from spacy.cli.init_config import fill_config
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.training.pretrain import pretrain
from spacy.util import load_config
from thinc.api import fix_random_seed, get_current_ops, set_current_ops
from typer.testing import CliRunner

from spacy_charlm.cli import app
from spacy_charlm.cli.init import PREFIX
from spacy_charlm.quantized import VECTOR_TABLE
from spacy_charlm.targets.transformer_vectors import make_key
from spacy_charlm.targets.vector_cache import VectorCache
from spacy_charlm.vectors.train_vectors import VectorSettings, train_vectors

CONFIGS = Path(__file__).parents[1] / "configs"
PRETRAIN = sorted((CONFIGS / "pretrain").glob("*.cfg"))
TRAIN = sorted((CONFIGS / "train").glob("*.cfg"))
TEXTCAT = CONFIGS / "train" / "textcat.cfg"
# A table of n-grams with fewer parameters and a tokenizer without exceptions, to save time.
SMALL = {"components.tok2vec.model.embed.ngram_rows": 500, "nlp.lang": "xx"}
FROZEN = {
    "training.frozen_components": ["tok2vec"],
    "training.annotating_components": ["tok2vec"],
}
TARGET_VECTORS = {"bigrams": "bigrams"}  # by config, where GloVe's text format does not do
SENTENCES = [
    ("London is a warm city in May.", "good", "London"),
    ("Nobody likes the rain of Leeds!", "bad", "Leeds"),
    ("We had a fine day in Dover.", "good", "Dover"),
    ("The train to Luton was cold and late.", "bad", "Luton"),
]
PIPE_CODE = """
import sys
import numpy
import spacy

def check(path):
    nlp = spacy.load(path)
    texts = ["", "London is warm.", " ", "A cold day in Leeds 🙂", "No"]
    alone = [nlp(text) for text in texts]
    for doc, other in zip(alone, nlp.pipe(texts, n_process=2, batch_size=2), strict=True):
        assert doc.text == other.text
        numpy.testing.assert_allclose(doc.tensor, other.tensor, atol=1e-5)
        assert [ent.text for ent in doc.ents] == [ent.text for ent in other.ents]
        assert doc.cats.keys() == other.cats.keys()
        for label, score in doc.cats.items():
            # spaCy gives an empty Doc zeros where no Doc of its batch has words
            assert not len(doc) or abs(other.cats[label] - score) < 1e-5

if __name__ == "__main__":
    for path in sys.argv[1:]:
        check(path)
"""


@pytest.fixture(autouse=True, scope="module")
def _keep_ops():
    # The callback use_blas of the configs changes them for the whole thread.
    ops = get_current_ops()
    yield
    set_current_ops(ops)


def _make_tree(doc):
    """The same words with tags, and a chain as the tree, which a parser learns at once."""
    return Doc(
        doc.vocab,
        words=[token.text for token in doc],
        spaces=[bool(token.whitespace_) for token in doc],
        tags=["NNP" if token.is_title else "X" for token in doc],
        heads=[max(0, token.i - 1) for token in doc],
        deps=["ROOT" if token.i == 0 else "dep" for token in doc],
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    lines = [text for text, _, _ in SENTENCES]
    (folder / "raw.txt").write_text("\n".join(lines * 3), encoding="utf8")
    nlp = spacy.blank("xx")
    docs = [_make_tree(nlp.make_doc(text)) for text in lines]
    words = sorted({token.lower_ for doc in docs for token in doc})
    table = numpy.random.default_rng(0).normal(size=(len(words), 8))
    rows = [f"{word} {' '.join(f'{x:.4f}' for x in row)}" for word, row in zip(words, table)]
    (folder / "glove.txt").write_text("\n".join(rows) + "\n", encoding="utf8")
    for doc, (text, label, place) in zip(docs, SENTENCES):
        doc.cats = {"good": float(label == "good"), "bad": float(label == "bad")}
        start = text.index(place)
        doc.set_ents([doc.char_span(start, start + len(place), label="PLACE")])
    DocBin(docs=docs, store_user_data=True).to_disk(folder / "train.spacy")
    # What a transformer would have said: with a cache nobody asks it.
    facts = {"model": "distilbert-base-uncased", "layer": "last", "pooling": "mean", "nO": 8}
    cache = VectorCache(folder / "cache", facts)
    for doc in docs:
        cache.add(make_key(doc), numpy.random.default_rng(len(doc)).normal(size=(len(doc), 8)))
    cache.close()
    nlp.add_pipe("parser", config={"min_action_freq": 1})
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in docs]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(20):
        nlp.update(examples, sgd=optimizer)
    nlp.to_disk(folder / "parser")
    settings = VectorSettings(ngrams=2, dim=10, epochs=1, min_count=1, lang="xx")
    train_vectors(folder / "raw.txt", folder / "bigrams", settings)
    return folder


@pytest.fixture(scope="module")
def weights(data, tmp_path_factory):
    return _pretrain(CONFIGS / "pretrain" / "cosine.cfg", data, tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def all_trained(data, weights, tmp_path_factory):
    """For each config, the folders of the pipelines trained without and with weights."""
    folders = {path: tmp_path_factory.mktemp(path.stem) for path in TRAIN}
    for path, folder in folders.items():
        _train(path, data, folder / "plain")
        _train(path, data, folder / "ours", weights)
    return {
        path: (folder / "plain" / "model-last", folder / "ours" / "model-last")
        for path, folder in folders.items()
    }


@pytest.fixture(params=TRAIN, ids=lambda path: path.stem)
def trained(request, all_trained):
    return request.param, *all_trained[request.param]


@pytest.fixture(scope="module")
def plain(data):
    """The parameters of the tok2vec without pretraining."""
    return _get_params(_initialise(TEXTCAT, data).get_pipe("tok2vec").model)


def _pretrain(path, data, output, **overrides):
    config = load_config(
        path,
        overrides={
            **SMALL,
            "paths.raw_text": str(data / "raw.txt"),
            "paths.target_vectors": str(data / TARGET_VECTORS.get(path.stem, "glove.txt")),
            "corpora.pretrain.min_words": 0,
            "pretraining.max_epochs": 3,
            "pretraining.batcher.size": 40,
            "pretraining.optimizer.learn_rate.warmup_steps": 2,
            # So that the few updates change the weights.
            "pretraining.optimizer.learn_rate.total_steps": 3800,
            **({"paths.parser": str(data / "parser")} if path.stem == "head" else {}),
            **({"paths.cache": str(data / "cache")} if path.stem == "transformer" else {}),
            **overrides,
        },
        interpolate=False,
    )
    pretrain(config.interpolate(), output)
    return output / "model-last.bin"


def _raw_text(data):
    paths = {"raw_text": "raw.txt", "target_vectors": "glove.txt"}
    return {f"paths.{name}": str(data / file_name) for name, file_name in paths.items()}


def _initialise(path, data, weights=None, **overrides):
    config = load_config(
        path,
        overrides={
            **SMALL,
            "paths.train": str(data / "train.spacy"),
            "paths.dev": str(data / "train.spacy"),
            "paths.init_weights": None if weights is None else str(weights),
            "training.max_steps": 2,
            "training.eval_frequency": 2,
            **(_raw_text(data) if path.stem.endswith("_lmao") else {}),
            **overrides,
        },
        interpolate=False,
    )
    return init_nlp(config)


def _train(path, data, output, weights=None, **overrides):
    nlp = _initialise(path, data, weights, **overrides)
    output.mkdir(exist_ok=True)
    train(nlp, output, stdout=io.StringIO(), stderr=io.StringIO())
    return spacy.load(output / "model-last")


def _get_loss(nlp, data):
    fix_random_seed(0)  # the updates of NER draw from the global generator
    docs = list(DocBin().from_disk(data / "train.spacy").get_docs(nlp.vocab))
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in docs]
    losses = nlp.update(examples, drop=0.0, sgd=False)
    return losses[nlp.pipe_names[-1]]


def _get_params(model):
    return [
        node.get_param(name).copy()
        for node in model.walk()
        for name in node.param_names
        if node.has_param(name)
    ]


def _same_params(first, second):
    assert len(first) == len(second) > 0
    return all(numpy.array_equal(a, b) for a, b in zip(first, second))


def test_configs_are_all_here():
    losses = {"contrastive", "cosine", "squared_error"}
    targets = {"denoising", "document", "head", "multi", "topics", "transformer"}
    targets |= {"trigram", "word_ids"}
    assert {path.stem for path in PRETRAIN} >= losses | targets
    tasks = {"ner", "parser", "textcat", "textcat_multilabel", "textcat_lmao"}
    assert {path.stem for path in TRAIN} >= tasks


def test_configs_are_what_their_first_line_writes(tmp_path):
    shutil.copytree(CONFIGS, tmp_path / "configs", ignore=shutil.ignore_patterns("*.yml"))
    result = CliRunner().invoke(app, ["init", str(tmp_path / "configs"), "--again"])
    assert result.exit_code == 0, result.output
    paths = sorted(CONFIGS.rglob("*.cfg"))
    other = [
        str(path.relative_to(CONFIGS.parent))
        for path in paths
        if path.read_text("utf8") != (tmp_path / path.relative_to(CONFIGS.parent)).read_text("utf8")
        or not path.read_text("utf8").startswith(f"{PREFIX}{path.relative_to(CONFIGS.parent)} ")
    ]
    command = "python -m spacy charlm init configs --again"
    assert not other, f"{other} are not what `charlm init` writes; `{command}` updates them"


@pytest.mark.parametrize("path", [*PRETRAIN, *TRAIN], ids=lambda path: path.stem)
def test_configs_are_valid_for_spacy(path, tmp_path, capsys):
    debug_config(path, overrides={"paths.train": "train.spacy", "paths.dev": "dev.spacy"})
    assert "Config is valid" in capsys.readouterr().out
    fill_config(tmp_path / "filled.cfg", path, silent=True)
    before = load_config(path, interpolate=False)
    after = load_config(tmp_path / "filled.cfg", interpolate=False)
    for section in ("pretraining", "charlm"):
        assert after.get(section) == before.get(section)


@pytest.mark.parametrize("path", PRETRAIN, ids=lambda path: path.stem)
def test_configs_pretrain_learns_and_its_weights_load(path, data, plain, tmp_path):
    weights = _pretrain(path, data, tmp_path)
    losses = [row["epoch_loss"] for row in srsly.read_jsonl(tmp_path / "log.jsonl")]
    assert len(losses) == 4  # three epochs and model-last
    assert numpy.isfinite(losses).all() and losses[2] < losses[0]
    model = _initialise(TEXTCAT, data, weights).get_pipe("tok2vec").model
    loaded = _get_params(model)
    assert _same_params(loaded, _get_params(model.copy().from_bytes(weights.read_bytes())))
    assert not _same_params(loaded, plain)


def test_configs_weights_change_the_scores(trained, data, tmp_path):
    path, plain, ours = trained
    again = _get_loss(_train(path, data, tmp_path), data)
    plain, ours = spacy.load(plain), spacy.load(ours)
    loss = _get_loss(plain, data)
    assert again == loss  # one seed, one result
    assert _get_loss(ours, data) != pytest.approx(loss, rel=1e-3)
    first, second = plain("A warm day in Luton"), ours("A warm day in Luton")
    assert first.tensor.shape == second.tensor.shape == (5, 96)
    assert abs(first.tensor - second.tensor).max() > 0.01
    if path.stem not in ("ner", "parser"):
        assert set(first.cats) == {"good", "bad"}
        assert max(abs(first.cats[label] - second.cats[label]) for label in first.cats) > 1e-4


@pytest.mark.parametrize("path", TRAIN, ids=lambda path: path.stem)
def test_configs_frozen_tok2vec_keeps_its_weights(path, data, weights, tmp_path):
    nlp = _train(path, data, tmp_path, weights, **FROZEN)
    free = _initialise(path, data, weights)
    task = nlp.pipe_names[-1]
    assert _same_params(
        _get_params(nlp.get_pipe("tok2vec").model), _get_params(free.get_pipe("tok2vec").model)
    )
    assert not _same_params(
        _get_params(nlp.get_pipe(task).model), _get_params(free.get_pipe(task).model)
    )
    assert numpy.abs(nlp("London is cold.").tensor).max() > 0


def test_configs_task_learns_from_a_frozen_tok2vec(data, weights, tmp_path):
    steps = {"training.max_steps": 60, "training.eval_frequency": 60, "training.dropout": 0.0}
    nlp = _train(TEXTCAT, data, tmp_path, weights, **FROZEN, **steps)
    for text, label, _ in SENTENCES:
        cats = nlp(text).cats
        assert max(cats, key=cats.get) == label


def test_configs_trained_pipeline_needs_no_weights_file(data, weights, tmp_path):
    copy = Path(shutil.copy(weights, tmp_path))
    text = "Nobody likes Dover."
    cats = _train(TEXTCAT, data, tmp_path / "train", copy)(text).cats
    copy.unlink()
    nlp = spacy.load(tmp_path / "train" / "model-last")
    assert nlp(text).cats == cats
    assert nlp.config["initialize"]["after_init"]["@callbacks"] == "spacy-charlm.load_weights.v1"


@pytest.mark.parametrize("keeps_path", [False, True])
def test_configs_trained_pipeline_needs_no_lists(data, tmp_path, keeps_path):
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "places.txt").write_text("Luton\nMilton Keynes\n", encoding="utf8")
    block = {"@misc": "spacy-charlm.Lexicons.v1", "names": ["places"], "path": str(folder)}

    def put(path, block):
        config = load_config(path, interpolate=False)
        config["components"]["tok2vec"]["model"]["embed"]["lexicons"] = block
        config.to_disk(tmp_path / path.name)
        return tmp_path / path.name

    weights = _pretrain(put(CONFIGS / "pretrain" / "cosine.cfg", block), data, tmp_path)
    path = put(TEXTCAT, block if keeps_path else {**block, "path": None})
    trained = _train(path, data, tmp_path / "train", weights)
    shutil.rmtree(folder)
    nlp = spacy.load(tmp_path / "train" / "model-last")
    text = "Luton is cold, and so is milton KEYNES."
    assert nlp(text).cats == trained(text).cats
    model = nlp.get_pipe("tok2vec").model
    (table,) = (node for node in model.walk() if node.name == "vector_table")
    rows = sorted(table.get_param("E").tolist())
    assert rows == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_configs_table_is_read_or_brought_by_the_weights(data, tmp_path):
    vectors, paths = data / "glove.txt", {}
    for task, flags in (("pretrain", []), ("ner", ["--objective", "none"])):
        paths[task] = tmp_path / f"{task}.cfg"
        arguments = ["init", str(paths[task]), "--task", task, "--table", str(vectors), *flags]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    weights = _pretrain(paths["pretrain"], data, tmp_path)
    plain = _train(paths["ner"], data, tmp_path / "plain")
    ours = _train(paths["ner"], data, tmp_path / "ours", weights, **{"paths.table": None})
    tables = []
    for nlp in (plain, ours):
        assert not nlp.vocab.vectors.size
        (table,) = (
            node for node in nlp.get_pipe("tok2vec").model.walk() if node.name == VECTOR_TABLE
        )
        tables.append([table.get_param(name) for name in ("keys", "E", "scale")])
    assert _same_params(*tables)
    assert len(tables[0][0]) == len(vectors.read_text("utf8").splitlines())


def test_configs_classifiers_are_calibrated_when_saved(all_trained):
    for path, (plain, _) in all_trained.items():
        nlp = spacy.load(plain)
        assert "charlm_lmao" not in nlp.pipe_names
        if path.stem.startswith("textcat"):
            layer = nlp.get_pipe(nlp.pipe_names[-1]).model.get_ref("probabilities")
            assert layer.get_param("scale") != 1


def test_configs_two_processes(all_trained, tmp_path):
    script = tmp_path / "pipe.py"
    script.write_text(PIPE_CODE, encoding="utf8")
    # In a process of its own, so that a deadlock after a fork ends in an error.
    args = [sys.executable, str(script), *(str(plain) for plain, _ in all_trained.values())]
    result = subprocess.run(args, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr


def test_configs_empty_docs(trained):
    _, plain, _ = trained
    nlp = spacy.load(plain)
    assert [len(doc) for doc in nlp.pipe(["", ""])] == [0, 0]
    assert nlp("").text == "" and nlp(" ").text == " "
    texts = ["", "London is warm.", ""]
    docs = list(nlp.pipe(texts))
    assert [len(doc) for doc in docs] == [0, 4, 0]
    assert docs[1].cats == pytest.approx(nlp(texts[1]).cats, abs=1e-5)
    assert all(0 <= score <= 1 for doc in docs for score in doc.cats.values())

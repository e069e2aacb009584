import random
from pathlib import Path

import numpy as np
import pytest
import srsly
from spacy.util import load_config
from thinc.api import CupyOps, NumpyOps, fix_random_seed, get_current_ops, set_current_ops
from thinc.util import has_cupy_gpu

from spacy_charlm.training.checkpoint import find_checkpoints, read_arrays
from spacy_charlm.training.pretrain import BEST, CHECKPOINTS, LAST, LOG, pretrain
from spacy_charlm.training.worker import Worker

CONFIGS = Path(__file__).parents[1] / "configs"
HIDDEN_SIZE = "pretraining.objective.head.hidden_size"
UNTRAINED = ("ngram_weights", "vector_table")  # layers without gradients
CLOCK = ("seconds", "words_per_second", "memory_mb")  # where two equal runs differ

NEEDS_GPU = pytest.mark.skipif(not has_cupy_gpu, reason="needs CuPy and a GPU")


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests marked slow, too")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow: run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def seeded():
    """Make the initial weights of a test independent of the tests before it."""
    fix_random_seed(0)


@pytest.fixture(params=["numpy", pytest.param("cupy", marks=NEEDS_GPU)])
def ops(request):
    return NumpyOps() if request.param == "numpy" else CupyOps()


@pytest.fixture
def ops64():
    """Return a backend that computes in float64 if its input is float64."""
    before = get_current_ops()
    ops = NumpyOps(use_blis=False)
    set_current_ops(ops)
    yield ops
    set_current_ops(before)


@pytest.fixture
def check_gradients(ops64):
    """Compare the gradients of a model's parameters with central differences, in float64.

    Takes an initialised model and a function that returns the loss and, with `backprop=True`, also
    runs the backprop. HashEmbed sums its gradients in float32, so its tolerance is higher.
    """

    def check(model, run, n_values=6, tolerance=1e-7, step=1e-6):
        rng = np.random.default_rng(0)
        nodes = [node for node in model.walk() if node.name not in UNTRAINED]
        for node in nodes:
            for name in node.param_names:
                node.set_param(name, node.get_param(name).astype("float64"))
                if node.has_grad(name):
                    node.set_grad(name, np.zeros_like(node.get_param(name)))
        run(backprop=True)
        for node in nodes:
            for name in node.param_names:
                if name == "bias":  # of a CRF: not trained, either
                    continue
                gradient, values = node.get_grad(name), node.get_param(name)
                if node.name != "hashembed":
                    assert gradient.dtype == np.float64, f"{node.name}.{name}"
                used = np.flatnonzero(gradient)
                assert used.size, f"{node.name}.{name} has no gradient"
                some = np.append(rng.choice(used, n_values), rng.choice(gradient.size, n_values))
                for i in np.unique(some):
                    place = np.unravel_index(i, values.shape)
                    kept = values[place]
                    values[place] = kept + step
                    above = run()
                    values[place] = kept - step
                    below = run()
                    values[place] = kept
                    numeric = (above - below) / (2 * step)
                    allowed = 1e-5 if node.name == "hashembed" else tolerance
                    assert abs(numeric - gradient[place]) <= allowed * max(1, abs(numeric)), (
                        f"{node.name}.{name}{place}: {gradient[place]}, numeric {numeric}"
                    )

    return check


class Died(Exception):
    """Ends a run before a given update."""


class TinyPretraining:
    """A run of a second: about 40 updates, 3 passes of about 3 rounds each, 10 saves."""

    _whole: dict = {}
    WORDS = (
        "the a cat dog saw heard and slept near old red house can't sing sang Leeds rain".split()
    )

    def __init__(self, folder):
        self.folder = folder
        rng = random.Random(0)
        for name, n_texts in (("raw", 60), ("dev", 30)):
            texts = [
                " ".join(rng.choices(self.WORDS, k=rng.randrange(4, 12))) for _ in range(n_texts)
            ]
            (folder / f"{name}.txt").write_text("\n".join(texts), encoding="utf8")
        rows = ([word, *(f"{rng.gauss(0, 1):.3f}" for _ in range(4))] for word in self.WORDS[:14])
        lines = "".join(" ".join(row) + "\n" for row in rows)
        (folder / "vectors.txt").write_text(lines, encoding="utf8")
        embed = "components.tok2vec.model.embed"
        self.overrides = {
            "paths.raw_text": str(folder / "raw.txt"),
            "paths.dev_text": str(folder / "dev.txt"),
            "paths.target_vectors": str(folder / "vectors.txt"),
            f"{embed}.width": 8,
            f"{embed}.windows": [3],
            f"{embed}.filters": [4],
            f"{embed}.char_width": 4,
            f"{embed}.char_rows": 100,
            f"{embed}.ngram_rows": 50,
            "components.tok2vec.model.encode.depth": 1,
            HIDDEN_SIZE: 8,
            "pretraining.batcher.size": 40,
            "corpora.pretrain.min_words": 0,
            "pretraining.max_epochs": 3,
            "pretraining.optimizer.learn_rate.warmup_steps": 20,
            "pretraining.optimizer.learn_rate.total_steps": 60,
            "charlm.eval_frequency": 4,
            "charlm.block_size": 500,
        }

    def settings(self, name):
        """Return the overrides of a config. Not all have a single head with a hidden layer."""
        objective = load_config(CONFIGS / "pretrain" / f"{name}.cfg")["pretraining"]["objective"]
        has_hidden = "hidden_size" in objective.get("head", {})
        return {key: x for key, x in self.overrides.items() if has_hidden or key != HIDDEN_SIZE}

    def config(self, overrides=None, blocks=None, name="cosine"):
        """Read the config. `blocks` replace whole blocks by their dotted names."""
        config = load_config(
            CONFIGS / "pretrain" / f"{name}.cfg",
            overrides={**self.settings(name), **(overrides or {})},
            interpolate=False,
        )
        for dotted, block in (blocks or {}).items():
            *parents, last = dotted.split(".")
            section = config
            for parent in parents:
                section = section[parent]
            section[last] = block
        return config

    def arguments(self, output, *more, name="cosine"):
        """Return the same run as arguments of `charlm pretrain`."""
        config = CONFIGS / "pretrain" / f"{name}.cfg"
        settings = [
            part
            for name, value in self.settings(name).items()
            for part in (f"--{name}", value if isinstance(value, str) else srsly.json_dumps(value))
        ]
        return ["pretrain", str(config), str(output), *map(str, more), *settings]

    def run(self, output, overrides=None, *, blocks=None, resume=False, die_at=None, **settings):
        """Pretrain; with `die_at` end before that update without saving."""
        worker = Worker(self.config(overrides, blocks), **settings)
        if die_at is not None:
            step = worker.step

            def die(number, i):
                if number == die_at:
                    raise Died
                return step(number, i)

            worker.step = die
        try:
            return pretrain(worker, self.folder / output, resume=resume)
        except Died:
            return None
        finally:
            worker.close()

    def whole(self):
        """Return the result of an uninterrupted run, computed once for all folders."""
        if not self._whole:
            self.run("whole of all tests")
            self._whole.update(self.result("whole of all tests"))
        return self._whole

    def result(self, output):
        """Return all that a run has written, except measured times and memory."""
        folder = self.folder / output
        checkpoint = read_arrays(find_checkpoints(folder / CHECKPOINTS)[-1])
        checkpoint.settings["progress"].pop("seconds")
        log = [
            {name: value for name, value in line.items() if name not in CLOCK}
            for line in srsly.read_jsonl(folder / LOG)
        ]
        return {
            "best": (folder / BEST).read_bytes() if (folder / BEST).exists() else None,
            "last": (folder / LAST).read_bytes(),
            "settings": checkpoint.settings,
            "arrays": {name: array.tobytes() for name, array in checkpoint.arrays.items()},
            "log": log,
        }


@pytest.fixture
def keep_ops():
    """Restore the backend, which `use_blas` in the configs changes."""
    before = get_current_ops()
    yield
    set_current_ops(before)


@pytest.fixture
def stand_in(tmp_path, monkeypatch, keep_ops):
    """Return a function that lets other code run in the place of spaCy's commands, in tmp_path."""

    def put(code):
        (tmp_path / "fake").mkdir()
        (tmp_path / "fake" / "spacy.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return put


@pytest.fixture
def tiny(tmp_path, keep_ops):
    return TinyPretraining(tmp_path)


@pytest.fixture
def encoder(monkeypatch):
    """Put a tiny stand-in in the place of the transformer."""
    from tests.targets.test_transformer_vectors import FakeEncoder

    encoder = FakeEncoder()
    name = "spacy_charlm.targets.transformer_vectors.TransformerEncoder"
    monkeypatch.setattr(name, lambda *args: encoder)
    return encoder

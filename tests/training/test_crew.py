from pathlib import Path

import numpy as np
import pytest
from spacy.util import load_config
from thinc.api import get_current_ops, set_current_ops

from spacy_charlm.training.checkpoint import find_checkpoints
from spacy_charlm.training.crew import Crew, RayWorker
from spacy_charlm.training.pretrain import pretrain
from spacy_charlm.training.worker import Worker

ray = pytest.importorskip("ray", reason="needs the extra ray")

CONFIGS = Path(__file__).parents[2] / "configs" / "pretrain"
WORDS = [f"{a}{b}{c}" for a in "bdkl" for b in "aeiou" for c in "mnrst"]
SMALL = {
    "pretraining.batcher.size": 60,
    "pretraining.dropout": 0.0,
    "pretraining.max_epochs": 50,
    "pretraining.optimizer.learn_rate.warmup_steps": 2,
    "pretraining.optimizer.learn_rate.total_steps": 3800,
    # Small steps: sums in another order differ by rounding, which larger steps amplify.
    "pretraining.optimizer.learn_rate.initial_rate": 0.0001,
    "pretraining.objective.head.hidden_size": 24,
    "corpora.pretrain.buffer_size": 20,
    "corpora.pretrain.min_words": 0,
    "components.tok2vec.model.embed.width": 12,
    "components.tok2vec.model.embed.filters": [6, 6],
    "components.tok2vec.model.embed.ngram_rows": 60,
    "components.tok2vec.model.encode.depth": 1,
    "charlm.block_size": 400,
    "charlm.accumulate_gradient": 4,
    "charlm.max_steps": 20,
    "charlm.eval_frequency": 7,
}
# Threads of NumPy and Ray that end later than a test warn of what they leave open.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def same_ops():
    """Restore the backend, which `use_blas` in the configs changes."""
    before = get_current_ops()
    yield
    set_current_ops(before)


@pytest.fixture(scope="module", autouse=True)
def local_ray():
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level=40)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crew")
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(WORDS, rng.integers(3, 12))) for _ in range(150)]
    (folder / "raw.txt").write_text("\n".join(lines), encoding="utf8")
    rows = [f"{word} {' '.join(f'{x:.4f}' for x in rng.normal(size=5))}" for word in WORDS]
    (folder / "vectors.txt").write_text("\n".join(rows) + "\n", encoding="utf8")
    return {
        "paths.raw_text": str(folder / "raw.txt"),
        "paths.dev_text": str(folder / "raw.txt"),
        "paths.target_vectors": str(folder / "vectors.txt"),
    }


def read_config(name, paths, **overrides):
    return load_config(
        CONFIGS / f"{name}.cfg", overrides={**SMALL, **paths, **overrides}, interpolate=False
    )


def params(worker):
    return worker.snapshot().arrays


def run_steps(worker, n_steps):
    """Make steps over several passes; return parameters and mean losses."""
    losses, step, epoch = [], 0, 0
    while step < n_steps:
        worker.start_pass(epoch, 0)
        while (length := worker.next_round()) >= 0:
            for i in range(min(length, n_steps - step)):
                result = worker.step(step, i)
                losses.append(result.loss / result.weight)
                step += 1
        epoch += 1
    return params(worker), losses


@pytest.mark.parametrize(
    "name, n_workers",
    [
        ("contrastive", 2),
        pytest.param("cosine", 2, marks=pytest.mark.slow),
        pytest.param("cosine", 4, marks=pytest.mark.slow),
        pytest.param("contrastive", 4, marks=pytest.mark.slow),
    ],
)
def test_crew_makes_the_steps_of_one_worker(name, n_workers, paths):
    """One worker and several compute the same shards of each step."""
    config = read_config(name, paths, **{"charlm.eval_frequency": "auto"})
    alone = Worker(config)
    expected, expected_losses = run_steps(alone, 20)
    crew = Crew(config, n_workers=n_workers)
    assert crew.n_shards == alone.n_shards == 4
    assert crew.n_updates == alone.n_updates == 20
    assert crew.eval_frequency == alone.eval_frequency == 25
    found, losses = run_steps(crew, 20)
    assert 0 <= crew.communication < 1
    crew.close()
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, atol=1e-5, err_msg=key)


class LosesAWorker(Crew):
    """A crew one of whose processes is killed before a step."""

    lose_before = 12
    restarts = 0

    def step(self, step, i):
        if step == self.lose_before and not self.restarts:
            ray.kill(self._workers[1])
        return super().step(step, i)

    def restart(self):
        self.restarts += bool(self._workers)
        super().restart()


@pytest.mark.slow
def test_crew_goes_on_after_a_worker_is_killed_and_after_the_driver_is(paths, tmp_path):
    config = read_config("cosine", paths)
    whole = Crew(config, n_workers=2)
    assert not pretrain(whole, tmp_path / "whole").stopped
    expected = params(whole)
    whole.close()

    lossy = LosesAWorker(config, n_workers=2)
    outcome = pretrain(lossy, tmp_path / "lossy")
    assert (lossy.restarts, outcome.progress.step) == (1, 20)
    found = params(lossy)
    lossy.close()

    # A driver that is killed leaves nothing but its files.
    first = Crew(read_config("cosine", paths, **{"charlm.max_steps": 7}), n_workers=2)
    pretrain(first, tmp_path / "driver")
    first.close()
    assert find_checkpoints(tmp_path / "driver" / "checkpoints")
    second = Crew(config, n_workers=2)
    pretrain(second, tmp_path / "driver", resume=True)
    resumed = params(second)
    second.close()
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, atol=1e-6, err_msg=key)
        np.testing.assert_allclose(resumed[key], values, atol=1e-6, err_msg=key)


def test_crew_averages_weights_after_steps_of_their_own(paths):
    overrides = {"charlm.average_every": 3, "charlm.accumulate_gradient": 1}
    crew = Crew(read_config("cosine", paths, **overrides), n_workers=2)
    crew.start_pass(0, 0)
    differ, step = [], 0
    while step < 6:
        for i in range(crew.next_round()):
            crew.step(step, i)
            step += 1
            first, second = crew._all("get_params")
            differ.append(bool((first != second).any()))
    crew.close()
    # The first learning rate of a warm-up is zero.
    assert differ[:6] == [False, True, False, True, True, False]


@pytest.mark.slow
def test_crew_imports_code_in_each_worker(paths, tmp_path, monkeypatch):
    code = tmp_path / "code.py"
    code.write_text(
        "from spacy.util import registry\n"
        "from spacy_charlm.objectives.losses import CosineLoss\n"
        "registry.misc('test_loss_of_a_file.v1')(CosineLoss)\n",
        encoding="utf8",
    )
    config = read_config("cosine", paths)
    config["pretraining"]["objective"]["loss"] = {"@misc": "test_loss_of_a_file.v1"}
    monkeypatch.chdir(tmp_path)
    crew = Crew(config, n_workers=2, code=Path("code.py"))
    assert run_steps(crew, 2)[1]
    crew.close()


def test_crew_passes_on_the_error_of_a_worker(paths, tmp_path):
    missing = {**paths, "paths.target_vectors": str(tmp_path / "none.txt")}
    with pytest.raises(ValueError, match="charlm E202"):
        Crew(read_config("cosine", missing), n_workers=2)


def test_crew_leaves_a_table_of_word_vectors_alone(paths):
    """What travels between workers is float32; the table is not trained, so it stays."""
    config = read_config("cosine", paths)
    table = {"@misc": "spacy-charlm.VectorTable.v1", "path": paths["paths.target_vectors"]}
    config["components"]["tok2vec"]["model"]["embed"]["table"] = {**table, "width": 3}
    worker = RayWorker()
    worker.set_up(0, config.to_str(), None, "", 2, 0, False, None)
    before = params(worker)
    worker.average_params(worker.get_params(), worker.get_params())
    worker.update_flat(1.0, *[np.zeros_like(worker.get_params())] * 2)
    names = [name for name in before if "vector_table" in name]
    assert len(names) == 3
    for name in names:
        values = params(worker)[name]
        assert values.dtype == before[name].dtype
        np.testing.assert_array_equal(values, before[name])

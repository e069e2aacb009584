"""`charlm pretrain` with configs that need nothing but raw text: resumed equals uninterrupted."""

import numpy as np
import pytest
import srsly

from spacy_charlm.training.crew import Crew
from spacy_charlm.training.pretrain import LAST, LOG
from spacy_charlm.training.worker import Worker

NAMES = ["denoising", "document", "multi", "spelling", "texts", "topics", "trigram"]


def prepare(tiny, name):
    """Let the tiny run take another config, whose heads are not where that of cosine.cfg is."""
    overrides = dict(tiny.overrides)
    if name in ("denoising", "multi", "spelling", "topics"):  # a linear head, and several heads
        overrides.pop("pretraining.objective.head.hidden_size")
    tiny.overrides = {**overrides, "pretraining.max_epochs": 1}
    if name == "topics":  # and with single words among the texts
        tiny.overrides["corpora.pretrain.words"] = tiny.overrides["paths.target_vectors"]
    config, blocks = tiny.config, {}
    if name == "texts":  # an objective of texts alone, whose shards share their targets
        name = "contrastive"
        path = "${paths.target_vectors}"
        blocks["pretraining.objective.target"] = {
            "@misc": "spacy-charlm.TextVectors.v1",
            "path": path,
            "pooling": "idf",
        }
    tiny.config = lambda overrides=None, more=None: config(
        overrides, {**blocks, **(more or {})}, name
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_objective_resumes_exactly_and_is_evaluated(tiny, name):
    prepare(tiny, name)
    tiny.run("whole")
    assert tiny.run("parts", die_at=7) is None
    tiny.run("parts", resume=True)
    assert (tiny.folder / "whole" / LAST).read_bytes() == (
        tiny.folder / "parts" / LAST
    ).read_bytes()
    lines = list(srsly.read_jsonl(tiny.folder / "whole" / LOG))
    assert all(np.isfinite(line["loss"]) for line in lines)
    assert lines[-1]["dev_masked"] > 0 and 0 <= lines[-1]["dev_p_at_1"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_objective_runs_in_parts(tiny, name):
    """Two batches to a step: the gradients of each count by their rows, or by their words."""
    prepare(tiny, name)
    worker = Worker(tiny.config({"charlm.accumulate_gradient": 2}))
    worker.start_pass(0, 0)
    assert worker.next_round() > 0
    results = [worker.step(i, i) for i in range(2)]
    assert all(np.isfinite(result.loss) and result.weight > 0 for result in results)
    worker.close()
    pytest.importorskip("ray", reason="needs the extra ray")
    crew = Crew(tiny.config({"charlm.accumulate_gradient": 2}), n_workers=2)
    try:
        crew.start_pass(0, 0)
        crew.next_round()
        found = [crew.step(i, i) for i in range(2)]
    finally:
        crew.close()
    for one, two in zip(results, found):
        assert one.words == two.words and abs(one.loss - two.loss) < 1e-3 * max(1, abs(one.loss))

import numpy as np
import pytest
from numpy.testing import assert_allclose

from spacy_charlm.decoding import neighbours
from spacy_charlm.training import dev_scores
from spacy_charlm.training.dev_scores import score_dev
from spacy_charlm.training.worker import Worker


def read_dev(worker):
    return [docs for docs in worker._dev]


@pytest.mark.parametrize("queries", [1, 1000])
def test_dev_scores_by_hand(queries, tiny, monkeypatch):
    monkeypatch.setattr(neighbours, "QUERIES", queries)
    worker = Worker(tiny.config())
    model, batches = worker.model, read_dev(worker)
    scores = score_dev(model, batches)
    assert scores == score_dev(model, batches)  # the same words are hidden each time

    model.attrs["restart"](dev_scores.EVALUATION)
    vectors, goals, candidates, n_tokens, n_without, losses = [], [], {}, 0, 0, []
    for docs in batches:
        prediction, targets = model.attrs["predict_hidden"](docs)
        goal = prediction.targets.values[prediction.targets.rows[:, 0]]
        vectors.extend(prediction.vectors)
        goals.extend(goal)
        candidates.update({row.tobytes(): row for row in targets.values})
        n_tokens += len(targets.rows)
        n_without += int((targets.rows[:, 0] < 0).sum())
        losses += [model.attrs["hidden_loss"](docs, prediction)[0]] * len(goal)
    table = np.array(list(candidates.values()))

    def cosine(a, b):
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    own = [cosine(a, b) for a, b in zip(vectors, goals)]
    ranks = [
        sum(cosine(vector, row) > score + 1e-6 for row in table)
        for vector, score in zip(vectors, own)
    ]
    assert scores["dev_masked"] == len(ranks) > 20
    assert scores["dev_candidates"] == len(table) > 10
    assert_allclose(scores["no_target"], n_without / n_tokens)
    assert 0 < scores["no_target"] < 0.5
    assert_allclose(scores["dev_cosine"], np.mean(own), rtol=1e-5)
    assert_allclose(scores["dev_loss"], np.mean(losses), rtol=1e-5)
    assert_allclose(scores["dev_p_at_1"], np.mean([rank < 1 for rank in ranks]))
    assert_allclose(scores["dev_p_at_10"], np.mean([rank < 10 for rank in ranks]))
    assert 0 < scores["dev_p_at_10"] < 1


def test_dev_scores_do_not_depend_on_what_was_drawn_before(tiny):
    worker = Worker(tiny.config())
    model, batches = worker.model, read_dev(worker)
    scores = score_dev(model, batches)
    model.attrs["restart"](7, 7)
    model.begin_update(batches[0])
    assert score_dev(model, batches) == scores


def test_dev_scores_of_nothing(tiny):
    worker = Worker(tiny.config())
    assert score_dev(worker.model, []) == {"dev_masked": 0, "no_target": 0.0}

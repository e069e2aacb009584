import numpy as np
import pytest
from thinc.api import Linear, Model, warmup_linear

from spacy_charlm.training.optimizer import create_adam_v1, scale_learn_rate


def make_model():
    """Make a model of two layers; not every update reaches the second one."""
    return Model("both", lambda model, X, is_train: (X, None), layers=[Linear(2, 2), Linear(2, 2)])


def update(model, optimizer, nodes):
    for i in nodes:
        for name in ("W", "b"):
            model.layers[i].inc_grad(name, np.ones_like(model.layers[i].get_param(name)))
    model.finish_update(optimizer)
    return optimizer.learn_rate


RATES = [0.0, 0.1, 0.2, 0.3, 0.3, 0.3]
EVERY = [[0, 1]] * 6
GAPS = [[0], [0, 1], [0], [0], [0, 1], [0]]


@pytest.mark.parametrize("nodes", [EVERY, GAPS])
@pytest.mark.parametrize("steps", [False, True])
def test_adam_advances_once_per_update(nodes, steps):
    """Both in `spacy pretrain` and in `spacy train`, which calls `step_schedules` as well."""
    optimizer, seen = create_adam_v1(learn_rate=[0.0, 0.1, 0.2, 0.3]), []
    model = make_model()
    for layer in model.layers:
        layer.initialize()
    for chosen in nodes:
        seen.append(update(model, optimizer, chosen))
        if steps:
            optimizer.step_schedules()
    assert seen == RATES


def test_adam_warms_up():
    optimizer, model = create_adam_v1(learn_rate=warmup_linear(0.1, 2, 10)), make_model()
    model.layers[0].initialize()
    before = model.layers[0].get_param("W").copy()
    rates = [update(model, optimizer, [0]) for _ in range(3)]
    assert rates == pytest.approx([0.0, 0.05, 0.1])
    assert not np.array_equal(model.layers[0].get_param("W"), before)


def test_adam_passes_its_settings_on():
    optimizer = create_adam_v1(0.5, 0.1, 0.8, 0.9, 1e-4, 2.0, False, False)
    assert (optimizer.learn_rate, optimizer.L2, optimizer.b1, optimizer.b2) == (0.5, 0.1, 0.8, 0.9)
    assert (optimizer.eps, optimizer.grad_clip) == (1e-4, 2.0)
    assert optimizer.L2_is_weight_decay is False and optimizer.averages is None
    assert create_adam_v1().averages == {}


def test_adam_lets_a_layer_learn_slowly():
    model = make_model()
    for layer in model.layers:
        layer.initialize()
    scale_learn_rate(model.layers[1], 0.25)
    before = [layer.get_param("W").copy() for layer in model.layers]
    update(model, create_adam_v1(0.1), [0, 1])
    steps = [w - layer.get_param("W") for w, layer in zip(before, model.layers)]
    np.testing.assert_allclose(steps[0], 0.1, rtol=1e-4)
    np.testing.assert_allclose(steps[1], 0.025, rtol=1e-4)


def test_adam_lets_a_layer_start_late():
    model = make_model()
    for layer in model.layers:
        layer.initialize()
    scale_learn_rate(model.layers[1], 0.5, delay=2)
    before = [layer.get_param("W").copy() for layer in model.layers]
    optimizer, moved = create_adam_v1(0.1), []
    for nodes in ([0, 1], [0], [0, 1], [0, 1]):
        update(model, optimizer, nodes)
        moved.append([np.abs(w - y.get_param("W")).max() for w, y in zip(before, model.layers)])
    assert [late > 0 for _, late in moved] == [False, False, True, True]
    np.testing.assert_allclose([early for early, _ in moved], [0.1, 0.2, 0.3, 0.4], rtol=1e-4)


def test_adam_averages_start_at_the_weights():
    model = make_model()
    model.layers[0].initialize()
    before = model.layers[0].get_param("W").copy()
    optimizer = create_adam_v1(0.0)
    update(model, optimizer, [0])
    with model.use_params(optimizer.averages):
        np.testing.assert_allclose(model.layers[0].get_param("W"), before, rtol=1e-6)

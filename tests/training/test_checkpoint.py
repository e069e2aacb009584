import json
import random

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from thinc.api import SGD, Adam, Linear, Model, RAdam, warmup_linear

from spacy_charlm.training.checkpoint import (
    ArrayFile,
    RunState,
    find_checkpoints,
    load_snapshot,
    read_arrays,
    read_checkpoint,
    take_snapshot,
    write_arrays,
    write_checkpoint,
)
from spacy_charlm.training.optimizer import create_adam_v1, finish_update


def make_model(nO=2):
    """Make a model of two layers; not every update reaches the second one."""
    layers = [Linear(nO, 2).initialize(), Linear(nO, 2).initialize()]
    attrs = {"updates": 0, "loss": print, "on": True, "name": "x"}
    return Model("both", lambda model, X, is_train: (X, None), layers=layers, attrs=attrs)


def update(model, optimizer, i):
    rng = np.random.default_rng(i)
    # The first batch has no target; some batches do not reach the second layer.
    for layer in model.layers[: 0 if i == 0 else 2 if i in (2, 6) else 1]:
        for name in ("W", "b"):
            shape = layer.get_param(name).shape
            layer.inc_grad(name, rng.normal(size=shape).astype("float32"))
    model.attrs["updates"] += 1
    finish_update(model, optimizer)


def parameters(model):
    return [layer.get_param(name).copy() for layer in model.layers for name in ("W", "b")]


OPTIMIZERS = {
    "ours": lambda: create_adam_v1(warmup_linear(0.1, 3, 9)),
    "Adam.v1": lambda: Adam(warmup_linear(0.1, 3, 9)),
    "RAdam.v1": lambda: RAdam(0.1),
    "SGD.v1": lambda: SGD(warmup_linear(0.1, 3, 9)),
    "no averages": lambda: Adam(0.1, use_averages=False),
    "two schedules": lambda: Adam(warmup_linear(0.1, 3, 9), beta1=[0.5, 0.6, 0.7, 0.8, 0.9]),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("stop", [0, 1, 2, 3, 5])
def test_checkpoint_goes_on_as_if_nothing_had_happened(make, stop, tmp_path):
    model, optimizer = make_model(), make()
    before = parameters(model)
    for i in range(stop):
        update(model, optimizer, i)
    path = write_checkpoint(tmp_path, take_snapshot(model, optimizer), RunState(stop), {}, 2)
    other, fresh = make_model(), make()
    load_snapshot(read_arrays(path), other, fresh)
    for i in range(stop, 8):
        for pair in ((model, optimizer), (other, fresh)):
            update(*pair, i)
    assert not np.array_equal(before[0], parameters(model)[0])
    for ours, theirs in zip(parameters(model), parameters(other)):
        assert_array_equal(ours, theirs)
    assert fresh.learn_rate == optimizer.learn_rate and fresh.b1 == optimizer.b1
    assert other.attrs["updates"] == 8
    averages = [list((made.averages or {}).values()) for made in (optimizer, fresh)]
    assert len(averages[0]) == len(averages[1]) == (0 if optimizer.averages is None else 4)
    for ours, theirs in zip(*averages):
        assert_array_equal(ours, theirs)


def test_checkpoint_is_a_copy():
    model, optimizer = make_model(), Adam(0.1)
    update(model, optimizer, 2)
    snapshot = take_snapshot(model, optimizer)
    kept = {name: array.copy() for name, array in snapshot.arrays.items()}
    load_snapshot(snapshot, model, optimizer)
    update(model, optimizer, 3)
    for name, array in snapshot.arrays.items():
        assert_array_equal(array, kept[name])
    assert snapshot.settings["attrs"] == {"updates": 1}


def test_checkpoint_keeps_the_newest(tmp_path):
    snapshot = take_snapshot(make_model(), Adam(0.1))
    others = ["step-notes.safetensors", "x.part"]
    for name in others:
        (tmp_path / name).write_bytes(b"the user's")
    for step in (5, 10, 100, 1_000):
        write_checkpoint(tmp_path, snapshot, RunState(step), {"seed": 1}, keep=2)
    names = [path.name for path in find_checkpoints(tmp_path)]
    assert names == ["step-000000100.safetensors", "step-000001000.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names, *others]
    found = read_checkpoint(tmp_path)
    assert found.settings["progress"]["step"] == 1_000
    assert found.settings["origin"] == {"seed": 1}


def test_checkpoint_missing(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ValueError, match="charlm E522.*Leave out --resume"):
            read_checkpoint(folder)


@pytest.mark.parametrize("older", [True, False])
def test_checkpoint_damaged_names_the_one_before(older, tmp_path):
    snapshot = take_snapshot(make_model(), Adam(0.1))
    if older:
        write_checkpoint(tmp_path, snapshot, RunState(5), {}, 2)
    path = write_checkpoint(tmp_path, snapshot, RunState(10), {}, 2)
    data, rng = path.read_bytes(), random.Random(1)
    name = r"step-000000005\.safetensors" if older else "none"
    for i in range(100):
        damaged = bytearray(data)
        if i % 2:
            damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            damaged = damaged[: rng.randrange(len(data))]
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"E521(.|\n)*Remove step-000000010.*\({name}\)"):
            read_checkpoint(tmp_path)
        assert path.read_bytes() == damaged


@pytest.mark.parametrize("settings", [{}, {"kind": "something else"}, {"kind": None}])
def test_checkpoint_of_another_kind(settings, tmp_path):
    write_arrays(tmp_path / "step-000000001.safetensors", ArrayFile(settings, {}))
    with pytest.raises(ValueError, match="charlm E521.*of another kind"):
        read_checkpoint(tmp_path)


def test_checkpoint_of_another_model(tmp_path):
    model, optimizer = make_model(), Adam(0.1)
    update(model, optimizer, 2)
    snapshot = take_snapshot(model, optimizer)
    wide, fresh = make_model(3), Adam(0.1)
    before = parameters(wide)
    with pytest.raises(
        ValueError, match=r"E524(.|\n)*0?linear\.W: checkpoint \(2, 2\), now \(3, 2\)"
    ):
        load_snapshot(snapshot, wide, fresh)
    for ours, theirs in zip(before, parameters(wide)):
        assert_array_equal(ours, theirs)
    assert not fresh.mom1 and not fresh.nr_update


@pytest.mark.parametrize("spoil", ["updates", "1.linear.W", "mom1.1.linear.W"])
def test_checkpoint_that_lacks_something(spoil):
    """The digest is correct, but an array is missing or has another shape."""
    model, optimizer = make_model(), Adam(0.1)
    update(model, optimizer, 2)
    snapshot = take_snapshot(model, optimizer)
    arrays = dict(snapshot.arrays)
    if spoil.startswith("mom1"):
        arrays[spoil] = arrays[spoil][:1]
    else:
        del arrays[spoil]
    with pytest.raises(ValueError, match="charlm E524"):
        load_snapshot(ArrayFile(snapshot.settings, arrays), make_model(), Adam(0.1))


def test_checkpoint_is_json_and_arrays(tmp_path):
    """A checkpoint cannot contain code, as a pickle can."""
    model, optimizer = make_model(), Adam(0.1)
    update(model, optimizer, 2)
    path = write_checkpoint(tmp_path, take_snapshot(model, optimizer), RunState(1), {}, 2)
    content = read_arrays(path)
    json.dumps(content.settings)
    assert {array.dtype.kind for array in content.arrays.values()} == {"f", "i"}
    assert b"pickle" not in path.read_bytes() and b"numpy" not in path.read_bytes()

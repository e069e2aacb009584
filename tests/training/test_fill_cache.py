"""A cache that is filled before training, with a stub in place of the transformer."""

import pytest
from typer.testing import CliRunner

from spacy_charlm.cli import app
from spacy_charlm.targets.transformer_vectors import TransformerVectors
from spacy_charlm.training.fill_cache import fill_cache, find_targets

TARGET = {"@misc": "spacy-charlm.TransformerVectors.v1", "model": "fake"}


@pytest.fixture
def texts(tiny):
    """The texts of the pretraining and of its development data, in this order."""
    lines = (tiny.folder / f"{name}.txt" for name in ("raw", "dev"))
    return [path.read_text(encoding="utf8").splitlines() for path in lines]


def make_config(tiny, **paths):
    overrides = {f"paths.{name}": str(value) for name, value in paths.items()}
    return tiny.config({"paths.transformer": "fake", **overrides}, name="transformer")


def test_fill_cache_encodes_every_text_once(tiny, encoder, texts):
    calls = []
    config = make_config(tiny, cache=tiny.folder / "cache")
    added, total = fill_cache(config, lambda *call: calls.append(call))
    distinct = set(texts[0] + texts[1])
    assert total == len(texts[0] + texts[1]) == 90
    assert added == len(distinct) == len(encoder.texts) and set(encoder.texts) == distinct
    shares, words = zip(*calls)
    assert list(shares) == sorted(shares) and shares[-1] == 1.0 and 0.5 in shares
    assert list(words) == sorted(words) and words[-1] >= sum(map(len, map(str.split, texts[0])))
    # Training finds all of them, and so does the next run of the command.
    encoder.texts.clear()
    assert fill_cache(config, lambda *call: None) == (0, 90)
    assert encoder.texts == []


def test_fill_cache_goes_on_after_it_was_stopped(tiny, encoder, texts):
    class Stopped(Exception):
        pass

    def stop(share, words):
        if share > 0.2:
            raise Stopped

    config = make_config(tiny, cache=tiny.folder / "cache")
    with pytest.raises(Stopped):
        fill_cache(config, stop)
    n_first = len(encoder.texts)
    assert 0 < n_first < len(texts[0])
    added, total = fill_cache(config, lambda *call: None)
    assert n_first + added == len(encoder.texts) == len(set(texts[0] + texts[1])) and total == 90


def test_fill_cache_needs_a_cache(tiny, encoder):
    with pytest.raises(ValueError, match="charlm E236"):
        fill_cache(make_config(tiny), lambda *call: None)
    assert encoder.texts == []


def test_fill_cache_from_the_command_line(tiny, encoder, texts):
    make_config(tiny, cache=tiny.folder / "cache").to_disk(tiny.folder / "tiny.cfg")
    result = CliRunner().invoke(app, ["vectors", "cache", str(tiny.folder / "tiny.cfg")])
    assert result.exit_code == 0, result.output
    assert f"{len(set(texts[0] + texts[1]))} texts added, 90 in all" in result.output


def test_find_targets_looks_into_other_targets():
    block = {
        "parts": {"a": {"target": TARGET}, "b": {"target": {"target": TARGET, "offsets": [1]}}}
    }
    assert [type(target) for target in find_targets(block)] == [TransformerVectors] * 2
    assert list(find_targets({"target": {"@misc": "spacy-charlm.WordIds.v1"}})) == []

import pytest
from spacy.util import load_config
from thinc.api import Config
from thinc.config import ConfigValidationError

from spacy_charlm.training.read_config import read_config
from spacy_charlm.training.worker import Worker
from tests.conftest import CONFIGS

PATH = CONFIGS / "pretrain" / "cosine.cfg"


@pytest.mark.parametrize("interpolate", [True, False])
def test_read_config_equals_spacys(interpolate, tmp_path):
    overrides = {
        "paths.raw_text": tmp_path / "raw.txt",
        "pretraining.max_epochs": 3,
        "charlm.patience": 7,
        "training.patience": 9,  # left out of the file
        "pretraining.optimizer.grad_clip": 0.5,
        "corpora.pretrain.limit": 5,
    }
    texts = {**overrides, "paths.raw_text": str(tmp_path / "raw.txt")}
    expected = load_config(PATH, overrides=texts, interpolate=interpolate)
    for given in (PATH, load_config(PATH)):
        found = read_config(given, overrides, interpolate=interpolate)
        assert found.to_str(interpolate=False) == expected.to_str(interpolate=False)
        assert found.is_interpolated == expected.is_interpolated == interpolate


def test_read_config_takes_a_new_path_that_is_used():
    overrides = {"paths.extra": "x.txt", "corpora.pretrain.path": "${paths.extra}"}
    config = read_config(PATH, overrides, interpolate=True)
    assert config["corpora"]["pretrain"]["path"] == "x.txt"


@pytest.mark.parametrize(
    "name, near",
    [
        ("paths.rawtext", "paths.raw_text"),
        ("pretraining.max_epoch", "pretraining.max_epochs"),
        ("pretraining.optimiser.learn_rate", "pretraining.optimizer"),
        ("charlm.max_step", "charlm.max_steps"),
        ("training.dropuot", "training.dropout"),
        ("nlp.langs", "nlp.lang"),
        ("initialize.vector", "initialize.vectors"),
    ],
)
def test_read_config_refuses_an_override_that_nothing_reads(name, near):
    for given in (PATH, load_config(PATH)):
        with pytest.raises(ValueError, match="charlm E663|not a section value") as caught:
            read_config(given, {name: 1})
        if not isinstance(caught.value, ConfigValidationError):
            assert f"'{name}'" in str(caught.value) and near in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [b"\xff\xfe\x00", b"\x1f\x8b\x08\x00", b"no section\n", b"[a]\nb=1\nb=2\n", b"[a]\nb=${x\n"],
)
def test_read_config_names_a_file_that_is_no_config(data, tmp_path):
    path = tmp_path / "wrong.cfg"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="charlm E662.*wrong.cfg"):
        read_config(path, interpolate=True)


def test_read_config_lets_spacy_name_a_section_that_is_missing():
    with pytest.raises(ConfigValidationError, match="not a section value"):
        read_config(Config({"nlp": {"lang": "en"}}), {"paths.raw_text": "x"})


@pytest.mark.parametrize(
    "text, message",
    [
        ('[nlp]\nlang = "en"\n\n[training]\nseed = -1\n', r"E560.*`seed` of \[training\]"),
        ('[nlp]\nlang = "en"\n\n[training]\nseed = "1"\n', r"E560.*`seed` of \[training\]"),
        ('[nlp]\nlang = "en"\n', "Config validation error|validation error"),
        ("", "E985|nlp"),
    ],
)
def test_read_config_of_a_part_ends_in_an_error_of_the_worker(text, message, tmp_path):
    path = tmp_path / "part.cfg"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Worker(read_config(path))

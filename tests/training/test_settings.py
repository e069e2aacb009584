import pytest
from thinc.api import Config
from thinc.config import ConfigValidationError

from spacy_charlm.training.settings import Settings, read_settings


def test_settings_have_defaults():
    assert read_settings(Config()) == Settings()
    assert read_settings(Config({"charlm": {"max_steps": 3}})).max_steps == 3


@pytest.mark.parametrize(
    "section, message",
    [
        ({"max_step": 3}, "max_step"),
        ({"max_steps": "many"}, "max_steps"),
        ({"max_steps": -1}, "max_steps"),
        ({"keep_last": 0}, "keep_last"),
        ({"eval_frequency": 1.5}, "eval_frequency"),
        ({"eval_frequency": 0}, "eval_frequency"),
        ({"eval_frequency": "often"}, "eval_frequency"),
    ],
)
def test_settings_name_a_wrong_key(section, message):
    with pytest.raises(ConfigValidationError, match=message):
        read_settings(Config({"charlm": section}))


def test_settings_build_the_logger():
    block = {"@loggers": "spacy.ConsoleLogger.v3"}
    assert callable(read_settings(Config({"charlm": {"logger": block}})).logger)

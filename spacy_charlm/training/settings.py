"""The section [charlm] of a config: what `charlm pretrain` knows and [pretraining] does not."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr
from spacy.util import registry
from thinc.api import Config
from thinc.config import ConfigValidationError


class Settings(BaseModel):
    """The keys of [charlm], all of them optional.

    They are no keys of [pretraining], because spaCy drops without a word what it does not know
    there.
    """

    dev_corpus: StrictStr | None = Field(None, title="Path in the config to the development texts")
    eval_frequency: StrictInt = Field(
        500, title="Updates between evaluations and checkpoints", ge=1
    )
    patience: StrictInt = Field(
        0, title="Updates without a better score to stop after; 0: none", ge=0
    )
    max_steps: StrictInt = Field(0, title="Updates to stop after; 0: max_epochs tells", ge=0)
    keep_last: StrictInt = Field(2, title="Checkpoints that stay", ge=1)
    accumulate_gradient: StrictInt = Field(1, title="Batches per update", ge=1)
    block_size: StrictInt = Field(1_000_000, title="Characters of a worker's share at a time", ge=1)
    average_every: StrictInt = Field(1, title="Updates of each worker between averages", ge=1)
    logger: Any = Field(None, title="A logger of spaCy in place of our table")

    model_config = ConfigDict(extra="forbid")


KEYS = tuple(Settings.model_fields)


def read_settings(config: Config) -> Settings:
    """Read the section [charlm] of a config.

    config (Config): Interpolated config.
    RETURNS (Settings): The settings; the defaults where there is no such section.
    RAISES (ConfigValidationError): If a key is unknown or a value of another type.
    """
    section = config.get("charlm") or {}
    # The registry would drop them without a word.
    unknown = [
        {"loc": ("charlm", name), "msg": f"unknown; expected one of {', '.join(KEYS)}"}
        for name in section
        if name not in KEYS
    ]
    if unknown:
        raise ConfigValidationError(config={"charlm": section}, errors=unknown)
    return Settings(**registry.resolve({"charlm": section}, schema=_Section)["charlm"])


class _Section(BaseModel):
    charlm: Settings
    model_config = ConfigDict(arbitrary_types_allowed=True)

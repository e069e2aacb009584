"""The section [charlm] of a config: settings of `charlm pretrain` beyond those of [pretraining]."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr
from spacy.util import registry
from thinc.api import Config
from thinc.config import ConfigValidationError


class Settings(BaseModel):
    """The keys of [charlm]. All are optional.

    They have a section of their own because spaCy silently drops unknown keys of [pretraining].
    """

    dev_corpus: StrictStr | None = Field(
        None, title="Dotted name of the reader of the development texts"
    )
    eval_frequency: Annotated[StrictInt, Field(ge=1)] | Literal["auto"] = Field(
        "auto",
        title="Updates between evaluations and checkpoints; auto: a twentieth of all, 25 to 1,000",
    )
    patience: StrictInt = Field(
        0, title="Updates without a better score after which to stop; 0: never", ge=0
    )
    max_steps: StrictInt = Field(
        0, title="Updates after which to stop; 0: only after max_epochs", ge=0
    )
    keep_last: StrictInt = Field(2, title="Checkpoints to keep", ge=1)
    accumulate_gradient: StrictInt = Field(1, title="Batches per update", ge=1)
    block_size: StrictInt = Field(1_000_000, title="Characters in a block of texts", ge=1)
    average_every: StrictInt = Field(
        1, title="Updates that each worker makes between two averages of the weights", ge=1
    )
    logger: Any = Field(None, title="A logger of spaCy instead of the table")

    model_config = ConfigDict(extra="forbid")


KEYS = tuple(Settings.model_fields)


def read_settings(config: Config) -> Settings:
    """Read the section [charlm] of a config.

    config (Config): Interpolated config.
    RETURNS (Settings): The settings; the defaults if there is no such section.
    RAISES (ConfigValidationError): If a key is unknown or a value has the wrong type.
    """
    section = config.get("charlm") or {}
    # The registry would silently drop them.
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

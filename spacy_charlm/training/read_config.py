"""Read a config with overrides, and refuse overrides that nothing would read."""

import configparser
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from spacy.schemas import (
    ConfigSchemaInit,
    ConfigSchemaNlp,
    ConfigSchemaPretrain,
    ConfigSchemaTraining,
)
from spacy.util import load_config
from thinc.api import Config
from thinc.config import ConfigValidationError

from ..errors import Errors
from .settings import KEYS

# Sections whose keys are known. Blocks with a registered name check their own keys.
KNOWN: dict[str, Iterable[str]] = {
    "paths": (),
    "charlm": KEYS,
    "nlp": ConfigSchemaNlp.model_fields,
    "training": ConfigSchemaTraining.model_fields,
    "pretraining": ConfigSchemaPretrain.model_fields,
    "initialize": ConfigSchemaInit.model_fields,
}


def read_config(
    config: Config | Path, overrides: Mapping[str, Any] | None = None, *, interpolate: bool = False
) -> Config:
    """Read a config.

    config (Config | Path): The config, or its path.
    overrides (Optional[Mapping[str, Any]]): Values by dotted name, such as "paths.raw_text".
    interpolate (bool): Whether to replace variables by their values.
    RETURNS (Config): The config with the overrides.
    RAISES (ValueError): If the file is no config, or nothing would read an override.
    RAISES (ConfigValidationError): If an override does not fit.
    """
    given = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in (overrides or {}).items()
    }
    source = "the config" if isinstance(config, Config) else str(config)
    try:
        before = config if isinstance(config, Config) else load_config(config)
        text = before.to_str(interpolate=False)
    except (ValueError, configparser.Error) as err:
        raise _describe(err, source) from err
    try:
        after = Config(section_order=before.section_order).from_str(
            text, overrides=given, interpolate=False
        )
        changed = after.to_str(interpolate=False)
        result = after.interpolate() if interpolate else after
    except ConfigValidationError:
        raise  # names the key
    except (ValueError, configparser.Error) as err:
        raise _describe(err, source) from err
    _check_overrides(before, changed, given, source)
    return result


def _describe(error: Exception, source: str) -> ValueError:
    reason = " ".join(str(error).split())
    return ValueError(Errors.E662.format(path=source, reason=reason))


def _check_overrides(before: Config, text: str, overrides: Mapping[str, Any], source: str) -> None:
    for dotted in overrides:
        section, key = dotted.split(".")[:2]
        known = {*KNOWN.get(section, ()), *before.get(section, {})}
        known |= set(re.findall(rf"\$\{{{re.escape(section)}[.:](\w+)", text))
        if section in KNOWN and key not in known:
            near = get_close_matches(key, known) or sorted(known)
            names = ", ".join(f"{section}.{name}" for name in near)
            raise ValueError(
                Errors.E663.format(path=source, found=f"{section}.{key}", expected=names or "none")
            )

"""Settings of a config that do something else than they say, each found by a small function."""

from collections.abc import Iterator
from typing import Any

from spacy.schemas import ConfigSchemaPretrain, ConfigSchemaTraining
from thinc.api import Config

from ..errors import Errors
from .findings import Check, Finding
from .machine import Machine

SCHEMAS: dict[str, Any] = {"pretraining": ConfigSchemaPretrain, "training": ConfigSchemaTraining}
# Optimizers that wait for somebody to step their schedules.
WAITING = ("Adam.v1", "RAdam.v1", "SGD.v1")
# Readers that pass over texts.
DROPPING = ("spacy.JsonlCorpus.v1", "spacy.PlainTextCorpus.v1")
LISTENER = "spacy.Tok2VecListener."
CLOZE = ("spacy.PretrainVectors.v1", "spacy.PretrainCharacters.v1")


def find_names(block: dict[str, Any], section: str = "") -> Iterator[tuple[str, str]]:
    """Find the registered names in a config.

    block (Dict[str, Any]): A config or a part of it.
    section (str): Where the part stands, such as "components.tok2vec".
    YIELDS (Tuple[str, str]): The section and the name, such as "spacy.Tok2Vec.v2".
    """
    for key, value in block.items():
        if isinstance(value, dict):
            yield from find_names(value, f"{section}.{key}" if section else key)
        elif key.startswith("@"):
            yield section, str(value)


def check_init_tok2vec(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find weights that spaCy does not load."""
    path = config.get("initialize", {}).get("init_tok2vec")
    if path and not config.get("pretraining"):
        yield Finding(Errors.E506.format(path=path), serious=True)


def check_schedule(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find a learning rate that stays at its first value."""
    optimizer = config.get("pretraining", {}).get("optimizer") or {}
    rate = optimizer.get("learn_rate")
    schedule = rate.get("@schedules") if isinstance(rate, dict) else None
    found = optimizer.get("@optimizers")
    if found in WAITING and schedule and schedule != "constant.v1":
        yield Finding(Errors.E648.format(found=found, schedule=schedule), serious=True)


def check_reader(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find a reader that drops texts."""
    for name, reader in config.get("corpora", {}).items():
        found = reader.get("@readers") if isinstance(reader, dict) else None
        if found not in DROPPING:
            continue
        troubles = []
        if reader.get("max_length"):
            troubles.append(f"drops every text of {reader['max_length']} words or more")
        if reader.get("limit"):
            troubles.append(f"ignores its limit ({reader['limit']})")
        if troubles:
            section = f"corpora.{name}"
            message = Errors.W650.format(
                reader=found, section=section, troubles=" and ".join(troubles)
            )
            yield Finding(message)


def check_unknown_settings(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find settings that spaCy drops."""
    for section, schema in SCHEMAS.items():
        known = list(schema.model_fields)
        unknown = [name for name in config.get(section) or {} if name not in known]
        if unknown:
            message = Errors.W651.format(
                section=section, found=", ".join(unknown), known=", ".join(known)
            )
            yield Finding(message)


def check_mish_encoder(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find an encoder whose vectors depend on the batch."""
    for section, name in find_names(config):
        if name.startswith("spacy.MishWindowEncoder."):
            yield Finding(Errors.W652.format(section=section))


def check_character_embed(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find an embed layer that loses gradients."""
    for section, name in find_names(config):
        if name.startswith("spacy.CharacterEmbed."):
            yield Finding(Errors.W653.format(section=section))


def check_listeners(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find a shared tok2vec that is shared with nobody."""
    components = config.get("components", {})
    pipeline = config.get("nlp", {}).get("pipeline") or []
    shared = [name for name in pipeline if components.get(name, {}).get("factory", "") == "tok2vec"]
    # A sourced component may listen, and one without a model needs none.
    others = [name for name in pipeline if name not in shared and _has_model(components.get(name))]
    sourced = any("source" in (components.get(name) or {}) for name in pipeline)
    listens = any(name.startswith(LISTENER) for _, name in find_names(components))
    if shared and others and not listens and not sourced:
        yield Finding(Errors.W654.format(component=shared[0], others=", ".join(others)))


def check_objective(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find an objective that learns from few of the words that it reads."""
    objective = config.get("pretraining", {}).get("objective") or {}
    found = objective.get("@architectures")
    if found in CLOZE:
        yield Finding(Errors.W655.format(found=found))


CONFIG_CHECKS: tuple[Check, ...] = (
    check_init_tok2vec,
    check_schedule,
    check_reader,
    check_unknown_settings,
    check_mish_encoder,
    check_character_embed,
    check_listeners,
    check_objective,
)


def _has_model(component: dict[str, Any] | None) -> bool:
    return isinstance((component or {}).get("model"), dict)

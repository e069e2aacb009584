"""Troubles of the machine that are known, each found by a small function."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from packaging.version import Version
from spacy.schemas import ConfigSchemaPretrain, ConfigSchemaTraining
from thinc.api import Config

from ..errors import Errors
from ..machine import Machine, examine_machine


@dataclass(frozen=True)
class Finding:
    """A trouble and what to do.

    text (str): The message, from `Errors`.
    serious (bool): Whether something does not work, rather than being slow or lossy.
    """

    text: str
    serious: bool = False


# A check gets the machine and the interpolated config, which is empty where none was given.
Check: TypeAlias = Callable[[Machine, Config], Iterable[Finding]]


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


# Oldest CuPy that works with NumPy 2, and the driver with which CUDA 13 begins.
CUPY_FOR_NUMPY_2 = Version("13.2")
DRIVER_FOR_CUDA_13 = 580
USE_BLAS = "spacy-charlm.use_blas.v1"
# Below that, the difference is within what a busy machine varies by.
FASTER = 1.2


def diagnose(
    config: Config | None = None, machine: Machine | None = None, *, measure: bool = True
) -> tuple[Machine, list[Finding]]:
    """Run every check.

    config (Optional[Config]): Interpolated config to look at, too.
    machine (Optional[Machine]): The machine; by default this one.
    measure (bool): Whether to measure matrix products, which takes a second.
    RETURNS (Tuple[Machine, List[Finding]]): The machine, and the findings, serious ones first.
    """
    machine = machine or examine_machine(measure=measure)
    config = config or Config()
    findings = [
        finding for check in (*CHECKS, *CONFIG_CHECKS) for finding in check(machine, config)
    ]
    return machine, sorted(findings, key=lambda finding: not finding.serious)


def check_requirements(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find versions outside the range that this package asks for."""
    for package, (wanted, found) in machine.unmet.items():
        message = Errors.E645.format(package=package, wanted=wanted, found=found)
        yield Finding(message, serious=True)


def check_several_cupy(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find CuPy installed under two names."""
    if len(machine.cupy) > 1:
        message = Errors.E646.format(
            found=_describe_cupy(machine), names=" ".join(machine.cupy), install=_install(machine)
        )
        yield Finding(message, serious=True)


def check_cupy_sees_card(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find a CuPy that does not work with the card."""
    if machine.card and machine.cupy and not machine.cupy_works:
        message = Errors.E647.format(
            card=machine.card,
            driver=machine.driver or "unknown",
            cupy=_describe_cupy(machine),
            name=" ".join(machine.cupy),
            install=_install(machine),
        )
        yield Finding(message, serious=True)


def check_card_without_cupy(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find a card that nothing uses."""
    if machine.card and not machine.cupy:
        yield Finding(Errors.W640.format(card=machine.card, install=_install(machine)))


def check_old_cupy(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find a CuPy that holds NumPy back."""
    numpy = machine.versions.get("numpy")
    old = [name for name, version in machine.cupy.items() if Version(version) < CUPY_FOR_NUMPY_2]
    if numpy and Version(numpy) < Version("2") and old:
        message = Errors.W641.format(
            numpy=numpy, cupy=_describe_cupy(machine), name=" ".join(old), install=_install(machine)
        )
        yield Finding(message)


def check_threads(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find more threads than cores."""
    found = [
        f"{name}={value}"
        for name, value in machine.threads.items()
        if value.isdigit() and int(value) > machine.cores
    ]
    if not found and (machine.blas_threads or 0) > machine.cores:
        found = [f"{machine.blas_threads} threads of NumPy's BLAS"]
    if found:
        yield Finding(Errors.W642.format(cores=machine.cores, found=" and ".join(found)))


def check_blas(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find that thinc takes the slower of two ways to multiply matrices."""
    numpy, blis = machine.gflops.get("NumPy", 0.0), machine.gflops.get("BLIS", 0.0)
    told = any(name == USE_BLAS for _, name in find_names(config))
    if machine.ops == "NumpyOps with BLIS" and not told and blis and numpy > FASTER * blis:
        yield Finding(Errors.W643.format(ratio=numpy / blis, numpy=numpy, blis=blis))


def check_torch(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find a PyTorch that cannot use the card."""
    torch = machine.versions.get("torch")
    if machine.card and torch and machine.torch_cuda is None:
        yield Finding(Errors.W644.format(card=machine.card, torch=torch))


CHECKS: tuple[Check, ...] = (
    check_requirements,
    check_several_cupy,
    check_cupy_sees_card,
    check_card_without_cupy,
    check_old_cupy,
    check_threads,
    check_blas,
    check_torch,
)


def _describe_cupy(machine: Machine) -> str:
    return " and ".join(f"{name} {version}" for name, version in machine.cupy.items())


def _install(machine: Machine) -> str:
    """Name the extra for the driver; where that is unknown, the one that most drivers can do."""
    major = (machine.driver or "").partition(".")[0]
    is_new = major.isdigit() and int(major) >= DRIVER_FOR_CUDA_13
    return f"spacy-charlm[{'cuda13x' if is_new else 'cuda12x'}]"

"""Known problems of a machine and of a config. A small function checks each of them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from packaging.version import Version
from spacy.schemas import ConfigSchemaPretrain, ConfigSchemaTraining
from spacy.util import dot_to_object, registry
from thinc.api import Config

from ..errors import Errors
from ..machine import Machine, examine_machine
from ..training.init_config import find_non_listeners
from ..training.schedule import check_schedule, plan_updates
from ..training.settings import read_settings

# The oldest CuPy that works with NumPy 2, and the oldest driver that works with CUDA 13.
CUPY_FOR_NUMPY_2 = Version("13.2")
DRIVER_FOR_CUDA_13 = 580
USE_BLAS = "spacy-charlm.use_blas.v1"
FASTER = 1.2  # a smaller difference may be due to the load of the machine
SCHEMAS: dict[str, Any] = {"pretraining": ConfigSchemaPretrain, "training": ConfigSchemaTraining}
# Optimizers whose schedules only advance if the training loop steps them.
UNSTEPPED = ("Adam.v1", "RAdam.v1", "SGD.v1")
# Readers that skip texts.
DROPPING = ("spacy.JsonlCorpus.v1", "spacy.PlainTextCorpus.v1")
# Beginnings of registered names, and their problems.
PROBLEMS = {
    "spacy.MishWindowEncoder.": Errors.W652,
    "spacy.CharacterEmbed.": Errors.W653,
    "spacy.PretrainVectors.": Errors.W655,
    "spacy.PretrainCharacters.": Errors.W655,
}


@dataclass(frozen=True)
class Finding:
    """A problem and its solution.

    text (str): The message, from `Errors`.
    """

    text: str

    @property
    def serious(self) -> bool:
        """Whether something does not work, rather than being slow or losing data."""
        return self.text.startswith("[charlm E")


# A check gets the machine and the interpolated config, which is empty if there is none.
Check: TypeAlias = Callable[[Machine, Config], Iterable[Finding]]


def diagnose(
    config: Config | None = None, machine: Machine | None = None, *, measure: bool = True
) -> tuple[Machine, list[Finding]]:
    """Run all checks.

    config (Optional[Config]): Interpolated config to check as well.
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


def find_names(block: dict[str, Any], section: str = "") -> Iterator[tuple[str, str]]:
    """Find the registered names in a config.

    block (Dict[str, Any]): A config or a section of it.
    section (str): Name of that section, such as "components.tok2vec".
    YIELDS (Tuple[str, str]): The section and the name, such as "spacy.Tok2Vec.v2".
    """
    for key, value in block.items():
        if isinstance(value, dict):
            yield from find_names(value, f"{section}.{key}" if section else key)
        elif key.startswith("@"):
            yield section, str(value)


def check_requirements(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find versions outside the range that this package requires."""
    for package, (wanted, found) in machine.unmet.items():
        yield Finding(Errors.E645.format(package=package, wanted=wanted, found=found))


def check_gpu(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find a graphics card that CuPy or PyTorch cannot use, and a CuPy that breaks something."""
    cupy = " and ".join(f"{name} {version}" for name, version in machine.cupy.items())
    names, install = " ".join(machine.cupy), _install(machine)
    if len(machine.cupy) > 1:
        yield Finding(Errors.E646.format(found=cupy, names=names, install=install))
    if machine.card and not machine.cupy:
        yield Finding(Errors.W640.format(card=machine.card, install=install))
    elif machine.card and not machine.cupy_works:
        driver = machine.driver or "unknown"
        message = Errors.E647.format(
            card=machine.card, driver=driver, cupy=cupy, name=names, install=install
        )
        yield Finding(message)
    numpy, torch = machine.versions.get("numpy"), machine.versions.get("torch")
    old = [name for name, version in machine.cupy.items() if Version(version) < CUPY_FOR_NUMPY_2]
    if numpy and Version(numpy) < Version("2") and old:
        name = " ".join(old)
        yield Finding(Errors.W641.format(numpy=numpy, cupy=cupy, name=name, install=install))
    if machine.card and torch and machine.torch_cuda is None:
        yield Finding(Errors.W644.format(card=machine.card, torch=torch))


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
    """Find that thinc uses the slower of two libraries for matrix products."""
    numpy, blis = machine.gflops.get("NumPy", 0.0), machine.gflops.get("BLIS", 0.0)
    uses_blas = any(name == USE_BLAS for _, name in find_names(config))
    if machine.ops == "NumpyOps with BLIS" and not uses_blas and blis and numpy > FASTER * blis:
        yield Finding(Errors.W643.format(ratio=numpy / blis, numpy=numpy, blis=blis))


CHECKS: tuple[Check, ...] = (check_requirements, check_gpu, check_threads, check_blas)


def check_init_tok2vec(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find weights that spaCy does not load."""
    path = config.get("initialize", {}).get("init_tok2vec")
    if path and not config.get("pretraining"):
        yield Finding(Errors.E506.format(path=path))


def check_stepping(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find a learning rate that never changes although it has a schedule."""
    optimizer = config.get("pretraining", {}).get("optimizer") or {}
    rate = optimizer.get("learn_rate")
    schedule = rate.get("@schedules") if isinstance(rate, dict) else None
    found = optimizer.get("@optimizers")
    if found in UNSTEPPED and schedule and schedule != "constant.v1":
        yield Finding(Errors.E648.format(found=found, schedule=schedule))


def check_run_length(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find a warm-up or a schedule that does not fit the length of the pretraining."""
    pretraining = config.get("pretraining") or {}
    learn_rate = (pretraining.get("optimizer") or {}).get("learn_rate")
    block = learn_rate if isinstance(learn_rate, dict) else {}
    if not any(isinstance(block.get(name), int) for name in ("total_steps", "warmup_steps")):
        return  # nothing to compare: the text need not be read
    # Without a text that can be read, the length is known only if max_steps sets it.
    updates = (config.get("charlm") or {}).get("max_steps")
    with suppress(ValueError, OSError, KeyError):
        corpus = dot_to_object(config, pretraining["corpus"])
        updates = plan_updates(
            registry.resolve({"corpus": corpus})["corpus"],
            pretraining["batcher"],
            read_settings(config),
            lang=config["nlp"]["lang"],
            epochs=pretraining["max_epochs"],
        )
    message = check_schedule(block, updates) if updates else None
    if message:
        yield Finding(message)


def check_reader(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find a reader that skips texts."""
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
    """Find settings that spaCy ignores."""
    for section, schema in SCHEMAS.items():
        known = list(schema.model_fields)
        unknown = [name for name in config.get(section) or {} if name not in known]
        if unknown:
            message = Errors.W651.format(
                section=section, found=", ".join(unknown), known=", ".join(known)
            )
            yield Finding(message)


def check_names(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find registered functions that have known problems."""
    for section, name in find_names(config):
        for start, message in PROBLEMS.items():
            if name.startswith(start):
                yield Finding(message.format(section=section, found=name))


def check_listeners(machine: Machine, config: Config) -> Iterator[Finding]:
    """Find components that do not listen to the shared tok2vec."""
    shared, others = find_non_listeners(config)
    if others:
        yield Finding(Errors.W654.format(component=shared, others=", ".join(others)))


CONFIG_CHECKS: tuple[Check, ...] = (
    check_init_tok2vec,
    check_stepping,
    check_run_length,
    check_reader,
    check_unknown_settings,
    check_names,
    check_listeners,
)


def _install(machine: Machine) -> str:
    """Return the extra that fits the driver; CUDA 12 if the driver is unknown."""
    major = (machine.driver or "").partition(".")[0]
    is_new = major.isdigit() and int(major) >= DRIVER_FOR_CUDA_13
    return f"spacy-charlm[{'cuda13x' if is_new else 'cuda12x'}]"

"""Troubles of the machine that are known, each found by a small function."""

from collections.abc import Iterator

from packaging.version import Version
from thinc.api import Config

from ..errors import Errors
from .config_traps import CONFIG_CHECKS, find_names
from .findings import Check, Finding
from .machine import Machine, examine_machine

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

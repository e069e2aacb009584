"""What this machine brings: versions, graphics card, BLAS, cores, and a measured speed."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from packaging.requirements import Requirement
from spacy.language import Language
from thinc.api import NumpyOps, get_current_ops, set_current_ops
from thinc.util import has_cupy_gpu


def resident_megabytes() -> float:
    """Return the resident memory now in MB, its peak on macOS, 0 on Windows."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return peak_megabytes()


def peak_megabytes() -> float:
    """Return the most memory that was resident at any time in MB, 0 on Windows."""
    status = Path("/proc/self/status")
    if status.exists():
        # Unlike ru_maxrss this does not begin with what the parent process held.
        lines = status.read_text(encoding="utf8").splitlines()
        peak = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), "0")
        return int(peak) * 1024 / 1e6
    if sys.platform == "win32":
        return 0.0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def create_use_blas_v1() -> Callable[[type[Language]], type[Language]]:
    """Create a callback that lets NumPy compute the matrix products of a pipeline on the CPU.

    thinc takes BLIS, on one core. NumPy's OpenBLAS uses all cores (OPENBLAS_NUM_THREADS says how
    many) and is the faster of the two on most machines. The results are the same up to rounding.
    It changes nothing on a GPU or where another package brings its own operations.

    RETURNS (Callable[[Type[Language]], Type[Language]]): The callback.
    """
    return use_blas


def use_blas(lang_cls: type[Language]) -> type[Language]:
    """Make NumPy's BLAS the default of every model that is built from here on."""
    if type(get_current_ops()) is NumpyOps:
        set_current_ops(NumpyOps(use_blis=False))
    return lang_cls


PACKAGES = ("spacy-charlm", "spacy", "thinc", "numpy", "blis")
OPTIONAL = ("transformers", "torch", "ray", "scikit-learn", "matplotlib", "floret")
CUPY = re.compile(r"cupy(-cuda\d+x?|-rocm[\d-]+)?")
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
# A layer of the default encoder over a batch of the default size: words, inputs, outputs.
PRODUCT = (3000, 288, 288)
SECONDS_PER_PRODUCT = 0.4


@dataclass(frozen=True)
class Machine:
    """What was found.

    python (str): Version of Python.
    versions (Dict[str, Optional[str]]): Versions by package, None where not installed.
    unmet (Dict[str, Tuple[str, str]]): Range that this package asks for and version found, of
        those packages that are outside of it.
    cupy (Dict[str, str]): Version of each distribution of CuPy.
    cupy_works (bool): Whether CuPy sees a card.
    card (Optional[str]): Name and memory of the graphics card.
    driver (Optional[str]): Version of its driver.
    torch_cuda (Optional[str]): The CUDA that PyTorch was built with; read only beside a card.
    blas (str): What NumPy computes matrix products with.
    blas_threads (Optional[int]): Its threads, where that can be told.
    ops (str): What thinc computes with on the CPU.
    cores (int): Cores that this process may use.
    threads (Dict[str, str]): Variables of the environment that set numbers of threads.
    gflops (Dict[str, float]): Measured speed of float32 matrix products, in 1e9 operations a
        second, by "NumPy" and "BLIS"; empty where not measured.
    """

    python: str = ""
    versions: dict[str, str | None] = field(default_factory=dict)
    unmet: dict[str, tuple[str, str]] = field(default_factory=dict)
    cupy: dict[str, str] = field(default_factory=dict)
    cupy_works: bool = False
    card: str | None = None
    driver: str | None = None
    torch_cuda: str | None = None
    blas: str = ""
    blas_threads: int | None = None
    ops: str = ""
    cores: int = 1
    threads: dict[str, str] = field(default_factory=dict)
    gflops: dict[str, float] = field(default_factory=dict)


def examine_machine(*, measure: bool = True) -> Machine:
    """Find out what this machine brings.

    measure (bool): Whether to measure matrix products, which takes a second.
    RETURNS (Machine): What was found.
    """
    card, driver = find_card()
    return Machine(
        python=platform.python_version(),
        versions={name: find_version(name) for name in (*PACKAGES, *OPTIONAL)},
        unmet=find_unmet(),
        cupy=find_cupy(),
        cupy_works=has_cupy_gpu,
        card=card,
        driver=driver,
        torch_cuda=_torch_cuda() if card else None,
        blas=_describe_blas(),
        blas_threads=_count_blas_threads(),
        ops=_describe_ops(),
        cores=count_cores(),
        threads={name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        gflops=measure_products() if measure else {},
    )


def find_version(package: str) -> str | None:
    """Give the version of an installed package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def find_unmet() -> dict[str, tuple[str, str]]:
    """Find requirements of this package that the installed versions do not meet."""
    try:
        rows = importlib.metadata.requires("spacy-charlm") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    unmet = {}
    for requirement in map(Requirement, rows):
        found = find_version(requirement.name)
        if requirement.marker is None and found is not None:
            if not requirement.specifier.contains(found, prereleases=True):
                unmet[requirement.name] = (str(requirement.specifier), found)
    return unmet


def find_cupy() -> dict[str, str]:
    """Find every distribution that installs CuPy, which has another name for each CUDA."""
    names = ((d.metadata["Name"] or "", d.version) for d in importlib.metadata.distributions())
    return {name.lower(): version for name, version in names if CUPY.fullmatch(name.lower())}


def find_card() -> tuple[str | None, str | None]:
    """Give the name of the first NVIDIA card and the version of its driver, None where unknown."""
    program = shutil.which("nvidia-smi")
    if program is not None:
        query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
        try:
            run = subprocess.run([program, *query], capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            run = None
        fields = run.stdout.partition("\n")[0].split(", ") if run and run.returncode == 0 else []
        if len(fields) == 3:
            return f"{fields[0]}, {fields[1]}", fields[2].strip()
    if has_cupy_gpu:
        import cupy

        properties = cupy.cuda.runtime.getDeviceProperties(0)
        gigabytes = properties["totalGlobalMem"] / 2**30
        return f"{properties['name'].decode()}, {gigabytes:.0f} GiB", None
    return None, None


def count_cores() -> int:
    """Count the cores that this process may use, by its affinity and its control group's quota."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file_:
            quota, period = file_.read().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no control group, or "max": no quota
        return cores


def measure_products() -> dict[str, float]:
    """Measure float32 matrix products by NumPy's BLAS and by thinc's BLIS.

    RETURNS (Dict[str, float]): 1e9 operations a second, the best of some tries.
    """
    nT, nI, nO = PRODUCT
    rng = np.random.default_rng(0)
    X = rng.random((nT, nI), dtype="float32")
    W = rng.random((nO, nI), dtype="float32")
    speeds = {}
    for name, use_blis in (("NumPy", False), ("BLIS", True)):
        try:
            ops: Any = NumpyOps(use_blis=use_blis)
        except ValueError:  # blis is not installed
            continue
        ops.gemm(X, W, trans2=True)  # starts threads
        best, end = float("inf"), time.perf_counter() + SECONDS_PER_PRODUCT
        while time.perf_counter() < end:
            start = time.perf_counter()
            ops.gemm(X, W, trans2=True)
            best = min(best, time.perf_counter() - start)
        speeds[name] = 2e-9 * nT * nI * nO / best
    return speeds


def _describe_blas() -> str:
    config: Any = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


def _count_blas_threads() -> int | None:
    try:
        import threadpoolctl
    except ImportError:
        return None
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    numpys = [pool for pool in pools if "numpy" in pool["filepath"]] or pools
    return max((pool["num_threads"] for pool in numpys), default=None)


def _describe_ops() -> str:
    ops: Any = get_current_ops()
    name = type(ops).__name__
    return f"{name} with {'BLIS' if ops.use_blis else 'NumPy'}" if name == "NumpyOps" else name


def _torch_cuda() -> str | None:
    try:
        import torch
    except ImportError:
        return None
    return torch.version.cuda

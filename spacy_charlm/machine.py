"""Versions, graphics card, BLAS, cores and memory of this machine, and its measured speed."""

import datetime
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from packaging.requirements import Requirement
from spacy.language import Language
from thinc.api import CupyOps, NumpyOps, Ops, get_current_ops, set_current_ops
from thinc.util import has_cupy_gpu

from .compat import PACKAGES, find_version

OPTIONAL = ("transformers", "torch", "ray", "scikit-learn", "matplotlib", "floret")
CUPY = re.compile(r"cupy(-cuda\d+x?|-rocm[\d-]+)?")
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
# A layer of the default encoder on a batch of the default size: words, inputs, outputs.
PRODUCT = (3000, 288, 288)
SECONDS_PER_PRODUCT = 0.4


def resident_megabytes() -> float:
    """Return the resident memory in MB: now on Linux, its peak on macOS, 0 on Windows."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return peak_megabytes()


def peak_megabytes() -> float:
    """Return the peak of the resident memory in MB; 0 on Windows."""
    status = Path("/proc/self/status")
    if status.exists():
        # Unlike ru_maxrss, VmHWM does not start with the memory of the parent process.
        lines = status.read_text(encoding="utf8").splitlines()
        peak = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), "0")
        return int(peak) * 1024 / 1e6
    if sys.platform == "win32":
        return 0.0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def create_use_blas_v1() -> Callable[[type[Language]], type[Language]]:
    """Create a callback that makes a pipeline use NumPy's BLAS for matrix products on the CPU.

    thinc uses BLIS, on one core. NumPy's OpenBLAS uses all cores, or as many as
    OPENBLAS_NUM_THREADS says, and is faster on most machines. Results are equal up to rounding.
    The callback changes nothing on a GPU or if another package has set its own operations.

    RETURNS (Callable[[Type[Language]], Type[Language]]): The callback.
    """
    return use_blas


def use_blas(lang_cls: type[Language]) -> type[Language]:
    """Use NumPy's BLAS in every model that is built from now on."""
    if type(get_current_ops()) is NumpyOps:
        set_current_ops(NumpyOps(use_blis=False))
        _warm_up()
    return lang_cls


@cache
def _warm_up() -> None:
    """Compute a large matrix product, once per process; it takes a few milliseconds.

    With one thread, OpenBLAS was seen to compute at a third of its speed until a product had more
    than 384 columns to add up. A pipeline that only predicts may have no such product.
    """
    square = np.ones((512, 512), dtype="float32")
    square.dot(square)


@dataclass(frozen=True)
class Machine:
    """What a machine has installed, and how fast it is.

    python (str): Version of Python.
    versions (Dict[str, Optional[str]]): Versions by package; None if not installed.
    unmet (Dict[str, Tuple[str, str]]): Packages outside the range that this package requires:
        required range and installed version.
    cupy (Dict[str, str]): Version of each installed distribution of CuPy.
    cupy_works (bool): Whether CuPy finds a graphics card.
    card (Optional[str]): Name and memory of the graphics card.
    driver (Optional[str]): Version of its driver.
    torch_cuda (Optional[str]): CUDA version of PyTorch; looked up only if there is a card.
    blas (str): The library behind NumPy's matrix products.
    blas_threads (Optional[int]): Its number of threads, if known.
    ops (str): thinc's backend on the CPU.
    cores (int): Cores that this process may use.
    threads (Dict[str, str]): Environment variables that set numbers of threads.
    gflops (Dict[str, float]): Speed of float32 matrix products by "NumPy" and "BLIS", in 1e9
        operations per second; empty if not measured.
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
    """Examine this machine.

    measure (bool): Whether to measure matrix products, which takes a second.
    RETURNS (Machine): The findings.
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


def describe_machine() -> dict[str, Any]:
    """Describe what timings depend on: date, processor, cores, threads, load and versions."""
    cpu, info = platform.processor(), Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf8").splitlines()
        cpu = next((line.split(": ")[1] for line in lines if line.startswith("model name")), cpu)
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": cpu,
        "cores": count_cores(),
        "threads": os.environ.get("OPENBLAS_NUM_THREADS", "all"),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "versions": {name: find_version(name) for name in PACKAGES},
    }


def find_unmet() -> dict[str, tuple[str, str]]:
    """Find the requirements of this package that installed versions do not meet."""
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
    """Find all distributions of CuPy. There is one for each version of CUDA."""
    names = ((d.metadata["Name"] or "", d.version) for d in importlib.metadata.distributions())
    return {name.lower(): version for name, version in names if CUPY.fullmatch(name.lower())}


def find_card() -> tuple[str | None, str | None]:
    """Return name and driver version of the first NVIDIA card; None if unknown."""
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
    """Count the cores that this process may use: its CPU affinity, and the quota of its cgroup."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file_:
            quota, period = file_.read().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup, or "max": no quota
        return cores


def measure_products() -> dict[str, float]:
    """Measure matrix products by NumPy's BLAS and by thinc's BLIS: see `measure_product`."""
    speeds = {}
    for name, use_blis in (("NumPy", False), ("BLIS", True)):
        with suppress(ValueError):  # blis is not installed
            speeds[name] = measure_product(NumpyOps(use_blis=use_blis))
    return speeds


def measure_product(
    ops: Ops, nT: int = PRODUCT[0], nI: int = PRODUCT[1], nO: int = PRODUCT[2]
) -> float:
    """Measure a float32 matrix product of a layer.

    ops (Ops): The backend.
    nT (int): Rows: words of a batch.
    nI (int): Input width.
    nO (int): Output width.
    RETURNS (float): 1e9 operations per second, the best of several runs.
    """
    X: Any = ops.alloc2f(nT, nI) + 1
    W: Any = ops.alloc2f(nO, nI) + 1
    ops.gemm(X, W, trans2=True)  # starts threads
    wait_for_gpu(ops)
    best, end = float("inf"), time.perf_counter() + SECONDS_PER_PRODUCT
    while time.perf_counter() < end:
        start = time.perf_counter()
        ops.gemm(X, W, trans2=True)
        wait_for_gpu(ops)
        best = min(best, time.perf_counter() - start)
    return 2e-9 * nT * nI * nO / best


def wait_for_gpu(ops: Ops | None = None) -> None:
    """Wait until the GPU has finished; return at once for a backend on the CPU."""
    if isinstance(ops or get_current_ops(), CupyOps):
        import cupy

        cupy.cuda.get_current_stream().synchronize()


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

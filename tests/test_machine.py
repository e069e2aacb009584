import importlib.metadata
import os
import subprocess
from types import SimpleNamespace

import numpy
import spacy
from thinc.api import NumpyOps

from spacy_charlm import machine as module
from spacy_charlm.machine import (
    CUPY,
    count_cores,
    describe_machine,
    examine_machine,
    find_card,
    find_cupy,
    find_unmet,
    measure_product,
    measure_products,
)


def test_machine_examines_this_one(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    machine = examine_machine(measure=False)
    assert machine.versions["numpy"] == numpy.__version__
    assert machine.versions["spacy"] == spacy.__version__
    assert machine.threads["OMP_NUM_THREADS"] == "7" and machine.gflops == {}
    assert machine.unmet == {} and machine.blas and machine.ops


def test_machine_measures_products(monkeypatch):
    monkeypatch.setattr(module, "SECONDS_PER_PRODUCT", 0.01)
    speeds = measure_products()
    assert set(speeds) == {"NumPy", "BLIS"} and all(speed > 0 for speed in speeds.values())
    assert measure_product(NumpyOps(), nT=10, nI=4, nO=4) > 0


def test_machine_describes_what_timings_depend_on():
    found = describe_machine()
    assert found["versions"]["numpy"] == numpy.__version__ and found["cores"] == count_cores()
    assert found["cpu"] and found["date"] and found["python"]


def test_machine_counts_cores():
    assert 1 <= count_cores() <= (os.cpu_count() or 1)


def test_machine_finds_every_cupy(monkeypatch):
    names = ["cupy-cuda12x", "CuPy", "cupy-xarray", "numpy", None]
    found = [SimpleNamespace(metadata={"Name": name}, version="1.0") for name in names]
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: found)
    assert find_cupy() == {"cupy-cuda12x": "1.0", "cupy": "1.0"}
    assert CUPY.fullmatch("cupy-rocm-5-0") and CUPY.fullmatch("cupy-cuda110")


def test_machine_finds_what_is_unmet(monkeypatch):
    rows = ["spacy<3.9,>=3.8.13", "numpy>=99", "matplotlib>=99; extra == 'plots'", "no-such>=1"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: rows)
    assert find_unmet() == {"numpy": (">=99", numpy.__version__)}


def test_machine_reads_nvidia_smi(monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda name: "nvidia-smi")
    answers = iter(["NVIDIA A, 16000 MiB, 550.54\nNVIDIA B, 1 MiB, 550.54\n", ""])

    def run(*args, **kwargs):
        return SimpleNamespace(returncode=0, stdout=next(answers))

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(module, "has_cupy_gpu", False)
    assert find_card() == ("NVIDIA A, 16000 MiB", "550.54")
    assert find_card() == (None, None)
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    assert find_card() == (None, None)

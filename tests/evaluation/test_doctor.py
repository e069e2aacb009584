from dataclasses import replace

import pytest
from thinc.api import Config

from spacy_charlm.evaluation.doctor import CHECKS, diagnose
from spacy_charlm.machine import Machine

HEALTHY = Machine(
    python="3.12.0",
    versions={"numpy": "2.2.0", "torch": "2.6.0"},
    cupy={"cupy-cuda12x": "13.6.0"},
    cupy_works=True,
    card="NVIDIA A, 16000 MiB",
    driver="550.54.15",
    torch_cuda="12.4",
    blas_threads=4,
    ops="NumpyOps with BLIS",
    cores=4,
    threads={"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "4,2"},
    gflops={"NumPy": 30.0, "BLIS": 29.0},
)
TROUBLES = [
    ({"unmet": {"spacy": ("<3.9,>=3.8.13", "3.7.5")}}, "E645", "'spacy<3.9,>=3.8.13'"),
    ({"cupy": {"cupy": "13.6.0", "cupy-cuda12x": "13.6.0"}}, "E646", "uninstall -y cupy cupy-c"),
    ({"cupy_works": False}, "E647", "driver 550.54.15"),
    ({"cupy": {}}, "W640", "spacy-charlm[cuda12x]"),
    ({"cupy": {}, "driver": "580.65.06"}, "W640", "spacy-charlm[cuda13x]"),
    ({"cupy": {}, "driver": None}, "W640", "spacy-charlm[cuda12x]"),
    (
        {"cupy": {"cupy-cuda12x": "12.3.0"}, "versions": {"numpy": "1.26.4"}},
        "W641",
        "NumPy 1.26.4 beside cupy-cuda12x 12.3.0",
    ),
    ({"cores": 2, "blas_threads": 2}, "W642", "OMP_NUM_THREADS=4"),
    ({"cores": 2, "threads": {}}, "W642", "4 threads of NumPy's BLAS"),
    ({"gflops": {"NumPy": 60.0, "BLIS": 20.0}}, "W643", "3.0 times"),
    ({"torch_cuda": None}, "W644", "PyTorch 2.6.0"),
]


def test_doctor_finds_nothing_on_a_healthy_machine():
    assert diagnose(machine=HEALTHY)[1] == []
    assert diagnose(machine=Machine())[1] == []


@pytest.mark.parametrize("change, code, words", TROUBLES)
def test_doctor_finds_each_trouble_alone(change, code, words):
    (finding,) = diagnose(machine=replace(HEALTHY, **change))[1]
    assert finding.text.startswith(f"[charlm {code}]") and words in finding.text
    assert finding.serious == code.startswith("E")


def test_doctor_has_a_trouble_for_each_check():
    found = [
        {i for i, check in enumerate(CHECKS) if list(check(replace(HEALTHY, **change), Config()))}
        for change, *_ in TROUBLES
    ]
    assert set.union(*found) == set(range(len(CHECKS)))


def test_doctor_knows_that_a_config_takes_numpys_blas():
    machine = replace(HEALTHY, gflops={"NumPy": 60.0, "BLIS": 20.0})
    block = {"before_creation": {"@callbacks": "spacy-charlm.use_blas.v1"}}
    assert diagnose(Config({"nlp": block}), machine)[1] == []
    assert diagnose(None, replace(machine, ops="AppleOps"))[1] == []


def test_doctor_puts_serious_findings_first():
    machine = replace(HEALTHY, cores=1, cupy_works=False)
    findings = diagnose(machine=machine)[1]
    assert [finding.serious for finding in findings] == [True, False]

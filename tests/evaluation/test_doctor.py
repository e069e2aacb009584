from dataclasses import replace
from pathlib import Path

import pytest
from spacy.util import load_config
from thinc.api import Config

from spacy_charlm.evaluation.doctor import CHECKS, CONFIG_CHECKS, diagnose, find_names
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
        "NumPy 1.26.4 with cupy-cuda12x 12.3.0",
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


CONFIGS = sorted((Path(__file__).parents[2] / "configs").rglob("*.cfg"))
SCHEDULE = {"@schedules": "warmup_linear.v1", "warmup_steps": 2}
JSONL = {"@readers": "spacy.JsonlCorpus.v1", "path": None, "max_length": 500, "limit": 9}
SHARED = {"factory": "tok2vec", "model": {"@architectures": "spacy.Tok2Vec.v2"}}
TAGGER = {"factory": "tagger", "model": {"tok2vec": {"@architectures": "spacy.HashEmbedCNN.v2"}}}
RATE = {"@schedules": "warmup_linear.v1", "warmup_steps": 250, "total_steps": 3800}
LONG = {"pretraining": {"optimizer": {"@optimizers": "spacy-charlm.Adam.v1", "learn_rate": RATE}}}
TRAPS = [
    ({"initialize": {"init_tok2vec": "x.bin"}, "pretraining": {}}, "E506", "x.bin"),
    (
        {"pretraining": {"optimizer": {"@optimizers": "Adam.v1", "learn_rate": SCHEDULE}}},
        "E648",
        "warmup_linear.v1",
    ),
    ({**LONG, "charlm": {"max_steps": 100}}, "W660", "warm-up of 250 updates"),
    ({**LONG, "charlm": {"max_steps": 1000}}, "W661", "zero after 3,800 updates"),
    ({"corpora": {"pretrain": JSONL}}, "W650", "500 words or more and ignores its limit (9)"),
    ({"pretraining": {"patience": 3, "dropout": 0.1}}, "W651", "found patience."),
    ({"training": {"max_step": 3}}, "W651", "[training], but found max_step."),
    (
        {"components": {"a": {"model": {"@architectures": "spacy.MishWindowEncoder.v2"}}}},
        "W652",
        "[components.a.model]",
    ),
    (
        {"components": {"a": {"model": {"@architectures": "spacy.CharacterEmbed.v2"}}}},
        "W653",
        "[components.a.model]",
    ),
    (
        {"nlp": {"pipeline": ["t", "tagger"]}, "components": {"t": SHARED, "tagger": TAGGER}},
        "W654",
        "'t'",
    ),
    (
        {
            "nlp": {"pipeline": ["t", "listens", "tagger", "source"]},
            "components": {
                "t": SHARED,
                "listens": {"model": {"tok2vec": {"@architectures": "spacy.Tok2VecListener.v1"}}},
                "tagger": TAGGER,
                "source": {"source": "en_core_web_sm"},
            },
        },
        "W654",
        "in the model of tagger, so",
    ),
    (
        {"pretraining": {"objective": {"@architectures": "spacy.PretrainVectors.v1"}}},
        "W655",
        "spacy.PretrainVectors.v1",
    ),
]


def find(config):
    return [finding for check in CONFIG_CHECKS for finding in check(Machine(), config)]


@pytest.mark.parametrize("config, code, words", TRAPS)
def test_doctor_finds_each_trap_of_a_config(config, code, words):
    (finding,) = find(config)
    assert finding.text.startswith(f"[charlm {code}]") and words in finding.text
    assert finding.serious == code.startswith("E")


def test_doctor_has_a_trap_for_each_check_of_a_config():
    found = {check for config, *_ in TRAPS for check in CONFIG_CHECKS if list(check(None, config))}
    assert found == set(CONFIG_CHECKS)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"initialize": {"init_tok2vec": "x.bin"}, "pretraining": {"dropout": 0.1}},
        {"pretraining": {"optimizer": {"@optimizers": "Adam.v1", "learn_rate": 0.001}}},
        {
            "pretraining": {
                "optimizer": {"@optimizers": "spacy-charlm.Adam.v1", "learn_rate": SCHEDULE}
            }
        },
        {"corpora": {"pretrain": {**JSONL, "max_length": 0, "limit": 0}}},
        {"nlp": {"pipeline": ["t"]}, "components": {"t": SHARED}},
        {
            "nlp": {"pipeline": ["t", "b"]},
            "components": {"t": SHARED, "b": {"source": "en_core_web_sm"}},
        },
    ],
)
def test_doctor_finds_nothing_in_good_configs(config):
    assert find(config) == []


@pytest.mark.parametrize(
    "settings, code",
    [
        ({}, None),
        ({"warmup_steps": 250}, "W660"),
        ({"total_steps": 200, "warmup_steps": 20}, "W661"),
        ({"total_steps": 100, "warmup_steps": 20}, None),
    ],
)
def test_doctor_reads_the_text_to_learn_the_length_of_a_run(settings, code, tmp_path):
    """100 updates: 60 passes are too many for min_words, the 50 of it have 2 batches each."""
    path = tmp_path / "raw.txt"
    path.write_text("one two three four\n" * 15, encoding="utf8")
    learn_rate = "pretraining.optimizer.learn_rate"
    overrides = {
        "paths.raw_text": str(path),
        "corpora.pretrain.min_words": 3600,
        "pretraining.batcher.size": 50,
        **{f"{learn_rate}.{name}": value for name, value in settings.items()},
    }
    config = load_config(CONFIGS[0].parent / "cosine.cfg", overrides=overrides, interpolate=True)
    assert [finding.text[8:12] for finding in find(config)] == [code] * (code is not None)
    path.unlink()
    assert find(config) == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_doctor_finds_nothing_in_our_configs(path):
    assert find(load_config(path, interpolate=True)) == []


def test_doctor_finds_names_in_sections():
    config = {"a": {"b": {"@misc": "x.v1", "c": 1}, "@misc": "y.v1"}}
    assert sorted(find_names(config)) == [("a", "y.v1"), ("a.b", "x.v1")]

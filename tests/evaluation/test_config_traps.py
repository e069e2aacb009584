from pathlib import Path

import pytest
from spacy.util import load_config

from spacy_charlm.evaluation.doctor import CONFIG_CHECKS, find_names
from spacy_charlm.machine import Machine

CONFIGS = sorted((Path(__file__).parents[2] / "configs").rglob("*.cfg"))
SCHEDULE = {"@schedules": "warmup_linear.v1", "warmup_steps": 2}
JSONL = {"@readers": "spacy.JsonlCorpus.v1", "path": None, "max_length": 500, "limit": 9}
SHARED = {"factory": "tok2vec", "model": {"@architectures": "spacy.Tok2Vec.v2"}}
TAGGER = {"factory": "tagger", "model": {"tok2vec": {"@architectures": "spacy.HashEmbedCNN.v2"}}}
TRAPS = [
    ({"initialize": {"init_tok2vec": "x.bin"}, "pretraining": {}}, "E506", "x.bin"),
    (
        {"pretraining": {"optimizer": {"@optimizers": "Adam.v1", "learn_rate": SCHEDULE}}},
        "E648",
        "warmup_linear.v1",
    ),
    ({"corpora": {"pretrain": JSONL}}, "W650", "500 words or more and ignores its limit (9)"),
    ({"pretraining": {"patience": 3, "dropout": 0.1}}, "W651", "found patience."),
    ({"training": {"max_step": 3}}, "W651", "[training], found max_step."),
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
        {"pretraining": {"objective": {"@architectures": "spacy.PretrainVectors.v1"}}},
        "W655",
        "spacy.PretrainVectors.v1",
    ),
]


def find(config):
    return [finding for check in CONFIG_CHECKS for finding in check(Machine(), config)]


@pytest.mark.parametrize("config, code, words", TRAPS)
def test_config_traps_finds_each_alone(config, code, words):
    (finding,) = find(config)
    assert finding.text.startswith(f"[charlm {code}]") and words in finding.text
    assert finding.serious == code.startswith("E")


def test_config_traps_has_a_trap_for_each_check():
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
def test_config_traps_finds_nothing_where_all_is_well(config):
    assert find(config) == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_config_traps_finds_nothing_in_our_configs(path):
    assert find(load_config(path, interpolate=True)) == []


def test_find_names_gives_sections():
    config = {"a": {"b": {"@misc": "x.v1", "c": 1}, "@misc": "y.v1"}}
    assert sorted(find_names(config)) == [("a", "y.v1"), ("a.b", "x.v1")]

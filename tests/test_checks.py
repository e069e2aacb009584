"""Every range in the annotations of a constructor is checked, from Python as from a config."""

import inspect
from collections.abc import Sequence
from typing import Annotated, get_args, get_origin

import pytest
from spacy import registry
from thinc.api import Linear

from spacy_charlm.architectures.char_cnn import build_char_cnn_v1
from spacy_charlm.architectures.crf_tagger import build_crf_v1
from spacy_charlm.architectures.textcat_mean import build_textcat_mean_v1
from spacy_charlm.checks import MAX_VALUES, Block, Range
from spacy_charlm.layers.conv import conv
from spacy_charlm.layers.embed_chars import embed_chars
from spacy_charlm.layers.embed_ngrams import embed_ngrams
from spacy_charlm.layers.read_chars import read_chars
from spacy_charlm.layers.read_words import VectorsDropout, read_words
from spacy_charlm.layers.standardise import standardise
from spacy_charlm.noise.hidden_chars import HiddenChars
from spacy_charlm.noise.noisy_examples import create_typo_augmenter_v1
from spacy_charlm.noise.typos import Typos
from spacy_charlm.objectives.heads import create_maxout_head_v1
from spacy_charlm.objectives.lmao import create_lmao_v1, create_multi_lmao_v1
from spacy_charlm.objectives.losses import ContrastiveLoss, CosineLoss, SampledSoftmaxLoss
from spacy_charlm.objectives.masking import (
    WordMasking,
    create_char_masking_v1,
    create_typo_masking_v1,
)
from spacy_charlm.targets.doc_vectors import DocVectors
from spacy_charlm.targets.head_vectors import HeadVectors
from spacy_charlm.targets.ngram_vectors import NgramVectors
from spacy_charlm.targets.static_vectors import StaticVectors
from spacy_charlm.targets.transformer_vectors import TransformerVectors
from spacy_charlm.targets.vector_table import VectorTable
from spacy_charlm.targets.word_ids import WordIds
from spacy_charlm.text.text_corpus import TextCorpus

WORDS, SEEN, TYPOS = StaticVectors(), WordMasking(), Typos()
LMAO = {"target": WORDS, "loss": CosineLoss(), "head": create_maxout_head_v1(), "masking": SEEN}
# Each constructor with the arguments that it needs.
CONSTRUCTORS = [
    (build_char_cnn_v1, {"width": 8}),
    (build_textcat_mean_v1, {"tok2vec": Linear(2), "exclusive_classes": True}),
    (build_crf_v1, {"tok2vec": Linear(2)}),
    (conv, {"nO": 2, "nI": 2, "window": 3}),
    (embed_chars, {"nI": 2, "nV": 9, "convolutions": []}),
    (embed_ngrams, {"nO": 2, "nV": 9, "sizes": [3]}),
    (read_chars, {}),
    (read_words, {}),
    (VectorsDropout, {"rate": 0.5, "seed": 0}),
    (standardise, {}),
    (HiddenChars, {}),
    (create_typo_augmenter_v1, {"typos": TYPOS}),
    (Typos, {}),
    (create_maxout_head_v1, {}),
    (create_lmao_v1, LMAO),
    (create_multi_lmao_v1, {"parts": {}, "masking": SEEN}),
    (ContrastiveLoss, {}),
    (SampledSoftmaxLoss, {}),
    (WordMasking, {}),
    (create_char_masking_v1, {"masking": SEEN}),
    (create_typo_masking_v1, {"masking": SEEN, "typos": TYPOS}),
    (DocVectors, {"target": WORDS}),
    (HeadVectors, {"target": WORDS}),
    (NgramVectors, {"target": WORDS}),
    (StaticVectors, {}),
    (TransformerVectors, {}),
    (VectorTable, {}),
    (WordIds, {"corpus": TextCorpus(None)}),
]


def find_rules():
    """Find the settings with a rule, and whether they are lists."""
    for build, given in CONSTRUCTORS:
        for name, parameter in inspect.signature(build).parameters.items():
            annotation = parameter.annotation
            is_list = get_origin(annotation) in (list, Sequence)
            for option in (annotation, *get_args(annotation)):
                if get_origin(option) is Annotated:
                    kind, rule = get_args(option)
                    yield build, given, name, kind, rule, is_list


RULES = list(find_rules())


@pytest.mark.parametrize(
    "build, given, name, kind, rule, is_list",
    RULES,
    ids=[f"{build.__name__}-{name}" for build, _, name, *_ in RULES],
)
def test_checks_name_the_setting_that_is_wrong(build, given, name, kind, rule, is_list):
    wrong = ["5", True, [], {}, 3, object()]
    code = "E561"
    if isinstance(rule, Range):
        wrong = [rule.least - 1, rule.most + 1, 10**400, -(2**63), float("nan"), float("inf"), "1"]
        wrong += [True, None, {}] if is_list else [True, {}]
        wrong += [rule.least + 0.5] if kind is int else []
        code = "E560"
    for value in wrong:
        with pytest.raises(ValueError, match=f"charlm {code}.*`{name}") as caught:
            build(**{**given, name: [value] if is_list else value})
        assert repr(value) in str(caught.value)


def test_checks_cover_many_settings():
    assert sum(isinstance(rule, Range) for *_, rule, _ in RULES) > 40
    assert sum(isinstance(rule, Block) for *_, rule, _ in RULES) > 10


@pytest.mark.parametrize(
    "settings, name",
    [
        ({"width": 1000, "ngram_rows": 10**7}, "ngram_rows"),
        ({"width": 10**5}, "width"),
        ({"width": 8, "filters": [10**8, 10**8]}, "filters"),
        ({"width": 100, "cache_size": 10**8}, "cache_size"),
    ],
)
def test_checks_refuse_a_model_larger_than_any_machine(settings, name):
    with pytest.raises(ValueError, match=f"charlm E562.*{MAX_VALUES:,}.*because of {name}"):
        build_char_cnn_v1(**settings)
    with pytest.raises(ValueError, match="charlm E562.*hidden_size"):
        create_maxout_head_v1(10**8)(300, 96)


@pytest.mark.parametrize(
    "block, message",
    [
        ({"@architectures": "spacy-charlm.CharCNN.v1", "width": "96"}, "E560.*`width`.*'96'"),
        ({"@misc": "spacy-charlm.NgramVectors.v1", "target": 3}, "E561.*`target`.*found 3"),
        ({"@misc": "spacy-charlm.WordMasking.v1", "seed": -1}, "E560.*`seed`.*found -1"),
    ],
)
def test_checks_hold_in_a_config(block, message):
    with pytest.raises(ValueError, match=message):
        registry.resolve({"block": block})

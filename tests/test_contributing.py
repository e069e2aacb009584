"""The target of CONTRIBUTING.md works as it stands there."""

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from spacy.ml.models.tok2vec import MaxoutWindowEncoder, build_Tok2Vec_model
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Adam

from spacy_charlm.architectures.char_cnn import build_char_cnn_v1
from spacy_charlm.objectives.heads import create_linear_head_v1
from spacy_charlm.objectives.lmao import create_lmao_v1
from spacy_charlm.objectives.losses import CrossEntropyLoss
from spacy_charlm.objectives.masking import WordMasking

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"


@pytest.fixture
def target():
    if not PAGE.exists():
        pytest.skip("no CONTRIBUTING.md here")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf8"), re.DOTALL)
    names = {}
    exec(code, names)
    return names["FirstLetters"]()


def test_contributing_target_gives_ids(target, ops):
    docs = [Doc(Vocab(), words=["apple", "42", "zoo"]), Doc(Vocab())]
    assert_array_equal(ops.to_numpy(target(ops, docs).rows), [[0], [-1], [25]])
    assert target(ops, []).rows.shape == (0, 1)


def test_contributing_target_is_learned(target):
    vocab = Vocab()
    texts = ["an apple and a bear", "the bear saw the apple", "a cat saw a dog and a bear"]
    docs = [Doc(vocab, words=text.split()) for text in texts]
    embed = build_char_cnn_v1(8, windows=[3], filters=[8], char_width=4, ngram_rows=50)
    tok2vec = build_Tok2Vec_model(embed, MaxoutWindowEncoder(8, 1, 3, 1))
    tok2vec.initialize(X=docs)
    head = create_linear_head_v1()
    create = create_lmao_v1(target, CrossEntropyLoss(), head, WordMasking(rate=0))
    model = create(vocab, tok2vec).initialize(X=docs)
    optimizer, losses = Adam(0.02), []
    for _ in range(60):
        predictions, backprop = model.begin_update(docs)
        loss, gradient = model.attrs["loss"](model.ops, docs, predictions)
        backprop(gradient)
        model.finish_update(optimizer)
        losses.append(loss)
    assert np.mean(losses[-3:]) < 0.3 * losses[0]

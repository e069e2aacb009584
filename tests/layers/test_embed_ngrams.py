"""What the n-grams' layer promises beside the rules of test_all_layers."""

import numpy as np
import pytest
from thinc.api import Ragged
from thinc.util import has_cupy_gpu

from spacy_charlm.layers.embed_ngrams import embed_ngrams, find_ngrams

RNG = np.random.default_rng(0)
WORDS = [RNG.integers(1, 6, n).tolist() for n in (3, 0, 5, 3, 1, 2, 8, 0)] + [[1, 2, 3], [1, 2, 3]]
NV = 2**31 - 1  # so many rows that two n-grams hardly share one


def pack(ops, words):
    chars = np.array([char for word in words for char in word], dtype="int32")
    return ops.asarray1i(chars), ops.asarray1i([len(word) for word in words])


def list_ngrams(word, sizes):
    """The n-grams of a word in the order of the layer: those that begin at each character."""
    for i in range(len(word)):
        if i == 0:
            yield "word", *word
        for n in sizes:
            if i + n <= len(word):
                yield tuple(word[i : i + n])


@pytest.mark.parametrize("sizes", [[3], [3, 4, 5], [1, 9], [5, 2]])
def test_embed_ngrams_finds_each_ngram(ops, sizes):
    rows, counts = find_ngrams(ops, *pack(ops, WORDS), sizes, NV)
    expected = [list(list_ngrams(word, sizes)) for word in WORDS]
    assert counts.tolist() == [len(ngrams) for ngrams in expected]
    found: dict = {}
    for ngram, row in zip([n for ngrams in expected for n in ngrams], rows.tolist(), strict=True):
        assert found.setdefault(ngram, row) == row
    assert len({tuple(row) for row in found.values()}) == len(found)


def test_embed_ngrams_of_nothing(ops):
    for words in ([], [[], []]):
        rows, counts = find_ngrams(ops, *pack(ops, words), [3], 9)
        assert rows.shape == (0, 2) and counts.tolist() == [0] * len(words)


def test_embed_ngrams_a_misspelled_word_is_near(ops):
    model = embed_ngrams(96, 20_000, [3, 4, 5]).initialize()

    def cosine(first, second):
        chars, lengths = pack(ops, [[ord(char) for char in f"<{w}>"] for w in (first, second)])
        Y = ops.to_numpy(model.predict(Ragged(chars, lengths)))
        return Y[0] @ Y[1] / np.linalg.norm(Y[0]) / np.linalg.norm(Y[1])

    assert cosine("separately", "seperately") > 0.4
    assert abs(cosine("separately", "boring")) < 0.3


def test_embed_ngrams_spreads_over_the_table(ops):
    words = [[1, *RNG.integers(4, 30, 6).tolist(), 2] for _ in range(3000)]
    rows, _ = find_ngrams(ops, *pack(ops, words), [4], 100)
    share = np.bincount(ops.to_numpy(rows).reshape(-1), minlength=100) / rows.size
    assert share.max() < 0.012 and share.min() > 0.008


@pytest.mark.skipif(not has_cupy_gpu, reason="needs CuPy and a GPU")
def test_embed_ngrams_hashes_alike_on_the_gpu():
    from thinc.api import CupyOps, NumpyOps

    ours, theirs = (
        find_ngrams(ops, *pack(ops, WORDS), [3, 4], 1000) for ops in (NumpyOps(), CupyOps())
    )
    for array, other in zip(ours, theirs):
        assert array.tolist() == other.tolist()

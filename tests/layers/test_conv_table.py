import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from thinc.api import Ragged

from spacy_charlm.layers.conv import conv_chars
from spacy_charlm.layers.conv_table import put_in_columns, seen_rows
from spacy_charlm.layers.embed_chars import embed_chars


@pytest.mark.parametrize("windows", [[1], [3], [3, 5], [9]])
@pytest.mark.parametrize("lengths", [[4, 1, 7, 1], [1], []])
def test_conv_table_equals_the_convolution_position_by_position(ops64, windows, lengths):
    """Its plain twin: `conv_chars` over the vectors of all positions."""
    rng = np.random.default_rng(0)
    convs = [conv_chars(nO, 3, window) for nO, window in zip((4, 2), windows)]
    model = embed_chars(3, 9, convs)
    model.initialize()
    for node in model.walk():
        for name in node.param_names:
            node.set_param(name, rng.normal(size=node.get_param(name).shape))
    chars = rng.integers(0, 6, sum(lengths)).astype("int32")  # most of them more than once
    words = Ragged(chars, np.array(lengths, dtype="int32"))
    Y, backprop = model.begin_update(words)
    dY = rng.normal(size=Y.shape)
    backprop(dY)
    found = [node.get_grad(name) for node in convs for name in ("W", "b")]
    for node in convs:
        for name in ("W", "b"):
            node.set_grad(name, np.zeros_like(node.get_param(name)))

    E = model.get_param("E")
    results = [conv.begin_update(Ragged(E[chars], words.lengths)) for conv in convs]
    assert_allclose(Y, np.hstack([Yc for Yc, _ in results]).reshape(Y.shape), atol=1e-12)
    dE, start = np.zeros_like(E), 0
    for Yc, backprop_conv in results:
        dX = backprop_conv(np.ascontiguousarray(dY[:, start : start + Yc.shape[1]]))
        np.add.at(dE, chars, dX.dataXd)
        start += Yc.shape[1]
    assert_allclose(model.get_grad("E"), dE, atol=1e-12)
    plain = [node.get_grad(name) for node in convs for name in ("W", "b")]
    for ours, expected in zip(found, plain):
        assert_allclose(ours, expected, atol=1e-12)


def test_columns_are_sorted_by_position(ops):
    chars = ops.asarray1i([5, 1, 2, 3, 7, 8])  # words 5, 1 2 3, 7 8
    columns = put_in_columns(ops, chars, ops.asarray1i([1, 3, 2]))
    assert_array_equal(ops.to_numpy(columns.order), [1, 2, 0])
    assert_array_equal(ops.to_numpy(columns.chars), [1, 7, 5, 2, 8, 3])
    assert columns.starts == [0, 3, 5, 6]
    empty = put_in_columns(ops, chars[:0], ops.alloc1i(0))
    assert (len(empty.chars), empty.starts, empty.slices) == (0, [0], [])


def test_seen_rows_end_with_the_word(ops):
    columns = put_in_columns(ops, ops.asarray1i([0, 1, 2, 1, 0]), ops.asarray1i([3, 2]))
    rows = seen_rows(ops, columns, 3, 3)
    # character * 3 + place; 9 is the row of zeros; first, second and third characters
    expected = [[9, 9, 0, 3, 3], [1, 4, 4, 1, 7], [5, 2, 8, 9, 9]]
    assert_array_equal(ops.to_numpy(rows), expected)


def test_windows_longer_than_any_word(ops):
    columns = put_in_columns(ops, ops.asarray1i([0, 1]), ops.asarray1i([2]))
    rows = ops.to_numpy(seen_rows(ops, columns, 9, 2))
    assert (rows == 18).sum() == 9 * 2 - 4
    assert rows[4].tolist() == [4, 13] and rows[3, 1] == 3 and rows[5, 0] == 14

import pytest
import spacy
from numpy.testing import assert_array_equal
from spacy.training import Example

from spacy_charlm.targets.head_vectors import HeadVectors

HEADS = {"heads": [1, 2, 2, 4, 2], "deps": ["det", "nsubj", "ROOT", "det", "obj"]}


@pytest.fixture
def parser(tmp_path):
    """A pipeline that parses the sentence of the tests."""
    nlp = spacy.blank("en")
    nlp.add_pipe("parser", config={"min_action_freq": 1})
    example = Example.from_dict(nlp.make_doc("the cat saw a dog"), HEADS)
    optimizer = nlp.initialize(lambda: [example])
    for _ in range(30):
        nlp.update([example], sgd=optimizer)
    nlp.to_disk(tmp_path / "parser")
    return str(tmp_path / "parser")


def test_head_vectors_are_those_of_the_heads(ops, table, make_doc):
    target = HeadVectors(table)
    target.open(None)
    docs = [make_doc("dog"), make_doc(""), make_doc("the cat saw a dog", **HEADS)]
    docs[0][0].dep_ = "ROOT"
    batch = target(ops, docs)
    # A root has no head; the -> cat, cat -> saw, a -> dog, dog -> saw.
    assert_array_equal(ops.to_numpy(batch.rows).ravel(), [-1, 1, 2, -1, 4, 2])
    assert (target.nO, target.nParts) == (3, 1)
    assert target.describe()["heads"] == "gold"


def test_head_vectors_of_a_head_without_a_vector(ops, table, make_doc):
    doc = make_doc("the Tom", heads=[1, 1], deps=["det", "ROOT"])
    assert_array_equal(ops.to_numpy(HeadVectors(table)(ops, [doc]).rows), [[-1], [-1]])


def test_head_vectors_ask_the_parser(ops, table, make_doc, parser):
    target = HeadVectors(table, parser)
    target.open(None)
    doc = make_doc("the cat saw a dog")
    found = target(ops, [doc, make_doc("")]).rows
    assert_array_equal(ops.to_numpy(found).ravel(), [1, 2, -1, 4, 2])
    assert not doc.has_annotation("DEP")  # the caller's Doc is not modified
    assert target.describe()["heads"].startswith("en_pipeline ")


def test_head_vectors_need_heads(ops, table, make_doc):
    with pytest.raises(ValueError, match="charlm E218.*'the cat '.*en_core_web_sm"):
        HeadVectors(table)(ops, [make_doc("the cat")])


def test_head_vectors_need_a_parser_that_is_one(table, tmp_path):
    with pytest.raises(ValueError, match="charlm E217.*nowhere"):
        HeadVectors(table, "nowhere").open(None)
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(ValueError, match="charlm E217.*no components"):
        HeadVectors(table, str(tmp_path / "blank")).open(None)


def test_head_vectors_of_nothing(ops, table):
    assert HeadVectors(table)(ops, []).rows.shape == (0, 1)

import json
import shutil

import numpy as np
import pytest
import spacy
from numpy.testing import assert_allclose, assert_array_equal
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import NumpyOps

from spacy_charlm.cli.vectors import _read_layer
from spacy_charlm.targets.distil_vectors import distil_vectors
from spacy_charlm.targets.transformer_encoder import Pieces
from spacy_charlm.targets.transformer_vectors import TransformerVectors, make_key, pool_pieces
from spacy_charlm.targets.vector_cache import META

NLP = spacy.blank("en")
OPS = NumpyOps()


class FakeEncoder:
    """Splits text at spaces, then into pieces of three characters.

    The vector of a piece is its offset and the length of the text.
    """

    nO = 2

    def __init__(self):
        self.texts = []

    def encode(self, texts):
        for text in texts:
            self.texts.append(text)
            offsets, start = [], 0
            for word in text.split(" "):
                ends = range(start, start + len(word), 3)
                offsets += [(i, min(i + 3, start + len(word))) for i in ends]
                start += len(word) + 1
            offsets = [(a, b) for a, b in offsets if "#" not in text[a:b]]
            rows = [(float(a), float(len(text))) for a, _ in offsets]
            yield Pieces(
                np.array(offsets, dtype="int64").reshape(-1, 2),
                np.array(rows, dtype="float32").reshape(-1, 2),
            )


@pytest.fixture
def make_target(monkeypatch):
    encoder = FakeEncoder()

    def make(**settings):
        target = TransformerVectors("fake", **settings)
        monkeypatch.setattr(target, "_load", lambda: encoder)
        target.open(Vocab())
        return target

    make.encoder = encoder
    return make


def test_transformer_vectors_pool_the_pieces_of_each_token(make_target):
    docs = [NLP.make_doc("wonderful can't"), NLP.make_doc(""), NLP.make_doc("a b")]
    batch = make_target()(OPS, docs)
    # won der ful. The model splits can 't and spaCy ca n't: both tokens overlap the piece can.
    expected = [[3, 15], [10, 15], [11.5, 15], [0, 3], [2, 3]]
    assert_array_equal(batch.rows.ravel(), [0, 1, 2, 3, 4])
    assert_allclose(batch.values, expected)
    first = make_target(pooling="first")(OPS, docs)
    assert_allclose(first.values[:, 0], [0, 10, 10, 0, 2])


def test_transformer_vectors_of_words_without_a_piece(make_target):
    batch = make_target()(OPS, [Doc(NLP.vocab, words=["a", "##", " ", "b"])])
    assert_array_equal(batch.rows.ravel(), [0, -1, -1, 1])
    assert len(batch.values) == 2


def test_pieces_in_two_windows_count_with_their_mean():
    doc = NLP.make_doc("ab cd")
    offsets = np.array([[0, 2], [3, 5], [3, 5], [5, 5]])
    pieces = Pieces(offsets, np.array([[1.0], [2.0], [4.0], [9.0]], dtype="float32"))
    assert_array_equal(pool_pieces(doc, pieces, "mean"), [[1], [3]])
    assert_array_equal(pool_pieces(doc, pieces, "first"), [[1], [3]])


def test_transformer_vectors_encode_each_text_once(make_target, tmp_path):
    docs = [NLP.make_doc("wonderful film"), NLP.make_doc("a ## b"), NLP.make_doc("")]
    target = make_target(cache=tmp_path / "cache")
    first = target(OPS, docs)
    second = target(OPS, docs[::-1])
    assert make_target.encoder.texts == ["wonderful film", "a ## b"]
    target.close()
    # Another run, without the model.
    other = TransformerVectors("fake", cache=tmp_path / "cache")
    other.open(Vocab())
    third = other(OPS, docs)
    assert_array_equal(first.rows, third.rows)
    assert_allclose(first.values, third.values)
    assert len(second.values) == len(first.values)
    assert other.fill(docs) == 0 and target.describe()["width"] == other.nO == 2


def test_transformer_vectors_fill_a_cache_until_it_is_full(make_target, tmp_path, caplog):
    docs = [NLP.make_doc(f"film {i}") for i in range(9)]
    target = make_target(cache=tmp_path / "cache", max_gigabytes=2e-8)  # 20 bytes; a text takes 8
    added = [target.fill([doc]) for doc in docs]
    assert added == [1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert len(make_target.encoder.texts) == 3 and caplog.text.count("charlm W231") == 1


def test_transformer_vectors_of_a_folder_that_is_gone(make_target, tmp_path, monkeypatch):
    """The folder of the model is not needed once the cache is filled."""
    folder = tmp_path / "models" / "fake"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf8")
    monkeypatch.setattr(TransformerVectors, "_load", lambda self: make_target.encoder)
    target = TransformerVectors(str(folder), cache=tmp_path / "cache")
    target.open(Vocab())
    doc = NLP.make_doc("wonderful film")
    expected = target(OPS, [doc]).values
    target.close()
    (folder / "config.json").unlink()
    folder.rmdir()
    again = TransformerVectors(str(folder), cache=tmp_path / "cache")
    again.open(Vocab())
    assert_allclose(again(OPS, [doc]).values, expected)
    assert again.describe()["name"] == "fake" and len(make_target.encoder.texts) == 1
    with pytest.raises(ValueError, match="E234.*'fake' in place of .*other"):
        TransformerVectors(str(folder.with_name("other")), cache=tmp_path / "cache").open(Vocab())


def test_transformer_vectors_encode_a_damaged_text_again(make_target, tmp_path):
    doc = NLP.make_doc("wonderful film")
    target = make_target(cache=tmp_path / "cache")
    expected = target(OPS, [doc]).values
    target.close()
    (data,) = (tmp_path / "cache").glob("*.data")
    data.write_bytes(bytes(len(data.read_bytes())))
    again = make_target(cache=tmp_path / "cache")
    assert_allclose(again(OPS, [doc]).values, expected)
    assert len(make_target.encoder.texts) == 2


def test_transformer_vectors_of_a_text_that_cannot_be_aligned(make_target, caplog):
    docs = [NLP.make_doc("##"), NLP.make_doc(" "), NLP.make_doc("a")]
    with pytest.raises(ValueError, match="charlm E237.*'fake'.*'##'"):
        make_target()(OPS, docs)
    target = make_target(on_misaligned="skip")
    assert (target(OPS, docs).rows >= 0).sum() == 1
    target(OPS, docs)
    assert target.skipped == 2 and caplog.text.count("charlm W232") == 1


def test_keys_distinguish_words_and_spaces():
    words = {make_key(Doc(NLP.vocab, words=w, spaces=s)) for w, s in (
        (["a", "b"], [True, False]), (["a", "b"], [False, False]), (["ab"], [False]), ([], []),
    )}  # fmt: skip
    assert len(words) == 4 and all(len(key) == 16 for key in words)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"pooling": "max"}, "E235.*pooling.*mean or first.*'max'"),
        ({"dtype": "int8"}, "E235.*dtype"),
        ({"on_misaligned": "no"}, "E235.*on_misaligned"),
    ],
)
def test_transformer_vectors_name_what_is_wrong(settings, message):
    with pytest.raises(ValueError, match=message):
        TransformerVectors(**settings)


def test_transformer_vectors_of_another_cache(make_target, tmp_path):
    make_target(cache=tmp_path / "cache").close()
    with pytest.raises(ValueError, match="charlm E234.*pooling"):
        make_target(cache=tmp_path / "cache", pooling="first")
    facts = json.loads((tmp_path / "cache" / META).read_text(encoding="utf8"))
    assert facts["model"] == "fake" and str(tmp_path) not in json.dumps(facts)
    with pytest.raises(ValueError, match="charlm E236"):
        make_target().fill([])


# Tests with a real encoder, small and with random weights.

SIZES = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    pytest.importorskip("torch", reason="needs the extra transformers")
    transformers = pytest.importorskip("transformers", reason="needs the extra transformers")
    folder = tmp_path_factory.mktemp("bert")
    letters = list("abcdefghijklmnopqrstuvwxyz'")
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    (folder / "vocab.txt").write_text("\n".join(vocab), encoding="utf8")
    tokenizer = transformers.BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=16)
    tokenizer.save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(vocab), num_hidden_layers=2, max_position_embeddings=32, **SIZES
    )
    transformers.BertModel(config).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("layer", ["pieces", "last", 0, -1, [1, 2]])
def test_transformer_vectors_of_a_real_encoder(bert, layer, tmp_path):
    target = TransformerVectors(bert, layer=layer, cache=tmp_path / "cache", dtype="float32")
    target.open(Vocab())
    docs = [NLP.make_doc("the cat can't " * 6), NLP.make_doc(""), NLP.make_doc("the cat")]
    batch = target(OPS, docs)
    assert (batch.rows >= 0).all() and batch.values.shape == (len(batch.rows), 8)
    same = np.allclose(batch.values[0], batch.values[4], atol=1e-6)  # "the" occurs twice
    assert same == (layer == "pieces")
    cached = TransformerVectors(bert, layer=layer, cache=tmp_path / "cache", dtype="float32")
    cached.open(Vocab())
    assert_allclose(cached(OPS, docs).values, batch.values, atol=1e-6)


def test_distil_vectors_of_a_real_encoder(bert, tmp_path):
    words, target = ["cat", "the", "😀"], TransformerVectors(bert, on_misaligned="skip")
    assert distil_vectors(target, words, tmp_path / "table") == 2
    values = target(OPS, [Doc(NLP.vocab, words=[word]) for word in words[:2]]).values
    vocab = spacy.load(tmp_path / "table").vocab
    assert_allclose([vocab[word].vector for word in words[:2]], values, atol=1e-6)


def test_transformer_vectors_of_the_last_layer_are_the_models_own(bert):
    import torch
    import transformers

    target = TransformerVectors(bert)
    target.open(Vocab())
    values = target(OPS, [NLP.make_doc("cat a")]).values
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    with torch.inference_mode():
        model = transformers.AutoModel.from_pretrained(bert).eval()
        rows = model(**tokenizer("cat a", return_tensors="pt")).last_hidden_state[0].numpy()
    assert_allclose(values, [rows[1:4].mean(axis=0), rows[4]], atol=1e-5)


@pytest.mark.parametrize(
    "model, layer, message",
    [(None, 9, "E232.*0 to 2.*found 9"), (None, "first", "E232"), ("no/model", "last", "E230")],
)
def test_encoders_name_what_is_wrong(bert, model, layer, message, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    target = TransformerVectors(model or bert, layer=layer)
    with pytest.raises(ValueError, match=message):
        target.open(Vocab())


def test_a_model_folder_without_weights(bert, tmp_path):
    from pathlib import Path

    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((Path(bert) / name).read_bytes())
    with pytest.raises(ValueError, match="charlm E230"):
        TransformerVectors(str(tmp_path)).open(Vocab())


def test_weights_of_another_model(bert, tmp_path):
    """Layers that are missing from the file would have random weights."""
    numpy_file = pytest.importorskip("safetensors.numpy", reason="needs the extra transformers")
    shutil.copytree(bert, tmp_path / "other")
    path = tmp_path / "other" / "model.safetensors"
    weights = {f"other.{name}": array for name, array in numpy_file.load_file(path).items()}
    numpy_file.save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="charlm E230.*no weights for"):
        TransformerVectors(str(tmp_path / "other")).open(Vocab())


def test_caches_distinguish_models_of_one_size(bert, tmp_path):
    """Two models of the same architecture, in folders of the same name."""
    for name in ("one", "two"):
        shutil.copytree(bert, tmp_path / name / "model")
    path = tmp_path / "two" / "model" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    settings = {"cache": tmp_path / "cache", "layer": "pieces"}
    TransformerVectors(str(tmp_path / "one" / "model"), **settings).open(Vocab())
    with pytest.raises(ValueError, match="charlm E234"):
        TransformerVectors(str(tmp_path / "two" / "model"), **settings).open(Vocab())


def test_what_the_tokenizer_does_not_know_is_no_target(bert):
    """All unknown words would have the same vector."""
    target = TransformerVectors(bert, layer="pieces")
    target.open(Vocab())
    batch = target(OPS, [Doc(NLP.vocab, words=["cat", "😀", "a"])])
    assert (batch.rows >= 0).ravel().tolist() == [True, False, True]


def test_windows_of_a_model_whose_positions_start_after_the_padding(bert, tmp_path):
    transformers = pytest.importorskip("transformers", reason="needs the extra transformers")
    shutil.copytree(bert, tmp_path / "roberta")
    tokenizer = transformers.BertTokenizerFast(str(tmp_path / "roberta" / "vocab.txt"))
    tokenizer.save_pretrained(tmp_path / "roberta")  # without a limit
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer),
        num_hidden_layers=1,
        max_position_embeddings=18,
        pad_token_id=1,
        **SIZES,
    )
    transformers.RobertaModel(config).save_pretrained(tmp_path / "roberta")
    target = TransformerVectors(str(tmp_path / "roberta"))
    target.open(Vocab())
    batch = target(OPS, [NLP.make_doc("the cat " * 30)])
    assert (batch.rows >= 0).all() and np.isfinite(batch.values).all()


def test_an_encoder_with_a_decoder(bert, tmp_path):
    transformers = pytest.importorskip("transformers", reason="needs the extra transformers")
    shutil.copytree(bert, tmp_path / "t5")
    config = transformers.T5Config(
        vocab_size=60, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2
    )
    transformers.T5Model(config).save_pretrained(tmp_path / "t5")
    with pytest.raises(ValueError, match="charlm E230.*decoder"):
        TransformerVectors(str(tmp_path / "t5")).open(Vocab())


def test_a_tokenizer_that_is_not_a_fast_one(bert, monkeypatch):
    import transformers

    class Slow:
        is_fast = False
        unk_token_id = None

    monkeypatch.setattr(
        transformers.AutoTokenizer, "from_pretrained", staticmethod(lambda *a, **k: Slow())
    )
    with pytest.raises(ValueError, match="charlm E231"):
        TransformerVectors(bert).open(Vocab())


@pytest.mark.parametrize(
    "text, layer", [("last", "last"), ("6", 6), ("5, 6", [5, 6]), ("1,last", "1,last")]
)
def test_layers_on_the_command_line(text, layer):
    assert _read_layer(text) == layer

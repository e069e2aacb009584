"""Our parts and spaCy's own parts of the same size, for the benchmarks."""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
import spacy
from spacy.language import DEFAULT_CONFIG_PRETRAIN_PATH, Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.training.pretrain import create_pretraining_model, make_update
from spacy.util import load_config, load_model_from_config, registry
from thinc.api import Config, CupyOps, Model, NumpyOps, Ops, fix_random_seed, set_dropout_rate

from spacy_charlm.layers.spelling_hashes import hash_spellings
from spacy_charlm.layers.vector_table import TableRows
from spacy_charlm.targets.vector_table import VectorTable

WIDTH, DEPTH, HIDDEN_SIZE = 96, 4, 300
N_TABLE = 45_000
N_TARGETS, TARGET_WIDTH = 20_000, 100  # random vectors: their values do not change the speed
DROPOUT = 0.1
EMBEDS: dict[str, dict[str, Any]] = {
    "CharCNN": {"@architectures": "spacy-charlm.CharCNN.v1", "width": WIDTH},
    "MultiHashEmbed": {
        "@architectures": "spacy.MultiHashEmbed.v2",
        "width": WIDTH,
        "attrs": ["NORM", "PREFIX", "SUFFIX", "SHAPE"],
        "rows": [5000, 1000, 2500, 2500],
        "include_static_vectors": False,
    },
    "CharacterEmbed": {
        "@architectures": "spacy.CharacterEmbed.v2",
        "width": WIDTH,
        "rows": 10000,
        "nM": 64,
        "nC": 8,
        "include_static_vectors": False,
        "feature": "LOWER",
    },
}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "LMAO": {
        "@architectures": "spacy-charlm.LMAO.v1",
        "target": {"@misc": "spacy-charlm.StaticVectors.v1"},
        "loss": {"@misc": "spacy-charlm.CosineLoss.v1"},
        "head": {
            "@architectures": "spacy-charlm.MaxoutHead.v1",
            "hidden_size": HIDDEN_SIZE,
            "maxout_pieces": 3,
        },
        "masking": {"@misc": "spacy-charlm.WordMasking.v1"},
    },
    "PretrainVectors": {
        "@architectures": "spacy.PretrainVectors.v1",
        "maxout_pieces": 3,
        "hidden_size": HIDDEN_SIZE,
        "loss": "cosine",
    },
    "PretrainCharacters": {
        "@architectures": "spacy.PretrainCharacters.v1",
        "maxout_pieces": 3,
        "hidden_size": HIDDEN_SIZE,
        "n_characters": 4,
    },
}
LABELS = ("A", "B")


def make_backends(*, gpu: bool) -> dict[str, Ops]:
    """Make the backends of the comparisons. The first one is that of our configs."""
    if gpu:
        return {"GPU": CupyOps()}
    return {"NumPy's BLAS": NumpyOps(use_blis=False), "BLIS": NumpyOps(use_blis=True)}


def build_embed(name: str, docs: Sequence[Doc], **settings: Any) -> Model:
    """Build and initialise an embed layer of EMBEDS, with further settings."""
    fix_random_seed(0)
    embed = registry.resolve({"embed": {**EMBEDS[name], **settings}})["embed"]
    embed.initialize(X=list(docs))
    set_dropout_rate(embed, DROPOUT)
    return embed


def build_embed_with_table(docs: Sequence[Doc], *, fuzzy: bool) -> tuple[Model, float]:
    """Build and initialise a CharCNN whose table has the words that occur twice, and others.

    docs (Sequence[Doc]): The texts.
    fuzzy (bool): Whether the table also looks for misspelled words.
    RETURNS (Tuple[Model, float]): The embed layer, and the share of distinct words that the table
        lacks.
    """
    counts = Counter(token.lower_ for doc in docs for token in doc)
    words = [word for word, n in counts.items() if n > 1]
    lacks = 1 - len(words) / len(counts)
    table = RandomTable([*words, *map(str, range(N_TABLE - len(words)))], fuzzy)
    return build_embed("CharCNN", docs, table=table), lacks


class RandomTable(VectorTable):
    """A table of random vectors.

    words (Sequence[str]): Its words.
    fuzzy (bool): Whether it looks for misspelled words.
    """

    def __init__(self, words: Sequence[str], fuzzy: bool) -> None:
        super().__init__(fuzzy=fuzzy)
        self._words = words

    def __call__(self) -> TableRows:
        """Make the rows."""
        keys = np.unique(hash_spellings(self._words))
        rng = np.random.default_rng(0)
        values = rng.integers(-127, 128, (len(keys), self.width), dtype="int8")
        scale = np.full(len(keys), 0.01, dtype="float32")
        return TableRows(keys, values, scale, lower=True, letters=ascii_lowercase)


def train_embed(embed: Model) -> Callable[[list[Doc]], None]:
    """Make a function that runs an embed layer forward and backward."""

    def run(docs: list[Doc]) -> None:
        Y, backprop = embed.begin_update(docs)
        backprop([embed.ops.alloc(Yd.shape) + 1 for Yd in Y])

    return run


def predict_uncached(embed: Model) -> Callable[[list[Doc]], None]:
    """Make a function that predicts with an empty cache, because a parameter has changed."""
    node: Any = next(node for node in embed.walk() if node.has_param("b"))

    def run(docs: list[Doc]) -> None:
        node.set_param("b", node.get_param("b") + np.float32(1e-3))
        embed.predict(docs)

    return run


def build_update(embed: str, objective: str, docs: Sequence[Doc]) -> Callable[[list[Doc]], None]:
    """Make a function that updates an embed layer and an objective, as `spacy pretrain` does."""
    fix_random_seed(0)
    config = _pipeline_config(["tok2vec"], embed)
    config = config.merge(load_config(DEFAULT_CONFIG_PRETRAIN_PATH))
    config["pretraining"]["objective"] = OBJECTIVES[objective]
    config["pretraining"]["optimizer"] = {"@optimizers": "Adam.v1", "learn_rate": 0.001}
    config["pretraining"]["dropout"] = DROPOUT
    with tempfile.TemporaryDirectory() as folder:
        _with_vectors(docs).to_disk(folder)
        config["initialize"]["vectors"] = folder
        nlp = load_model_from_config(config, auto_fill=True)
        settings = registry.resolve(nlp.config.interpolate()["pretraining"])
        model = create_pretraining_model(nlp, settings)
    optimizer = settings["optimizer"]

    def run(docs: list[Doc]) -> None:
        make_update(model, docs, optimizer, model.attrs["loss"])

    return run


def build_pipeline(task: str, embed: str, docs: Sequence[Doc], depth: int = DEPTH) -> Language:
    """Build and initialise a pipeline of tok2vec and textcat or ner, without encoder at depth 0."""
    fix_random_seed(0)
    config = _pipeline_config(["tok2vec", task], embed)
    if not depth:
        encode = {"@architectures": "spacy-charlm.IdentityEncoder.v1", "width": WIDTH}
        config["components"]["tok2vec"]["model"]["encode"] = encode
    nlp = load_model_from_config(config, auto_fill=True)
    nlp.initialize(lambda: make_examples(nlp, docs))
    return nlp


def pipe_texts(nlp: Language) -> Callable[[list[str]], None]:
    """Make a function that runs a pipeline over raw texts."""

    def run(texts: list[str]) -> None:
        for _ in nlp.pipe(texts):
            pass

    return run


def make_examples(nlp: Language, docs: Sequence[Doc]) -> list[Example]:
    """Give texts arbitrary labels, as they do not change the speed."""
    examples = []
    for i, doc in enumerate(docs):
        cats = {label: float(LABELS[i % 2] == label) for label in LABELS}
        entities = [(doc[0].idx, doc[0].idx + len(doc[0]), LABELS[i % 2])]
        annotation = {"cats": cats, "entities": entities}
        examples.append(Example.from_dict(nlp.make_doc(doc.text), annotation))
    return examples


def _pipeline_config(names: list[str], embed: str) -> Config:
    encode = {
        "@architectures": "spacy.MaxoutWindowEncoder.v2",
        "width": WIDTH,
        "depth": DEPTH,
        "window_size": 1,
        "maxout_pieces": 3,
    }
    tok2vec = {"@architectures": "spacy.Tok2Vec.v2", "embed": EMBEDS[embed], "encode": encode}
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": WIDTH, "upstream": "*"}
    components: dict[str, Any] = {
        "tok2vec": {"factory": "tok2vec", "model": tok2vec},
        "textcat": {
            "factory": "textcat",
            "model": {
                "@architectures": "spacy.TextCatReduce.v1",
                "exclusive_classes": True,
                "use_reduce_first": False,
                "use_reduce_last": False,
                "use_reduce_max": False,
                "use_reduce_mean": True,
                "tok2vec": listener,
            },
        },
        "ner": {
            "factory": "ner",
            "model": {
                "@architectures": "spacy.TransitionBasedParser.v2",
                "state_type": "ner",
                "extra_state_tokens": False,
                "hidden_width": 64,
                "maxout_pieces": 2,
                "use_upper": True,
                "tok2vec": listener,
            },
        },
    }
    config = spacy.blank("en").config.copy()
    config["nlp"]["pipeline"] = names
    config["components"] = {name: components[name] for name in names}
    return config


def _with_vectors(docs: Sequence[Doc]) -> Language:
    """Add vectors to the vocab of the Docs, where the objective of spaCy looks up its targets."""
    vocab = docs[0].vocab
    if not vocab.vectors.size:
        counts = Counter(token.text for doc in docs for token in doc)
        rng = np.random.default_rng(0)
        for word, _ in counts.most_common(N_TARGETS):
            if not word.isspace():
                vector: Any = rng.standard_normal(TARGET_WIDTH).astype("float32")
                vocab.set_vector(word, vector)
    return spacy.blank("en", vocab=vocab)

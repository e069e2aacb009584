"""How fast are our embed layer and our pretraining update beside spaCy's own?

Each pair runs in turn, A B A B, on the same texts and batches; the ratio is taken pair by pair
and given as minimum, median and maximum, since times on a shared machine are noisy.

python benchmarks/embed_and_update.py --text imdb/unlabelled.jsonl.gz

1. The embed layer: forward and backward in training, ours beside CharacterEmbed and beside
   MultiHashEmbed (each with what spaCy mixes it by, same width); prediction, with an empty and a
   full cache, beside MultiHashEmbed.
2. The whole update of `spacy pretrain`: ours as shipped in configs/pretrain/cosine.cfg (character
   CNN, LMAO, matrix products by NumPy's BLAS) beside MultiHashEmbed with PretrainVectors at the
   same encoder, head, target vectors and optimizer: with spaCy's own operations (BLIS, what a user
   gets), and with NumPy's BLAS as well.

The target vectors are random ones for the 20,000 most frequent words: their values cost nothing.
"""

import ast
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import spacy
import srsly
import typer
from spacy.language import Language
from spacy.ml.models.tok2vec import CharacterEmbed, MultiHashEmbed
from spacy.tokens import Doc
from spacy.training.batchers import minibatch_by_words
from spacy.training.pretrain import create_pretraining_model, make_update
from spacy.util import load_config, load_model_from_config, registry
from thinc.api import Model, NumpyOps, fix_random_seed, set_current_ops, set_dropout_rate
from timing import Run, compare, describe_machine, measure_gemm
from wasabi import msg

from spacy_charlm.architectures.char_cnn import build_char_cnn_v1
from spacy_charlm.training.text_corpus import create_text_corpus_v1

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "configs" / "pretrain" / "cosine.cfg"
BATCH_WORDS = 3000  # that of the config
N_TARGETS, TARGET_WIDTH = 20000, 100


def main(
    text: Annotated[Path | None, typer.Option(help=".txt or .jsonl, also .gz")] = None,
    pairs: Annotated[int, typer.Option(help="Runs of each side")] = 9,
    batches: Annotated[int, typer.Option(help="Batches in each run, of 3,000 words")] = 10,
) -> None:
    """Measure, print a table, and add lines to benchmarks/results."""
    nlp = spacy.blank("en")
    docs = read_docs(nlp, text, (batches + 1) * BATCH_WORDS)
    groups = list(minibatch_by_words(docs, BATCH_WORDS, tolerance=0.0, get_length=len))[:batches]
    words = sum(len(doc) for group in groups for doc in group)
    msg.info(f"{len(groups)} batches, {words:,} words; {pairs} pairs")
    gemm = {
        name: measure_gemm(NumpyOps(use_blis=name == "blis"), BATCH_WORDS)
        for name in ("blis", "numpy")
    }
    msg.info(", ".join(f"{name}: {speed:.0f} GFLOP/s" for name, speed in gemm.items()))
    rows = [*compare_embeds(groups, pairs, words), *compare_updates(nlp, groups, pairs, words)]
    header = ("question", "A", "B", "A w/s", "B w/s", "A/B min", "median", "max")
    table = [
        (
            row["question"],
            row["A"],
            row["B"],
            *(f"{row[side]:,.0f}" for side in ("A_words_per_second", "B_words_per_second")),
            *(f"{row['ratio'][name]:.2f}" for name in ("min", "median", "max")),
        )
        for row in rows
    ]
    msg.table(table, header=header, divider=True, aligns=["l"] * 3 + ["r"] * 5)
    facts = {**describe_machine(), "gemm_gflops": gemm, "words": words, "pairs": pairs}
    facts["text"] = "stdlib docstrings" if text is None else text.name
    path = Path(__file__).parent / "results" / "embed_and_update.jsonl"
    path.parent.mkdir(exist_ok=True)
    srsly.write_jsonl(path, [{**row, **facts} for row in rows], append=True)
    msg.good(f"Added {len(rows)} lines to {path}")


def read_docs(nlp: Language, path: Path | None, n_words: int) -> list[Doc]:
    """Read about as many words as asked for, or all."""
    data = os.environ.get("CHARLM_DATA")
    if path is None and data:
        path = Path(data) / "imdb" / "unlabelled.jsonl.gz"
    if path is None:
        found = (nlp.make_doc(" ".join(text.split())) for text in read_docstrings())
    else:
        found = create_text_corpus_v1(path)(nlp)
    docs = []
    for doc in found:
        docs.append(doc)
        n_words -= len(doc)
        if n_words <= 0:
            break
    return docs


def read_docstrings() -> Iterator[str]:
    """Read docstrings of the standard library."""
    for path in sorted(Path(os.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                docstring = ast.get_docstring(node)
                if docstring:
                    yield docstring


def compare_embeds(groups: list[list[Doc]], pairs: int, words: int) -> list[dict[str, Any]]:
    """Compare embed layers, all with NumPy's BLAS and with spaCy's default beside it."""
    rows = []
    for ops_name in ("numpy", "blis"):
        set_current_ops(NumpyOps(use_blis=ops_name == "blis"))
        fix_random_seed(0)
        ours = build_char_cnn_v1(96)
        bytes_ = CharacterEmbed(width=96, rows=10000, nM=64, nC=8, include_static_vectors=False)
        hashed = MultiHashEmbed(
            width=96,
            attrs=["NORM", "PREFIX", "SUFFIX", "SHAPE"],
            rows=[5000, 1000, 2500, 2500],
            include_static_vectors=False,
        )
        for layer in (ours, bytes_, hashed):
            layer.initialize(X=groups[0])
            set_dropout_rate(layer, 0.1)
        forget = forgetter(ours)
        for question, A, B, other in (
            ("embed, training", train(ours), train(bytes_), "CharacterEmbed"),
            ("embed, training", train(ours), train(hashed), "MultiHashEmbed"),
            ("embed, cold cache", forget, hashed.predict, "MultiHashEmbed"),
            ("embed, warm cache", ours.predict, hashed.predict, "MultiHashEmbed"),
        ):
            name = f"{question} ({ops_name})"
            rows.append(compare(name, "CharCNN", A, other, B, groups, pairs, words))
    return rows


def train(layer: Model) -> Run:
    """Run an embed layer forward and backward."""

    def run(docs: list[Doc]) -> None:
        Y, backprop = layer.begin_update(docs)
        backprop([np.ones_like(Yd) for Yd in Y])

    return run


def forgetter(layer: Model) -> Run:
    """Predict with an empty cache: one parameter changes, to the same effect as an update."""
    node: Any = next(node for node in layer.walk() if node.has_param("b"))

    def run(docs: list[Doc]) -> None:
        node.set_param("b", node.get_param("b") + np.float32(1e-3))
        layer.predict(docs)

    return run


def compare_updates(
    nlp: Language, groups: list[list[Doc]], pairs: int, words: int
) -> list[dict[str, Any]]:
    """Compare whole updates of `spacy pretrain`."""
    # Vectors of the Docs' own vocab, since spaCy's objective looks its targets up there.
    counts = Counter(token.text for docs in groups for doc in docs for token in doc)
    rng = np.random.default_rng(0)
    for word, _ in counts.most_common(N_TARGETS):
        vector: Any = rng.standard_normal(TARGET_WIDTH).astype("float32")
        if not word.isspace():
            nlp.vocab.set_vector(word, vector)
    with tempfile.TemporaryDirectory() as folder:
        nlp.to_disk(folder)
        ours = build_update(Path(folder), spacys=False, use_blas=True)
        rows = []
        for name, use_blas in (("BLIS", False), ("use_blas", True)):
            theirs = build_update(Path(folder), spacys=True, use_blas=use_blas)
            A, B = "CharCNN + LMAO", f"MultiHashEmbed + PretrainVectors, {name}"
            rows.append(compare("pretraining update", A, ours, B, theirs, groups, pairs, words))
    return rows


def build_update(vectors: Path, *, spacys: bool, use_blas: bool) -> Run:
    """Build what `spacy pretrain` trains, from the shipped config or from spaCy's parts in it."""
    set_current_ops(NumpyOps())
    paths = {"paths.target_vectors": str(vectors)}
    config = load_config(CONFIG, overrides=paths, interpolate=True)
    if spacys:
        config["initialize"]["vectors"] = str(vectors)
        config["components"]["tok2vec"]["model"]["embed"] = {
            "@architectures": "spacy.MultiHashEmbed.v2",
            "width": 96,
            "attrs": ["NORM", "PREFIX", "SUFFIX", "SHAPE"],
            "rows": [5000, 1000, 2500, 2500],
            "include_static_vectors": False,
        }
        config["pretraining"]["objective"] = {
            "@architectures": "spacy.PretrainVectors.v1",
            "maxout_pieces": 3,
            "hidden_size": 300,
            "loss": "cosine",
        }
    if not use_blas:
        config["nlp"]["before_creation"] = None
    fix_random_seed(0)
    nlp = load_model_from_config(config)
    settings = registry.resolve(config["pretraining"])
    model, optimizer = create_pretraining_model(nlp, settings), settings["optimizer"]
    ops = {type(node.ops).__name__: node.ops for node in model.walk()}
    if [getattr(one, "use_blis", None) for one in ops.values()] != [not use_blas]:
        msg.fail("The model does not run on the operations asked for.", exits=1)

    def run(docs: list[Doc]) -> None:
        make_update(model, docs, optimizer, model.attrs["loss"])

    return run


if __name__ == "__main__":
    typer.run(main)

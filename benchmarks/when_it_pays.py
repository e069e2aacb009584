"""How much raw text and how many labels: accuracy of text classifiers against both.

python benchmarks/when_it_pays.py TEXT LABELLED OUTPUT

Raw text is used as `docs/how-to.md` recommends: vectors of words and bigrams are trained on it, the
tok2vec predicts them, and the classifier is fitted to the labels, without fine-tuning. Without raw
text, the same pipeline is trained from random weights. The others know nothing but the labels:
TF-IDF with a logistic regression (C by cross-validation), and spaCy's bag of words. What is trained
in steps (the bag of words, and ours without raw text) gets 300 further labelled texts for early
stopping, which nobody with 50 labels has; the rest does not.

Writes OUTPUT/scores.json, table.md and figure.png. What OUTPUT/values.json has is not measured
again. Needs scikit-learn and matplotlib.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import spacy
import srsly
import typer
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config, set_dot_to_object
from wasabi import msg

import spacy_charlm
from spacy_charlm.evaluation.labelled_texts import read_labelled, shuffle_labelled
from spacy_charlm.report.figure import draw_scores, save_figure
from spacy_charlm.report.table import show_table, write_table
from spacy_charlm.text.text_corpus import Counts, TextCorpus
from spacy_charlm.types import Score

OURS, BAG, TFIDF = "spacy-charlm", "spacy.TextCatBOW.v3", "TF-IDF + logistic regression"
ROOT = Path(__file__).parents[1]
N_STOP = 300
STEPS, EVERY = 500, 100
NO_ENCODER = {"@architectures": "spacy-charlm.IdentityEncoder.v1", "width": 96}


def main(
    text: Annotated[Path, typer.Argument(help="Raw text, .jsonl", exists=True)],
    labelled: Annotated[Path, typer.Argument(help="Labelled texts, .jsonl or .spacy", exists=True)],
    output: Annotated[Path, typer.Argument(help="Folder to write to")],
    words: Annotated[str, typer.Option(help="Words of raw text, with commas")] = (
        "0,100000,1000000,11000000"
    ),
    labels: Annotated[str, typer.Option(help="Numbers of labels, with commas")] = "50,200,1000",
    draws: Annotated[int, typer.Option(help="Draws of the labels")] = 3,
    n_eval: Annotated[int, typer.Option(help="Texts to score, the last of the shuffled file")] = (
        3_000
    ),
    min_words: Annotated[int, typer.Option(help="Words that a pretraining reads at least")] = (
        3_000_000
    ),
    encoder: Annotated[bool, typer.Option(help="With a context encoder")] = False,
) -> None:
    """Train, score, write."""
    amounts, sizes = ([int(n) for n in option.split(",")] for option in (words, labels))
    data = shuffle_labelled(read_labelled(labelled, spacy.blank("en").vocab, "cats"), seed=0)
    n_train, n = max(sizes) * draws, len(data.texts)
    if n_train + N_STOP + n_eval > n:
        msg.fail(f"{labelled} has {n:,} texts, fewer than the parts need", exits=1)
    data = data.select([*range(n_train), *range(n - N_STOP - n_eval, n)])
    nlp = spacy.blank("en")
    docs = []
    classes = sorted({found[0] for found in data.labels})
    for content, found in zip(data.texts, data.labels):
        docs.append(nlp.make_doc(str(content)))
        docs[-1].cats = {name: float(name == found[0]) for name in classes}
    parts = [docs[draw * max(sizes) : (draw + 1) * max(sizes)] for draw in range(draws)]
    output.mkdir(parents=True, exist_ok=True)
    write_docs(output / "eval.spacy", docs[-n_eval:])
    write_docs(output / "stop.spacy", docs[-n_eval - N_STOP : -n_eval])
    settings = {} if encoder else {"components.tok2vec.model.encode": NO_ENCODER}
    scores: dict[tuple[str, int, int], list[float]] = {}
    measure = Values(output / "values.json")
    for size in sizes:
        for draw, part in enumerate(parts):
            path = output / f"train-{size}-{draw}.spacy"
            write_docs(path, part[:size])
            for name, score in ((TFIDF, score_tfidf), (BAG, train_bag)):
                value = measure(f"{name}, {size} labels, draw {draw}", score, path, output)
                for amount in amounts:  # the same for each
                    scores.setdefault((name, amount, size), []).append(value)
    for amount in amounts:
        folder = output / f"words-{amount}"
        if amount:
            pretrain(text, amount, folder, settings, min_words)
        for size in sizes:
            for draw in range(draws):
                path = output / f"train-{size}-{draw}.spacy"
                title = f"{OURS}, {amount:,} words, {size} labels, draw {draw}"
                value = measure(title, fit, path, folder, output, settings)
                scores.setdefault((OURS, amount, size), []).append(value)
        rows = [
            Score(name, "accuracy", tuple(v), n_eval, "texts", {"labels": size, "words": n})
            for (name, n, size), v in scores.items()
            if n <= amount
        ]
        srsly.write_json(output / "scores.json", [score.as_dict() for score in rows])
        save_figure(
            draw_scores(rows, "words", "words of raw text", logarithmic=True),
            output / "figure.png",
        )
    write_table(rows, output / "table.md", columns="words")
    show_table(rows, columns="words")


class Values:
    """Values that have been measured, in a file: a run that was stopped goes on.

    path (Path): The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, float] = srsly.read_json(path) if path.exists() else {}

    def __call__(self, title: str, score: Callable[..., float], *arguments: Any) -> float:
        """Measure a value, unless it is known."""
        if title not in self.known:
            self.known[title] = score(*arguments)
            srsly.write_json(self.path, self.known)
        msg.text(f"{title}: {100 * self.known[title]:.1f}")
        return self.known[title]


def write_docs(path: Path, docs: list[Doc]) -> None:
    """Write Docs to a file."""
    DocBin(docs=docs).to_disk(path)


def pretrain(
    text: Path, amount: int, folder: Path, settings: dict[str, Any], min_words: int
) -> None:
    """Train vectors on the first words of the raw text, and pretrain a tok2vec on them."""
    if (folder / "pretrain" / "model-last.bin").exists():
        return
    folder.mkdir(exist_ok=True)
    raw = folder / "raw.jsonl"
    srsly.write_jsonl(raw, ({"text": part} for part in read_texts(text, amount)))
    if not (folder / "vectors").exists():
        spacy_charlm.train_vectors(raw, folder / "vectors", ngrams=2)
    overrides: dict[str, Any] = {
        "paths.raw_text": str(raw),
        "paths.target_vectors": str(folder / "vectors"),
        "corpora.pretrain.min_words": min_words,
    }
    config = replace(load_config(ROOT / "configs/pretrain/bigrams.cfg"), settings)
    if settings:  # as `charlm init --optimize speed`
        overrides["pretraining.objective.masking.masking.rate"] = 0.0
    spacy_charlm.pretrain(config, folder / "pretrain", overrides=overrides)


def read_texts(text: Path, amount: int) -> Iterator[str]:
    """Read raw texts of so many words together."""
    tokenizer = spacy.blank("en").tokenizer
    for content in TextCorpus(text, max_length=0).read(spacy.blank("en").vocab, 0, Counts()):
        if amount <= 0:
            return
        if isinstance(content, str):
            amount -= len(tokenizer(content))
            yield content


def replace(config: Any, settings: dict[str, Any]) -> Any:
    """Replace blocks of a config by their dotted names."""
    for dotted, block in settings.items():
        set_dot_to_object(config, dotted, block)
    return config


def fit(path: Path, folder: Path, output: Path, settings: dict[str, Any]) -> float:
    """Fit the classifier to a pretrained tok2vec; without one, train both."""
    overrides = {"paths.train": str(path), "paths.dev": str(output / "stop.spacy")}
    config = load_config(ROOT / "configs/train/textcat.cfg", overrides=overrides)
    replace(config, settings)
    if not folder.exists():
        return train_pipeline(config, output)
    config["paths"]["init_weights"] = str(folder / "pretrain" / "model-last.bin")
    config["paths"]["document_vectors"] = str(folder / "vectors")
    return evaluate(init_nlp(config), output)


def train_bag(path: Path, output: Path) -> float:
    """Train spaCy's bag of words. The learning rate is that of configs/studies/stdlib.yml."""
    overrides = {"paths.train": str(path), "paths.dev": str(output / "stop.spacy")}
    config = load_config(ROOT / "configs/train/textcat.cfg", overrides=overrides)
    config["nlp"]["pipeline"] = ["textcat"]
    config["training"]["before_to_disk"] = None
    config["training"]["optimizer"]["learn_rate"] = 0.01
    config["initialize"]["after_init"] = None
    config["components"] = {"textcat": config["components"]["textcat"]}
    config["components"]["textcat"]["model"] = {
        "@architectures": BAG,
        "exclusive_classes": True,
        "ngram_size": 1,
        "no_output_layer": False,
        "length": 262144,
    }
    return train_pipeline(config, output)


def train_pipeline(config: Any, output: Path) -> float:
    """Run spaCy's training loop and score the best pipeline."""
    config["training"].update(max_steps=STEPS, eval_frequency=EVERY)
    config["training"]["logger"]["console_output"] = False
    with TemporaryDirectory() as folder:
        train(init_nlp(config), Path(folder))
        return evaluate(spacy.load(Path(folder) / "model-best"), output)


def evaluate(nlp: Language, output: Path) -> float:
    """Compute the accuracy of a pipeline."""
    docs = list(DocBin().from_disk(output / "eval.spacy").get_docs(nlp.vocab))
    found = [max(doc.cats, key=doc.cats.__getitem__) for doc in nlp.pipe(doc.text for doc in docs)]
    return sum(doc.cats[label] for doc, label in zip(docs, found)) / len(docs)


def score_tfidf(path: Path, output: Path) -> float:
    """Run scripts/tfidf_baseline.py."""
    scores = output / "tfidf.json"
    script = [sys.executable, str(ROOT / "scripts/tfidf_baseline.py")]
    command = [*script, str(path), str(scores), str(output / "eval.spacy")]
    subprocess.run(command, check=True, capture_output=True)
    found = {score["metric"]: score["values"][0] for score in srsly.read_json(scores)}
    return float(found["cats_micro_f"])


if __name__ == "__main__":
    typer.run(main)

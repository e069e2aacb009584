"""Split the labelled IMDB reviews into train, early stopping and figures, as .spacy files.

After a shuffle with a seed, the first reviews are the labelled training set (train.spacy). The
last 10,000 are the development part: early stopping sees its first 1,000 (stop.spacy), figures are
on the other 9,000 (eval.spacy). The test labels are not used at all.

With --unlabelled, raw.jsonl has the unlabelled reviews that are not test texts, and raw_dev.jsonl
some more of them to evaluate a pretraining on.
"""

import gzip
import random
from itertools import islice
from pathlib import Path
from typing import Annotated

import spacy
import srsly
import typer
from spacy.language import Language
from spacy.tokens import DocBin
from wasabi import msg

LABELS = ("pos", "neg")


def main(
    data: Annotated[Path, typer.Argument(help="train.jsonl.gz", exists=True)],
    output: Annotated[Path, typer.Argument(help="Folder to write to")],
    n_train: Annotated[int, typer.Option(help="Labelled reviews to train on")] = 1_000,
    n_stop: Annotated[int, typer.Option(help="Reviews for early stopping")] = 1_000,
    n_eval: Annotated[int, typer.Option(help="Reviews for the figures")] = 9_000,
    n_few: Annotated[int, typer.Option(help="Of those, in a smaller set; 0 for none")] = 200,
    unlabelled: Annotated[Path | None, typer.Option(help="unlabelled.jsonl.gz")] = None,
    test_lines: Annotated[Path | None, typer.Option(help="Numbers of its test texts")] = None,
    n_raw: Annotated[int, typer.Option(help="Unlabelled reviews to keep")] = 40_000,
    n_raw_dev: Annotated[int, typer.Option(help="And others to evaluate on")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of the split")] = 0,
) -> None:
    """Read, split, tokenise, write."""
    rows = []
    with gzip.open(data, "rt", encoding="utf8") as file:
        for i, line in enumerate(file):
            row = srsly.json_loads(line)
            if row.get("label") not in LABELS or not isinstance(row.get("text"), str):
                msg.fail(
                    f'{data}, line {i + 1}: expected {{"text": "...", "label": "pos" or "neg"}}',
                    exits=1,
                )
            rows.append((row["text"], row["label"]))
    if n_train + n_stop + n_eval > len(rows):
        msg.fail(f"{data} has {len(rows):,} reviews, fewer than the three parts", exits=1)
    random.Random(seed).shuffle(rows)
    dev = rows[len(rows) - n_stop - n_eval :]
    output.mkdir(parents=True, exist_ok=True)
    nlp = spacy.blank("en")
    parts = {"train": rows[:n_train], "stop": dev[:n_stop], "eval": dev[n_stop:]}
    if n_few:
        parts["train_few"] = rows[:n_few]
    for name, part in parts.items():
        make_docs(nlp, part).to_disk(output / f"{name}.spacy")
        n_pos = sum(label == "pos" for _, label in part)
        msg.good(f"{len(part):,} reviews, {n_pos:,} of them positive: {output / name}.spacy")
    if unlabelled is not None:
        write_raw(unlabelled, test_lines, output, n_raw, n_raw_dev)


def write_raw(
    unlabelled: Path, test_lines: Path | None, output: Path, n_raw: int, n_dev: int
) -> None:
    """Write unlabelled reviews, without those whose lines are listed.

    unlabelled (Path): unlabelled.jsonl.gz.
    test_lines (Optional[Path]): Numbers of the lines to leave out, from 1.
    output (Path): Folder to write to.
    n_raw (int): Reviews of raw.jsonl.
    n_dev (int): Reviews of raw_dev.jsonl, which follow them.
    """
    left_out = set()
    if test_lines is not None:
        left_out = set(map(int, test_lines.read_text(encoding="utf8").split()))
    with gzip.open(unlabelled, "rt", encoding="utf8") as file:
        kept = (line for i, line in enumerate(file, start=1) if i not in left_out)
        for name, n in (("raw", n_raw), ("raw_dev", n_dev)):
            path = output / f"{name}.jsonl"
            lines = list(islice(kept, n))
            path.write_text("".join(lines), encoding="utf8")
            msg.good(f"{len(lines):,} unlabelled reviews: {path}")


def make_docs(nlp: Language, rows: list[tuple[str, str]]) -> DocBin:
    """Tokenise texts and set their categories.

    nlp (Language): Its tokenizer splits the texts.
    rows (list[tuple[str, str]]): Text and label.
    RETURNS (DocBin): One Doc per text.
    """
    docs = DocBin()
    for text, label in rows:
        doc = nlp.make_doc(text)
        doc.cats = {name: float(name == label) for name in LABELS}
        docs.add(doc)
    return docs


if __name__ == "__main__":
    typer.run(main)

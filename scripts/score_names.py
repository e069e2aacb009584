"""Score entity recognisers on all names, and on names that the training part lacks.

python scripts/score_names.py training/names/ner TRAIN.spacy DEV.spacy --output metrics/names.json

A name is an entity's text in lower case. Precision, recall and F1 of unseen names count the
predicted and the annotated entities whose names no entity of TRAIN has. The given tokens are kept.
Pipelines are ROW/seed-N/model-best in a folder that `charlm study` has written.
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import spacy
import typer
from spacy.language import Language
from spacy.scorer import PRFScore
from spacy.tokens import Doc, DocBin
from wasabi import msg

from spacy_charlm.report.table import show_table, write_table
from spacy_charlm.types import Score

Entity = tuple[int, int, int, str, str]  # text, start, end, label, name
METRICS = ("ents_p", "ents_r", "ents_f")


def main(
    study: Annotated[Path, typer.Argument(help="Folder of rows", exists=True, file_okay=False)],
    train: Annotated[Path, typer.Argument(help="Training part, .spacy", exists=True)],
    dev: Annotated[Path, typer.Argument(help="Texts to score, .spacy", exists=True)],
    output: Annotated[Path | None, typer.Option(help="Table to write: .json, .csv or .md")] = None,
) -> None:
    """Read, score, print, write."""
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for path in sorted(study.glob("*/seed-*/model-best")):
        row = path.parent.parent.name
        nlp = spacy.load(path)
        known = {entity[-1] for entity in list_entities(read_docs(nlp, train))}
        docs = read_docs(nlp, dev)
        gold = list_entities(docs)
        found = list_entities(nlp.pipe(copy_tokens(doc) for doc in docs))
        for names, seen in (("all", set()), ("unseen", known)):
            parts = (
                {entity for entity in part if entity[-1] not in seen} for part in (gold, found)
            )
            for metric, value in zip(METRICS, score(*parts)):
                values[row, names, metric].append(value)
        msg.text(f"{path}: {100 * values[row, 'all', 'ents_f'][-1]:.1f}")
    if not values:
        msg.fail(f"Expected ROW/seed-N/model-best in {study}, but found none", exits=1)
    rows = [
        Score(row, metric, tuple(found), conditions={"names": names})
        for (row, names, metric), found in values.items()
    ]
    show_table(rows)
    if output is not None:
        write_table(rows, output)


def read_docs(nlp: Language, path: Path) -> list[Doc]:
    """Read the Docs of a file."""
    return list(DocBin().from_disk(path).get_docs(nlp.vocab))


def copy_tokens(doc: Doc) -> Doc:
    """Make a Doc with the same tokens and nothing else."""
    return Doc(doc.vocab, [token.text for token in doc], [bool(t.whitespace_) for t in doc])


def list_entities(docs: Iterable[Doc]) -> list[Entity]:
    """List the entities of some Docs."""
    return [
        (i, ent.start, ent.end, ent.label_, ent.text.lower())
        for i, doc in enumerate(docs)
        for ent in doc.ents
    ]


def score(gold: set[Entity], found: set[Entity]) -> tuple[float, float, float]:
    """Compute precision, recall and F1."""
    counts = PRFScore()
    counts.score_set(found, gold)
    return counts.precision, counts.recall, counts.fscore


if __name__ == "__main__":
    typer.run(main)

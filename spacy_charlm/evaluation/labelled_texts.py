"""Texts with one label each, or with one per token, from files."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..card import name_damage
from ..errors import Errors
from ..text.read_texts import find_surrogate, read_docbin, read_json, read_lines

FORMATS = (".jsonl", ".jsonl.gz", ".spacy")
TASKS = ("cats", "ents", "tag", "pos")
OUTSIDE = "O"  # the label of a token in no entity
WHOLE_TEXT = -1


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with one label each (task "cats"), or with one per token.

    task (str): One of TASKS.
    texts (List[str | Doc]): The texts.
    labels (List[List[str]]): For each text its label, or those of its tokens; "" for a token
        without one.
    """

    task: str
    texts: list[str | Doc]
    labels: list[list[str]]

    def select(self, order: Sequence[int]) -> "LabelledTexts":
        """Select texts by their indices, in the order of these."""
        texts = [self.texts[i] for i in order]
        return LabelledTexts(self.task, texts, [self.labels[i] for i in order])


@dataclass(frozen=True)
class Items:
    """The texts or tokens that are classified.

    texts (List[str | Doc]): The texts.
    text_of (ndarray): Index of the text of each item, int64 (n,).
    token_of (ndarray): Index of its token in that text, int64 (n,); WHOLE_TEXT for a whole text.
    labels (ndarray): Its label, str (n,).
    """

    texts: list[str | Doc]
    text_of: np.ndarray
    token_of: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, rows: np.ndarray) -> "Items":
        """Select items; the texts stay."""
        return Items(self.texts, self.text_of[rows], self.token_of[rows], self.labels[rows])


def read_labelled(path: Path, vocab: Vocab, task: str = "auto") -> LabelledTexts:
    """Read labelled texts.

    path (Path): A .jsonl or .jsonl.gz file of records with `text` and `label`; or a .spacy file of
        Docs with `cats` (one of them true), `ents`, `tag_` or `pos_`.
    vocab (Vocab): The vocab for the Docs of a .spacy file.
    task (str): One of TASKS; "auto" takes the first one that the file has labels for.
    RETURNS (LabelledTexts): The texts that have labels.
    RAISES (ValueError): If the file cannot be read or has no such labels.
    """
    if task not in (*TASKS, "auto"):
        raise ValueError(Errors.E612.format(tasks=", ".join(("auto", *TASKS)), found=task))
    formats = ", ".join(FORMATS)
    if not path.is_file():
        raise ValueError(Errors.E613.format(path=path, formats=formats, found="no such file"))
    if not path.name.lower().endswith(FORMATS):
        raise ValueError(Errors.E613.format(path=path, formats=formats, found="another format"))
    if not path.name.lower().endswith(".spacy"):
        if task not in ("cats", "auto"):
            found = "a .jsonl file, which has labels of whole texts only"
            raise ValueError(Errors.E615.format(path=path, task=task, found=found))
        records = list(_read_records(path))
        if not records:
            raise ValueError(Errors.E615.format(path=path, task="cats", found="no record"))
        return LabelledTexts(
            "cats", [text for text, _ in records], [[label] for _, label in records]
        )
    docs = list(read_docbin(path, vocab))
    with name_damage(str(path), Errors.E110):  # spaCy does not check the type of categories
        return _label_docs(docs, path, task)


def shuffle_labelled(data: LabelledTexts, seed: int) -> LabelledTexts:
    """Shuffle the texts. The order depends only on their number and the seed."""
    order = list(range(len(data.texts)))
    random.Random(seed).shuffle(order)
    return data.select(order)


def make_items(data: LabelledTexts) -> Items:
    """List the texts, or those of their tokens that have a label."""
    lengths = [len(labels) for labels in data.labels]
    labels = np.array([label for labels in data.labels for label in labels], dtype=str)
    text_of = np.repeat(np.arange(len(lengths)), lengths)
    if data.task == "cats":
        token_of = np.full(len(labels), WHOLE_TEXT)
    else:
        token_of = np.array([i for length in lengths for i in range(length)], dtype="int64")
    return Items(data.texts, text_of, token_of, labels).select(np.flatnonzero(labels != ""))


def _read_records(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        record = read_json(line, path, number)
        problem = _find_problem(record)
        if problem:
            raise ValueError(Errors.E614.format(path=path, line=number, found=problem))
        yield record["text"], str(record["label"])


def _find_problem(record: Any) -> str | None:
    if not isinstance(record, dict):
        return f"{type(record).__name__} instead of an object"
    if not isinstance(record.get("text"), str):
        return "no 'text' that is a string"
    if record.get("label") is None or not isinstance(record["label"], str | int):
        return "no 'label' that is a string or a whole number"
    if record["label"] == "":
        return "an empty 'label'"
    return find_surrogate(f"{record['text']}{record['label']}")


def _label_docs(docs: list[Doc], path: Path, task: str) -> LabelledTexts:
    for name in TASKS if task == "auto" else (task,):
        labels = [_LABELLERS[name](doc) for doc in docs]
        kept = [i for i, found in enumerate(labels) if any(found)]
        if not kept or (name == "ents" and not any(OUTSIDE != x for y in labels for x in y if x)):
            continue
        if name == "cats":
            for i in kept:
                if len(labels[i]) != 1:
                    message = Errors.E616.format(path=path, number=i + 1, found=docs[i].cats)
                    raise ValueError(message)
        return LabelledTexts(name, list(docs), labels).select(kept)
    found = f"{len(docs)} Docs without them"
    raise ValueError(Errors.E615.format(path=path, task=task, found=found))


def _label_text(doc: Doc) -> list[str]:
    true = [label for label, value in doc.cats.items() if value >= 0.5]
    if len(doc.cats) == 1:
        return true or [f"not {next(iter(doc.cats))}"]
    # Several true categories, or none of several, differ from no categories: the caller raises.
    return true or ["", "none"] if doc.cats else []


def _label_entities(doc: Doc) -> list[str]:
    return [token.ent_type_ or OUTSIDE if token.ent_iob else "" for token in doc]


_LABELLERS: dict[str, Callable[[Doc], list[str]]] = {
    "cats": _label_text,
    "ents": _label_entities,
    "tag": lambda doc: [token.tag_ for token in doc],
    "pos": lambda doc: [token.pos_ for token in doc],
}

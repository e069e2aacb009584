"""Make a corpus from the docstrings and help topics of the Python that runs this program.

Nothing is downloaded and no module is imported: the sources are parsed. The same Python version
gives the same bytes. Writes to the output folder

raw.jsonl                     all texts without the two dev sets, for pretraining and vectors
textcat_{train,dev}.spacy     which of eight modules or packages a docstring belongs to
ner_{train,dev}.spacy         MODULE, EXCEPTION, FUNCTION and ARGUMENT names (`stdlib_labels`)
info.json                     counts

textcat: a docstring that contains the name of its own package in any spelling ("asyncio", "XML")
is not used, nor one that two packages share. Train is balanced, dev is capped per label.

NER: the texts are sentences, and the *names* are split, not only the texts. Each name (last part
of a dotted path, lower-cased) belongs to train or to dev by its hash; a sentence goes where all its
names belong, and is left out if they belong to both, or if a name is not a whole number of tokens.
So no name in dev is ever an entity in train. One sentence in eight has no name at all.
"""

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import spacy
import srsly
import typer
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from stdlib_labels import LABELS, Mention, find_mentions, find_prose_words, get_key
from stdlib_names import Docstring, Library, read_library
from wasabi import msg

PACKAGES = "asyncio email http importlib logging multiprocessing unittest xml".split()
RAREST_FIRST = ("MODULE", "EXCEPTION", "ARGUMENT", "FUNCTION")
MIN_WORDS, MAX_WORDS = 6, 100


def main(
    output: Annotated[Path, typer.Argument(help="Folder to write to")],
    textcat_train: int = typer.Option(200, help="Labelled texts for textcat"),
    textcat_dev: int = typer.Option(80, help="Texts per label to evaluate textcat on, at most"),
    ner_train: int = typer.Option(300, help="Labelled sentences for NER"),
    ner_dev: int = typer.Option(600, help="Sentences to evaluate NER on, at most"),
    seed: int = typer.Option(0, help="Seed of every choice"),
) -> None:
    """Read the standard library and write raw text and labelled sets."""
    library = read_library()
    nlp = spacy.blank("en")
    textcat = make_textcat(nlp, library, textcat_train, textcat_dev, seed)
    ner = make_ner(nlp, library, ner_train, ner_dev, seed)
    texts = [*(doc.text for doc in library.docstrings), *library.topics]
    raw = leave_out(texts, {doc.text for doc in textcat[1]}, {doc.text for doc in ner[1]})
    random.Random(seed).shuffle(raw)

    output.mkdir(parents=True, exist_ok=True)
    srsly.write_jsonl(output / "raw.jsonl", [{"text": text} for text in raw])
    info: dict[str, dict[str, int]] = {"raw": {"texts": len(raw), "words": count_words(raw)}}
    for name, docs in zip(
        ("textcat_train", "textcat_dev", "ner_train", "ner_dev"), (*textcat, *ner)
    ):
        DocBin(docs=docs, store_user_data=False).to_disk(output / f"{name}.spacy")
        info[name] = {"texts": len(docs), "words": count_words(doc.text for doc in docs)}
        info[name].update(sorted(count_labels(docs).items()))
    srsly.write_json(output / "info.json", info)
    rows = [(name, *_format(counts)) for name, counts in info.items()]
    msg.table(rows, header=("", "texts", "words", "labels"), divider=True, max_col=90)
    msg.good(f"Wrote the corpus to {output}")


def split_sentences(text: str) -> list[str]:
    """Cut a cleaned text where one sentence seems to end and another to begin."""
    return re.split(r"(?<=[.!?:]) (?=[A-Z`*'\"])", text)


def leave_out(texts: Iterable[str], whole: set[str], sentences: set[str]) -> list[str]:
    """Take what is evaluated on out of the raw texts.

    whole (set[str]): Texts to leave out.
    sentences (set[str]): Sentences to cut out of the other texts.
    """
    kept = []
    for text in texts:
        if text not in whole:
            kept.append(" ".join(s for s in split_sentences(text) if s not in sentences))
    return [text for text in kept if text]


def count_words(texts: Iterable[str]) -> int:
    """Count what white space separates."""
    return sum(len(text.split()) for text in texts)


def count_labels(docs: Iterable[Doc]) -> Counter[str]:
    """Count the true categories and the entities of some texts."""
    counts: Counter[str] = Counter()
    for doc in docs:
        counts.update(label for label, value in doc.cats.items() if value)
        counts.update(ent.label_ for ent in doc.ents)
    return counts


def make_textcat(
    nlp: Language, library: Library, n_train: int, n_dev: int, seed: int
) -> tuple[list[Doc], list[Doc]]:
    """Choose and label the docstrings of the eight packages.

    n_train (int): Texts to train on, all labels together.
    n_dev (int): Texts to evaluate on, per label at most.
    RETURNS (tuple[list[Doc], list[Doc]]): Train and dev.
    """
    found: dict[str, list[str]] = {label: [] for label in PACKAGES}
    for doc in library.docstrings:
        label = doc.package
        if label in found and _has_size(doc.text) and label not in doc.text.lower():
            found[label].append(doc.text)
    train, dev = [], []
    n_each = n_train // len(PACKAGES)
    for label in PACKAGES:
        texts = sorted(found[label], key=lambda text: _draw(text, seed))
        for i, text in enumerate(texts[: n_each + n_dev]):
            doc = nlp.make_doc(text)
            doc.cats = {name: float(name == label) for name in PACKAGES}
            (train if i < n_each else dev).append(doc)
    return _shuffle(train, seed), _shuffle(dev, seed)


def make_ner(
    nlp: Language, library: Library, n_train: int, n_dev: int, seed: int
) -> tuple[list[Doc], list[Doc]]:
    """Label names and split texts so that train and dev have no name in common.

    n_train (int): Texts to train on.
    n_dev (int): Texts to evaluate on, at most.
    RETURNS (tuple[list[Doc], list[Doc]]): Train and dev.
    """
    prose = find_prose_words([*(doc.text for doc in library.docstrings), *library.topics])
    pools: tuple[dict[str, list[Doc]], ...] = tuple(
        {label: [] for label in (*RAREST_FIRST, "")} for _ in range(2)
    )
    found = {
        sentence: replace(doc, text=sentence)
        for doc in (*library.docstrings, *(Docstring("", text) for text in library.topics))
        for sentence in split_sentences(doc.text)
        if _has_size(sentence)
    }
    for docstring in sorted(found.values(), key=lambda doc: _draw(doc.text, seed)):
        mentions = list(find_mentions(docstring, library, prose))
        doc = _annotate(nlp, docstring, mentions)
        keys = {get_key(docstring.text[start:end]) for start, end, _ in mentions}
        sides = {_draw(key, seed) % 2 for key in keys or {docstring.text}}
        if doc is not None and len(sides) == 1:
            labels = {label for _, _, label in mentions}
            rarest = next((label for label in RAREST_FIRST if label in labels), "")
            pools[sides.pop()][rarest].append(doc)
    train, dev = _take(pools[0], n_train), _take(pools[1], n_dev)
    return _shuffle(train, seed), _shuffle(dev, seed)


def _annotate(nlp: Language, docstring: Docstring, mentions: list[Mention]) -> Doc | None:
    """Set the entities of a text, or return None where tokens and names do not fit."""
    doc = nlp.make_doc(docstring.text)
    spans = [doc.char_span(start, end, label=label) for start, end, label in mentions]
    if any(span is None for span in spans):
        return None
    doc.set_ents([span for span in spans if span is not None])
    return doc


def _take(pool: dict[str, list[Doc]], n: int) -> list[Doc]:
    """Take texts in turn by their rarest label, and an eighth without names."""
    docs = pool[""][: n // 8]
    queues = [list(pool[label]) for label in RAREST_FIRST]
    while len(docs) < n and any(queues):
        docs.extend(queue.pop(0) for queue in queues if queue)
    return docs[:n]


def _draw(text: str, seed: int) -> int:
    """Turn a text into a number that is the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{text}".encode()).digest()[:8], "big")


def _shuffle(docs: list[Doc], seed: int) -> list[Doc]:
    random.Random(seed).shuffle(docs)
    return docs


def _has_size(text: str) -> bool:
    return MIN_WORDS <= len(text.split()) <= MAX_WORDS


def _format(counts: dict[str, int]) -> tuple[str, str, str]:
    labels = [f"{k} {v}" for k, v in counts.items() if k in PACKAGES or k in LABELS]
    return f"{counts['texts']:,}", f"{counts['words']:,}", ", ".join(labels)


if __name__ == "__main__":
    typer.run(main)

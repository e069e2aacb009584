"""Make a corpus from the docstrings and help topics of the Python that runs this program.

Nothing is downloaded and no module is imported: the sources are parsed. The same Python version
gives the same bytes. Writes to the output folder

raw.jsonl                                all texts without those that are scored
textcat_{train,stop,eval,typos}.spacy    which subject a docstring belongs to
ner_{train,stop,eval}.spacy              MODULE, EXCEPTION, FUNCTION and ARGUMENT names
info.json                                counts

`train` is learned from, `stop` chooses settings and checkpoints, `eval` and `typos` make the table.

textcat: the modules are grouped by subject, as the chapters of the library's documentation are.
Train and stop have the same number of texts per label, eval has at most a fixed number. `typos` has
the texts of eval with a typo in 20 % of the words.

NER: the texts are sentences, and the *names* are split, not only the texts. Each name (last part
of a dotted path, lower-cased) belongs to train, stop or eval by its hash; a sentence goes where all
its names belong, and is left out if they belong to several, or if a name is not a whole number of
tokens. So no name in eval is ever an entity in train or stop. One sentence in eight has no name.
"""

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import spacy
import srsly
import typer
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from stdlib_labels import LABELS, Mention, find_mentions, find_prose_words, get_key
from stdlib_names import Docstring, Library, read_library
from wasabi import msg

from spacy_charlm.noise.typos import Typos

CHAPTERS = {
    "concurrency": "asyncio concurrent multiprocessing queue sched selectors signal subprocess"
    " threading _threading_local",
    "files": "bz2 filecmp fileinput fnmatch genericpath glob gzip io lzma ntpath os pathlib"
    " posixpath _pyio shutil tarfile tempfile zipapp zipfile",
    "internet": "email ftplib html http imaplib ipaddress mailbox poplib smtplib socket"
    " socketserver ssl urllib webbrowser wsgiref xmlrpc",
    "language": "abc ast compileall contextlib copyreg dataclasses dis enum functools importlib"
    " inspect modulefinder opcode pickle pickletools pkgutil py_compile runpy symtable token"
    " tokenize types typing zipimport",
    "numbers": "bisect calendar colorsys datetime fractions hashlib heapq hmac numbers _pydecimal"
    " random secrets statistics _strptime zoneinfo",
    "testing": "bdb cmd code codeop cProfile doctest faulthandler logging pdb profile pstats pydoc"
    " timeit trace traceback tracemalloc unittest warnings",
    "text": "argparse base64 codecs configparser csv difflib encodings getopt gettext json locale"
    " netrc optparse plistlib quopri re shlex string stringprep textwrap xml",
}
LABEL_OF = {package: label for label, names in CHAPTERS.items() for package in names.split()}
RAREST_FIRST = ("MODULE", "EXCEPTION", "ARGUMENT", "FUNCTION")
MIN_WORDS, MAX_WORDS = 6, 100
SIDES = ("train", "train", "train", "stop", "eval", "eval")  # of names, by their hash


def main(
    output: Annotated[Path, typer.Argument(help="Folder to write to")],
    textcat_train: int = typer.Option(140, help="Labelled texts for textcat; as many for stop"),
    textcat_eval: int = typer.Option(150, help="Texts per label to evaluate textcat on, at most"),
    ner_train: int = typer.Option(100, help="Labelled sentences for NER"),
    ner_eval: int = typer.Option(600, help="Sentences to evaluate NER on, at most; stop has half"),
    typo_rate: float = typer.Option(0.2, help="Share of the words with a typo in textcat_typos"),
    seed: int = typer.Option(0, help="Seed of every choice"),
) -> None:
    """Read the standard library and write raw text and labelled sets."""
    library = read_library()
    nlp = spacy.blank("en")
    textcat = make_textcat(nlp, library, textcat_train, textcat_eval, seed)
    ner = make_ner(nlp, library, ner_train, ner_eval, seed)
    sets = {f"textcat_{part}": docs for part, docs in textcat.items()}
    sets["textcat_typos"] = add_typos(nlp, textcat["eval"], typo_rate, seed)
    sets |= {f"ner_{part}": docs for part, docs in ner.items()}
    texts = [*(doc.text for doc in library.docstrings), *library.topics]
    scored = [
        {doc.text for part in ("stop", "eval") for doc in task[part]} for task in (textcat, ner)
    ]
    raw = leave_out(texts, *scored)
    random.Random(seed).shuffle(raw)

    output.mkdir(parents=True, exist_ok=True)
    srsly.write_jsonl(output / "raw.jsonl", [{"text": text} for text in raw])
    info: dict[str, dict[str, int]] = {"raw": {"texts": len(raw), "words": count_words(raw)}}
    for name, docs in sets.items():
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
    nlp: Language, library: Library, n_train: int, n_eval: int, seed: int
) -> dict[str, list[Doc]]:
    """Choose docstrings and label them with the subject of their module.

    n_train (int): Texts to train on, all labels together.
    n_eval (int): Texts to evaluate on, per label at most.
    RETURNS (dict[str, list[Doc]]): Train, stop and eval.
    """
    found: dict[str, list[str]] = {label: [] for label in CHAPTERS}
    for doc in library.docstrings:
        if doc.package in LABEL_OF and _has_size(doc.text):
            found[LABEL_OF[doc.package]].append(doc.text)
    n_each = n_train // len(CHAPTERS)
    parts: dict[str, list[Doc]] = {"train": [], "stop": [], "eval": []}
    for label, texts in found.items():
        texts.sort(key=lambda text: _draw(text, seed))
        ends = (0, n_each, 2 * n_each, 2 * n_each + n_eval)
        for part, start, end in zip(parts, ends, ends[1:]):
            for text in texts[start:end]:
                doc = nlp.make_doc(text)
                doc.cats = {name: float(name == label) for name in CHAPTERS}
                parts[part].append(doc)
    return {part: _shuffle(docs, seed) for part, docs in parts.items()}


def add_typos(nlp: Language, docs: Iterable[Doc], rate: float, seed: int) -> list[Doc]:
    """Copy texts with categories, and put a typo into a share of their words.

    rate (float): Share of the words, from 0 to 1.
    RETURNS (list[Doc]): The copies, tokenized again.
    """
    typos, rng = Typos(rate), np.random.default_rng(seed)
    found = []
    for doc in docs:
        words = typos([token.text for token in doc], rng)
        spaces = [token.whitespace_ for token in doc]
        found.append(nlp.make_doc("".join(map("".join, zip(words, spaces)))))
        found[-1].cats = dict(doc.cats)
    return found


def make_ner(
    nlp: Language, library: Library, n_train: int, n_eval: int, seed: int
) -> dict[str, list[Doc]]:
    """Label names and split texts so that train, stop and eval have no name in common.

    n_train (int): Texts to train on.
    n_eval (int): Texts to evaluate on, at most; stop has half as many.
    RETURNS (dict[str, list[Doc]]): Train, stop and eval.
    """
    prose = find_prose_words([*(doc.text for doc in library.docstrings), *library.topics])
    sizes = {"train": n_train, "stop": n_eval // 2, "eval": n_eval}
    pools: dict[str, dict[str, list[Doc]]] = {
        part: {label: [] for label in (*RAREST_FIRST, "")} for part in sizes
    }
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
        parts = {SIDES[_draw(key, seed) % len(SIDES)] for key in keys or {docstring.text}}
        if doc is not None and len(parts) == 1:
            labels = {label for _, _, label in mentions}
            rarest = next((label for label in RAREST_FIRST if label in labels), "")
            pools[parts.pop()][rarest].append(doc)
    return {part: _shuffle(_take(pools[part], n), seed) for part, n in sizes.items()}


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
    labels = [f"{k} {v}" for k, v in counts.items() if k in CHAPTERS or k in LABELS]
    return f"{counts['texts']:,}", f"{counts['words']:,}", ", ".join(labels)


if __name__ == "__main__":
    typer.run(main)

"""Speed of typos: words per second, alone and as Examples for training.

python benchmarks/noise.py --text imdb/unlabelled.jsonl.gz --misspellings misspellings/birkbeck.tsv
"""

import time
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import spacy
import srsly
import typer
from spacy.training import Example
from wasabi import msg

from spacy_charlm.machine import describe_machine
from spacy_charlm.noise.edits import KINDS
from spacy_charlm.noise.noisy_examples import make_noisy_example
from spacy_charlm.noise.typos import COMMON_KINDS, NATURAL, SPACE_KINDS, Typos
from spacy_charlm.text.text_corpus import TextCorpus

RESULTS = Path(__file__).parent / "results" / "noise.jsonl"
BATCH = 3_000  # words that get typos together, like a batch of the pretraining
RATE = 0.2


def main(
    text: Annotated[Path, typer.Option(help="Raw text")],
    misspellings: Annotated[Path | None, typer.Option(help="For the kind natural")] = None,
    texts: Annotated[int, typer.Option(help="Texts to read")] = 500,
    turns: Annotated[int, typer.Option(help="Runs of each kind; the median counts")] = 5,
) -> None:
    """Measure, print a table, and append lines to a file in benchmarks/results."""
    nlp = spacy.blank("en")
    docs = list(islice(TextCorpus(text)(nlp), texts))
    words = [token.text for doc in docs for token in doc]
    cases = {"five kinds": COMMON_KINDS, **{kind: [kind] for kind in KINDS}}
    if misspellings:
        cases[NATURAL] = [NATURAL]
    lines = []
    for name, kinds in cases.items():
        typos = Typos(RATE, kinds, misspellings=misspellings if NATURAL in kinds else None)
        lines.append((name, "array", measure_words(typos, words, turns)))
    for name, kinds in (("five kinds", COMMON_KINDS), ("spaces", SPACE_KINDS)):
        lines.append((name, "Examples", measure_examples(nlp, docs, Typos(RATE, kinds))))
    msg.table(
        [(name, what, f"{speed:,.0f}") for name, what, speed in lines],
        header=("typos", "what is made", "words/s"),
        divider=True,
        aligns=("l", "l", "r"),
    )
    RESULTS.parent.mkdir(exist_ok=True)
    facts = {**describe_machine(), "words": len(words), "rate": RATE}
    srsly.write_jsonl(
        RESULTS,
        [
            {"typos": n, "made": what, "words_per_second": speed, **facts}
            for n, what, speed in lines
        ],
        append=True,
    )


def measure_words(typos: Typos, words: list[str], turns: int) -> float:
    """Measure words per second of typos in batches of words."""
    rng, times = np.random.default_rng(0), []
    for _ in range(turns):
        start = time.perf_counter()
        for first in range(0, len(words), BATCH):
            typos(words[first : first + BATCH], rng)
        times.append(time.perf_counter() - start)
    return len(words) / float(np.median(times))


def measure_examples(nlp: spacy.language.Language, docs: list, typos: Typos) -> float:
    """Measure words per second of Examples: typos, new Docs, and labels moved to new tokens."""
    rng = np.random.default_rng(0)
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in docs]
    start = time.perf_counter()
    for example in examples:
        make_noisy_example(nlp, example, typos, rng)
    return sum(map(len, docs)) / (time.perf_counter() - start)


if __name__ == "__main__":
    typer.run(main)

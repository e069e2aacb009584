r"""Speed and recall of the approximate search for neighbours compared with the exact one.

python scripts/train_vectors.py imdb/unlabelled.jsonl.gz vectors/floret300 \
    --dim 300 --epochs 5 --max-words 3000000
python benchmarks/neighbours.py vectors/floret300 --text imdb/unlabelled.jsonl.gz \
    --misspellings misspellings/birkbeck.tsv

The table has floret vectors of the words of the texts, of real misspellings, and of typos in
frequent words until it is full. The queries are other typos, none of which is in the table.
"""

import tempfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import spacy
import srsly
import typer
from thinc.api import NumpyOps
from wasabi import msg

from spacy_charlm.decoding.neighbour_index import NeighbourIndex
from spacy_charlm.decoding.neighbours import Neighbours
from spacy_charlm.evaluation.word_neighbours import read_floret
from spacy_charlm.machine import describe_machine
from spacy_charlm.noise.typos import Typos, read_misspellings
from spacy_charlm.text.text_corpus import TextCorpus

RESULTS = Path(__file__).parent / "results" / "neighbours.jsonl"
BATCH = 1_000  # queries at a time


def main(
    floret: Annotated[Path, typer.Argument(help="Folder of floret vectors")],
    text: Annotated[Path, typer.Option(help="Raw text, for the words")],
    misspellings: Annotated[Path, typer.Option(help="misspelling TAB correct word")],
    rows: Annotated[int, typer.Option(help="Rows of the table")] = 400_000,
    texts: Annotated[int, typer.Option(help="Texts to read")] = 75_000,
    queries: Annotated[int, typer.Option(help="Number of queries")] = 5_000,
    turns: Annotated[int, typer.Option(help="Runs of each search")] = 7,
    efforts: Annotated[str, typer.Option(help="Candidates per query, by commas")] = "32,64,128",
    dtypes: Annotated[str, typer.Option(help="Types of the vectors, by commas")] = "f16,i8",
) -> None:
    """Measure, print a table, and append lines to a file in benchmarks/results."""
    rng = np.random.default_rng(0)
    frequent = read_words(text, texts)
    words = dict.fromkeys(frequent)
    real = read_misspellings(misspellings) | read_misspellings(misspellings, held_out=True)
    words |= dict.fromkeys(typed for found in real.values() for typed in found)
    msg.info(f"{len(frequent):,} words of the texts, {len(words):,} with the misspellings")
    while len(words) < rows:
        words |= dict.fromkeys(Typos(1.0)(frequent[:100_000], rng))
    names = list(words)[:rows]
    inside = set(names)
    asked = [w for w in Typos(1.0)(frequent[: 2 * queries], rng) if w not in inside][:queries]
    read = read_floret(floret)
    table, Q = read(names), read(asked)

    exact = Neighbours(table, NumpyOps(use_blis=False))
    best = search_all(exact, Q).rows[:, 0]
    lines: list[dict[str, Any]] = []
    for dtype in dtypes.split(","):
        start = time.perf_counter()
        built = NeighbourIndex(table, dtype=dtype)
        seconds = time.perf_counter() - start
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "words.usearch"
            built.to_disk(path)
            size = path.stat().st_size / 1e6
            del built
            for effort in map(int, efforts.split(",")):
                index = NeighbourIndex.from_disk(path, effort=effort)
                found = search_all(index, Q).rows[:, 0]
                speeds = [(time_search(exact, Q), time_search(index, Q)) for _ in range(turns)]
                ratios = [fast / slow for slow, fast in speeds]
                lines.append(
                    {
                        "dtype": dtype,
                        "effort": effort,
                        "recall_at_1": float((found == best).mean()),
                        "ratio": [float(np.percentile(ratios, p)) for p in (0, 50, 100)],
                        "queries_per_second": float(np.median([fast for _, fast in speeds])),
                        "exact_per_second": float(np.median([slow for slow, _ in speeds])),
                        "mb": size,
                        "build_seconds": seconds,
                    }
                )
    msg.table(
        [
            (
                line["dtype"],
                line["effort"],
                f"{line['recall_at_1']:.2%}",
                f"{line['queries_per_second']:,.0f}",
                " ".join(f"{r:.1f}" for r in line["ratio"]),
                f"{line['mb']:,.0f}",
                f"{line['build_seconds']:,.0f}",
            )
            for line in lines
        ],
        header=("type", "effort", "recall@1", "queries/s", "x exact", "MB", "s to build"),
        divider=True,
        aligns=("l", *"rrrrrr"),
    )
    msg.info(f"Exact: {lines[0]['exact_per_second']:,.0f} queries/s, {table.nbytes / 1e6:,.0f} MB")
    facts = {**describe_machine(), "rows": len(table), "width": table.shape[1]}
    RESULTS.parent.mkdir(exist_ok=True)
    srsly.write_jsonl(RESULTS, [{**line, **facts} for line in lines], append=True)


def read_words(text: Path, texts: int) -> list[str]:
    """List the distinct words of texts, the frequent ones first."""
    docs = islice(TextCorpus(text)(spacy.blank("en")), texts)
    counts = Counter(token.text for doc in docs for token in doc if not token.is_space)
    return [word for word, _ in counts.most_common()]


def search_all(index: Any, Q: np.ndarray) -> Any:
    """Search in batches and join the results."""
    found = [index.search(Q[start : start + BATCH], 10) for start in range(0, len(Q), BATCH)]
    return type(found[0])(*(np.concatenate(part) for part in zip(*found)))


def time_search(index: Any, Q: np.ndarray) -> float:
    """Measure queries per second."""
    start = time.perf_counter()
    search_all(index, Q[:BATCH])
    return len(Q[:BATCH]) / (time.perf_counter() - start)


if __name__ == "__main__":
    typer.run(main)

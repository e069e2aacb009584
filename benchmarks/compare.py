"""Speed of our parts compared with spaCy's own, on the same texts, in one run.

python benchmarks/compare.py TEXT --output results.jsonl

The two sides of a comparison run in turn on the same batches, and a ratio is computed for each
pair of runs, because times on a shared machine are noisy. Above 1, ours is faster.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import spacy
import srsly
import typer
from costs import Cost, measure_costs
from models import (
    DEPTH,
    build_embed,
    build_embed_with_table,
    build_pipeline,
    build_update,
    make_backends,
    make_examples,
    pipe_texts,
    predict_uncached,
    train_embed,
)
from paired_timing import Ratio, time_pairs
from spacy.cli._util import setup_gpu
from spacy.tokens import Doc
from spacy.training.batchers import minibatch_by_words
from thinc.api import Ops, get_current_ops, set_current_ops
from wasabi import msg

from spacy_charlm.cli.show_errors import show_errors
from spacy_charlm.errors import Errors
from spacy_charlm.machine import describe_machine, find_card, measure_product
from spacy_charlm.report.table import markdown_table
from spacy_charlm.text.text_corpus import TextCorpus

Batches = Sequence[list[Doc]]
Backends = dict[str, Ops]
COSTS = "costs"  # this part compares nothing, see costs.py
MARKS = ("<!-- compare -->", "<!-- /compare -->")


@show_errors("The benchmark cannot run.")
def main(
    text: Annotated[Path, typer.Argument(help="Raw text: .txt, .jsonl, .gz of both, .spacy")],
    parts: Annotated[
        str, typer.Option(help="What to compare, separated by commas")
    ] = "embed,table,update,pipeline,depth,costs",
    pairs: Annotated[int, typer.Option(help="Runs of each side")] = 9,
    batches: Annotated[int, typer.Option(help="Batches of 3,000 words per run")] = 5,
    output: Annotated[Path | None, typer.Option(help="Append the results as JSON lines")] = None,
    table: Annotated[Path | None, typer.Option(help="Markdown file to write tables into")] = None,
    use_gpu: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU ID or -1 for CPU")] = -1,
) -> None:
    """Compare the speed of our parts with that of spaCy's own."""
    setup_gpu(use_gpu)
    gpu = use_gpu >= 0
    names = parts.split(",")
    compared = [name for name in names if name != COSTS]
    _check_parts(compared)
    docs = (doc for doc in TextCorpus(text)(spacy.blank("en")) if len(doc))
    found = list(islice(minibatch_by_words(docs, 3000, get_length=len), batches))
    facts = describe_run(found, text.name, gpu=gpu)
    for name, speed in facts["gemm_gflops"].items():
        msg.info(f"{name}: {speed:.0f} GFLOP/s")
    ratios = run_benchmark(found, compared, pairs, _show_ratio, gpu=gpu)
    costs = measure_costs(found, _show_cost, gpu=gpu) if COSTS in names else []
    if ratios:
        msg.table(
            [(r.question, r.A, r.B, f"{r.A_speed:,.0f}", f"{r.B_speed:,.0f}", r) for r in ratios],
            header=("what", "A", "B", "A words/s", "B words/s", "A/B"),
            divider=True,
            max_col=50,
            aligns=("l", "l", "l", "r", "r", "r"),
        )
    if output is not None:
        write_results([*ratios, *costs], facts, output)
        msg.good(f"Appended {len(ratios) + len(costs)} lines to {output}")
    if table is not None:
        write_tables(ratios, costs, facts, table)
        msg.good(f"Wrote the tables into {table}")


def run_benchmark(
    batches: Batches,
    parts: Sequence[str],
    pairs: int,
    show: Callable[[Ratio], None],
    *,
    gpu: bool = False,
) -> list[Ratio]:
    """Run the comparisons on the GPU, or on the CPU with NumPy's BLAS and with thinc's BLIS.

    batches (Sequence[List[Doc]]): The texts, tokenised.
    parts (Sequence[str]): Names in PARTS.
    pairs (int): Runs of each side.
    show (Callable[[Ratio], None]): Called with each result.
    gpu (bool): Whether to run on the GPU.
    RETURNS (List[Ratio]): The results.
    RAISES (ValueError): If a part is unknown.
    """
    _check_parts(parts)
    before = get_current_ops()
    ratios = []
    backends = make_backends(gpu=gpu)
    try:
        for part in parts:
            for ratio in PARTS[part](batches, pairs, backends):
                show(ratio)
                ratios.append(ratio)
    finally:
        set_current_ops(before)
    return ratios


def compare_embeds(batches: Batches, pairs: int, backends: Backends) -> Iterator[Ratio]:
    """Compare embed layers."""
    words = _count(batches)
    for name, ops in backends.items():
        set_current_ops(ops)
        ours, hashed, chars = (
            build_embed(embed, batches[0])
            for embed in ("CharCNN", "MultiHashEmbed", "CharacterEmbed")
        )
        for question, A, other, B in (
            ("embed, training", train_embed(ours), "CharacterEmbed", train_embed(chars)),
            ("embed, training", train_embed(ours), "MultiHashEmbed", train_embed(hashed)),
            ("embed, empty cache", predict_uncached(ours), "MultiHashEmbed", hashed.predict),
            ("embed, full cache", ours.predict, "MultiHashEmbed", hashed.predict),
        ):
            sides = (("CharCNN", A), (other, B))
            yield time_pairs(f"{question}; {name}", *sides, batches, words=words, pairs=pairs)


def compare_tables(batches: Batches, pairs: int, backends: Backends) -> Iterator[Ratio]:
    """Compare embed layers with a table of vectors that looks for misspelled words, or does not."""
    docs = [doc for batch in batches for doc in batch]
    words = _count(batches)
    for name, ops in backends.items():
        set_current_ops(ops)
        (fuzzy, lacks), (plain, _) = (build_embed_with_table(docs, fuzzy=x) for x in (True, False))
        what = f"table that lacks {lacks:.0%} of the distinct words"
        for question, make in (
            ("training", train_embed),
            ("empty cache", predict_uncached),
            ("full cache", lambda embed: embed.predict),
        ):
            sides = (("fuzzy", make(fuzzy)), ("not fuzzy", make(plain)))
            yield time_pairs(
                f"{what}, {question}; {name}", *sides, batches, words=words, pairs=pairs
            )


def compare_updates(batches: Batches, pairs: int, backends: Backends) -> Iterator[Ratio]:
    """Compare whole updates of `spacy pretrain`. Ours use NumPy's BLAS, as in our configs."""
    docs = [doc for batch in batches for doc in batch]
    for embed, objective in (
        ("MultiHashEmbed", "PretrainVectors"),
        ("MultiHashEmbed", "PretrainCharacters"),
        ("CharacterEmbed", "PretrainVectors"),
    ):
        for name, ops in backends.items():
            set_current_ops(next(iter(backends.values())))
            ours = build_update("CharCNN", "LMAO", docs)
            set_current_ops(ops)
            theirs = build_update(embed, objective, docs)
            sides = (("CharCNN + LMAO", ours), (f"{embed} + {objective}", theirs))
            question = f"pretraining update; {name}"
            yield time_pairs(question, *sides, batches, words=_count(batches), pairs=pairs)


def compare_pipelines(batches: Batches, pairs: int, backends: Backends) -> Iterator[Ratio]:
    """Compare whole pipelines: `nlp.pipe` from raw text, and `nlp.update`."""
    docs = [doc for batch in batches for doc in batch if len(doc)]
    for task in ("textcat", "ner"):
        for name, ops in backends.items():
            set_current_ops(ops)
            ours = build_pipeline(task, "CharCNN", docs[:20])
            for embed in ("MultiHashEmbed", "CharacterEmbed"):
                theirs = build_pipeline(task, embed, docs[:20])
                sides = (("CharCNN", ours), (embed, theirs))
                yield from time_pipelines(task, name, sides, batches, pairs)


def compare_depths(batches: Batches, pairs: int, backends: Backends) -> Iterator[Ratio]:
    """Compare pipelines without an encoder with those of `charlm init --optimize efficiency`."""
    docs = [doc for batch in batches for doc in batch if len(doc)]
    for task in ("textcat", "ner"):
        for name, ops in backends.items():
            set_current_ops(ops)
            fast, full = (build_pipeline(task, "CharCNN", docs[:20], n) for n in (0, DEPTH))
            sides = (("depth 0", fast), (f"depth {DEPTH}", full))
            yield from time_pipelines(task, name, sides, batches, pairs)


def time_pipelines(
    task: str, backend: str, sides: Sequence[tuple[str, Any]], batches: Batches, pairs: int
) -> Iterator[Ratio]:
    """Compare `nlp.pipe` from raw text and `nlp.update` of two pipelines, each with its name."""
    texts = [[doc.text for doc in batch] for batch in batches]
    for question, make, items in (
        ("nlp.pipe", pipe_texts, texts),
        ("nlp.update", _update, batches),
    ):
        first, second = ((name, make(nlp)) for name, nlp in sides)
        question = f"{task}, {question}; {backend}"
        yield time_pairs(question, first, second, items, words=_count(batches), pairs=pairs)


PARTS: dict[str, Callable[[Batches, int, Backends], Iterator[Ratio]]] = {
    "embed": compare_embeds,
    "table": compare_tables,
    "update": compare_updates,
    "pipeline": compare_pipelines,
    "depth": compare_depths,
}


def describe_run(batches: Batches, text: str, *, gpu: bool = False) -> dict[str, Any]:
    """Describe the machine, its speed and the texts."""
    gemm = {name: measure_product(ops) for name, ops in make_backends(gpu=gpu).items()}
    return {
        **describe_machine(),
        "gemm_gflops": {name: round(speed, 1) for name, speed in gemm.items()},
        "words": _count(batches),
        "text": text,
        **({"card": find_card()[0]} if gpu else {}),
    }


def write_results(results: Sequence[Ratio | Cost], facts: dict[str, Any], path: Path) -> None:
    """Append one line of JSON per result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    srsly.write_jsonl(path, [{**result.as_dict(), **facts} for result in results], append=True)


def write_tables(
    ratios: Sequence[Ratio], costs: Sequence[Cost], facts: dict[str, Any], path: Path
) -> None:
    """Write the results as tables between two marks of a Markdown file.

    RAISES (ValueError): If the file has no such marks.
    """
    text = path.read_text(encoding="utf8")
    if not all(mark in text for mark in MARKS):
        raise ValueError(Errors.E681.format(path=path, expected=" ... ".join(MARKS)))
    found = "\n\n".join([*_ratio_table(ratios, facts), *_cost_table(costs)])
    head, rest = text.split(MARKS[0], 1)
    tail = rest.split(MARKS[1], 1)[1]
    path.write_text(f"{head}{MARKS[0]}\n{found}\n{MARKS[1]}{tail}", encoding="utf8")


def _ratio_table(ratios: Sequence[Ratio], facts: dict[str, Any]) -> Iterator[str]:
    if not ratios:
        return
    cells: dict[tuple[str, str, str], dict[str, str]] = {}
    names: dict[str, None] = {}
    for ratio in ratios:
        question, _, name = ratio.question.rpartition("; ")
        cells.setdefault((question, ratio.A, ratio.B), {})[name] = str(ratio)
        names[name] = None
    machine = facts.get("card") or f"{facts['cores']} cores ({facts['cpu']})"
    yield (
        f"Words per second, ours over theirs: median (minimum-maximum) of "
        f"{len(ratios[0].ratios)} pairs run in turn, {machine}, "
        f"{facts['words']:,} words of {facts['text']}."
    )
    rows = [[*key, *(found.get(name, "") for name in names)] for key, found in cells.items()]
    yield markdown_table(["what", "ours", "compared with", *names], rows, 3)


def _cost_table(costs: Sequence[Cost]) -> Iterator[str]:
    if not costs:
        return
    yield (
        "Each alone, with NumPy's BLAS: operations of the matrix products, their speed as a share "
        "of that of one large float32 product, peak memory above that of the empty process, and "
        "what twenty more runs over the same texts add."
    )
    rows = [
        [
            c.question,
            c.name,
            f"{c.words_per_second:,.0f}",
            f"{c.flops_per_word / 1e6:.2f}",
            f"{c.share:.0%}",
            f"{c.peak:.0f}",
            f"{c.growth:.0f}",
        ]
        for c in costs
    ]
    header = ("what", "of", "words/s", "MFLOP/word", "share of the limit", "peak, MB", "growth, MB")
    yield markdown_table(header, rows, 2)


def _show_ratio(ratio: Ratio) -> None:
    msg.text(f"{ratio.question}: {ratio.A} / {ratio.B}: {ratio}")


def _show_cost(cost: Cost) -> None:
    msg.text(
        f"{cost.question}: {cost.name}: {cost.words_per_second:,.0f} words/s, "
        f"{cost.share:.0%} of the limit, {cost.peak:.0f} MB"
    )


def _check_parts(parts: Sequence[str]) -> None:
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise ValueError(
            Errors.E680.format(expected=", ".join([*PARTS, COSTS]), found=", ".join(unknown))
        )


def _update(nlp: Any) -> Callable[[list[Doc]], None]:
    optimizer = nlp.resume_training()
    examples: dict[int, Any] = {}

    def run(docs: list[Doc]) -> None:
        if id(docs) not in examples:
            examples[id(docs)] = make_examples(nlp, [doc for doc in docs if len(doc)])
        nlp.update(examples[id(docs)], sgd=optimizer)

    return run


def _count(batches: Batches) -> int:
    return sum(len(doc) for batch in batches for doc in batch)


if __name__ == "__main__":
    typer.run(main)

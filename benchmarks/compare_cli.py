"""`charlm benchmark`: our parts beside spaCy's own, in one run."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from spacy.cli._util import setup_gpu
from wasabi import msg

from .show_errors import show_errors


@show_errors("The benchmark cannot run.")
def benchmark_cli(
    text: Annotated[Path, typer.Argument(help="Raw text: .txt, .jsonl, .gz of both, .spacy")],
    parts: Annotated[
        str, typer.Option(help="What to compare, by commas")
    ] = "embed,update,pipeline,costs",
    pairs: Annotated[int, typer.Option(help="Runs of each side")] = 9,
    batches: Annotated[int, typer.Option(help="Batches in each run, of 3,000 words")] = 5,
    output: Annotated[Path | None, typer.Option(help="Add the results, as JSON lines")] = None,
    table: Annotated[Path | None, typer.Option(help="Markdown file whose tables to write")] = None,
    use_gpu: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU ID or -1 for CPU")] = -1,
) -> None:
    """Compare the speed of our parts with that of spaCy's own.

    Each pair runs in turn on the same batches; the ratios are taken pair by pair, since times on
    a shared machine are noisy. Above 1 ours is the faster.
    """
    import spacy
    from spacy.training.batchers import minibatch_by_words

    from ..evaluation.benchmark import (
        COSTS,
        describe_run,
        run_benchmark,
        write_results,
        write_tables,
    )
    from ..evaluation.benchmark_costs import Cost, measure_costs
    from ..evaluation.paired_timing import Ratio
    from ..text.text_corpus import create_text_corpus_v1

    setup_gpu(use_gpu)
    gpu = use_gpu >= 0

    def show(ratio: Ratio) -> None:
        msg.text(f"{ratio.question}: {ratio.A} / {ratio.B}: {ratio}")

    def show_cost(cost: Cost) -> None:
        msg.text(
            f"{cost.question}: {cost.name}: {cost.words_per_second:,.0f} words/s, "
            f"{cost.share:.0%} of the limit, {cost.peak:.0f} MB"
        )

    nlp = spacy.blank("en")
    docs = (doc for doc in create_text_corpus_v1(text)(nlp) if len(doc))
    found = list(islice(minibatch_by_words(docs, 3000, get_length=len), batches))
    facts = describe_run(found, text.name, gpu=gpu)
    for name, speed in facts["gemm_gflops"].items():
        msg.info(f"{name}: {speed:.0f} GFLOP/s")
    names = parts.split(",")
    compared = [name for name in names if name != COSTS]
    ratios = run_benchmark(found, compared, pairs, show, gpu=gpu)
    costs = measure_costs(found, show_cost, gpu=gpu) if COSTS in names else []
    if ratios:
        msg.table(
            [(r.question, r.A, r.B, f"{r.A_speed:,.0f}", f"{r.B_speed:,.0f}", r) for r in ratios],
            header=("what", "A", "B", "A words/s", "B words/s", "A/B"),
            divider=True,
            aligns=("l", "l", "l", "r", "r", "r"),
        )
    if output is not None:
        write_results([*ratios, *costs], facts, output)
        msg.good(f"Added {len(ratios) + len(costs)} lines to {output}")
    if table is not None:
        write_tables(ratios, costs, facts, table)
        msg.good(f"Wrote the tables in {table}")

"""How fast are our parts beside spaCy's own, on the same texts, in one run?"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import srsly
from spacy.tokens import Doc
from thinc.api import Ops, get_current_ops, set_current_ops

from ..errors import Errors
from .benchmark_costs import Cost
from .benchmark_models import (
    build_embed,
    build_pipeline,
    build_update,
    make_backends,
    make_examples,
    pipe_texts,
    predict_anew,
    train_embed,
)
from .paired_timing import Ratio, compare, describe_card, describe_machine, measure_gemm

Batches = Sequence[list[Doc]]
Backends = dict[str, Ops]
COSTS = "costs"  # a part that compares nothing: see `benchmark_costs`
MARKS = ("<!-- charlm benchmark -->", "<!-- /charlm benchmark -->")


def run_benchmark(
    batches: Batches,
    parts: Sequence[str],
    pairs: int,
    show: Callable[[Ratio], None],
    *,
    gpu: bool = False,
) -> list[Ratio]:
    """Run the comparisons: on the CPU with NumPy's BLAS and with thinc's default BLIS.

    batches (Sequence[List[Doc]]): Texts, tokenised.
    parts (Sequence[str]): Which of PARTS to run.
    pairs (int): Runs of each side.
    show (Callable[[Ratio], None]): Called with each result as it comes.
    gpu (bool): Whether to run on the GPU.
    RETURNS (List[Ratio]): The results.
    RAISES (ValueError): If a part is unknown.
    """
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise ValueError(
            Errors.E680.format(expected=", ".join([*PARTS, COSTS]), found=", ".join(unknown))
        )
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
            ("embed, empty cache", predict_anew(ours), "MultiHashEmbed", hashed.predict),
            ("embed, full cache", ours.predict, "MultiHashEmbed", hashed.predict),
        ):
            sides = (("CharCNN", A), (other, B))
            yield compare(f"{question}; {name}", *sides, batches, words=words, pairs=pairs)


def compare_updates(batches: Batches, pairs: int, backends: Backends) -> Iterator[Ratio]:
    """Compare whole updates of `spacy pretrain`; ours on NumPy's BLAS, as in our configs."""
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
            yield compare(question, *sides, batches, words=_count(batches), pairs=pairs)


def compare_pipelines(batches: Batches, pairs: int, backends: Backends) -> Iterator[Ratio]:
    """Compare whole pipelines, in `nlp.pipe` from raw text and in `nlp.update`."""
    docs = [doc for batch in batches for doc in batch if len(doc)]
    texts = [[doc.text for doc in batch] for batch in batches]
    for task in ("textcat", "ner"):
        for name, ops in backends.items():
            set_current_ops(ops)
            ours = build_pipeline(task, "CharCNN", docs[:20])
            for embed in ("MultiHashEmbed", "CharacterEmbed"):
                theirs = build_pipeline(task, embed, docs[:20])
                for question, make, items in (
                    ("nlp.pipe", pipe_texts, texts),
                    ("nlp.update", _update, batches),
                ):
                    sides = (("CharCNN", make(ours)), (embed, make(theirs)))
                    question = f"{task}, {question}; {name}"
                    yield compare(question, *sides, items, words=_count(batches), pairs=pairs)


PARTS: dict[str, Callable[[Batches, int, Backends], Iterator[Ratio]]] = {
    "embed": compare_embeds,
    "update": compare_updates,
    "pipeline": compare_pipelines,
}


def describe_run(batches: Batches, text: str, *, gpu: bool = False) -> dict[str, Any]:
    """Tell what the figures depend on."""
    gemm = {name: measure_gemm(ops, 3000) for name, ops in make_backends(gpu=gpu).items()}
    return {
        **describe_machine(),
        "gemm_gflops": {name: round(speed, 1) for name, speed in gemm.items()},
        "words": _count(batches),
        "text": text,
        **({"card": describe_card()} if gpu else {}),
    }


def write_results(results: Sequence[Ratio | Cost], facts: dict[str, Any], path: Path) -> None:
    """Add one line of JSON for each result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    srsly.write_jsonl(path, [{**result.as_dict(), **facts} for result in results], append=True)


def write_tables(
    ratios: Sequence[Ratio], costs: Sequence[Cost], facts: dict[str, Any], path: Path
) -> None:
    """Put the results as tables between two marks in a Markdown file.

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
    lines = [
        f"| what | ours | beside | {' | '.join(names)} |",
        "|---|---|---|" + "---:|" * len(names),
    ]
    for key, found in cells.items():
        lines.append(f"| {' | '.join([*key, *(found.get(name, '') for name in names)])} |")
    yield "\n".join(lines)


def _cost_table(costs: Sequence[Cost]) -> Iterator[str]:
    if not costs:
        return
    yield (
        "Each by itself, on NumPy's BLAS: operations of the matrix products, their share of what "
        "one large float32 product reaches, memory over that of the empty process, and what "
        "twenty more runs over the same texts add."
    )
    lines = [
        "| what | of | words/s | MFLOP a word | share of the limit | peak, MB | growth, MB |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for c in costs:
        cells = (
            f"{c.words_per_second:,.0f}",
            f"{c.flops_per_word / 1e6:.2f}",
            f"{c.share:.0%}",
            f"{c.peak:.0f}",
            f"{c.growth:.0f}",
        )
        lines.append(f"| {' | '.join([c.question, c.name, *cells])} |")
    yield "\n".join(lines)


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

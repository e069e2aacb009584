import sys
from pathlib import Path

import pytest
import spacy
import srsly
import typer
from thinc.api import get_current_ops
from typer.testing import CliRunner

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("benchmarks/ is not beside tests/", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))  # because the scripts import each other

from compare import (  # noqa: E402
    MARKS,
    PARTS,
    describe_run,
    main,
    run_benchmark,
    write_results,
    write_tables,
)
from costs import CASES, Cost, count_flops, measure_cost  # noqa: E402
from paired_timing import Ratio, time_pairs  # noqa: E402

sys.path.remove(str(BENCHMARKS))

COST = Cost("embed", "ours", 12345.6, 2.5e6, 0.25, 100.4, 1.2)
TEXTS = ["The cat saw a dog.", "A dog slept, and the cat did not.", "Nobody saw the cat."]


def make_batches():
    nlp = spacy.blank("en")
    return [[nlp.make_doc(text) for text in TEXTS] for _ in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_benchmark_runs_every_part(part, tmp_path):
    batches = make_batches()
    ops, shown = get_current_ops(), []
    ratios = run_benchmark(batches, [part], 1, shown.append)
    assert get_current_ops() is ops
    assert shown == ratios and len(ratios) >= 6
    for ratio in ratios:
        assert len(ratio.ratios) == 1 and ratio.median > 0 and ratio.A_speed > 0
    facts = describe_run(batches, "cats.txt")
    write_results(ratios, facts, tmp_path / "results" / "some.jsonl")
    lines = list(srsly.read_jsonl(tmp_path / "results" / "some.jsonl"))
    assert [line["question"] for line in lines] == [ratio.question for ratio in ratios]


def test_benchmark_writes_its_table_between_the_marks(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"# Title\n{MARKS[0]}\nold\n{MARKS[1]}\nend\n", encoding="utf8")
    ratios = [
        Ratio(f"embed; {blas}", "ours", "theirs", 2.0, 1.0, [2.0, 1.0, 4.0], 1.0)
        for blas in ("NumPy's BLAS", "BLIS")
    ]
    facts = {"cores": 2, "cpu": "some", "words": 3000, "text": "cats.txt"}
    for _ in range(2):  # a second time it replaces what it wrote
        write_tables(ratios, [COST], facts, path)
        text = path.read_text(encoding="utf8")
        assert text.startswith("# Title\n") and text.endswith("\nend\n") and "old" not in text
        assert "| embed | ours | 12,346 | 2.50 | 25% | 100 | 1 |" in text
        assert text.count("| embed | ours | theirs | 2.00 (1.00-4.00) | 2.00 (1.00-4.00) |") == 1
    path.write_text("no marks", encoding="utf8")
    with pytest.raises(ValueError, match="charlm E681"):
        write_tables(ratios, [COST], facts, path)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(case))
def test_costs_of_every_case(case):
    cost = measure_cost(*case, [TEXTS] * 2)
    assert cost.words_per_second > 0 and cost.flops_per_word > 0
    assert 0 < cost.share < 1.5 and cost.peak >= 0


def test_flops_are_those_of_the_matrix_products():
    # HashEmbeds add rows; the mixing layer is one product (4 * 96 -> 3 * 96) per token: forward,
    # and backward for its weights and its input.
    batches = make_batches()
    n_words = sum(map(len, batches[0]))
    flops = count_flops("embed, training", "MultiHashEmbed", "", batches)
    assert flops == 2 * 3 * 2 * n_words * (4 * 96) * (3 * 96)


def test_benchmark_names_an_unknown_part():
    with pytest.raises(ValueError, match="charlm E680.*embed, table, update.*found other"):
        run_benchmark(make_batches(), ["other"], 1, print)


def test_paired_timing_runs_both_sides_in_turn():
    calls = []
    ratio = time_pairs(
        "calls",
        ("A", lambda batch: calls.append(("A", batch))),
        ("B", lambda batch: calls.append(("B", batch))),
        [1, 2],
        words=10,
        pairs=2,
    )
    once = [("A", 1), ("A", 2), ("B", 1), ("B", 2)]
    assert calls == once * 3  # the first pair does not count
    assert len(ratio.ratios) == 2


def test_benchmark_command_names_an_unknown_part(tmp_path):
    app = typer.Typer()
    app.command()(main)
    (tmp_path / "cats.txt").write_text("\n".join(TEXTS), encoding="utf8")
    result = CliRunner().invoke(app, [str(tmp_path / "cats.txt"), "--parts", "embed,other"])
    assert result.exit_code == 1 and "E680" in result.output
    result = CliRunner().invoke(app, [str(tmp_path / "cats.txt"), "--parts", ""])
    assert result.exit_code == 1 and "E680" in result.output

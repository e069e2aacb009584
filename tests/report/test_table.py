import csv
import re

import pytest
import srsly

from spacy_charlm.report.table import WIDTH, make_table, show_rows, show_table, write_table
from spacy_charlm.types import Score

SEEDS = [
    Score("CharCNN", "accuracy", (0.8, 0.82), 100, "texts", {"task": "cats", "width": 96}),
    Score("CharCNN", "cosine", (0.5, 0.5), 100, "texts", {"task": "cats", "width": 96}),
    Score("guess", "accuracy", (0.5, 0.5), 100, "texts", {"task": "cats"}),
]
BANDS = [
    Score("x", "p_at_1", (0.25,), 40, "words", {"frequency": "all"}),
    Score("x", "perplexity", (1234.5,), 40, "words", {"frequency": "all"}),
    Score("x", "p_at_1", (0.5,), 10, "words", {"frequency": "1 to 1,000"}),
]
CURVES = [
    Score(source, "spans_sc_f", (value - rate,), 7, "texts", {"typos": "mixed", "rate": rate})
    for source, value in (("a", 0.9), ("b", 0.8))
    for rate in (0.0, 0.05)
]
SETS = [
    Score("a", "cats_micro_f", (0.89, 0.91), conditions={"set": "clean"}),
    Score("a", "cats_micro_f", (0.8,), conditions={"set": "typos"}),
    Score("a", "ents_f", (0.5,), conditions={"set": "names"}),
    Score("b", "cats_micro_f", (0.7,), conditions={"set": "clean"}),
]


@pytest.mark.parametrize(
    "scores, columns, header, rows, caption",
    [
        (
            SEEDS,
            "metric",
            ["", "width", "accuracy", "cosine"],
            [["CharCNN", "96", "81.0 ± 1.4", "0.500 ± 0.000"], ["guess", "-", "50.0 ± 0.0", "-"]],
            "task: cats; 100 texts; mean ± standard deviation of 2 seeds; shares in per cent",
        ),
        (
            BANDS,
            "metric",
            ["", "frequency", "words", "P@1", "perplexity"],
            [["x", "all", "40", "25.0", "1,234"], ["x", "1 to 1,000", "10", "50.0", "-"]],
            "shares in per cent",
        ),
        (
            CURVES,
            "rate",
            ["", "score", "0%", "5%"],
            [["a", "spans F (sc)", "90.0", "85.0"], ["b", "spans F (sc)", "80.0", "75.0"]],
            "typos: mixed; 7 texts; shares in per cent",
        ),
        (
            SETS,
            "set",
            ["", "clean", "typos", "names"],
            [["a", "90.0 ± 1.4", "80.0", "50.0"], ["b", "70.0", "-", "-"]],
            "clean, typos: textcat accuracy; names: entities F; "
            "mean ± standard deviation of 1 to 2 seeds; shares in per cent",
        ),
        ([], "metric", [""], [], ""),
    ],
)
def test_table_arranges_scores(scores, columns, header, rows, caption):
    table = make_table(scores, columns)
    assert table.header == header and table.rows == rows and table.caption == caption
    assert all(len(row) == len(header) for row in rows)


def test_table_names_units_that_differ():
    table = make_table([BANDS[0], SEEDS[2]])
    assert [row[table.n_text] for row in table.rows] == ["40 words", "100 texts"]


def test_show_table_prints_title_and_caption(capsys):
    show_table(SEEDS, "probe")
    printed = capsys.readouterr().out
    assert all(part in printed for part in ("probe", "81.0 ± 1.4", "task: cats"))


LONG = "training/a-folder-with-a-long-name/and_another_one_below/CharCNN/denoising-typos"


@pytest.mark.parametrize("name", [LONG, "x" * 150, f"{LONG} {LONG}"])
@pytest.mark.parametrize("n_metrics", [1, 6, 14])
def test_show_table_fits_into_the_line(name, n_metrics, capsys):
    """Whatever the names and the number of columns, each cell is still there, in whole."""
    scores = [
        Score(f"{name}-{i}", f"metric_{k}", (0.5, 0.7), 9, "texts", {"typos": name, "width": i})
        for i in range(2)
        for k in range(n_metrics)
    ]
    show_table(scores, name)
    printed = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert max(map(len, printed.splitlines())) <= WIDTH
    assert printed.count("60.0 ± 14.1") == 2 * n_metrics
    assert all(f"metric_{k}" in printed for k in range(n_metrics))


def test_show_rows_folds_text_at_slashes(capsys):
    show_rows([("abcdefghi/" * 8, "1")], ("name", "n"), n_text=1)
    first, _, third, fourth = capsys.readouterr().out.strip("\n").splitlines()
    assert first.split() == ["name", "n"]
    assert third.split() == ["abcdefghi/" * 7, "1"] and fourth.split() == ["abcdefghi/"]


@pytest.mark.parametrize("header", [(), ("fact", "value")])
def test_show_rows_of_text_alone(header, capsys):
    show_rows([("name", LONG), ("other", "short")], header, n_text=2)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= WIDTH
    show_rows([], header, n_text=2)


def test_write_table_in_each_format(tmp_path):
    write_table(SEEDS, tmp_path / "new" / "t.md")
    text = (tmp_path / "new" / "t.md").read_text(encoding="utf8")
    assert text.startswith("|  | width | accuracy | cosine |\n|---|---|---:|---:|\n| CharCNN |")
    write_table(SEEDS, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf8", newline="") as file_:
        rows = list(csv.DictReader(file_))
    assert [float(row["value"]) for row in rows] == [0.8, 0.82, 0.5, 0.5, 0.5, 0.5]
    assert rows[1]["seed"] == "1" and rows[1]["width"] == "96" and rows[4]["width"] == ""
    write_table(SEEDS, tmp_path / "t.json", weights="x.bin")
    content = srsly.read_json(tmp_path / "t.json")
    assert content["weights"] == "x.bin"
    for found, score in zip(content["scores"], SEEDS, strict=True):
        assert found.keys() == score.as_dict().keys()
        assert found["values"] == pytest.approx(score.values) and found["n_seeds"] == 2
        assert found["mean"] == pytest.approx(score.mean)
        assert found["conditions"] == score.conditions
    with pytest.raises(ValueError, match="E643.*t.txt"):
        write_table(SEEDS, tmp_path / "t.txt")

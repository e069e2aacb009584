import json
from pathlib import Path

import pytest

from spacy_charlm.report.learning_curve import PANELS, Run, draw_runs, make_labels, read_log

STEP = {"step": 1, "words": 100, "loss": 0.9, "learn_rate": 0.1, "words_per_second": 10.0}
DEV = {"dev_loss": 0.8, "dev_cosine": 0.2, "dev_p_at_1": 0.1, "dev_p_at_10": 0.3, "best": True}


def make_steps(n=4, **values):
    return [{**STEP, "step": i, "words": 100 * i, "memory_mb": 50.0, **values} for i in range(n)]


def write_log(path, *lines):
    text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(text) + "\n", encoding="utf8")
    return path


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def labels(axes):
    legend = axes.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def test_learning_curve_reads_a_log(tmp_path):
    steps = make_steps()
    assert read_log(write_log(tmp_path / "log.jsonl", steps[0], "", *steps[1:])) == steps


def test_learning_curve_reads_a_resumed_log(tmp_path):
    """What was done after the checkpoint from which a run went on is lost."""
    steps = make_steps(4)
    again = [{**step, "loss": 0.5} for step in steps[2:]]
    path = write_log(tmp_path / "log.jsonl", *steps, *again)
    assert read_log(path) == [*steps[:2], *again]


@pytest.mark.parametrize(
    "line, found",
    [('{"step": 1,', "no JSON"), ("[1]", "no object"), ({"step": 1}, "number of 'words'")],
)
def test_learning_curve_names_the_bad_line(tmp_path, line, found):
    path = write_log(tmp_path / "log.jsonl", STEP, "", line)
    with pytest.raises(ValueError, match=f"(?s)E641.*{found}.* at line 3"):
        read_log(path)


def test_learning_curve_of_no_log(tmp_path):
    with pytest.raises(ValueError, match="E640.*none.jsonl"):
        read_log(tmp_path / "none.jsonl")
    with pytest.raises(ValueError, match="E642.*empty.jsonl"):
        read_log(write_log(tmp_path / "empty.jsonl", ""))


@pytest.mark.parametrize(
    "paths, expected",
    [
        (["a/x/log.jsonl"], ["x"]),
        (["a/x/log.jsonl", "a/y/log.jsonl"], ["x", "y"]),
        (["a/x/log.jsonl", "b/x/log.jsonl"], ["a/x", "b/x"]),
        (["a/x/log.jsonl", "a/x/log.jsonl"], ["x", "x"]),
    ],
)
def test_learning_curve_labels_tell_runs_apart(paths, expected):
    assert make_labels([Path(path) for path in paths]) == expected


def test_learning_curve_draws_what_the_log_has():
    pytest.importorskip("matplotlib")
    assert titles(draw_runs([Run("a", make_steps())])) == [
        panel.title for panel in PANELS if not panel.title.startswith("dev")
    ]
    figure = draw_runs([Run("a", make_steps(**DEV))])
    assert titles(figure) == [panel.title for panel in PANELS]
    assert labels(figure.axes[0]) == ["dev", "train", "best, step 3"]
    assert labels(figure.axes[2]) == ["P@1", "P@10", "best, step 3"]


def test_learning_curve_marks_the_last_best_step():
    pytest.importorskip("matplotlib")
    steps = [{**step, **DEV, "best": step["step"] in (0, 2)} for step in make_steps()]
    dev, mark, _ = draw_runs([Run("a", steps)]).axes[0].get_lines()
    assert list(dev.get_xdata()) == [0, 100, 200, 300]
    assert list(mark.get_xdata()) == [200] and list(mark.get_ydata()) == [0.8]


def test_learning_curve_passes_over_missing_values():
    """Before the first update there is no training loss, and a run may diverge."""
    steps = make_steps(4)
    steps[0]["loss"], steps[1]["loss"] = None, float("nan")
    assert Run("a", steps).points("loss") == ([200, 300], [0.9, 0.9])
    assert Run("a", steps).points("dev_loss") == ([], [])


def test_learning_curve_compares_runs():
    pytest.importorskip("matplotlib")
    figure = draw_runs([Run("a", make_steps(**DEV)), Run("b", make_steps())])
    (names,) = figure.legends
    assert [text.get_text() for text in names.get_texts()] == ["a", "b"]
    assert labels(figure.axes[0]) == ["dev", "train", "best"]
    colours = {line.get_color() for line in figure.axes[-1].get_lines()}
    assert len(colours) == 2

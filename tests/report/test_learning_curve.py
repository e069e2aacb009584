import json

import pytest

from spacy_charlm.report.learning_curve import PANELS, LoggedRun, draw_runs, read_runs

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
    path = write_log(tmp_path / "log.jsonl", steps[0], "", *steps[1:])
    assert read_runs([path]) == read_runs([tmp_path]) == [LoggedRun(tmp_path.name, steps)]


def test_learning_curve_reads_a_resumed_log(tmp_path):
    """The steps after the checkpoint from which a run was resumed are replaced."""
    steps = make_steps(4)
    again = [{**step, "loss": 0.5} for step in steps[2:]]
    path = write_log(tmp_path / "log.jsonl", *steps, *again)
    assert read_runs([path])[0].steps == [*steps[:2], *again]


@pytest.mark.parametrize("line", ['{"step": 1,', "[1]", {"step": 1}])
def test_learning_curve_skips_a_damaged_line(tmp_path, line):
    path = write_log(tmp_path / "log.jsonl", STEP, "", line)
    assert read_runs([path])[0].steps == [STEP]


def test_learning_curve_of_no_log(tmp_path):
    with pytest.raises(ValueError, match="E640.*none.jsonl"):
        read_runs([tmp_path / "none.jsonl"])
    with pytest.raises(ValueError, match="E642.*empty.jsonl"):
        read_runs([write_log(tmp_path / "empty.jsonl", "")])


def test_learning_curve_draws_what_the_log_has():
    pytest.importorskip("matplotlib")
    assert titles(draw_runs([LoggedRun("a", make_steps())])) == [
        panel.title for panel in PANELS if not panel.title.startswith("dev")
    ]
    figure = draw_runs([LoggedRun("a", make_steps(**DEV))])
    assert titles(figure) == [panel.title for panel in PANELS]
    assert labels(figure.axes[0]) == ["dev", "train", "best, step 3"]
    assert labels(figure.axes[2]) == ["P@1", "P@10", "best, step 3"]


def test_learning_curve_marks_the_last_best_step():
    pytest.importorskip("matplotlib")
    steps = [{**step, **DEV, "best": step["step"] in (0, 2)} for step in make_steps()]
    dev, mark, _ = draw_runs([LoggedRun("a", steps)]).axes[0].get_lines()
    assert list(dev.get_xdata()) == [0, 100, 200, 300]
    assert list(mark.get_xdata()) == [200] and list(mark.get_ydata()) == [0.8]


def test_learning_curve_passes_over_missing_values():
    """Before the first update there is no training loss, and a run may diverge."""
    steps = make_steps(4)
    steps[0]["loss"], steps[1]["loss"] = None, float("nan")
    assert LoggedRun("a", steps).points("loss") == ([200, 300], [0.9, 0.9])
    assert LoggedRun("a", steps).points("dev_loss") == ([], [])


def test_learning_curve_compares_runs():
    pytest.importorskip("matplotlib")
    figure = draw_runs([LoggedRun("a", make_steps(**DEV)), LoggedRun("b", make_steps())])
    (names,) = figure.legends
    assert [text.get_text() for text in names.get_texts()] == ["a", "b"]
    assert labels(figure.axes[0]) == ["dev", "train", "best"]
    colours = {line.get_color() for line in figure.axes[-1].get_lines()}
    assert len(colours) == 2

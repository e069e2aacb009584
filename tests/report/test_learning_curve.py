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
    ours = [panel.title for panel in PANELS if not panel.title.startswith("spacy")]
    assert titles(draw_runs([LoggedRun("a", make_steps())])) == [
        title for title in ours if not title.startswith("dev")
    ]
    figure = draw_runs([LoggedRun("a", make_steps(**DEV))])
    assert titles(figure) == ours
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


def test_learning_curve_reads_the_log_of_spacy_pretrain(tmp_path):
    """The words of a resumed run start again at zero, and the last save is logged twice."""
    lines = [(100, 10.0), (300, 20.0), (300, 20.0), (100, 4.0)]
    entries = [
        {"nr_word": words, "loss": loss, "epoch_loss": 1.0, "epoch": 0} for words, loss in lines
    ]
    write_log(tmp_path / "log.jsonl", *entries, '{"nr_word": 4')
    (run,) = read_runs([tmp_path])
    assert run.points("loss_per_1000") == ([100, 300, 400], [100.0, 50.0, 40.0])
    pytest.importorskip("matplotlib")
    both = draw_runs([run, LoggedRun("charlm", make_steps())])
    assert titles(both)[:2] == ["loss", "spacy pretrain: loss per 1,000 words"]


@pytest.mark.parametrize("n, marker, texts", [(1, "o", ["0.8", "0.9"]), (2, "o", []), (9, "", [])])
def test_learning_curve_of_a_short_run_marks_its_points(n, marker, texts):
    pytest.importorskip("matplotlib")
    axes = draw_runs([LoggedRun("a", make_steps(n, **DEV))]).axes[0]
    assert axes.get_lines()[0].get_marker() == marker
    assert [text.get_text() for text in axes.texts] == texts


def test_learning_curve_gives_a_run_one_colour_in_all_figures():
    pytest.importorskip("matplotlib")
    runs = [LoggedRun(name, make_steps()) for name in ("a", "b", "c")]
    colours = [
        {
            run.label: line.get_color()
            for run, line in zip(some, draw_runs(some).axes[0].get_lines())
        }
        for some in (runs, runs[::-1])
    ]
    assert colours[0] == colours[1] and len(set(colours[0].values())) == 3

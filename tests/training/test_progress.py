import sys
from types import SimpleNamespace

import pytest

from spacy_charlm.training import progress as module
from spacy_charlm.training.progress import ProgressBar, clock


def run_bar(monkeypatch, capsys, **settings):
    """Show the middle and the end of some work; a second passes at each look at the clock."""
    now = iter(range(1_000))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(now)))
    bar = ProgressBar("Working", **settings)
    bar.update(0.6, 600, "loss 0.5")
    bar.close(done=True)
    return capsys.readouterr()


def fake_notebook(monkeypatch, config):
    ipython = SimpleNamespace(get_ipython=lambda: SimpleNamespace(config=config))
    monkeypatch.setitem(sys.modules, "IPython", ipython)


def test_progress_bar_prints_lines_without_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(module, "SECONDS_PER_LINE", 0.0)
    output = run_bar(monkeypatch, capsys, done=0.2, words=200)
    assert "Working: 60.0%, 600 words" in output.out and "left, loss 0.5" in output.out
    assert not output.err


@pytest.mark.parametrize(
    "config, is_drawn",
    [({"IPKernelApp": {}}, True), ({"TerminalIPythonApp": {}}, False), (None, False)],
)
def test_progress_bar_is_drawn_in_a_notebook(config, is_drawn, monkeypatch, capsys):
    if config is not None:
        fake_notebook(monkeypatch, config)
    output = run_bar(monkeypatch, capsys)
    assert ("60%" in output.err and "loss 0.5" in output.err) == is_drawn
    assert "Working: 600 words" in output.out


@pytest.mark.parametrize("seconds, text", [(5, "0:05"), (65, "1:05"), (3_661, "1:01:01")])
def test_progress_clock(seconds, text):
    assert clock(seconds) == text

import io
import json
import logging
import sys

import pytest
import spacy

from spacy_charlm.training import progress
from spacy_charlm.training.progress import ProgressBar
from spacy_charlm.training.run_log import RunLog, read_log

STEPS = [{"step": i, "words": 100 * i, "loss": 1 - i / 8} for i in range(1, 5)]
AGAIN = [{**step, "loss": 0.0} for step in STEPS[2:]]


@pytest.fixture
def messages():
    """What spaCy's logger is told, whatever its level."""
    found, logger = [], logging.getLogger("spacy")
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    "lines, expected, n_damaged",
    [
        (STEPS, STEPS, 0),
        ([*STEPS, ""], STEPS, 0),
        # A resumed run replaces what came after its checkpoint.
        ([*STEPS, *AGAIN], [*STEPS[:2], *AGAIN], 0),
        ([*STEPS, STEPS[0]], STEPS[:1], 0),
        # A killed run leaves half a line.
        ([*STEPS, '{"step": 5, "wor'], STEPS, 1),
        ([*STEPS[:2], "\udcff{", "[1]", '{"step": 3}', '{"step": "3", "words": 1}'], STEPS[:2], 4),
        ([], [], 0),
        (["nonsense"], [], 1),
    ],
)
def test_run_log_reads_steps(lines, expected, n_damaged, tmp_path, messages):
    text = "\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines)
    (tmp_path / "log.jsonl").write_bytes(text.encode("utf8", "surrogateescape"))
    assert read_log(tmp_path / "log.jsonl") == expected
    assert len(messages) == bool(n_damaged)
    assert not messages or f"found {n_damaged} damaged" in messages[0] and "W521" in messages[0]


def test_run_log_without_a_file(tmp_path):
    assert read_log(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("step, n_kept", [(0, 0), (2, 2), (9, 4)])
def test_run_log_keeps_the_lines_before_a_checkpoint(step, n_kept, tmp_path, messages):
    """Damaged lines do not keep a run from being resumed; they are said and left out."""
    path = tmp_path / "log.jsonl"
    lines = "".join(json.dumps(line) + "\n" for line in STEPS)
    path.write_bytes(b"\xff{\n[1]\n" + lines.encode() + b'{"step": 5, "wor')
    log = RunLog(path, step, spacy.blank("en"), "tok2vec")
    assert len(messages) == bool(step) and all("found 3 damaged" in text for text in messages)
    assert read_log(path) == STEPS[:n_kept]
    line = {"step": 10, "epoch": 1, "words": 5_000, "seconds": 1.0, "loss": 0.5}
    log.write(line, [])
    log.close()
    assert read_log(path) == [*STEPS[:n_kept], line]


class Screen(io.StringIO):
    """What a terminal gets, from both streams."""

    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


@pytest.mark.parametrize("is_terminal", [True, False])
def test_run_log_rows_stand_above_the_bar(is_terminal, tmp_path, monkeypatch):
    screen = Screen(is_terminal)
    monkeypatch.setattr(progress, "SECONDS_PER_BAR", 0.0)
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    log = RunLog(tmp_path / "log.jsonl", 0, spacy.blank("en"), "tok2vec")
    bar = ProgressBar("Working")
    line = {
        "step": 99_999,
        "epoch": 1,
        "words": 123_456_789,
        "seconds": 1.0,
        "words_per_second": 123_456.0,
        "loss": 0.5,
        **{"dev_loss": 0.5, "dev_cosine": 0.5, "dev_p_at_1": 0.1, "dev_p_at_10": 0.5},
        **{"no_target": 0.2, "memory_mb": 1_234.0, "best": True},
    }
    for done in (0.5, 0.9):
        bar.update(done, 100, "loss {0.5}")
        log.write(line, [])
    bar.close(done=False)
    text = screen.getvalue()
    rows = [found for found in text.split("\n") if "123,456,789" in found]
    assert len(rows) == 2
    for row in rows:
        *before, shown = row.split("\r")
        assert shown.startswith("* 99,999 123,456,789") and len(shown) < 80
        # The bar has been erased, and is drawn again below.
        assert not is_terminal or not before[-1].strip()
    after = text.rpartition("123,456,789")[2].partition("\n")[2]
    assert ("90%" in after and "| 100 words" in after) == is_terminal

"""The log of a pretraining run: one JSON object per line, and a table on the screen."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import srsly
from spacy.language import Language
from spacy.util import logger as spacy_logger
from wasabi import msg

from ..errors import Errors
from ..files import write_whole
from .progress import above_bar

# Head, form and width by name in the log. With a space in between, a row has 79 characters.
COLUMNS = {
    "step": ("#", "{:,}", 8),
    "words": ("words", "{:,}", 11),
    "loss": ("loss", "{:.4f}", 6),
    "dev_loss": ("dev loss", "{:.4f}", 8),
    "dev_cosine": ("cosine", "{:.3f}", 6),
    "dev_p_at_1": ("P@1", "{:.1%}", 5),
    "dev_p_at_10": ("P@10", "{:.1%}", 5),
    "no_target": ("no target", "{:.1%}", 9),
    "words_per_second": ("words/s", "{:,.0f}", 7),
    "memory_mb": ("MB", "{:,.0f}", 5),
}


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read the log of a run.

    Damaged lines, such as the last one of a run that was killed, are skipped with one warning. If a
    run was resumed, its new lines replace those that it had written after the checkpoint.

    path (Path): The file `log.jsonl`.
    RETURNS (List[Dict[str, Any]]): The steps, each with a number of "step" and "words", ascending.
        Empty if the file is missing or has no step.
    """
    steps: list[dict[str, Any]] = []
    damaged: list[int] = []
    lines = path.read_bytes().splitlines() if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        step = _parse_step(line)
        if step is not None:
            while steps and steps[-1]["step"] >= step["step"]:
                steps.pop()
            steps.append(step)
        elif line.strip():
            damaged.append(number)
    if damaged:
        spacy_logger.warning(Errors.W521.format(path=path, n=len(damaged), first=damaged[0]))
    return steps


def _parse_step(line: bytes) -> dict[str, Any] | None:
    try:
        step = srsly.json_loads(line)
    except ValueError:
        return None
    is_step = isinstance(step, dict) and all(
        type(step.get(name)) in (int, float) for name in ("step", "words")
    )
    return step if is_step else None


class RunLog:
    """Writes `log.jsonl` and shows its lines as a table.

    path (Path): The file. Lines after `step`, written by a run that was killed, are removed.
    step (int): The step at which the run continues; 0 for a new run.
    nlp (Language): The pipeline, for the logger.
    component (str): Name of the component whose tok2vec is pretrained.
    logger (Optional[Callable]): A logger of spaCy, as in `[training.logger]`, instead of the table.
    """

    def __init__(
        self,
        path: Path,
        step: int,
        nlp: Language,
        component: str,
        logger: Callable[..., Any] | None = None,
    ) -> None:
        self.path = path
        self._component = component
        self._pipes = [name for name, pipe in nlp.pipeline if getattr(pipe, "is_trainable", False)]
        kept = [line for line in read_log(path) if line["step"] <= step] if step else []
        write_whole(path, [(srsly.json_dumps(line) + "\n").encode("utf8") for line in kept])
        self._log_step: Callable[[dict[str, Any]], None] | None = None
        self._finalize: Callable[[], None] | None = None
        if logger is not None:
            self._log_step, self._finalize = logger(nlp, sys.stdout, sys.stderr)
        else:
            _show_row([head for head, _, _ in COLUMNS.values()])
            _show_row(["-" * width for _, _, width in COLUMNS.values()])

    def write(self, line: dict[str, Any], scores: list[tuple[float, int]]) -> None:
        """Write one line.

        line (Dict[str, Any]): Flat, with at least "step", "epoch", "words", "seconds" and "loss".
        scores (List[Tuple[float, int]]): Score and step of each evaluation, for loggers of spaCy.
        RAISES (OSError): If the file cannot be written.
        """
        try:
            with self.path.open("a", encoding="utf8") as file_:
                file_.write(srsly.json_dumps(line) + "\n")
        except OSError as err:
            raise OSError(Errors.E520.format(path=self.path, reason=err)) from err
        if self._log_step is not None:
            self._log_step(
                {
                    **{name: line[name] for name in ("epoch", "step", "seconds", "words")},
                    "score": line.get("score", 0.0),
                    "other_scores": {name: line[name] for name in COLUMNS if name in line},
                    "losses": {**dict.fromkeys(self._pipes, 0.0), self._component: line["loss"]},
                    "checkpoints": scores,
                }
            )
            return
        cells = [
            form.format(line[name]) if name in line else ""
            for name, (_, form, _) in COLUMNS.items()
        ]
        if line.get("best"):
            cells[0] = f"* {cells[0]}"
        _show_row(cells)

    def close(self) -> None:
        """Let the logger finish."""
        if self._finalize is not None:
            self._finalize()


def _show_row(cells: list[str]) -> None:
    """Print a row of the table, as a line of its own above the progress bar."""
    widths = [width for _, _, width in COLUMNS.values()]
    with above_bar():
        msg.row(cells, widths=widths, aligns=["r"] * len(cells), spacing=1)

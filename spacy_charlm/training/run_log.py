"""The log of a pretraining: lines of JSON, and a table or what a logger of spaCy shows."""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import srsly
from spacy.language import Language
from wasabi import msg

from ..errors import Errors
from ..files import write_whole

COLUMNS = {
    "step": ("#", "{:,}"),
    "words": ("words", "{:,}"),
    "loss": ("loss", "{:.4f}"),
    "dev_loss": ("dev loss", "{:.4f}"),
    "dev_cosine": ("cosine", "{:.3f}"),
    "dev_p_at_1": ("P@1", "{:.1%}"),
    "dev_p_at_10": ("P@10", "{:.1%}"),
    "no_target": ("no target", "{:.1%}"),
    "words_per_second": ("words/s", "{:,.0f}"),
    "memory_mb": ("MB", "{:,.0f}"),
}
WIDTHS = (9, 13, 8, 8, 6, 6, 6, 9, 7, 6)


class RunLog:
    """Keep `log.jsonl` and show its lines as a table.

    path (Path): The file. Lines of steps after `step`, which a killed run has left, are removed.
    step (int): Where the run goes on; 0 for a new one.
    nlp (Language): The pipeline, for the logger.
    component (str): The component whose tok2vec is pretrained.
    logger (Optional[Callable]): A logger of spaCy, as `[training.logger]` has it, in place of our
        table.
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
        kept = [line for line in _read_steps(path) if line["step"] <= step] if step else []
        write_whole(path, [(srsly.json_dumps(line) + "\n").encode("utf8") for line in kept])
        self._log_step: Callable[[dict[str, Any]], None] | None = None
        self._finalize: Callable[[], None] | None = None
        if logger is not None:
            self._log_step, self._finalize = logger(nlp, sys.stdout, sys.stderr)
        else:
            msg.row([head for head, _ in COLUMNS.values()], widths=WIDTHS, aligns=["r"] * 10)
            msg.row(["-" * width for width in WIDTHS])

    def write(self, line: dict[str, Any], checkpoints: list[tuple[float, int]]) -> None:
        """Write one line.

        line (Dict[str, Any]): Flat; "step", "epoch", "words", "seconds" and "loss" at least.
        checkpoints (List[Tuple[float, int]]): Score and step of the evaluations, as loggers of
            spaCy want them.
        RAISES (OSError): If it cannot be written.
        """
        try:
            with self.path.open("a", encoding="utf8") as file_:
                file_.write(srsly.json_dumps(line) + "\n")
        except OSError as err:
            raise OSError(Errors.E520.format(path=self.path, reason=err)) from err
        if self._log_step is not None:
            losses = {name: 0.0 for name in self._pipes}
            losses[self._component] = line["loss"]
            scores = {name: value for name, value in line.items() if name in COLUMNS}
            self._log_step(
                {
                    **{name: line[name] for name in ("epoch", "step", "seconds", "words")},
                    "score": line.get("score", 0.0),
                    "other_scores": scores,
                    "losses": losses,
                    "checkpoints": checkpoints,
                }
            )
            return
        cells = [
            form.format(line[name]) if name in line else "" for name, (_, form) in COLUMNS.items()
        ]
        if line.get("best"):
            cells[0] = f"* {cells[0]}"
        msg.row(cells, widths=WIDTHS, aligns=["r"] * 10)

    def close(self) -> None:
        """Let the logger finish."""
        if self._finalize is not None:
            self._finalize()


def _read_steps(path: Path) -> list[dict[str, Any]]:
    """Read a log, but for a last line that a kill has cut."""
    lines = []
    if path.is_file():
        for text in path.read_text(encoding="utf8").splitlines():
            with suppress(ValueError):
                lines.append(srsly.json_loads(text))
    return lines

"""spaCy's console logger, with a file that has each evaluation as soon as it has ended."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import srsly
from spacy.language import Language
from spacy.util import registry


def create_console_logger_v1(
    progress_bar: str | None = None,
    console_output: bool = True,
    output_file: str | None = None,
) -> Callable[..., tuple[Callable[..., None], Callable[[], None]]]:
    """Create a logger like `spacy.ConsoleLogger.v3` whose file can be read during the training.

    spaCy's own logger keeps the lines in memory until there are many, or the training ends.

    progress_bar (Optional[str]): "train", "eval" or None, as in spaCy.
    console_output (bool): Whether to print a row at each evaluation.
    output_file (Optional[str]): A new JSONL file, with one line per evaluation: "epoch", "step",
        "score" (0 to 1) and "scores", all numbers by name, in per cent except for "speed".
    RETURNS (Callable): The logger.
    """
    make = registry.get("loggers", "spacy.ConsoleLogger.v3")
    inner = make(progress_bar=progress_bar, console_output=console_output, output_file=None)

    def set_up(
        nlp: Language, stdout: IO[str] = sys.stdout, stderr: IO[str] = sys.stderr
    ) -> tuple[Callable[..., None], Callable[[], None]]:
        log_step, finalize = inner(nlp, stdout, stderr)
        path = Path(output_file) if output_file else None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("", encoding="utf8")

        def log(info: dict[str, Any] | None) -> None:
            log_step(info)
            if info is None or path is None:
                return
            scores = {
                name: value if name == "speed" else 100 * value
                for name, value in info["other_scores"].items()
                if isinstance(value, int | float)
            }
            line = {name: info[name] for name in ("epoch", "step", "score")} | {"scores": scores}
            with path.open("a", encoding="utf8") as file_:
                file_.write(srsly.json_dumps(line) + "\n")

        return log, finalize

    return set_up

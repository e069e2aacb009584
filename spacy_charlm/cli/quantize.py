"""`charlm quantize`: a pipeline with smaller files."""

from pathlib import Path
from typing import Annotated

import typer
from spacy.cli._util import import_code
from wasabi import msg

from .show_errors import show_errors


@show_errors("The pipeline cannot be quantised.")
def quantize_cli(
    pipeline: Annotated[str, typer.Argument(help="Trained pipeline, a folder or a package")],
    output: Annotated[Path, typer.Argument(help="Folder to save it to, new or empty")],
    dtype: Annotated[
        str, typer.Option(help="int8, with a scale for each row of an array, or float16")
    ] = "int8",
    keep_strings: Annotated[
        bool,
        typer.Option("--keep-strings", help="Keep the words of the training texts in the vocab"),
    ] = False,
    code_path: Annotated[Path | None, typer.Option("--code", "-c", help="Code to import")] = None,
) -> None:
    """Save a pipeline with arrays of 8 or 16 bits per number instead of 32.

    spacy.load and spacy package take the result like any other pipeline, where spacy-charlm is
    installed. In memory the arrays are float32 again, so it is as fast as before.
    """
    from ..evaluation.robustness import load_pipeline
    from ..pipeline.quantize import quantize_pipeline

    import_code(code_path)
    nlp = load_pipeline(pipeline)
    quantize_pipeline(nlp, output, dtype, keep_strings=keep_strings)
    before, after = _measure(nlp.path), _measure(output)
    rows = [
        (name, *(f"{sizes[name]:,}" if name in sizes else "–" for sizes in (before, after)))
        for name in sorted({*before, *after})
    ]
    total = [f"{sum(sizes.values()):,}" for sizes in (before, after)]
    header = ("", "bytes before", "bytes after")
    msg.table([*rows, ("all", *total)], header=header, divider=True, aligns=("l", "r", "r"))
    msg.good(f"Saved the pipeline to {output}")


def _measure(folder: Path) -> dict[str, int]:
    """Measure the files of a pipeline, those of a component or of the vocab together."""
    sizes: dict[str, int] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            name = path.relative_to(folder).parts[0]
            sizes[name] = sizes.get(name, 0) + path.stat().st_size
    return sizes

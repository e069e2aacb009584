"""`charlm vectors`: vectors trained on raw text, or computed by a transformer."""

from pathlib import Path
from typing import Annotated

import typer
from spacy.cli._util import import_code, parse_config_overrides, show_validation_error
from wasabi import msg

from .gpu import GpuId, use_gpu
from .show_errors import show_errors
from .show_progress import show_progress


@show_errors("The vectors cannot be trained.")
def train_cli(
    text: Annotated[Path, typer.Argument(help="Raw text: .txt, .jsonl, .spacy, .gz or a folder")],
    output: Annotated[Path, typer.Argument(help="Folder to write to, in spaCy's format")],
    mode: Annotated[str, typer.Option(help="document or window")] = "document",
    ngrams: Annotated[int, typer.Option(help="1: words; 2: words and bigrams")] = 1,
    dim: Annotated[int, typer.Option(help="Width of a vector")] = 100,
    epochs: Annotated[int, typer.Option(help="Passes over the text")] = 20,
    rows: Annotated[int, typer.Option(help="Most words and bigrams to keep")] = 120_000,
    min_count: Annotated[int, typer.Option(help="Texts that must contain a word")] = 5,
    idf: Annotated[
        bool | None,
        typer.Option("--idf/--no-idf", help="Vectors as long as the idf; default: with bigrams"),
    ] = None,
    subwords: Annotated[
        bool, typer.Option("--subwords", help="Vectors for any word, as in floret")
    ] = False,
    cased: Annotated[bool, typer.Option("--cased", help="Keep upper case")] = False,
    max_words: Annotated[int, typer.Option(help="Words to read; 0: all")] = 0,
    lang: Annotated[str, typer.Option(help="Language of the text")] = "en",
    seed: Annotated[int, typer.Option(help="Seed")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue after Ctrl-C")] = False,
    gpu_id: GpuId = -1,
) -> None:
    """Train word vectors on raw text: what pretraining then predicts.

    With the mode document, words that occur in the same texts get similar vectors: best for
    classifying texts. With the mode window, words with the same neighbours do.
    """
    from ..training.progress import ProgressBar
    from ..vectors.train_vectors import VectorSettings, train_vectors

    settings = VectorSettings(
        mode=mode,  # type: ignore[arg-type]
        ngrams=ngrams,
        dim=dim,
        epochs=epochs,
        rows=rows,
        min_count=min_count,
        idf=idf,
        subwords=subwords,
        lower=not cased,
        max_words=max_words,
        lang=lang,
        seed=seed,
    )
    use_gpu(gpu_id)
    bar: ProgressBar | None = None

    def show(title: str, done: float, words: int, note: str) -> None:
        nonlocal bar
        if bar is None or bar.title != title:
            if bar is not None:
                bar.close(done=True)
            bar = ProgressBar(title)
        bar.update(done, words, note)

    complete = False
    try:
        trained = train_vectors(text, output, settings, resume=resume, show=show)
        complete = not trained.stopped
    finally:
        if bar is not None:
            bar.close(done=complete)
    if trained.stopped:
        msg.warn(f"Stopped after {trained.epoch} passes. Add --resume to continue.")
        raise typer.Exit(130)
    msg.good(f"{trained.rows:,} rows of width {dim}, from {trained.texts:,} texts: {output}")


@show_errors("The cache cannot be filled.")
def cache_cli(
    ctx: typer.Context,
    config_path: Annotated[
        Path, typer.Argument(help="Config for spacy pretrain", exists=True, dir_okay=False)
    ],
    code_path: Annotated[Path | None, typer.Option("--code", "-c", help="Code to import")] = None,
) -> None:
    """Encode all texts of a pretraining ahead, so that it needs no transformer.

    A run that was stopped can be continued: texts in the cache are not encoded again. Override
    settings of the config as in spaCy: --paths.raw_text texts.jsonl
    """
    from ..training.fill_cache import fill_cache
    from ..training.read_config import read_config

    overrides = parse_config_overrides(ctx.args)
    import_code(code_path)
    stopped = "Stopped. Run the same command again to continue."
    with show_progress("Encoding", stopped) as show, show_validation_error(config_path):
        config = read_config(config_path, overrides)
        added, total = fill_cache(config, show)
    msg.good(f"{added:,} texts added, {total:,} in all")


@show_errors("The table cannot be made.")
def distil_cli(
    model: Annotated[str, typer.Argument(help="Name on the Hugging Face hub, or a folder")],
    words: Annotated[Path, typer.Argument(help="Words, one per line", exists=True, dir_okay=False)],
    output: Annotated[Path, typer.Argument(help="Folder to write to, in spaCy's format")],
    layer: Annotated[str, typer.Option(help="pieces, last, or numbers with commas")] = "last",
    pooling: Annotated[str, typer.Option(help="mean or first")] = "mean",
    lang: Annotated[str, typer.Option(help="Language of the words")] = "en",
) -> None:
    """Make a table of static word vectors from a transformer, as target or input."""
    from ..targets.distil_vectors import distil_vectors
    from ..targets.transformer_vectors import TransformerVectors

    given = _read_layer(layer)
    lines = words.read_text(encoding="utf8").splitlines()
    found = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    with show_progress("Encoding") as show:
        target = TransformerVectors(model, layer=given, pooling=pooling, on_misaligned="skip")
        kept = distil_vectors(target, found, output, lang, show)
    msg.good(f"{kept:,} words of {len(found):,}, width {target.nO}: {output}")


def _read_layer(text: str) -> str | int | list[int]:
    """Parse "last", "6" or "5, 6". The encoder rejects other names."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        return text
    return numbers[0] if len(numbers) == 1 else numbers

"""`charlm init`: write a complete config, or put our layers into the user's own."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from spacy.cli._util import COMMAND, parse_config_overrides, show_validation_error
from wasabi import msg

from ..errors import Errors
from ..files import make_folder
from .show_errors import show_errors

PREFIX = f"# {COMMAND} charlm init "


@show_errors("The config cannot be written.")
def init_cli(
    ctx: typer.Context,
    output: Annotated[
        Path, typer.Argument(help="File to save the config to, or - for stdout", allow_dash=True)
    ],
    task: Annotated[
        str | None,
        typer.Option(
            help="pretrain, textcat, textcat_multilabel, ner, tagger, parser (with a tagger) or "
            "words (suggest words)  [default: pretrain]",
            show_default=False,
        ),
    ] = None,
    objective: Annotated[
        str,
        typer.Option(
            help="What pretraining predicts: words, trigram, head, document, transformer, "
            "denoising, multi, topics or word_ids; spaCy's PretrainVectors for comparisons; none"
        ),
    ] = "words",
    loss: Annotated[
        str | None,
        typer.Option(
            help="cosine, squared_error or contrastive; for word_ids sampled_softmax or "
            "cross_entropy  [default: the first that fits]",
            show_default=False,
        ),
    ] = None,
    head: Annotated[str, typer.Option(help="maxout, or linear for averages of vectors")] = "maxout",
    lang: Annotated[
        str | None,
        typer.Option("--lang", "-l", help="Language code  [default: en]", show_default=False),
    ] = None,
    vectors: Annotated[str | None, typer.Option(help="Path of the vectors to predict")] = None,
    table: Annotated[
        str | None, typer.Option(help="Path of word vectors for a table in the embed layer")
    ] = None,
    gpu: Annotated[bool, typer.Option("--gpu", "-G", help="Train and predict on a GPU")] = False,
    optimize: Annotated[
        str,
        typer.Option(
            "--optimize",
            "-o",
            help="efficiency; speed: no context; accuracy: a wider and deeper tok2vec",
        ),
    ] = "efficiency",
    lmao: Annotated[bool, typer.Option("--lmao", help="Pretrain during training")] = False,
    typos: Annotated[
        bool, typer.Option("--typos", help="Train on a copy of each text with typos, too")
    ] = False,
    embed: Annotated[
        str,
        typer.Option(help="CharCNN; spaCy's MultiHashEmbed or CharacterEmbed for comparisons"),
    ] = "CharCNN",
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Your pipeline's config, to insert all this into",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    component: Annotated[
        str | None, typer.Option(help="With --from: the component with the tok2vec")
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Run the command in the first line of this config, or of all in this folder",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", "-F", help="Overwrite the output file")] = False,
) -> None:
    """Write a complete config for pretraining, for training, or for both.

    With --from, your own pipeline gets our embed layer and pretraining; the rest of your config
    stays as it is, except for its comments, which are lost.
    Settings can be changed as in spaCy's commands: --components.tok2vec.model.embed.width 128
    """
    if again:
        _write_again(ctx, output)
        return
    is_stdout = str(output) == "-"
    if not is_stdout and output.exists() and not force:
        msg.fail(f"{output} already exists. To overwrite it, add --force or -F.", exits=1)
    text, notes, commands = _make(ctx)
    if is_stdout:
        typer.echo(text, nl=False)
        return
    make_folder(output.parent)
    output.write_text(text, encoding="utf8")
    for note in notes:
        if note.startswith("[charlm W"):
            msg.warn(note)
        else:
            msg.text(f"- {note}")
    msg.good("Saved config", output)
    msg.text("You can now add your data:")
    for command in commands:
        typer.echo(command)


def _make(ctx: typer.Context) -> tuple[str, list[str], list[str]]:
    """Make the text of a config, what is to be said of it, and the next commands."""
    from dataclasses import fields

    from thinc.api import Config

    from ..training.init_config import (
        ConfigOptions,
        describe_config,
        init_config,
        insert_pretraining,
        next_commands,
    )
    from ..training.read_config import read_config

    given = {field.name: ctx.params[field.name] for field in fields(ConfigOptions)}
    source, component = ctx.params["source"], ctx.params["component"]
    path = ctx.params["output"].as_posix()
    path = "config.cfg" if path == "-" else path
    if source:
        for name in ("task", "lang"):
            if given.pop(name):
                expected = f"the {name} of the config that --from names"
                raise ValueError(Errors.E541.format(expected=expected, found=f"--{name}"))
    elif component:
        raise ValueError(Errors.E541.format(expected="--from", found="--component"))
    options = ConfigOptions(**{name: value for name, value in given.items() if value is not None})
    notes: list[str] = []
    with show_validation_error(hint_fill=False):
        if source:
            config = read_config(source)
            config, notes = insert_pretraining(config, options, component)
        else:
            config = init_config(options)
        overrides = parse_config_overrides(list(ctx.args))
        config = Config().from_str(
            config.to_str(interpolate=False), overrides=overrides, interpolate=False
        )
    commands = next_commands(config, path, options.gpu)
    lines = commands if source else describe_config(config, options, path)
    header = "".join(f"# {line}\n" for line in lines)
    text = f"{PREFIX}{path} {_write_arguments(ctx)}".rstrip() + f"\n{header}\n"
    return text + config.to_str(interpolate=False) + "\n", notes, commands


def _write_arguments(ctx: typer.Context) -> str:
    """Write the options that were given."""
    words: list[str] = []
    for parameter in ctx.command.params:
        name = parameter.name or ""
        where = ctx.get_parameter_source(name)
        if name in ("output", "force") or where is None or where.name != "COMMANDLINE":
            continue
        value = ctx.params[name]
        words.append(parameter.opts[0])
        if value is not True:
            words.append(value.as_posix() if isinstance(value, Path) else str(value))
    return shlex.join([*words, *ctx.args])


def _write_again(ctx: typer.Context, output: Path) -> None:
    """Write configs by the command in their first line."""
    paths = [output]
    if output.is_dir():
        paths = [path for path in sorted(output.rglob("*.cfg")) if _read_command(path)]
    for path in paths:
        if not (command := _read_command(path)):
            found = path.read_text(encoding="utf8").partition("\n")[0]
            raise ValueError(Errors.E547.format(path=path, found=found))
        other: Any = ctx.command.make_context("init", shlex.split(command))
        text, _, _ = _make(other)
        path.write_text(text, encoding="utf8")
        msg.good("Saved config", path)


def _read_command(path: Path) -> str:
    """Read the arguments of the command in the first line of a config; "" if there is none."""
    line = path.read_text(encoding="utf8").partition("\n")[0]
    return line.removeprefix(PREFIX) if line.startswith(PREFIX) else ""

"""Write docs/reference.md, every registered name, setting and command, from the docstrings.

python scripts/write_reference.py            write the page
python scripts/write_reference.py --check    end with 1 if the page is out of date
"""

import configparser
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import srsly
import typer
from wasabi import msg

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference.md"
SECTIONS = {
    "spacy_architectures": ("Architectures", "`@architectures`"),
    "spacy_misc": ("Targets, losses, maskings, typos", "`@misc`"),
    "spacy_readers": ("Corpus readers", "`@readers`"),
    "spacy_augmenters": ("Augmenters", "`@augmenters`"),
    "thinc_optimizers": ("Optimizers", "`@optimizers`"),
    "thinc_schedules": ("Schedules", "`@schedules`"),
    "spacy_callbacks": ("Callbacks", "`@callbacks`"),
    "spacy_loggers": ("Loggers", "`@loggers`"),
    "spacy_factories": ("Components", "`factory`"),
}
INTRODUCTION = """# Reference

Every name that this package registers, with its settings, their types and defaults, and every
command. `python scripts/write_reference.py` writes this page from the docstrings; a test fails if
it is out of date.
"""
SETTING = re.compile(r"^(\*{0,2}\w+) \((.+?)\): (.*)$")
END = re.compile(r"^(RETURNS|RAISES|YIELDS|\*\*Shapes\*\*|Shapes)")
EMPTY = inspect.Parameter.empty


class Docs(NamedTuple):
    """A docstring in pieces: the text, settings as (type, description), and the closing lines."""

    text: str
    settings: dict[str, tuple[str, str]]
    closing: list[str]


def main(
    check: Annotated[bool, typer.Option("--check", help="Only compare with the page")] = False,
) -> None:
    """Write the page, or compare it."""
    text = make_reference()
    if not check:
        PAGE.write_text(text, encoding="utf8")
        msg.good(f"Wrote {PAGE.relative_to(ROOT)}")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf8") != text:
        msg.fail("docs/reference.md is out of date.", "Run: python scripts/write_reference.py")
        raise typer.Exit(1)


def make_reference() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION]
    setup = configparser.ConfigParser()
    setup.optionxform = str  # type: ignore[assignment,method-assign]
    setup.read(ROOT / "setup.cfg", encoding="utf8")
    points = setup["options.entry_points"]
    for group, (title, key) in SECTIONS.items():
        parts.append(f"## {title}\n\nNamed in a config by {key}.\n")
        for line in points[group].strip().splitlines():
            name, value = (part.strip() for part in line.split("=", maxsplit=1))
            module, attr = value.split(":")
            parts += _describe(name, getattr(importlib.import_module(module), attr), group)
    parts += _describe_settings()
    parts += _describe_commands()
    return "\n".join(parts).rstrip() + "\n"


def split_docstring(docstring: str) -> Docs:
    """Split a docstring of the form that this project uses.

    docstring (str): `inspect.getdoc` of a function or class.
    RETURNS (Docs): Its pieces, each joined to one line or paragraph.
    """
    text: list[str] = []
    settings: dict[str, tuple[str, str]] = {}
    closing: list[str] = []
    current: list[str] = text
    name = ""
    for line in docstring.splitlines():
        found = SETTING.match(line)
        if END.match(line):
            closing.append(line)
            current = closing
        elif found:
            name = found[1]
            settings[name] = (found[2], found[3])
            current = []
        elif current is text:
            text.append(line)
        elif current is closing:
            if line.strip():
                closing[-1] += f" {line.strip()}"
        elif line.strip():
            kind, description = settings[name]
            settings[name] = (kind, f"{description} {line.strip()}")
    paragraphs = re.split(r"\n\s*\n", "\n".join(text).strip())
    return Docs("\n\n".join(" ".join(p.split()) for p in paragraphs), settings, closing)


def _describe(name: str, thing: Callable[..., Any], group: str) -> Iterator[str]:
    docs = split_docstring(inspect.getdoc(thing) or "")
    defaults = {
        key: parameter.default for key, parameter in inspect.signature(thing).parameters.items()
    }
    if group == "spacy_factories":
        from spacy.language import Language

        config = Language.get_factory_meta(name).default_config
        defaults = {key: config.get(key, EMPTY) for key in defaults if key not in ("nlp", "name")}
    yield f"### `{name}`\n\n{docs.text}\n"
    rows = [
        (
            f"`{key}`",
            f"`{docs.settings[key][0]}`" if key in docs.settings else "",
            _show(value),
            docs.settings.get(key, ("", ""))[1],
        )
        for key, value in defaults.items()
    ]
    if rows:
        yield _table(("setting", "type", "default", "meaning"), rows)
    kept = [line for line in docs.closing if "Shapes" in line]
    if kept:
        yield "\n\n".join(line.replace("**Shapes**", "Shapes:") for line in kept) + "\n"


def _describe_settings() -> Iterator[str]:
    from spacy_charlm.training.settings import Settings

    yield (
        "## The section `[charlm]`\n\nSettings of `charlm pretrain`. spaCy's own commands ignore "
        "them.\n"
    )
    rows = [
        (f"`{name}`", _show(field.default), field.title or "")
        for name, field in Settings.model_fields.items()
    ]
    yield _table(("setting", "default", "meaning"), rows)


def _describe_commands() -> Iterator[str]:
    from spacy_charlm.cli import app

    yield "## Commands\n\nCalled as `python -m spacy charlm COMMAND`.\n"
    yield from _walk(typer.main.get_command(app), [])


def _walk(command: Any, names: list[str]) -> Iterator[str]:
    for name, child in getattr(command, "commands", {}).items():
        if getattr(child, "commands", None):
            yield from _walk(child, [*names, name])
            continue
        help_text = "\n\n".join(
            " ".join(p.split()) for p in re.split(r"\n\s*\n", inspect.cleandoc(child.help or ""))
        )
        yield f"### `charlm {' '.join([*names, name])}`\n\n{help_text}\n"
        rows = []
        for param in child.params:
            if param.name == "help":
                continue
            is_argument = param.param_type_name == "argument"
            label = param.name.upper() if is_argument else ", ".join(param.opts)
            default = "required" if param.required else _show(param.default)
            rows.append((f"`{label}`", default, (getattr(param, "help", "") or "").strip()))
        yield _table(("argument or option", "default", "meaning"), rows)


def _show(value: Any) -> str:
    """Write a default as in a config."""
    if value is EMPTY:
        return "required"
    if isinstance(value, dict):
        return "a block"
    if callable(value):
        return ""
    return f"`{srsly.json_dumps(str(value) if isinstance(value, Path) else value)}`"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return (
        "\n".join(
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
        )
        + "\n"
    )


if __name__ == "__main__":
    typer.run(main)

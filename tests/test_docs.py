"""README and docs: what they link to, and what they tell to type, exists."""

import configparser
import re
import shlex
from pathlib import Path

import pytest
import srsly
import typer
from spacy.util import registry

from spacy_charlm.cli import app

ROOT = Path(__file__).parents[1]
if not (ROOT / "docs").is_dir():
    pytest.skip("docs/ is not next to tests/", allow_module_level=True)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
COMMANDS = typer.main.get_command(app)
PROJECT = srsly.read_yaml(ROOT / "project.yml")


def slug(title):
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def anchors(path):
    text = BLOCK.sub("", path.read_text(encoding="utf8"))
    return {slug(title) for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def blocks(kind):
    found = []
    for page in PAGES:
        for i, (name, code) in enumerate(BLOCK.findall(page.read_text(encoding="utf8"))):
            if name == kind:
                found.append(pytest.param(code, id=f"{page.stem}-{i}"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_docs_links_resolve(page):
    text = BLOCK.sub("", page.read_text(encoding="utf8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http:", "https:")):
            continue
        name, _, anchor = link.partition("#")
        path = (page.parent / name).resolve() if name else page
        if path.is_relative_to(ROOT / "spacy_charlm") and not (ROOT / "spacy_charlm").is_dir():
            continue  # CI tests the wheel, without the package in the source tree
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


def find_commands(code):
    """The arguments of every `spacy charlm` command of a shell block."""
    for line in code.replace("\\\n", " ").splitlines():
        if "spacy charlm" in line:
            yield shlex.split(line.split("spacy charlm", 1)[1], comments=True)


@pytest.mark.parametrize("code", blocks("bash"))
def test_docs_commands_and_options_exist(code):
    for words in find_commands(code):
        command = COMMANDS
        while hasattr(command, "commands"):
            assert words and words[0] in command.commands, words
            command = command.commands[words.pop(0)]
        known = {option for param in command.params for option in param.opts}
        for option in (word.split("=")[0] for word in words if word.startswith("--")):
            # Dotted options override settings of a config.
            assert option in known or "." in option, (command.name, option)
            if "." in option:
                assert command.context_settings.get("ignore_unknown_options"), (
                    command.name,
                    option,
                )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_docs_files_and_workflows_exist(page):
    text = page.read_text(encoding="utf8")
    for name in re.findall(r"\b(?:configs|scripts|benchmarks)/[\w/]+\.(?:cfg|yml|py|sh)\b", text):
        assert (ROOT / name).exists(), name
    known = {*PROJECT["workflows"], *(command["name"] for command in PROJECT["commands"])}
    for name in re.findall(r"spacy project run ([\w-]+)", text):
        assert name in known, name
    for name in re.findall(r"`(\w+)\.cfg`", text):
        found = list((ROOT / "configs").rglob(f"{name}.cfg"))
        assert found or name in ("pretrain", "setup", "train"), name


@pytest.mark.parametrize("code", blocks("ini"))
def test_docs_config_blocks_parse(code):
    # Parts of configs: sections above them stand in the user's own.
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(code)
    assert parser.sections()
    for kind, name in re.findall(r"@(\w+) = \"([^\"]+)\"", code):
        assert callable(registry.get(kind, name))


@pytest.mark.parametrize("code", blocks("python"))
def test_docs_python_blocks_compile(code):
    compile(code, "docs", "exec")


def test_docs_lines_of_prose_end_at_100_characters():
    for page in PAGES:
        if page.name == "reference.md":
            continue
        text = BLOCK.sub("", page.read_text(encoding="utf8"))
        text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        for line in text.splitlines():
            if not re.match(r"\s*(\||!\[|<!--)", line) and "](http" not in line:
                assert len(line) <= 110, (page.name, line)

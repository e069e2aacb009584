"""README and docs: links resolve; commands, options, settings, files and names exist."""

import ast
import configparser
import inspect
import re
import shlex
from pathlib import Path

import pytest
import srsly
import typer
from spacy.cli._util import app as spacy_app
from spacy.util import load_config, registry
from thinc.api import Config

from spacy_charlm.cli import app
from spacy_charlm.training.settings import Settings

ROOT = Path(__file__).parents[1]
if not (ROOT / "docs").is_dir():
    pytest.skip("docs/ is not next to tests/", allow_module_level=True)
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [*DOCS, ROOT / "CONTRIBUTING.md", ROOT / "assets" / "README.md"]
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
GENERATED = re.compile(r"^<!-- compare -->.*?^<!-- /compare -->", re.DOTALL | re.MULTILINE)
ROOMS = "architectures|cli|decoding|evaluation|layers|noise|objectives|pipeline|report|runs|targets"
MODULE = re.compile(rf"(?<!/)\b((?:{ROOMS}|text|training)/\w+\.(?:py|cu))\b")
DOT = re.compile(r"\.")
SPACY = typer.main.get_command(spacy_app)
CHARLM = typer.main.get_command(app)
PROJECT = srsly.read_yaml(ROOT / "project.yml")
SETUP = configparser.ConfigParser()
SETUP.optionxform = str
SETUP.read(ROOT / "setup.cfg", encoding="utf8")


def read(page):
    return page.read_text(encoding="utf8")


def anchors(path):
    """The anchors that GitHub gives the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", BLOCK.sub("", read(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def blocks(kind):
    """The code blocks of a kind, each with its page as id; those in lists without indent."""
    return [
        pytest.param(inspect.cleandoc(f"\n{code}"), id=f"{page.stem}-{i}")
        for page in PAGES
        for i, (name, code) in enumerate(BLOCK.findall(read(page)))
        if name == kind
    ]


def commands(text):
    """The words of each command that begins with `python` or `spacy`, environment left out."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            while words and (re.fullmatch(r"\w+=\S*", words[0])):
                words.pop(0)
            if words and words[0].rpartition("/")[2] in ("python", "python3"):
                yield words[1:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_docs_links_resolve(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", read(page))):
        if link.startswith(("http:", "https:")):
            continue
        name, _, anchor = link.partition("#")
        path = (page.parent / name).resolve() if name else page
        if path.is_relative_to(ROOT / "spacy_charlm") and not (ROOT / "spacy_charlm").is_dir():
            continue  # CI tests the wheel, without the package in the source tree
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


@pytest.mark.parametrize("code", blocks("bash"))
def test_docs_commands_exist(code):
    for words in commands(code):
        if words[:2] == ["-m", "spacy"]:
            check_spacy(words[2:])
        elif words[0].endswith(".py"):
            check_script(words)


def find_command(group, words):
    """Find a command by its names; return it with the words that follow them."""
    while hasattr(group, "commands"):
        assert words and words[0] in group.commands, words
        group, words = group.commands[words[0]], words[1:]
    return group, words


def list_options(command):
    return {name: param for param in command.params for name in param.opts if name[0] == "-"}


def check_spacy(words):
    """Check names, options, overrides and number of arguments of a command of spaCy."""
    group, words = (CHARLM, words[1:]) if words[0] == "charlm" else (SPACY, words)
    command, words = find_command(group, list(words))
    options = list_options(command)
    arguments, overrides = [], []
    while words:
        word = words.pop(0)
        name, equals, _ = word.partition("=")
        if word[0] != "-":
            arguments.append(word)
            continue
        if name not in options:
            assert "." in name, (command.name, name)
            assert command.context_settings.get("ignore_unknown_options"), (command.name, name)
            overrides.append(name.removeprefix("--"))
        if not equals and not (name in options and options[name].is_flag):
            words.pop(0)
    places = [param for param in command.params if param.param_type_name == "argument"]
    fewest = sum(param.required for param in places)
    several = any(param.nargs == -1 for param in places)
    assert fewest <= len(arguments), (command.name, arguments)
    assert several or len(arguments) <= len(places), (command.name, arguments)
    for path in arguments:
        if path.startswith("configs/") and path.endswith(".cfg") and command.name != "init":
            check_overrides(path, overrides)


def check_overrides(path, overrides):
    """Check that a config has the settings that options override."""
    for dotted in overrides:
        section = load_config(ROOT / path, interpolate=False)
        for name in dotted.split("."):
            assert name in section, (path, dotted)
            section = section[name]


def check_script(words):
    """Check that a script exists and has the options."""
    path = ROOT / words[0]
    assert path.exists(), words[0]
    for word in words[1:]:
        if word.startswith("--"):
            name = word.partition("=")[0].removeprefix("--").replace("-", "_")
            assert re.search(rf'^    {name}: |"{word}"', read(path), re.MULTILINE), word


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_docs_commands_in_prose_exist(page):
    for code in re.findall(r"`charlm\s([^`]+)`", BLOCK.sub("", read(page))):
        command, words = find_command(CHARLM, code.split())
        options = {word for word in words if word.startswith("--")}
        assert options <= set(list_options(command)), code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_docs_files_and_workflows_exist(page):
    text = read(page)
    for name in re.findall(r"\b(?:configs|scripts|benchmarks)/[\w/]+\.(?:cfg|yml|py|sh)\b", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"spacy\s+project\s+run\s+([a-z][\w-]*)", text):
        assert name in PROJECT["workflows"], name
    for name in re.findall(r"--vars\.(\w+)", text):
        assert name in PROJECT["vars"], name
    for extras in re.findall(r"spacy-charlm\[([\w,]+)\]", text):
        assert set(extras.split(",")) <= set(SETUP["options.extras_require"]), extras
    for name in re.findall(r"`(\w+)\.cfg`", text):
        found = list((ROOT / "configs").rglob(f"{name}.cfg"))
        assert found or name in ("pretrain", "setup", "train"), name


@pytest.mark.parametrize("page", DOCS, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_docs_names_and_modules_exist(page):
    text = read(page)
    known = "".join(SETUP["options.entry_points"].values())
    for name in re.findall(r"spacy-charlm\.\w+\.v\d+|\bcharlm_lm\w+", text):
        assert f"{name} =" in known, name
    for name in re.findall(r"`charlm\.(\w+)", text):
        assert name in Settings.model_fields, name
    if (ROOT / "spacy_charlm").is_dir():
        for name in MODULE.findall(text):
            assert (ROOT / "spacy_charlm" / name).exists(), name


@pytest.mark.parametrize("code", blocks("ini"))
def test_docs_config_blocks_parse(code):
    # A block is a part of a config. The sections that contain it are in the reader's own config.
    sections = re.findall(r"^\[(.+)\]$", code, re.MULTILINE)
    parents = {section[: dot.start()] for section in sections for dot in DOT.finditer(section)}
    code = "".join(f"[{parent}]\n" for parent in sorted(parents - set(sections))) + code
    config = Config().from_str(code, interpolate=False)
    assert sum(map(check_block, config.values()))


def check_block(block):
    """Check that registered names resolve and take the settings; count the settings."""
    n_settings = 0
    for name, value in block.items():
        if name.startswith("@"):
            parameters = inspect.signature(registry.get(name[1:], value)).parameters
            assert {key for key in block if key != name} <= set(parameters), block
        n_settings += check_block(value) if isinstance(value, dict) else 1
    return n_settings


@pytest.mark.parametrize("code", blocks("python"))
def test_docs_python_blocks_compile(code):
    assert ast.parse(code).body


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_docs_lines_of_prose_end_at_100_characters(page):
    if page.name == "reference.md":
        return  # generated, like the tables of compare.py
    for line in BLOCK.sub("", GENERATED.sub("", read(page))).splitlines():
        is_prose = not re.match(r"\s*(\||!\[)", line) and "](http" not in line
        assert not is_prose or len(line) <= 100, line


def test_reference_describes_every_setting():
    lines = read(ROOT / "docs" / "reference.md").splitlines()
    rows = [line.strip("|").split(" | ") for line in lines if line.startswith("| `")]
    assert len(rows) > 200
    assert not [row for row in rows if not row[-1].strip()]

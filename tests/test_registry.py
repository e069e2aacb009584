import configparser
import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import spacy
from spacy import registry
from spacy.util import load_config

ROOT = Path(__file__).parents[1]
PREFIX = "spacy-charlm."
OPTIONAL = ("sklearn", "matplotlib", "cupy", "torch", "transformers", "ray")
# What wraps another part needs that part.
WORDS = {"target": {"@misc": "spacy-charlm.StaticVectors.v1"}}
SEEN = {"masking": {"@misc": "spacy-charlm.WordMasking.v1"}}
NEEDED = {
    **{name: WORDS for name in ("NgramVectors", "HeadVectors", "DocVectors")},
    "CharMasking": SEEN,
    "Lexicons": {"names": ["cities"]},
    "WordIds": {"corpus": {"@readers": "spacy-charlm.TextCorpus.v1", "path": None}},
    "TypoMasking": {**SEEN, "typos": {"@misc": "spacy-charlm.Typos.v1"}},
}
CONFIGS = sorted((ROOT / "configs").rglob("*.cfg"))


def _read_entry_points():
    setup = configparser.ConfigParser()
    setup.optionxform = str
    setup.read(ROOT / "setup.cfg", encoding="utf8")
    rows = []
    for group, lines in setup["options.entry_points"].items():
        for line in lines.strip().splitlines():
            name, value = line.split("=", maxsplit=1)
            rows.append((group, name.strip(), value.strip()))
    return rows


ENTRY_POINTS = _read_entry_points()
# registry name (without the prefix spacy_ or thinc_) and name of each registered function
FUNCTIONS = [
    (group.split("_", maxsplit=1)[1], name)
    for group, name, _ in ENTRY_POINTS
    if name.startswith(PREFIX)
]


def _run(code_or_args):
    args = ["-c", code_or_args] if isinstance(code_or_args, str) else code_or_args
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, timeout=120)


def _walk(block, path=()):
    for key, value in block.items():
        if isinstance(value, dict):
            yield from _walk(value, (*path, key))
        else:
            yield (*path, key), value


def test_registry_setup_cfg_names_are_ours():
    assert len(FUNCTIONS) == len(set(FUNCTIONS)) > 5
    for group, name, value in ENTRY_POINTS:
        assert re.fullmatch(r"spacy-charlm\.\w+\.v\d+|charlm\w*", name), (group, name)
        assert value.startswith("spacy_charlm"), (group, value)


def test_registry_installed_entry_points_are_those_of_setup_cfg():
    distribution = importlib.metadata.distribution("spacy-charlm")
    installed = {(point.group, point.name, point.value) for point in distribution.entry_points}
    assert installed == set(ENTRY_POINTS), "setup.cfg has changed: install the package again"


@pytest.mark.parametrize(("group", "name", "value"), ENTRY_POINTS)
def test_registry_entry_point_loads(group, name, value):
    module, attr = value.split(":")
    assert importlib.util.find_spec(module) is not None
    point = importlib.metadata.EntryPoint(name=name, value=value, group=group)
    assert point.load() is getattr(sys.modules[module], attr)


@pytest.mark.parametrize(("kind", "name"), FUNCTIONS)
def test_registry_function_is_found_with_a_module(kind, name):
    assert callable(registry.get(kind, name))
    # `spacy package` asks for the distribution of this module
    assert registry.find(kind, name)["module"].split(".")[0] == "spacy_charlm"


@pytest.mark.parametrize(("kind", "name"), FUNCTIONS)
def test_registry_filled_block_is_json(kind, name):
    block = {"block": {f"@{kind}": name}}
    filled = json.loads(json.dumps(registry.fill(block, validate=False)))
    # tuples come back as lists, sets and objects do not come back
    assert filled == registry.fill(block, validate=False)


@pytest.mark.parametrize(
    ("kind", "name"),
    [row for row in FUNCTIONS if row[0] in ("callbacks", "misc", "optimizers", "readers")],
)
def test_registry_function_resolves_with_its_defaults(kind, name):
    block = {f"@{kind}": name, **NEEDED.get(name.split(".")[1], {})}
    if kind == "readers":
        block["path"] = str(ROOT)
    assert registry.resolve({"block": block})["block"] is not None


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_registry_names_in_configs_resolve(path):
    names = [
        (where[-1][1:], value)
        for where, value in _walk(load_config(path, interpolate=False))
        if where[-1].startswith("@")
    ]
    assert any(name.startswith(PREFIX) for _, name in names)
    for kind, name in names:
        assert callable(registry.get(kind, name))


@pytest.mark.parametrize(
    "file_name",
    [
        "README.md",
        "project.yml",
        "CHANGELOG.md",
        "docs/how-to.md",
        "docs/how-it-works.md",
    ],
)
def test_registry_names_in_texts_resolve(file_name):
    path = ROOT / file_name
    if not path.exists():
        pytest.skip(f"no {file_name} here")
    text = path.read_text(encoding="utf8")
    known = {name for _, name, _ in ENTRY_POINTS}
    assert set(re.findall(r"spacy-charlm\.\w+\.v\d+", text)) <= known
    kinds = {
        (kind, name) for kind, name in re.findall(r"@(\w+) *= *\"(spacy-charlm[^\"]+)\"", text)
    }
    assert kinds <= set(FUNCTIONS)


def test_registry_reference_is_current():
    script = ROOT / "scripts" / "write_reference.py"
    if not script.exists():
        pytest.skip("no scripts/ here")
    result = _run([str(script), "--check"])
    assert result.returncode == 0, result.stdout + result.stderr
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf8")
    assert [name for _, name in FUNCTIONS if name not in text] == []


def test_registry_functions_import_no_optional_package():
    code = f"""
import sys, importlib.metadata
import spacy.cli  # thinc imports torch by itself where it is installed
before = set(sys.modules)
for point in importlib.metadata.distribution("spacy-charlm").entry_points:
    point.load()
print(sorted(set({OPTIONAL!r}) & (set(sys.modules) - before)))
"""
    result = _run(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("args", [["--help"], ["charlm", "--help"]])
def test_registry_spacy_commands_work(args):
    result = _run(["-m", "spacy", *args])
    assert result.returncode == 0, result.stderr
    assert "charlm" in result.stdout


def test_registry_missing_optional_packages_break_no_command():
    code = f"""
import sys
for name in {OPTIONAL!r}:
    sys.modules[name] = None  # import raises ImportError
from spacy.cli import app, setup_cli
from spacy.util import registry
import typer
from typer.testing import CliRunner

def walk(command, args):
    yield args
    for name, child in getattr(command, "commands", {{}}).items():
        yield from walk(child, [*args, name])

registry.cli.get_all()
runner = CliRunner()
runs = [["--help"]]
group = typer.main.get_command(app)
runs += [[*args, "--help"] for args in walk(group.commands["charlm"], ["charlm"])]
for args in runs:
    result = runner.invoke(app, args)
    assert result.exit_code == 0, (args, result.output)
print(len(runs), "commands")
"""
    result = _run(code)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.split()[0]) >= 2


def test_registry_spacy_is_in_the_supported_range():
    assert tuple(map(int, spacy.__version__.split(".")[:2])) == (3, 8)

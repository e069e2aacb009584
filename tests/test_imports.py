"""Imports point one way: see "The rooms" in the project's architecture."""

import ast
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import spacy_charlm

ROOT = Path(spacy_charlm.__file__).parent
ROOT_OF_TESTS = Path(__file__).parent
RANKS = [
    ("types", "errors", "checks", "compat", "machine", "card", "files", "quantized"),
    ("text", "noise", "layers", "decoding"),
    ("architectures", "targets"),
    ("objectives",),
    ("pipeline",),
    ("training",),
    ("vectors",),
    ("report",),
    ("runs", "evaluation"),
    ("api",),
    ("cli",),
]
RANK = {room: rank for rank, rooms in enumerate(RANKS) for room in rooms}
HEAVY = ("torch", "ray", "transformers", "matplotlib", "sklearn", "usearch")


def room_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def find_imports(path):
    """The parts of a module's name, for everything of ours that it imports."""
    package = ("spacy_charlm", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            names = [base + (alias.name,) for alias in node.names]
        else:
            continue
        yield from (name for name in names if name[0] == "spacy_charlm")


FILES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.stem in RANK)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_one_way(path):
    room = room_of(path)
    assert room in RANK, f"a room that the architecture does not know: {room}"
    for name in find_imports(path):
        other = name[1]
        back = other != room and RANK[other] >= max(RANK[room], 1)
        assert not back, f"{room} imports {'.'.join(name)}"


def test_imports_find_relative_and_absolute_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "layers").mkdir()
    path = tmp_path / "layers" / "x.py"
    path.write_text(
        "from ..cli import a\nfrom . import b\nfrom .c import d\nimport spacy_charlm.types\n"
    )
    assert [".".join(name[1:]) for name in find_imports(path)] == [
        "cli.a",
        "layers.b",
        "layers.c.d",
        "types",
    ]


def test_imports_nothing_heavy():
    """Neither the package nor anything that spaCy loads from its entry points."""
    code = f"""
import sys
from configparser import ConfigParser
import spacy.cli
before = set(sys.modules)
import spacy_charlm, spacy_charlm.cli
from importlib.metadata import distribution
for point in distribution("spacy-charlm").entry_points:
    point.load()
print([name for name in {HEAVY} if name in set(sys.modules) - before])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# Names of packages on the index, where they differ from the names that are imported.
DISTRIBUTIONS = {"sklearn": "scikit-learn", "threadpoolctl": "scikit-learn"}


def read_requirements():
    """The required packages, and those of each extra, from setup.cfg."""
    config = ConfigParser()
    config.read(ROOT_OF_TESTS.parent / "setup.cfg", encoding="utf8")
    extras = config["options.extras_require"].items()
    rows = {"": config["options"]["install_requires"], **dict(extras)}
    return {
        name: {
            re.sub(r"^cupy-.*", "cupy", Requirement(line).name)
            for line in text.splitlines()
            if line and not line.startswith("#")
        }
        for name, text in rows.items()
    }


def find_packages(tree, top=True):
    """Yield the name of each package that a file imports, and whether every run imports it."""
    for node in ast.iter_child_nodes(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "require":
            names = [node.args[0].value]
        for name in {name.split(".")[0] for name in names} - {"spacy_charlm"}:
            if name not in sys.stdlib_module_names:
                yield DISTRIBUTIONS.get(name, name), top and not isinstance(node, ast.Call)
        yield from find_packages(node, top and not isinstance(node, (ast.FunctionDef, ast.If)))


def test_imports_are_declared_and_nothing_else():
    found = {
        pair for p in ROOT.rglob("*.py") for pair in find_packages(ast.parse(p.read_text("utf8")))
    }
    declared = read_requirements()
    required = declared.pop("")
    optional = set().union(*(declared[name] for name in set(declared) - {"test", "dev"}))
    always = {name for name, top in found if top}
    assert always <= required, f"not in install_requires: {sorted(always - required)}"
    used = {name for name, _ in found}
    assert used <= required | optional, f"in no extra: {sorted(used - required - optional)}"
    unused = required - used
    assert not unused, f"required, but not imported: {sorted(unused)}"
    # floret is for a script, which is not in the wheel.
    unused = optional - used - {"floret"}
    assert not unused, f"in an extra, but not imported: {sorted(unused)}"
    assert not required & optional
    names = [name for packages in declared.values() for name in packages - {"spacy-charlm"}]
    # cupy for two versions of CUDA, ray with and without its part `tune`.
    twice = {name for name in names if names.count(name) > 1}
    assert twice == {"cupy", "ray"}, "named twice"

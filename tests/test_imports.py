"""Imports point one way: see "The rooms" in the project's architecture."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import spacy_charlm

ROOT = Path(spacy_charlm.__file__).parent
RANKS = [
    ("types", "errors", "compat", "machine", "card", "files"),
    ("text", "noise", "layers", "decoding"),
    ("architectures", "targets"),
    ("objectives",),
    ("pipeline",),
    ("training",),
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

"""Read the standard library's docstrings and the names they talk about, importing nothing."""

import ast
import builtins
import re
import sys
import sysconfig
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Left out so that machines differ as little as possible: what some distributions package
# apart, what only some versions from 3.10 on have, and private parts of one platform.
NOT_EVERYWHERE = frozenset(
    """
    ensurepip idlelib lib2to3 site-packages dist-packages test tests tkinter turtle turtledemo
    aifc asynchat asyncore binhex cgi cgitb chunk crypt distutils imghdr imp mailcap msilib
    nntplib pipes smtpd sndhdr sunau telnetlib tomllib uu xdrlib lib-dynload this antigravity
    compression string.templatelib pydoc_data __hello__ __phello__ __pycache__
    """.split()
)
PRIVATE_BUT_EVERYWHERE = frozenset(
    "_collections_abc _compat_pickle _markupbase _py_abc _pydecimal _pyio _strptime "
    "_threading_local _weakrefset __future__".split()
)


@dataclass(frozen=True)
class Docstring:
    """One docstring.

    module (str): Dotted name of the module, such as "email.charset".
    text (str): The cleaned text.
    arguments (frozenset[str]): Names of the arguments of the function it belongs to.
    """

    module: str
    text: str
    arguments: frozenset[str] = frozenset()

    @property
    def package(self) -> str:
        """First part of the module's name."""
        return self.module.partition(".")[0]


@dataclass
class Library:
    """The texts of the standard library and the tables of its names.

    docstrings (list[Docstring]): In the order of the sorted paths, no text twice.
    topics (list[str]): The paragraphs of the help topics, as in `help("with")`.
    modules (set[str]): Dotted names, from `sys.stdlib_module_names` and the folders.
    exceptions (set[str]): From `builtins` and by the bases of the classes found.
    functions (set[str]): Functions and methods found, alone and after their module, and those
        of `builtins`.
    """

    docstrings: list[Docstring] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    modules: set[str] = field(default_factory=set)
    exceptions: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)


def clean_text(text: str) -> str:
    """Make one line of a docstring.

    Takes away reST roles, underlines and doctest prompts, and puts a space after the bracket of
    `join(a, b)`: spaCy's tokenizer would keep "join(a" in one piece.
    """
    text = re.sub(r":[a-z]+(:[a-z]+)?:`", "`", text)
    text = re.sub(r"(?m)^[^\S\n]*([-=~^*#+_.])\1{2,}[^\S\n]*$", " ", text)
    text = text.replace(">>>", " ")
    text = re.sub(r"(?<=\w)([(\[])(?=[\w*'\"])", r"\1 ", text)
    return " ".join(text.split())


def find_root() -> Path:
    """Find the folder with the sources of the running interpreter's standard library."""
    root = Path(sysconfig.get_path("stdlib"))
    if not (root / "ast.py").is_file():
        raise SystemExit(
            f"Expected the sources of the standard library in {root}, found no ast.py. "
            "Run with a Python that ships them as files (not as a zip or as .pyc only)."
        )
    return root


def iter_modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield dotted name and path of the modules that every install has, sorted by path."""
    for path in sorted(root.rglob("*.py"), key=lambda p: p.relative_to(root).as_posix()):
        parts = path.relative_to(root).with_suffix("").parts
        if NOT_EVERYWHERE.intersection(parts) or parts[0].startswith("config-"):
            continue
        if parts[0].startswith("_") and parts[0] not in PRIVATE_BUT_EVERYWHERE:
            continue
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def read_library(root: Path | None = None) -> Library:
    """Parse every module under the root; one that does not parse is skipped.

    root (Path | None): Folder of the sources; None for the running interpreter's.
    RETURNS (Library): Texts and names.
    """
    root = find_root() if root is None else root
    library = Library()
    bases: dict[str, set[str]] = {}
    seen: set[str] = set()
    for module, path in iter_modules(root):
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        if not module.rpartition(".")[2].startswith("_"):
            library.modules.add(module)
        for node in _iter_statements(tree):
            if isinstance(node, ast.ClassDef):
                bases.setdefault(node.name, set()).update(map(_last_name, node.bases))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                library.functions.update((node.name, f"{module}.{node.name}"))
            elif not isinstance(node, ast.Module):
                continue
            text = clean_text(ast.get_docstring(node) or "")
            if text and text not in seen:
                seen.add(text)
                library.docstrings.append(Docstring(module, text, _get_arguments(node)))
    library.topics = _read_topics(root, seen)
    library.modules |= {m for m in sys.stdlib_module_names if not m.startswith("_")} - {"this"}
    library.exceptions = _find_exceptions(bases)
    library.functions |= {n for n in dir(builtins) if n.islower() and not n.startswith("_")}
    return library


def _iter_statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the module and all statements, outer ones first; expressions are not visited."""
    queue: deque[ast.AST] = deque([tree])
    while queue:
        node = queue.popleft()
        yield node
        for name in ("body", "handlers", "orelse", "finalbody", "cases"):
            children = getattr(node, name, None)
            if isinstance(children, list):
                queue.extend(children)


def _last_name(node: ast.expr) -> str:
    """Name of a base class: `OSError` and `socket.error` by their last part."""
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _get_arguments(node: ast.AST) -> frozenset[str]:
    """Names of a function's arguments, those that the reader knows anyway left out."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return frozenset()
    a = node.args
    args = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]
    return frozenset(x.arg.lstrip("_") for x in args) - {"self", "cls", ""}


def _find_exceptions(bases: dict[str, set[str]]) -> set[str]:
    """Follow the bases of the classes found down from the built-in exceptions."""
    found = {
        name
        for name, value in vars(builtins).items()
        if isinstance(value, type) and issubclass(value, BaseException)
    }
    size = 0
    while size != len(found):
        size = len(found)
        found |= {name for name, names in bases.items() if names & found}
    return {name for name in found if not name.startswith("_")}


def _read_topics(root: Path, seen: set[str]) -> list[str]:
    """Read the literal that `pydoc_data.topics` assigns and cut it into paragraphs."""
    path = root / "pydoc_data" / "topics.py"
    if not path.is_file():
        return []
    topics: dict[str, str] = {}
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            topics = ast.literal_eval(node.value)
    found = []
    for name in sorted(topics):
        for paragraph in topics[name].split("\n\n"):
            text = clean_text(paragraph)
            if text and text not in seen:
                seen.add(text)
                found.append(text)
    return found

"""Find module, exception, function and argument names in a docstring of the standard library.

The tables come from the interpreter's own sources (`stdlib_names.Library`). A name counts as

ARGUMENT   if it is an argument of the very function that the docstring belongs to;
EXCEPTION  if it is a built-in exception or a class of the library that descends from one;
FUNCTION   if it is a function or method of the library and is followed by "(", or stands in
           backticks, or ends a dotted path, or has a shape that prose has not (`get_event_loop`);
MODULE     if it is a module of the library, the whole dotted path.

Many of these names are English words ("time", "code", "open", "copy", "Full"). Such a name counts
only with evidence at the place itself: it stands in quotes, backticks or asterisks, in a dotted
path, before "(" (functions), beside a word that says what it is ("the time module", "argument
copy", "raises Full"), or before "=" (arguments). What is an English word is measured on the texts
themselves: what stands somewhere after a determiner or "to", and not before such a word ("a copy",
"the time", "to open"), and the few names of formats below ("json"). Quotes count for arguments and
exceptions only: elsewhere they hold strings. Functions in plain letters always need evidence.
"""

import re
from collections.abc import Iterable, Iterator

from stdlib_names import Docstring, Library

LABELS = ("ARGUMENT", "EXCEPTION", "FUNCTION", "MODULE")
NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
# Anchored, so that a long name is read once and not once from each of its letters.
CODE_LIKE = re.compile(r"^[^A-Za-z]*[A-Za-z]\w*_\w|\d|[a-z][A-Z]|[A-Z]{2}[a-z]")
QUOTES = "`'\"*"
BESIDE = {
    "ARGUMENT": {"argument", "arguments", "parameter", "parameters", "arg", "keyword", "param"},
    "EXCEPTION": {"exception", "exceptions", "raise", "raises", "raised", "raising", "except"},
    "MODULE": {"module", "modules", "package", "packages", "import", "imports"},
}
# Modules named after a format or an idea: the word alone is rarely the module.
FORMATS = frozenset(
    "abc base64 calendar csv email html http json logging statistics this typing xml".split()
)
LAST_WORD = re.compile(r"(\w+)[^\w.]{1,3}$")
NEXT_WORD = re.compile(r"[`'\"*]* (\w+)")
ASSIGNED = re.compile(r" ?(=(?!=)|:)")
NOUNS = {"function", "method"}.union(*BESIDE.values())
PROSE = re.compile(
    r"\b(?:an?|the|this|that|these|any|each|every|no|some|its|their|to|new|all|one)"
    r" ([A-Za-z]+)\b(?![(.=\w])(?: (\w+))?",
    re.IGNORECASE,
)

Mention = tuple[int, int, str]


def find_prose_words(texts: Iterable[str]) -> set[str]:
    """Collect the words, lower-cased, that the texts use as English words.

    texts (Iterable[str]): Cleaned texts.
    RETURNS (set[str]): Words that stood after a determiner or "to".
    """
    found = (match for text in texts for match in PROSE.finditer(text))
    return {match[1].lower() for match in found if match[2] not in NOUNS}


def find_mentions(doc: Docstring, library: Library, prose: set[str]) -> Iterator[Mention]:
    """Find the names in one docstring.

    doc (Docstring): The text, and the arguments of its function.
    library (Library): The tables of names.
    prose (set[str]): English words, see `find_prose_words`.
    YIELDS (tuple[int, int, str]): First character, end and label, in order, not overlapping.
    """
    for match in NAME.finditer(doc.text):
        label = _get_label(doc, match, library, prose)
        if label is not None:
            yield match.start(), match.end(), label


def get_key(name: str) -> str:
    """Reduce a mention to what must not be on both sides: `os.path.join` and `join` are one."""
    return name.rpartition(".")[2].strip("_").lower()


def _get_label(
    doc: Docstring, match: re.Match[str], library: Library, prose: set[str]
) -> str | None:
    name, text = match[0], doc.text
    start, end = match.span()
    # Short pieces: copies of the whole text for each name would take quadratic time.
    before, after = text[max(0, start - 20) : start], text[end : end + 1]
    prefix, _, last = name.rpartition(".")
    called = after == "("
    quoted = before[-1:] in {*QUOTES} and after in {*QUOTES}
    ticked = before[-1:] == "`" and after in ("`", "(", "")
    following = [found[1] for found in (NEXT_WORD.match(text, end),) if found]
    near = {word.lower() for word in (*LAST_WORD.findall(before), *following)}
    english = len(name) < 2 or name in FORMATS or name.lower() in prose
    in_module = prefix in library.modules

    if name in doc.arguments and not called:
        said = quoted or near & BESIDE["ARGUMENT"] or ASSIGNED.match(text, end)
        if said or not english:
            return "ARGUMENT"
    if last in library.exceptions and (last[0].isupper() or in_module):
        if prefix or CODE_LIKE.search(last) or quoted or near & BESIDE["EXCEPTION"]:
            return "EXCEPTION"
    if last in library.functions and not last[0].isupper():
        path = prefix and (name in library.functions or not in_module)
        if called or ticked or (path and name not in library.modules) or CODE_LIKE.search(last):
            return "FUNCTION"
    if name in library.modules and not called:
        if prefix or ticked or near & BESIDE["MODULE"] or not english:
            return "MODULE"
    return None

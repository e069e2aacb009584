"""Texts made to slow down a regular expression: a quadratic one takes hours for a million."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
if not SCRIPTS.is_dir():
    pytest.skip("scripts/ is not beside tests/", allow_module_level=True)
LABELS = """
from stdlib_labels import find_mentions, find_prose_words
from stdlib_names import Docstring, Library
def label(text, **names):
    doc = Docstring(text=text, arguments=set(), module="m")
    return list(find_mentions(doc, Library(**names), find_prose_words([text])))
"""


@pytest.mark.parametrize(
    "code",
    [
        "from unpack_imdb import join_lines; assert join_lines('a' + ' ' * n + 'b')",
        "from unpack_imdb import join_lines; assert join_lines('<br ' * n + ' ' * n)",
        "from unpack_imdb import join_lines; assert join_lines('a<br>' * n)[-3:] == 'a a'",
        "from spacy_charlm.runs.run import PERCENT; assert PERCENT.findall('1' * n) == []",
        "from stdlib_names import clean_text; assert clean_text('\\n' * n + 'b') == 'b'",
        "from stdlib_names import clean_text; assert clean_text('-' * n + 'b') == '-' * n + 'b'",
        "from stdlib_names import clean_text; assert clean_text(':a' * n) == ':a' * n",
        LABELS + "label('a' * n, functions={'a' * n})",
        LABELS + "label('a1' * n, functions={'a1' * n})",
        LABELS + "label('ab ' * (n // 10))",
        LABELS + "label('the ' + '*' * n)",
    ],
)
def test_long_texts_take_linear_time(code):
    code = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); n = 1_000_000\n{code}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)

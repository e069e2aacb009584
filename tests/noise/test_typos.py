import numpy as np
import pytest

from spacy_charlm.noise.edits import KEYBOARDS, KINDS, neighbour_keys
from spacy_charlm.noise.typos import COMMON_KINDS, SPACE_KINDS, Typos, read_misspellings

WORDS = ["letter", "spelling", "Keyboard", "noise", "words", "hyphen-ated", "naïve", "xyz"]
TOKENS = [*WORDS, "a", "привет", "1984", ",", "...", " ", "😀"]  # the last four are not words
N_WORDS = 11
LISTED = {word.lower(): [word[1:], word[:-1] + "y"] for word in WORDS}
EDITS = {  # length before and after
    "key": 0,
    "swap": 0,
    "drop": -1,
    "insert": 1,
    "repeat": 1,
    "case": 0,
    "lookalike": 0,
    "accent": 0,
}


@pytest.fixture
def write(tmp_path):
    """Write a file of misspellings, {correct word: [misspelling, ...]}."""

    def write(misspellings):
        path = tmp_path / "misspellings.tsv"
        lines = [f"{typed}\t{word}\n" for word, some in misspellings.items() for typed in some]
        path.write_text("".join(lines), encoding="utf8")
        return path

    return write


def run(words, seed=0, **settings):
    return Typos(**settings)(words, np.random.default_rng(seed))


def count_changed(words, found):
    return sum(a != b for a, b in zip(words, found))


def is_near(found, share, n):
    """Check a binomial count to four standard deviations."""
    return abs(found - share * n) < 4 * np.sqrt(n * share * (1 - share))


@pytest.mark.parametrize("kind", [*KINDS, "natural"])
def test_typos_keep_their_rate_exactly(kind, write):
    """Over about 100,000 words that can all take the edit."""
    words, path = WORDS * (100_000 // len(WORDS)), write(LISTED)
    if kind == "lookalike":
        words = [word for word in words if set(word) & set("aceiopxy")]
    if kind == "natural":
        listed = read_misspellings(path)
        words = [word for word in words if word.lower() in listed]
    found = run(words, rate=0.2, kinds=[kind], misspellings=path)
    assert is_near(count_changed(words, found), 0.2, len(words))


@pytest.mark.parametrize("kind", SPACE_KINDS)
def test_typos_of_spaces_keep_their_rate_exactly(kind):
    words, rng = WORDS * (100_000 // len(WORDS)), np.random.default_rng(0)
    found, spaces = Typos(0.2, [kind]).edit(words, [True] * len(words), rng)
    edits = count_changed(words, found) + spaces.count(False)
    assert is_near(edits, 0.2, len(words))


def test_typos_keep_their_rate_where_kinds_fit_some_words_only():
    """One letter, Cyrillic and numbers cannot take every kind; the last four tokens take none."""
    tokens = TOKENS * 10_000
    found = run(tokens, rate=0.3)
    assert is_near(count_changed(tokens, found), 0.3, N_WORDS * 10_000)
    for start, token in enumerate(TOKENS):
        if start >= N_WORDS:
            assert set(found[start :: len(TOKENS)]) == {token}
        else:
            assert is_near(sum(new != token for new in found[start :: len(TOKENS)]), 0.3, 10_000)


def test_typos_per_character_keep_their_rate_exactly():
    """Insertions are counted by the length of the words."""
    words = WORDS * 12_500
    found = run(words, rate=0.1, kinds=["insert"], per="character")
    n_chars = sum(map(len, words))
    assert is_near(sum(map(len, found)) - n_chars, 0.1, n_chars)
    assert max(len(new) - len(old) for old, new in zip(words, found)) > 2


def test_typos_make_one_edit_in_each_word():
    """Also if kinds within words are mixed with kinds of spaces."""
    words = ["letter"] * 30_000
    typos = Typos(1.0, ["drop", *SPACE_KINDS])
    found, behind = typos.edit(words, [True] * len(words), np.random.default_rng(0))
    dropped, parted = (sum(len(word) == n for word in found) for n in (5, 7))
    missing = behind.count(False)
    assert dropped + parted + missing == len(words)
    assert all(is_near(n, 1 / 3, len(words)) for n in (dropped, parted, missing))
    assert all(space or word == "letter" for word, space in zip(found, behind))


def test_a_missing_space_is_the_one_after_the_punctuation():
    words, spaces = ["Hello", ",", "I", "ca", "n't", "!"], [False, True, True, False, True, False]
    found, behind = Typos(1.0, ["missing_space"]).edit(words, spaces, np.random.default_rng(0))
    assert found == words and not any(behind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep_first, keep_last", [(False, False), (True, True)])
def test_typos_make_one_edit_and_keep_the_ends(kind, keep_first, keep_last):
    words = WORDS * 200
    found = run(words, rate=1.0, kinds=[kind], keep_first=keep_first, keep_last=keep_last)
    firsts = lasts = 0
    for word, noisy in zip(words, found):
        if noisy == word:
            continue
        assert len(noisy) - len(word) == EDITS[kind]
        firsts += noisy[0] != word[0]
        lasts += noisy[-1] != word[-1]
        if EDITS[kind] == 0:
            differ = [i for i, (a, b) in enumerate(zip(word, noisy)) if a != b]
            if kind == "swap":
                assert len(differ) == 2 and differ[1] == differ[0] + 1
                assert sorted(word) == sorted(noisy)
            else:
                assert len(differ) == 1
    if keep_first:
        assert firsts == lasts == 0
    elif kind not in ("insert", "repeat"):
        assert firsts


def test_typos_between_the_ends_of_a_short_word():
    assert set(run(["of"] * 50, rate=1.0, kinds=["repeat"], keep_first=True, keep_last=True)) == {
        "oof"
    }


def test_typos_touch_neighbouring_keys():
    table = neighbour_keys("qwerty")
    near = {chr(code) for code in table[ord("g")] if code >= 0}
    assert near == set("fhtyvb") and {chr(c) for c in table[ord("G")] if c >= 0} == set("FHTYVB")
    assert {chr(c) for c in neighbour_keys("azerty")[ord("a")] if c >= 0} == set("zq")
    for keyboard in KEYBOARDS:
        table = neighbour_keys(keyboard)
        for code in np.flatnonzero(table[:, 0] >= 0).tolist():
            assert all(code in table[other] for other in table[code] if other >= 0)


def test_typos_are_seeded():
    assert run(WORDS * 9, 3, rate=0.5) == run(WORDS * 9, 3, rate=0.5) != run(WORDS * 9, 4, rate=0.5)


@pytest.mark.parametrize("words", [[], [""], ["a"], ["ا"], ["\0a"], ["😀", "1"], ["x" * 100_000]])
@pytest.mark.parametrize("per", ["word", "character"])
@pytest.mark.parametrize("kinds", [*([kind] for kind in KINDS), SPACE_KINDS])
def test_typos_take_any_words(words, per, kinds):
    typos = Typos(1.0, kinds, per=per)
    found, spaces = typos.edit(words, [False] * len(words), np.random.default_rng(0))
    assert len(found) == len(spaces) == len(words)
    assert len(typos(words, np.random.default_rng(0))) == len(words)


def test_typos_natural_ones_come_from_the_file_in_the_case_of_the_word(write):
    path = write({"letter": ["leter", "lettre", "Letter"], "know": ["now", "knew"]})
    settings = {"rate": 1.0, "kinds": ["natural"], "misspellings": path}
    found = run(["letter", "Letter", "LETTER", "other"] * 50, **settings)
    assert set(found) == {"leter", "lettre", "Leter", "Lettre", "LETER", "LETTRE", "other"}
    assert set(run(["know"] * 50, **settings, keep_first=True)) == {"knew"}


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"rate": 1.5}, "E560.*1.5"),
        ({"kinds": ["other"]}, "E701.*other"),
        ({"kinds": []}, "E701"),
        ({"kinds": ["natural"]}, "E701.*misspellings"),
        ({"keyboard": "dvorak"}, "E702.*dvorak"),
        ({"per": "line"}, "E705.*word or character.*line"),
    ],
)
def test_typos_refuse_a_wrong_setting(wrong, message):
    with pytest.raises(ValueError, match=message):
        Typos(**wrong)


def test_typos_at_another_rate():
    typos = Typos(0.2, keep_first=True)
    assert typos.at(0.5).rate == 0.5 and typos.at(0.5).keep_first and typos.rate == 0.2
    assert typos.kinds == list(COMMON_KINDS)
    with pytest.raises(ValueError, match="E700"):
        typos.at(-0.1)


def test_typos_read_their_file_at_the_first_use(write, tmp_path):
    path = tmp_path / "misspellings.tsv"
    typos = Typos(1.0, misspellings=path)
    assert typos.kinds == [*COMMON_KINDS, "natural"]
    with pytest.raises(FileNotFoundError, match="E552.*misspellings.tsv"):
        typos(["letter"], np.random.default_rng(0))
    write({"letter": ["leter"], "never": ["nevr"]})
    assert Typos(1.0, ["natural"], misspellings=path)(["letter"], np.random.default_rng(0)) == [
        "leter"
    ]
    # The copy at another rate does not read the file again.
    other = typos.at(0.5)
    path.unlink()
    other(["letter"], np.random.default_rng(0))
    other.at(0.1).load()


def test_typos_held_out_come_from_the_other_words(write):
    words = [f"word{i}" for i in range(50)]
    path = write({word: [f"{word}x"] for word in words})
    for held_out, n in ((False, 40), (True, 10)):
        settings = {"kinds": ["natural"], "misspellings": path, "held_out": held_out}
        found = run(words, rate=1.0, **settings)
        assert count_changed(words, found) == n
        listed = read_misspellings(path, held_out=held_out)
        assert all((new != old) == (old in listed) for old, new in zip(words, found))


def test_typos_need_misspellings_for_natural_ones(write):
    path = write({"word": ["two words", " "]})
    with pytest.raises(ValueError, match="E708.*misspellings.tsv"):
        Typos(misspellings=path).load()
    Typos(kinds=["drop"], misspellings=path).load()


def test_misspellings_are_divided_by_word(write):
    path = write({f"word{i}": [f"wrng{i}x{j}" for j in range(2)] for i in range(50)})
    train, rest = read_misspellings(path), read_misspellings(path, held_out=True)
    assert (len(train), len(rest)) == (40, 10) and not set(train) & set(rest)
    assert sorted(train | rest) == sorted(f"word{i}" for i in range(50))


@pytest.mark.parametrize("line", [b"no tab", b"a\tb\tc", b"\ta", b"", b"\xff\ta"])
def test_misspellings_name_a_bad_line(tmp_path, line):
    path = tmp_path / "some.tsv"
    path.write_bytes(b"teh\tthe\r\n" + line + b"\ncta\tcat\n")
    with pytest.raises(ValueError, match="E703.*some.tsv', line 2"):
        read_misspellings(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="E552.*some.tsv.*nothing"):
        read_misspellings(path)
    with pytest.raises(FileNotFoundError, match="E552.*a folder"):
        read_misspellings(tmp_path)

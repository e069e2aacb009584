import pytest

from spacy_charlm.cli.show_errors import show_errors


@pytest.mark.parametrize(
    "error",
    [
        ValueError("[charlm E101] no path"),
        ValueError("[E893] Could not find function 'x'"),
        FileNotFoundError(2, "No such file", "words.txt"),
    ],
)
def test_show_errors_prints_what_the_user_can_mend(error, capsys):
    @show_errors("Nothing is done.")
    def command(error):
        raise error

    with pytest.raises(SystemExit) as end:
        command(error)
    assert end.value.code == 1
    printed = capsys.readouterr().out
    assert "Nothing is done." in printed
    assert str(error) in printed


@pytest.mark.parametrize("error", [ValueError("of another library"), KeyError("[charlm E1]")])
def test_show_errors_leaves_defects_alone(error):
    with pytest.raises(type(error)), show_errors("Nothing is done."):
        raise error

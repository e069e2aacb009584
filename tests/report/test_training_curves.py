import pytest

from spacy_charlm.report.figure import choose_looks
from spacy_charlm.report.training_curves import draw_training

pytest.importorskip("matplotlib", reason="needs the extra plots")
ROWS = ("MultiHashEmbed/none", "CharCNN/LMAO")


def make_curves(rows=ROWS):
    """Return scores in per cent of two seeds, as spaCy's console logger writes them."""
    seeds = [[(0, 5.0), (50, 80.0 + i), (100, 84.0 + i)] for i in (0, 2)]
    return {"cats_score": dict.fromkeys(rows, seeds), "ents_f": dict.fromkeys(rows, seeds)}


def test_draw_training_shows_per_cent_and_the_differences():
    figure = draw_training(make_curves(), "A study")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["textcat", "entities F"]
    for axes in figure.axes:
        low, high = axes.get_ylim()
        # The score before the first update may lie outside, all others are shown.
        assert 70 < low < 80 and 86 < high < 100
        assert list(axes.get_lines()[0].get_ydata()) == [5.0, 81.0, 85.0]


def test_draw_training_names_and_colours_do_not_depend_on_the_order():
    for rows in (ROWS, ROWS[::-1]):
        figure = draw_training(make_curves(rows))
        (legend,) = figure.legends
        assert {text.get_text() for text in legend.get_texts()} == {
            "MultiHashEmbed",
            "CharCNN + LMAO",
        }
        looks = choose_looks(ROWS)
        for row, line in zip(rows, figure.axes[0].get_lines()):
            assert line.get_color() == looks[row].colour


def test_draw_training_of_one_evaluation():
    figure = draw_training({"ents_f": {"a": [[(0, 5.0)]]}})
    low, high = figure.axes[0].get_ylim()
    assert low < 5.0 < high

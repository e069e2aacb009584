import pytest

from spacy_charlm.report.figure import draw_scores, save_figure
from spacy_charlm.types import Score

pytest.importorskip("matplotlib", reason="needs the extra plots")


def make_scores(metric="ents_f"):
    return [
        Score(source, metric, values, 7, "texts", {"typos": kind, "rate": rate})
        for source, best in (("a", 0.8), ("b", 0.9))
        for kind in ("mixed", "drop")
        for rate, values in ((0.0, (best,)), (0.1, (best - 0.1, best - 0.2)))
    ]


def test_draw_scores_makes_a_panel_per_kind():
    figure = draw_scores(make_scores(), "rate", "typos, %")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["entities F: mixed", "entities F: drop"]
    first, second = figure.axes[0].get_lines()
    assert list(first.get_xdata()) == [0, 10] and first.get_color() != second.get_color()
    assert list(first.get_ydata()) == pytest.approx([80, 65])
    assert figure.axes[0].get_xlabel() == "typos, %"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["b", "a"]  # as their lines end


def test_draw_scores_hides_panels_without_scores():
    scores = [score for metric in ("ents_f", "tag_acc") for score in make_scores(metric)]
    visible = [axes.get_visible() for axes in draw_scores(scores, "rate").axes]
    assert visible == [True] * 4 + [False] * 2


def test_save_figure_makes_the_folder(tmp_path):
    figure = draw_scores(make_scores(), "rate")
    save_figure(figure, tmp_path / "new" / "x.svg")
    assert "<svg" in (tmp_path / "new" / "x.svg").read_text(encoding="utf8")
    with pytest.raises(ValueError, match="E643"):
        save_figure(figure, tmp_path / "x.bmp")

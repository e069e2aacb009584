import pytest

from spacy_charlm.report.figure import (
    LONGEST,
    MOST,
    OTHERS,
    choose_looks,
    draw_columns,
    draw_scores,
    save_figure,
    show_name,
)
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
    assert titles == ["entities F, typos: mixed", "entities F, typos: drop"]
    first, second = figure.axes[0].get_lines()
    assert list(first.get_xdata()) == [0, 10] and first.get_color() != second.get_color()
    assert list(first.get_ydata()) == pytest.approx([80, 65])
    assert figure.axes[0].get_xlabel() == "typos, %"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["b", "a"]  # as their lines end


def test_draw_columns_has_a_panel_per_set_and_a_line_per_row():
    facts = (("CharCNN/LMAO", "clean", (0.5, 0.6)), ("other", "clean", (0.4,)))
    scores = [Score(row, "cats_micro_f", xs, conditions={"set": name}) for row, name, xs in facts]
    scores.append(Score("other", "ents_f", (0.3,), conditions={"set": "names"}))
    first, second = draw_columns(scores, "set", "A title").axes
    assert [axes.get_title(loc="left") for axes in (first, second)] == ["clean", "names"]
    assert [text.get_text() for text in first.get_yticklabels()] == ["CharCNN + LMAO", "other"]
    assert [text.get_text() for text in first.texts] == ["55.0", "40.0"]
    assert [text.get_text() for text in second.texts] == ["30.0"]
    assert second.get_xlabel() == "entities F, %"


def test_draw_scores_hides_panels_without_scores():
    scores = [score for metric in ("ents_f", "tag_acc") for score in make_scores(metric)]
    visible = [axes.get_visible() for axes in draw_scores(scores, "rate").axes]
    assert visible == [True] * 4 + [False] * 2


ROWS = ["CharCNN/LMAO", "CharCNN/none", "MultiHashEmbed/none", "MultiHashEmbed/LMAO"]


def test_choose_looks_gives_a_name_one_look_in_all_figures():
    looks = choose_looks(ROWS)
    for names in (ROWS[::-1], ROWS[:2], ["a run", "words", *ROWS[2:]]):
        found = choose_looks(names)
        assert all(found[name] == looks[name] for name in names if name in looks)
    unknown = ["x/y", "x/z", "words", *ROWS]
    assert choose_looks(unknown) == choose_looks(unknown[::-1])
    # With and without pretraining: one colour, two lines.
    for with_, without in ((ROWS[0], ROWS[1]), (ROWS[3], ROWS[2])):
        assert looks[with_].colour == looks[without].colour
        assert looks[with_].dashes != looks[without].dashes
    assert looks[ROWS[0]].colour != looks[ROWS[2]].colour


@pytest.mark.parametrize("prefix", ["run-", "CharCNN/", "a/b/c"])
def test_choose_looks_tells_names_apart(prefix):
    looks = choose_looks(f"{prefix}{i}" for i in range(MOST + 3))
    kept = [look for look in looks.values() if look.colour != OTHERS]
    assert len(set(kept)) == len(kept) == MOST


def test_draw_scores_summarises_many_sources():
    scores = [
        Score(f"{'a-long-folder/' * 9}{i}", "ents_f", (i / 50, i / 40), 7, "texts", {"rate": rate})
        for i in range(MOST + 3)
        for rate in (0.0, 0.1)
    ]
    (legend,) = draw_scores(scores, "rate").legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert len(labels) == MOST + 1 and labels[-1] == "3 others"
    assert not legend.get_frame_on()
    assert max(map(len, labels)) == LONGEST and len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    "name, text",
    [
        ("CharCNN/none", "CharCNN"),
        ("training/CharCNN/LMAO", "CharCNN + LMAO"),
        ("CharCNN + LMAO", "CharCNN + LMAO"),
        ("CharCNN/denoising-typos", "CharCNN + denoising + typos"),
        ("runs/mine", "runs/mine"),
        ("none", "none"),
    ],
)
def test_show_name(name, text):
    assert show_name(name) == text


def test_save_figure_makes_the_folder(tmp_path):
    figure = draw_scores(make_scores(), "rate")
    save_figure(figure, tmp_path / "new" / "x.svg")
    assert "<svg" in (tmp_path / "new" / "x.svg").read_text(encoding="utf8")
    with pytest.raises(ValueError, match="E643"):
        save_figure(figure, tmp_path / "x.bmp")

import importlib.util
from pathlib import Path

import pytest

from spacy_charlm.report.figure import choose_looks

PATH = Path(__file__).parents[2] / "benchmarks" / "pipelines.py"
if not PATH.is_file():
    pytest.skip("benchmarks/ is not beside tests/", allow_module_level=True)


def test_pipelines_draws_in_the_colours_of_all_figures(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location("pipelines", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    figures = []
    monkeypatch.setattr(module, "save_figure", lambda figure, path: figures.append(figure))
    names = ["MultiHashEmbed", "MultiHashEmbed + PretrainVectors", "CharCNN + LMAO"]
    rows = [
        {"name": name, "score": 0.8, "megabytes": 8.0 + i, "words_per_second": 10_000.0}
        for i, name in enumerate(names)
    ]
    module.draw(rows, tmp_path / "x.png")
    (figure,) = figures
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == names
    looks = choose_looks(names)
    for axes in figure.axes:
        assert [line.get_color() for line in axes.get_lines()] == [looks[n].colour for n in names]

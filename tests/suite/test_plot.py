"""Names in the plot of size and speed keep clear of each other and of the points."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="plots need the plot extra")
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from matplotlib.text import Text

from benchmarks.suite import inputs
from benchmarks.suite.report import plot


def test_names_overlap_neither_names_nor_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr("matplotlib.pyplot.close", drawn.append)
    found, machine = plot.of_csv(ROOT / "benchmarks" / "results" / "measurements.csv")
    names = (inputs.SQUEEZENET, inputs.ALEXNET)
    plot.panels(found, machine, tmp_path / "plot.svg", names)
    monkeypatch.undo()
    (figure,) = drawn
    figure.canvas.draw()
    assert "one thread" in machine and (tmp_path / "plot.svg").stat().st_size > 10_000
    for axes, name in zip(figure.axes, names):
        points = [point for point in found if point.input == name]
        assert sorted(text.get_text() for text in axes.texts) == sorted(point.title for point in points)
        boxes = [Text.get_window_extent(text, figure.canvas.get_renderer()) for text in axes.texts]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
        places = [axes.transData.transform((point.share, point.speed)) for point in points]
        assert not any(box.contains(x, y) for box in boxes for x, y in places)


def test_the_committed_picture_is_drawn_from_the_committed_numbers() -> None:
    text = (ROOT / "benchmarks" / "results" / "size_speed.svg").read_text(encoding="utf-8")
    found, _ = plot.of_csv(ROOT / "benchmarks" / "results" / "measurements.csv")
    shown = [point.title for point in found if point.input in (inputs.SQUEEZENET, inputs.ALEXNET)]
    assert len(shown) > 20 and all(f"<!-- {title} -->" in text for title in shown)

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_cli import plots
from bigmodel_cli.plots.dependence import PANELS, ROWS


def test_the_mean_stands_before_single_rows(tmp_path: Path, figures: list[Any]) -> None:
    lines = np.random.default_rng(0).random((100, 30, 1))
    panels = [
        plots.DependencePanel("age", np.arange(30.0), lines),
        plots.DependencePanel("shop", np.array(["a", "b"]), lines[:, :2]),
        plots.DependencePanel("day", np.array([0.0, 86_400.0]), lines[:, :2], dates=True),
    ]
    plots.partial_dependence(panels, ["yes"], tmp_path / "a.png", title="t", label="probability")
    age, shop, day = figures[0].axes[:3]
    assert len(age.lines) == ROWS + 1
    np.testing.assert_allclose(age.lines[-1].get_ydata(), lines.mean(axis=0)[:, 0])
    assert age.lines[-1].get_linewidth() > age.lines[0].get_linewidth()
    assert [label.get_text() for label in shop.get_xticklabels()] == ["a", "b"]
    assert day.lines[-1].get_xdata()[1] == np.datetime64("1970-01-02")
    assert not figures[0].legends


def test_several_outputs_have_a_legend(tmp_path: Path, figures: list[Any]) -> None:
    panels = [
        plots.DependencePanel(f"column {place}", np.arange(5.0), np.zeros((3, 5, 2)))
        for place in range(PANELS + 1)
    ]
    plots.partial_dependence(panels, ["yes", "no"], tmp_path / "a.png", title="t", label="probability")
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == ["yes", "no"]
    assert len(figures[0].axes) == PANELS
    first, second = (line for line in figures[0].axes[0].lines if line.get_linewidth() > 2)
    assert first.get_linestyle() != second.get_linestyle()


def test_nothing_to_draw(tmp_path: Path, figures: list[Any]) -> None:
    plots.partial_dependence([], ["yes"], tmp_path / "a.png", title="t", label="probability")
    assert figures[0].axes[0].texts[0].get_text() == "no column has known values"

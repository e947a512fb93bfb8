from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from bigmodel_cli import plots


def test_the_largest_weight_comes_first(tmp_path: Path, figures: list[Any]) -> None:
    intervals = np.array([[0.5, 1.5], [-4.0, -2.0], [-1.0, 2.0], [np.nan, np.nan]])
    plots.linear_weights(
        np.array([1.0, -3.0, 0.5, 0.1]), ["a", "b", "c", "d"], tmp_path / "a.png", title="finding",
        intervals=intervals, unit="per year",
    )  # fmt: skip
    axes = figures[0].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "a", "c", "d"]
    assert axes.get_xlabel() == "per year"
    bars = [line.get_xdata() for line in axes.get_lines() if line.get_solid_capstyle() == "butt"]
    np.testing.assert_array_equal(bars, intervals[[1, 0, 2]])
    markers = [line for line in axes.get_lines() if line.get_marker() in "os"]
    assert [line.get_marker() for line in markers] == ["s", "o", "o", "o"]
    assert [to_hex(line.get_markerfacecolor()) == "#ffffff" for line in markers] == [
        False,
        False,
        True,
        False,
    ]
    assert figures[0].get_supxlabel().startswith("without an interval: d")


def test_many_weights(tmp_path: Path, figures: list[Any]) -> None:
    weights = np.append(np.arange(40.0), np.nan)
    plots.linear_weights(weights, [str(index) for index in range(41)], tmp_path / "a.png", title="")
    axes = figures[0].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [str(39 - place) for place in range(30)]
    assert axes.get_title(loc="left") == "the 30 largest of 40 weights"
    assert figures[0].get_supxlabel() == "not finite: 40"


def test_no_weight(tmp_path: Path, figures: list[Any]) -> None:
    plots.linear_weights(np.array([np.nan]), ["a"], tmp_path / "a.png", title="")
    assert figures[0].axes[0].texts[0].get_text() == "no finite weight"

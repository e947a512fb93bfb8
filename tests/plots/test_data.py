from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import plots

Pixels = Callable[[Path], Any]


def test_classes_as_bars_of_shares(tmp_path: Path, figures: list[Any]) -> None:
    plots.class_balance({"train": [3, 1], "test": [0, 0]}, ["a", "b"], tmp_path / "a.png", title="")
    (axes,) = figures[0].axes
    assert [[bar.get_width() for bar in group] for group in axes.containers] == [[75, 25], [0, 0]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == ["train (4)", "test (0)"]


def test_many_classes_as_lines_by_frequency_in_train(tmp_path: Path, figures: list[Any]) -> None:
    names = [str(index) for index in range(50)]
    counts = {"train": list(range(50)), "test": list(range(50, 0, -1))}
    plots.class_balance(counts, names, tmp_path / "a.png", title="")
    test, train = figures[0].axes[0].get_lines()
    assert train.get_ydata()[0] == max(train.get_ydata()) == pytest.approx(100 * 49 / 1225)
    assert test.get_ydata()[0] == min(test.get_ydata())


def test_columns_by_kind(tmp_path: Path, figures: list[Any]) -> None:
    dates = np.datetime64("2020-01-01", "s") + np.arange(0, 9 * 10**7, 10**6).astype("timedelta64[s]")
    panels = [
        plots.ColumnPanel("few whole numbers", "", np.array([1.0, 2, 2, 8])),
        plots.ColumnPanel("many whole numbers", "", np.arange(100.0).repeat(3)),
        plots.ColumnPanel("numbers", "", np.append(np.random.default_rng(0).normal(size=500), np.nan)),
        plots.ColumnPanel("dates", "", dates),
        plots.ColumnPanel("categories", "a note", bars=[("a", 3), ("b", 1)]),
        plots.ColumnPanel("constant", "", np.full(5, 1e9)),
        plots.ColumnPanel("nothing", "", np.array([np.nan])),
        plots.ColumnPanel("no category", ""),
    ]
    plots.column_grid(panels, tmp_path / "a.png", title="", left_out=["another"])
    axes = {item.get_title(loc="left"): item for item in figures[0].axes}
    assert [bar.get_height() for bar in axes["few whole numbers"].patches] == [1, 2, 1]
    # Bins of whole numbers hold as many of them each: no comb.
    assert len({bar.get_height() for bar in axes["many whole numbers"].patches[:-1]}) == 1
    assert sum(bar.get_height() for bar in axes["numbers"].patches) == 500
    assert sum(bar.get_height() for bar in axes["dates"].patches) == len(dates)
    assert [bar.get_width() for bar in axes["categories"].patches] == [3, 1]
    assert [text.get_text() for text in axes["nothing"].texts] == ["", "no values"]
    assert "not shown: another" in figures[0].get_supxlabel()


@pytest.mark.parametrize("count", [1, 2, 5, 24])
def test_any_number_of_columns(tmp_path: Path, count: int, pixels: Pixels) -> None:
    panels = [plots.ColumnPanel("a" * 200, "b" * 200, np.arange(3.0))] * count
    assert pixels(plots.column_grid(panels, tmp_path / "a.png", title="")).std() > 0


def test_targets_of_the_splits_on_the_same_bins(tmp_path: Path, figures: list[Any]) -> None:
    train, test = np.linspace(0, 10, 400)[:, None], np.array([[-5.0], [np.nan]])
    names = ["y"]
    plots.target_distributions({"train": train, "test": test}, names, tmp_path / "a.png", title="")
    (axes,) = figures[0].axes
    *bars, line = axes.patches
    assert bars[0].get_x() == -5
    assert sum(bar.get_height() for bar in bars) == pytest.approx(100)
    assert max(line.get_xy()[:, 1]) == 100


def test_only_some_targets_are_drawn(tmp_path: Path, figures: list[Any]) -> None:
    names = [f"y{index}" for index in range(12)]
    targets = {"train": np.random.default_rng(0).normal(size=(20, 12))}
    plots.target_distributions(targets, names, tmp_path / "a.png", title="")
    assert len([axes for axes in figures[0].axes if axes.axison]) == 9
    assert "not shown: y9, y10, y11" in figures[0].get_supxlabel()

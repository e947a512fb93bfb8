from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import plots

Pixels = Callable[[Path], Any]


@pytest.mark.parametrize("k", [2, 20, 21, 61, 1000])
def test_confusion_matrix_of_any_size(tmp_path: Path, figures: list[Any], k: int) -> None:
    counts = np.eye(k, dtype=np.int64) * 12_345
    counts[0] = 0
    names = [f"a very long class name, in which only the end differs: {i}" for i in range(k)]
    plots.confusion_matrix(counts, names, tmp_path / "a.png", title="all right")
    axes = figures[0].axes[0]
    assert [text.get_text() for text in axes.texts] == (["12.3k"] * (k - 1) if k <= 20 else [])
    ticks = [label.get_text() for label in axes.get_yticklabels()]
    if k <= 60:
        assert len(set(ticks)) == k
        assert max(map(len, ticks)) == 22
    else:
        assert len(ticks) < 20


def test_no_label_is_cut_off_or_overlaps_the_next(tmp_path: Path, figures: list[Any]) -> None:
    names = [f"quite a long class name {i}" for i in range(20)]
    plots.confusion_matrix(np.eye(20, dtype=int), names, tmp_path / "a.png", title="x " * 80)
    figure = figures[0]
    renderer = figure.canvas.get_renderer()
    frame = figure.bbox
    boxes = [
        [label.get_window_extent(renderer) for label in labels]
        for labels in (figure.axes[0].get_xticklabels(), figure.axes[0].get_yticklabels())
    ]
    for axis in boxes:
        for one, other in pairwise(axis):
            assert not one.overlaps(other)
    for box in [*boxes[0], *boxes[1], figure._suptitle.get_window_extent(renderer)]:
        assert frame.x0 <= box.x0 <= box.x1 <= frame.x1
        assert frame.y0 <= box.y0 <= box.y1 <= frame.y1


def test_shares_of_the_true_class(tmp_path: Path, figures: list[Any]) -> None:
    counts = np.array([[999, 1, 0], [10, 30, 0], [0, 0, 0]])
    plots.confusion_matrix(counts, ["a", "b", "c"], tmp_path / "a.png", title="", normalised=True)
    axes = figures[0].axes[0]
    assert [text.get_text() for text in axes.texts] == ["99.9%", "0.1%", "25%", "75%"]
    # The row without examples has no shares, and is grey.
    cells = axes.get_images()[0].get_array()
    assert cells.mask[2].all() and not cells.mask[:2].any()
    assert figures[0].get_supxlabel() == "no examples of: c"


def test_a_single_mistake_among_many_is_seen(tmp_path: Path, pixels: Pixels) -> None:
    counts = np.eye(30, dtype=int) * 10_000
    names = [str(index) for index in range(30)]
    plots.confusion_matrix(counts, names, tmp_path / "a.png", title="")
    counts[3, 20] = 1
    plots.confusion_matrix(counts, names, tmp_path / "b.png", title="")
    # The matrix, without the colour bar and the list.
    before, after = (pixels(tmp_path / name)[:, :900] for name in ("a.png", "b.png"))
    assert np.abs(after - before).max(axis=2).max() > 60


def test_the_most_frequent_mistakes_are_listed(tmp_path: Path, figures: list[Any]) -> None:
    counts = np.eye(1000, dtype=int) * 5
    counts[700, 3], counts[10, 999] = 4, 1
    counts[10, 10] = 0
    names = [f"class {index}" for index in range(1000)]
    plots.confusion_matrix(counts, names, tmp_path / "a.png", title="")
    plots.confusion_matrix(counts, names, tmp_path / "b.png", title="", normalised=True)
    listed = [[text.get_text() for text in figure.axes[1].texts] for figure in figures]
    first, second = "class 700 → class 3: 4 of 9", "class 10 → class 999: 1 of 1"
    assert listed == [[first, second], [second, first]]
    assert figures[0].get_supxlabel() == "each cell holds 4 x 4 classes"
    cells = figures[0].axes[0].get_images()[0].get_array()
    assert cells.shape == (250, 250)
    assert (cells[175, 0], cells[0, 0], cells[5, 6]) == (4, 20, -1)


def test_without_mistakes_and_without_examples(tmp_path: Path, figures: list[Any]) -> None:
    names = [str(index) for index in range(21)]
    plots.confusion_matrix(np.zeros((21, 21), int), names, tmp_path / "a.png", title="", normalised=True)
    assert [text.get_text() for text in figures[0].axes[1].texts] == ["none"]

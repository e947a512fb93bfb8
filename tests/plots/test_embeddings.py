from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import plots


@pytest.mark.parametrize("k", [2, 20, 100])
def test_at_most_twenty_classes_are_named(k: int, tmp_path: Path, figures: list[Any]) -> None:
    classes = np.repeat(np.arange(k), np.where(np.arange(k) < 20, 4, 2))
    points = np.random.default_rng(0).normal(size=(len(classes), 2))
    names = [f"class {index}" for index in range(k)]
    plots.embedding_map(points, classes, names, tmp_path / "a.png", title="finding")
    (legend,) = figures[0].legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named == [*names[:20], *(["80 other classes"] if k == 100 else [])]
    drawn = figures[0].axes[0].collections
    assert sum(len(item.get_offsets()) for item in drawn) == len(points)
    looks = {
        (*item.get_facecolor()[0], item.get_paths()[0].vertices.tobytes()) for item in drawn[: min(k, 20)]
    }
    assert len(looks) == min(k, 20)


def test_points_without_classes(tmp_path: Path, figures: list[Any]) -> None:
    points = np.array([[0.0, 1.0], [np.inf, 0.0], [2.0, 2.0]])
    plots.embedding_map(points, None, [], tmp_path / "a.png", title="", axes_names=("first", "second"))
    axes = figures[0].axes[0]
    assert len(axes.collections[0].get_offsets()) == 2
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("first", "second")
    assert figures[0].get_supxlabel() == "1 of 3 examples left out: not finite"
    assert not figures[0].legends


def test_no_points(tmp_path: Path, figures: list[Any]) -> None:
    plots.embedding_map(np.zeros((0, 2)), np.zeros(0, int), ["a"], tmp_path / "a.png", title="")
    assert figures[0].axes[0].texts[0].get_text() == "no points"

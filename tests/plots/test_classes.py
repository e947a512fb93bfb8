from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import plots


def test_the_worst_class_comes_first(tmp_path: Path, figures: list[Any]) -> None:
    # c is never predicted, d has no examples.
    counts = np.array([[9, 1, 0, 0], [2, 7, 0, 1], [0, 4, 0, 0], [0, 0, 0, 0]])
    plots.class_bars(counts, ["a", "b", "c", "d"], tmp_path / "a.png", title="finding")
    axes, beside = figures[0].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c", "b", "a", "d"]
    recall, precision = ([bar.get_width() for bar in bars] for bars in axes.containers)
    assert recall == pytest.approx([0, 0.7, 0.9, 0])
    assert precision == pytest.approx([0, 7 / 12, 9 / 11, 0])
    assert sorted(text.get_text() for text in axes.texts) == ["never predicted", "no examples"]
    assert [text.get_text() for text in beside.texts] == ["4", "10", "10", "0"]
    assert axes.containers[1][0].get_hatch()


@pytest.mark.parametrize(("k", "said"), [(30, ""), (31, "the 30 of 31 classes with the lowest F1")])
def test_only_thirty_are_shown(k: int, said: str, tmp_path: Path, figures: list[Any]) -> None:
    names = [str(index) for index in range(k)]
    plots.class_bars(np.eye(k, dtype=int), names, tmp_path / "a.png", title="")
    axes = figures[0].axes[0]
    assert (len(axes.get_yticks()), axes.get_title(loc="left")) == (30, said)

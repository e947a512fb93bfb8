"""A dot a run, with mean and deviation."""

from __future__ import annotations

import pytest

from bigmodel_cli.plots import repeated_scores
from bigmodel_cli.plots.style import LOOKS


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_dots_and_mean(tmp_path, figures, holds_color, theme):
    scores = {"accuracy": [0.9, 0.7, 0.8], "macro_f1": [0.5, None, 0.7]}
    path = repeated_scores(scores, ["1", "2", "3"], tmp_path / "s.png", title="x", member="fold", theme=theme)
    assert list(tmp_path.iterdir()) == [path]
    first, second = figures[0].axes
    assert first.get_title(loc="left") == "accuracy\n0.8 ± 0.1"
    assert second.get_title(loc="left") == "macro f1\n0.6 ± 0.14"
    assert [text.get_text() for text in first.get_xticklabels()] == ["1", "2", "3"]
    dots = [line for line in first.lines if line.get_marker() == "o"]
    assert list(dots[0].get_ydata()) == [0.9, 0.7, 0.8]
    color = LOOKS[theme].vermillion
    assert holds_color(path, [int(color[start : start + 2], 16) for start in (1, 3, 5)])


def test_one_run_has_no_deviation(tmp_path, figures):
    repeated_scores({"loss": [0.25]}, ["7"], tmp_path / "s.png", title="x", member="seed")
    assert figures[0].axes[0].get_title(loc="left") == "loss\n0.25"


def test_nine_panels_at_most_and_many_runs(tmp_path, figures):
    scores = {f"metric_{number}": [0.1 * number] * 30 for number in range(11)}
    repeated_scores(scores, [str(n) for n in range(30)], tmp_path / "s.png", title="x", member="fold")
    assert len(figures[0].axes) == 9
    assert "not drawn: metric_9, metric_10" in figures[0].get_supxlabel()

"""Curves of several runs in one picture."""

from __future__ import annotations

import math

import pytest

from bigmodel_cli.plots import compared_curves


def history(epochs: int, **values: float | None) -> list[dict[str, float | None]]:
    return [{"epoch": n, "loss": 1 / n, "val_loss": 1.5 / n, **values} for n in range(1, epochs + 1)]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_run_has_its_colour(tmp_path, pixels, theme):
    from bigmodel_cli.plots.style import LOOKS

    runs = {"one": history(5, val_accuracy=0.5), "$two$": history(3), "three": history(4)}
    path = compared_curves(runs, tmp_path / "c.png", title="three", theme=theme)
    assert list(tmp_path.iterdir()) == [path]
    drawn = pixels(path).reshape(-1, 3)
    look = LOOKS[theme]
    for colour in (look.paper, look.ink, *look.series[:2]):
        wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
        assert (drawn == wanted).all(axis=1).sum() > 100, colour


def test_only_what_there_is(tmp_path):
    """Unfinished, diverged and metric-free runs are drawn as far as they go."""
    runs = {f"run {n}": history(2, val_loss=math.nan, loss=None) for n in range(12)}
    runs["one epoch"] = history(1, val_auc=0.5, auc=0.4)
    assert compared_curves(runs, tmp_path / "c.png", title="13 runs").stat().st_size > 1000


def test_as_many_panels_as_metrics(tmp_path, pixels):
    heights = []
    for number, metrics in enumerate(({}, {"val_a": 1.0}, {"val_a": 1.0, "val_b": 2.0, "val_c": 3.0})):
        path = compared_curves({"x": history(3, **metrics)}, tmp_path / f"{number}.png", title="x")
        heights.append(len(pixels(path)))
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=1)
    assert heights[0] < heights[1]

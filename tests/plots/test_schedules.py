from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bigmodel_cli import plots

Pixels = Callable[[Path], Any]
HoldsColor = Callable[[Path, Any], bool]
VERMILLION = (0xD5, 0x5E, 0x00)


def test_a_range_test_marks_the_rate_and_cuts_the_divergence_off(
    tmp_path: Path, figures: list[Any], holds_color: HoldsColor
) -> None:
    rates = [10.0 ** (step / 10 - 6) for step in range(70)]
    losses = [2.3] * 30 + [0.5] * 20 + [1e6] * 20
    path = tmp_path / "range.png"
    assert plots.learning_rate_range(rates, losses, losses, path, chosen=1e-3, title="found") == path
    (figure,) = figures
    (axes,) = figure.axes
    assert axes.get_xscale() == "log" and axes.get_ylim()[1] < 5
    assert "chosen: 0.001" in [text.get_text() for text in axes.get_legend().get_texts()]
    assert holds_color(path, VERMILLION)


def test_learning_rates_of_layers_are_lines_of_their_own(
    tmp_path: Path, figures: list[Any], pixels: Pixels
) -> None:
    path = plots.learning_rates(
        range(40), [0.1] * 20 + [0.05] * 20, tmp_path / "a.png",
        steps_per_epoch=10, factors={"stem": 0.1, "block*": 0.5}, title="finding",
    )  # fmt: skip
    assert pixels(path).std() > 0
    axes, above = figures[0].axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "all other layers", "stem (0.1 times)", "block* (0.5 times)",
    ]  # fmt: skip
    lines = axes.get_lines()
    assert [line.get_ydata()[0] for line in lines[:3]] == pytest.approx([0.1, 0.01, 0.05])
    assert len({line.get_linestyle() for line in lines[:3]}) == 3
    assert lines[0].get_xdata()[-1] == 3.9
    assert (axes.get_xlabel(), axes.get_xlim()) == ("epochs done", (0, 4))
    assert (above.get_xlabel(), above.get_xlim()) == ("steps done", (0, 40))
    assert axes.get_title(loc="left") == "start 0.1, peak 0.1 at step 1, end 0.05"
    assert axes.get_yscale() == "linear"


@pytest.mark.parametrize(("share", "scale"), [(0.4, "linear"), (0.6, "log")])
def test_learning_rates_that_would_lie_on_the_axis(
    tmp_path: Path, figures: list[Any], share: float, scale: str
) -> None:
    rates = [0.1] * round(100 * (1 - share)) + [0.001] * round(100 * share)
    plots.learning_rates(range(100), rates, tmp_path / "a.png", steps_per_epoch=10, factors={}, title="")
    assert figures[0].axes[0].get_yscale() == scale
    assert figures[0].axes[0].get_legend() is None


def test_a_single_step_is_drawn(tmp_path: Path, pixels: Pixels) -> None:
    path = plots.learning_rates([0], [0.1], tmp_path / "a.png", steps_per_epoch=1, factors={}, title="")
    assert pixels(path).std() > 0


def test_a_range_test_that_diverged_to_nothing(tmp_path: Path, figures: list[Any]) -> None:
    losses = [2.0, 1.0, float("nan"), float("inf")]
    plots.learning_rate_range(
        [1e-4, 1e-3, 1e-2, 1e-1], losses, [2.0, 1.5, 1.4, 1.3], tmp_path / "a.png", chosen=1e-3, title=""
    )
    assert figures[0].axes[0].get_ylim() == (0.9, 2.5)

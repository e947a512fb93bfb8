from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import plots

HoldsColor = Callable[[Path, Any], bool]
VERMILLION = (0xD5, 0x5E, 0x00)


@pytest.mark.parametrize(("n", "targets"), [(1, 1), (2, 4), (200, 12), (5000, 1)])
def test_regression_pictures(tmp_path: Path, figures: list[Any], n: int, targets: int) -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(n, targets)).astype(np.float32)
    names = [f"target {i}" for i in range(targets)]
    plots.predicted_against_true(true, true + 0.1, names, tmp_path / "a.png", title="off by 0.1")
    plots.residuals(true, true + 0.1, names, tmp_path / "b.png", title="off by 0.1")
    against, rest = figures
    titles = [axes.get_title(loc="left") for axes in against.axes if axes.get_title(loc="left")]
    assert len(titles) == min(targets, 9)
    if n == 1:
        assert titles[0] == "target 0: no R², constant"
    else:
        r2 = 1 - 0.01 / np.var(true[:, 0].astype(np.float64))
        assert titles[0] == f"target 0: R² = {r2:.3f}"
    assert rest.axes[0].get_title(loc="left").startswith("target 0: mean -0.1, standard deviation")
    notes = against.get_supxlabel()
    assert ("target 11" in notes) == (targets == 12)
    assert ("5,000 examples" in notes) == (n == 5000)


def test_fitted_line_draws_the_model_and_the_extra_lines(
    tmp_path: Path, figures: list[Any], holds_color: HoldsColor
) -> None:
    x = np.linspace(0, 1, 50)
    path = plots.fitted_line(
        x, 3 * x + 2, x, 3 * x + 2.1, tmp_path / "a.png", title="fit", extra=[("least squares", x, 3 * x + 2)]
    )
    assert holds_color(path, VERMILLION)
    handles = figures[0].axes[0].get_legend_handles_labels()[1]
    assert handles == ["examples", "model", "least squares"]


def test_what_is_not_finite_is_left_out(tmp_path: Path, figures: list[Any]) -> None:
    true = np.array([[1.0], [2.0], [np.nan], [4.0]])
    predicted = np.array([[1.0], [np.inf], [3.0], [3.0]])
    for draw in (plots.predicted_against_true, plots.residuals):
        draw(true, predicted, ["y"], tmp_path / "a.png", title="")
        draw(true[1:2], predicted[1:2], ["y"], tmp_path / "b.png", title="")
    plots.fitted_line(true[:, 0], predicted[:, 0], true[:2, 0], true[:2, 0], tmp_path / "c.png", title="")
    for figure in (figures[0], figures[2], figures[4]):
        assert len(figure.axes[0].collections[0].get_offsets()) == 2
        assert "2 of 4 examples left out: not finite" in figure.get_supxlabel()
    for figure in (figures[1], figures[3]):
        assert figure.axes[0].texts[0].get_text() == "no example with finite values"

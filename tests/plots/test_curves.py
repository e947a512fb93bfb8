from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import plots

pytestmark = pytest.mark.curves

Pixels = Callable[[Path], Any]
HoldsColor = Callable[[Path, Any], bool]
VERMILLION = (0xD5, 0x5E, 0x00)


def history(epochs: int, **extra: float) -> list[dict[str, float]]:
    return [
        {"epoch": e, "loss": 2 / e, "val_loss": 2.5 / e, "accuracy": 1 - 1 / (e + 1), "val_accuracy": 0.5}
        | {"learning_rate": 0.1, "seconds": 3.0}
        | extra
        for e in range(1, epochs + 1)
    ]


def labels(figure: Any) -> list[str]:
    return [axes.get_ylabel() for axes in figure.axes]


def test_learning_curves_show_pairs_and_mark_the_best_epoch(
    tmp_path: Path, figures: list[Any], pixels: Pixels
) -> None:
    path = tmp_path / "curves.png"
    drawn = plots.learning_curves(history(5), path, best_epoch=4, monitor="val_loss", title="finding")
    assert drawn == path
    assert pixels(path).std() > 0
    (figure,) = figures
    assert labels(figure) == ["loss", "accuracy"]
    assert figure.axes[0].get_title(loc="left") == "best: epoch 4, validation loss 0.625"
    assert figure.get_suptitle() == "finding"
    training = figure.axes[0].get_lines()[0]
    assert list(training.get_xdata()) == [1, 2, 3, 4, 5]
    assert list(training.get_ydata()) == [2 / e for e in range(1, 6)]


def test_learning_rate_has_a_panel_only_if_it_varies(tmp_path: Path, figures: list[Any]) -> None:
    rows = [{**row, "learning_rate": 10.0 ** -row["epoch"]} for row in history(5)]
    plots.learning_curves(rows, tmp_path / "a.png", best_epoch=None, monitor="val_loss", title="")
    assert labels(figures[0]) == ["loss", "accuracy", "learning rate"]
    assert figures[0].axes[2].get_yscale() == "log"


@pytest.mark.parametrize(("decades", "scale"), [(1.5, "linear"), (2.5, "log")])
def test_loss_goes_to_a_log_scale_beyond_two_decades(
    tmp_path: Path, figures: list[Any], decades: float, scale: str
) -> None:
    rows = [{"loss": float(v)} for v in np.logspace(0, -decades, 10)]
    plots.learning_curves(rows, tmp_path / "a.png", best_epoch=None, monitor="val_loss", title="")
    assert figures[0].axes[0].get_yscale() == scale


def test_the_monitored_metric_comes_first(tmp_path: Path, figures: list[Any]) -> None:
    rows = [{**row, "f1": 0.1, "val_f1": 0.2, "top5": 0.3, "val_top5": 0.4} for row in history(2)]
    plots.learning_curves(rows, tmp_path / "a.png", best_epoch=2, monitor="val_f1", title="")
    assert labels(figures[0]) == ["loss", "f1", "accuracy"]


def test_one_epoch_is_readable(tmp_path: Path, figures: list[Any], holds_color: HoldsColor) -> None:
    path = plots.learning_curves(
        history(1), tmp_path / "a.png", best_epoch=1, monitor="val_loss", title="one epoch"
    )
    assert holds_color(path, VERMILLION)
    low, high = figures[0].axes[-1].get_xlim()
    assert [tick for tick in figures[0].axes[-1].get_xticks() if low <= tick <= high] == [1]


def test_gaps_and_diverged_epochs_are_skipped(tmp_path: Path, figures: list[Any]) -> None:
    rows: list[dict[str, float]] = [
        {"epoch": 3, "loss": 1.0, "val_loss": 1.0},
        {"epoch": 4, "loss": float("nan")},
        {"epoch": 7, "loss": float("inf"), "val_loss": 0.5},
    ]
    plots.learning_curves(rows, tmp_path / "a.png", best_epoch=4, monitor="val_loss", title="")
    training, validation = figures[0].axes[0].get_lines()[:2]
    assert list(training.get_xdata()) == [3]
    assert list(validation.get_xdata()) == [3, 7]
    plots.learning_curves([], tmp_path / "b.png", best_epoch=None, monitor="val_loss", title="nothing yet")
    assert (tmp_path / "b.png").exists()

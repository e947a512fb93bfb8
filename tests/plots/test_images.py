from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import plots

Pixels = Callable[[Path], Any]
HoldsColor = Callable[[Path, Any], bool]
VERMILLION = (0xD5, 0x5E, 0x00)


@pytest.mark.parametrize(("count", "channels"), [(1, 1), (7, 3), (7, 4), (30, 1)])
def test_image_grid_marks_wrong_predictions(
    tmp_path: Path, figures: list[Any], channels: int, count: int, holds_color: HoldsColor
) -> None:
    images = np.random.default_rng(0).integers(0, 255, (count, 8, 8, channels), np.uint8)
    predictions, true = ["cat"] * count, ["cat"] * (count - 1) + ["dog"]
    true[0] = "dog"
    plots.image_grid(images, true, predictions, [0.5] * count, tmp_path / "a.png", title="one wrong")
    (axes,) = figures[0].axes
    titles = [text.get_text() for text in axes.texts]
    assert len(titles) == len(axes.images) == min(count, 25)
    assert titles[0] == "✗ cat (50.0%)\ntrue: dog"
    assert titles[1:6] == ["✓ cat (50.0%)"] * len(titles[1:6])
    assert holds_color(tmp_path / "a.png", VERMILLION)
    # A frame around the first, and around the last where it is drawn.
    assert len(axes.patches) == (1 if count in (1, 30) else 2)


def test_image_grid_without_labels_marks_nothing(
    tmp_path: Path, figures: list[Any], holds_color: HoldsColor
) -> None:
    images = np.zeros((2, 8, 8, 1), np.uint8)
    plots.image_grid(images, None, ["a", "b"], [0.5, 0.999], tmp_path / "a.png", title="new")
    plots.image_grid(images, [None, "b"], ["a", "b"], [0.5, 0.999], tmp_path / "b.png", title="new")
    words = [[text.get_text() for text in figure.axes[0].texts] for figure in figures]
    assert words == [["a (50.0%)", "b (99.9%)"], ["a (50.0%)", "✓ b (99.9%)"]]
    assert not holds_color(tmp_path / "a.png", VERMILLION)


def test_tiny_images_stay_crisp(tmp_path: Path, pixels: Pixels) -> None:
    board = np.indices((8, 8)).sum(axis=0)[None, :, :, None] % 2 * 255
    path = plots.image_grid(board.astype(np.uint8), None, ["a"], [1.0], tmp_path / "a.png", title="")
    middle = pixels(path)[len(pixels(path)) // 2 :]
    grey = ((middle > 20) & (middle < 235)).all(axis=2).mean()
    assert grey < 0.01


def test_samples_stand_in_rows_with_their_names(
    tmp_path: Path, figures: list[Any], holds_color: HoldsColor
) -> None:
    images = np.zeros((2, 3, 4, 4, 3), np.uint8)
    images[1, 2] = (0xD5, 0x5E, 0x00)
    captions = [["a", "b", "c"], ["70% a\n30% b", "", "$5"]]
    path = plots.sample_grid(
        images, captions, tmp_path / "a.png", title="finding", row_names=("original", "augmented")
    )
    assert holds_color(path, VERMILLION)
    texts = {text.get_text(): text.get_position() for text in figures[0].axes[0].texts}
    assert set(texts) == {"a", "b", "c", "70% a\n30% b", r"\$5", "original", "augmented"}
    # Down is more.
    assert texts["a"][0] < texts["b"][0] < texts["c"][0] == texts[r"\$5"][0]
    assert texts["original"][1] < texts["70% a\n30% b"][1] < texts["augmented"][1]


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_samples_of_any_number_of_channels(tmp_path: Path, channels: int, pixels: Pixels) -> None:
    images = np.full((1, 2, 300, 100, channels), 128, np.uint8)
    assert pixels(plots.sample_grid(images, [["a", "b"]], tmp_path / "a.png", title="")).std() > 0


def test_details_take_the_place_of_the_true_class(tmp_path: Path, figures: list[Any]) -> None:
    images = np.zeros((2, 8, 8, 1), np.uint8)
    details = ["true: b (1.0%)", "true: a (2.0%)"]
    plots.image_grid(
        images, ["b", "a"], ["a", "a"], [0.5, 0.9], tmp_path / "a.png", title="", details=details
    )
    titles = [text.get_text() for text in figures[0].axes[0].texts]
    assert titles == ["✗ a (50.0%)\ntrue: b (1.0%)", "✓ a (90.0%)\ntrue: a (2.0%)"]


def test_no_images(tmp_path: Path, figures: list[Any]) -> None:
    plots.image_grid(np.zeros((0, 8, 8, 1), np.uint8), None, [], [], tmp_path / "a.png", title="")
    assert figures[0].axes[0].texts[0].get_text() == "no images"

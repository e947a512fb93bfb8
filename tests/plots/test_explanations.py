from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import plots
from bigmodel_cli.plots.explanations import BARS, WORDS

Pixels = Callable[[Path], Any]
HoldsColor = Callable[[Path, Any], bool]
VERMILLION, BLUE = (0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)


def _most_like(pixels: Any, color: tuple[int, int, int]) -> int:
    return int(np.abs(pixels - np.array(color)).max(axis=2).min())


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_what_speaks_against_is_blue(
    tmp_path: Path, pixels: Pixels, figures: list[Any], channels: int, theme: Any
) -> None:
    image = np.full((6, 9, channels), 255, np.uint8)
    values = np.zeros((6, 9))
    values[1, 1], values[4, 4] = 2.0, -1.5
    path = plots.image_attribution(image, values, tmp_path / "a.png", title="t", label="l", theme=theme)
    overlay = figures[0].axes[1].images[1]
    assert (overlay.norm.vmin, overlay.norm.vmax) == (-2, 2)
    red, blue, nothing = (overlay.cmap(overlay.norm(value)) for value in (2.0, -2.0, 0.0))
    assert red[0] > red[2] and blue[2] > blue[0]
    assert nothing[3] < 0.02
    assert pixels(path).shape[1] > 1000


def test_what_only_speaks_for_starts_at_nothing(tmp_path: Path, figures: list[Any]) -> None:
    image = np.zeros((4, 4, 1), np.uint8)
    plots.image_attribution(image, np.eye(4), tmp_path / "a.png", title="", label="")
    plots.image_attribution(image, np.zeros((4, 4)), tmp_path / "b.png", title="", label="")
    for figure in figures:
        overlay = figure.axes[1].images[1]
        assert (overlay.norm.vmin, overlay.norm.vmax) == (0, 1)
        assert overlay.cmap(0.0)[3] == 0


def test_one_strong_pixel_does_not_make_the_others_pale(tmp_path: Path, figures: list[Any]) -> None:
    values = np.ones((30, 30))
    values[0, 0] = 50
    plots.image_attribution(np.zeros((30, 30, 1), np.uint8), values, tmp_path / "a.png", title="", label="")
    assert figures[0].axes[1].images[1].norm.vmax == 1


def test_words_stand_in_lines_on_their_colours(tmp_path: Path, figures: list[Any], pixels: Pixels) -> None:
    words = ["good ", "and\n", "bad ", "$5 ", *["filler "] * 30]
    scores = np.array([1.0, 0.0, -1.0, 0.5, *[0.0] * 30])
    path = plots.text_attribution({"text": (words, scores)}, tmp_path / "a.png", title="t", label="l")
    axes = figures[0].axes[0]
    shown = [text.get_text() for text in axes.texts]
    assert shown[:4] == ["good", "and", "bad", r"\$5"]
    good, _, bad, *_ = axes.patches
    assert good.get_facecolor()[0] > good.get_facecolor()[2]
    assert bad.get_facecolor()[2] > bad.get_facecolor()[0]
    # No word stands beyond the right end, and none on another.
    boxes = [
        (round(patch.get_y()), patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches
    ]
    assert max(end for _, _, end in boxes) <= axes.get_xlim()[1] + 1
    for (row, _, end), (next_row, start, _) in pairwise(boxes):
        assert next_row > row or start >= end
    assert pixels(path).std() > 0
    renderer = figures[0].canvas.get_renderer()
    for text, patch in zip(axes.texts, axes.patches, strict=True):
        assert text.get_window_extent(renderer).width <= patch.get_window_extent(renderer).width * 1.05


def test_an_empty_text_has_a_picture(tmp_path: Path) -> None:
    path = plots.text_attribution(
        {"t": ((), np.zeros(0))}, tmp_path / "a.png", title="nothing", label="added"
    )
    assert path.stat().st_size > 0


def test_long_and_several_texts(tmp_path: Path, figures: list[Any]) -> None:
    texts = {
        "title": (["x" * 200], np.array([0.3])),
        "body": (["a "] * (WORDS + 7), np.zeros(WORDS + 7)),
        "empty": ([], np.zeros(0)),
    }
    plots.text_attribution(texts, tmp_path / "a.png", title="t", label="l", notes=["n"])
    shown = [text.get_text() for text in figures[0].axes[0].texts]
    assert {"title", "body", "empty"} <= set(shown)
    assert "the last 7 words are not drawn" in figures[0].get_supxlabel()


def test_bars_are_sorted_and_signed(tmp_path: Path, figures: list[Any], holds_color: HoldsColor) -> None:
    values = np.array([0.1, -3.0, 2.0])
    path = plots.column_bars(
        ["a", "b", "c"], values, tmp_path / "a.png", title="t", label="l", deviations=np.full(3, 0.1)
    )
    axes = figures[0].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "c", "a"]
    bars = [patch.get_width() for patch in axes.patches]
    assert bars == [-3, 2, 0.1]
    assert holds_color(path, VERMILLION)
    assert holds_color(path, BLUE)
    many = [f"column {place}" for place in range(BARS + 2)]
    plots.column_bars(many, np.arange(BARS + 2.0), tmp_path / "b.png", title="t", label="l")
    assert len(figures[1].axes[0].patches) == BARS
    assert figures[1].get_supxlabel() == "not drawn: column 1, column 0"

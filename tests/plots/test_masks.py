"""Masks as pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bigmodel_cli import plots
from bigmodel_cli.contracts import IGNORED


def test_colours_are_all_different():
    palette = plots.mask_colors(40)
    shown = {tuple(color) for color in palette[:40].tolist()} | {tuple(palette[IGNORED].tolist())}
    assert len(shown) == 41
    assert (palette[:8] == plots.mask_colors(8)[:8]).all(), "they stay when classes are added"


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_overlay(channels):
    images = np.full((2, 4, 5, channels), 100, np.uint8)
    masks = np.zeros((2, 4, 5), np.uint8)
    masks[1] = 2
    found = plots.overlaid(images, masks, 3, strength=0.5)
    assert found.shape == (2, 4, 5, 3)
    assert np.abs(found[1].astype(int) - (100 + plots.mask_colors(3)[2].astype(int)) / 2).max() <= 1


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("known", [True, False])
def test_grid(known, theme, tmp_path):
    random = np.random.default_rng(0)
    masks = random.integers(0, 50, (8, 6, 9)).astype(np.uint8)
    true = np.where(random.random(masks.shape) < 0.1, IGNORED, masks)
    path = plots.mask_grid(
        random.integers(0, 256, (8, 6, 9, 1)).astype(np.uint8), masks, tmp_path / "m.png",
        class_names=[f"class $ {i}" for i in range(50)], title="t", true=true if known else None,
        captions=["one"] * 8, theme=theme,
    )  # fmt: skip
    with Image.open(path) as image:
        assert image.width > (900 if known else 500)


def test_mistakes_are_marked(tmp_path):
    """With one pixel wrong the picture differs from that without."""
    images, masks = np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 8, 8), np.uint8)
    found = []
    for name in ("right", "wrong"):
        true = masks.copy()
        true[0, 0, 0] = name == "wrong"
        path = plots.mask_grid(
            images, masks, tmp_path / f"{name}.png", class_names="ab", title="t", true=true
        )
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        found.append((pixels == (0xD5, 0x5E, 0x00)).all(axis=-1).sum())
    assert found[1] > found[0] + 100


def test_bars_of_classes(tmp_path):
    scores = np.array([[0.9, 0.85, 0.95], [np.nan] * 3, [0.2, 0.1, 0.4]])
    path = plots.mask_bars(scores, np.array([90, 0, 10]), ["a", "b", "c"], tmp_path / "b.png", title="t")
    assert path.stat().st_size > 5000
    many = np.tile([[0.5, 0.4, 0.6]], (40, 1))
    assert plots.mask_bars(
        many, np.arange(40), list(map(str, range(40))), tmp_path / "c.png", title="t"
    ).exists()

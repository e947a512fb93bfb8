"""Grids of many small images."""

from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli import plots


@pytest.mark.parametrize(("channels", "theme"), [(1, "light"), (2, "dark"), (3, "light")])
def test_every_image_is_there(tmp_path, figures, channels, theme):
    images = np.zeros((2, 3, 4, 5, channels), np.uint8)
    images[1, 2] = 200
    path = plots.image_mosaic(images, tmp_path / "mosaic.png", title="drawn", theme=theme)
    assert path.stat().st_size
    (axes,) = figures[0].axes
    shown = np.asarray(axes.images[0].get_array())
    # With a gap of one pixel between them.
    assert shown.shape[:2] == (2 * 4 + 1, 3 * 5 + 2)
    assert (shown[5:, 12:] == 200).all() and not (shown[:4, :5] == 200).any()
    assert not axes.get_xticks().size


def test_axes(tmp_path, figures):
    plots.image_mosaic(
        np.zeros((2, 2, 3, 3, 1), np.uint8), tmp_path / "map.png", title="map",
        axes_names=("first", "second"), extent=(0, 1, 0, 1),
    )  # fmt: skip
    (axes,) = figures[0].axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("first", "second")
    assert axes.get_xlim() == (0, 1)

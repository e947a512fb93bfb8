"""Many small images side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bigmodel_cli.plots import style
from bigmodel_cli.plots.style import Array, Theme

_GAP = 1
"""Pixels between two images."""


def image_mosaic(
    images: Array,
    path: Path,
    *,
    title: str,
    axes_names: tuple[str, str] = ("", ""),
    extent: tuple[float, float, float, float] | None = None,
    theme: Theme = "light",
) -> Path:
    """Draw a grid of images without captions, as one picture.

    Args:
        images: (rows, columns, height, width, channels) uint8: grey, RGB or RGBA; of other numbers of
            channels the first one is drawn.
        path: the PNG to write.
        title: the finding.
        axes_names: of what the columns and the rows are; empty where they mean nothing.
        extent: left, right, bottom and top of the axes; without it they have no numbers.
        theme: light or dark.
    """
    rows, columns, height, width, channels = images.shape
    shown = images if channels in (3, 4) else images[..., :1]
    ratio = (rows * height) / (columns * width)
    with style.figure(path, title, 7.0, 0.6 + 6.6 * ratio, theme) as (figure, _):
        axes = figure.subplots()
        size = (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, shown.shape[-1])
        whole = np.full(size, 255 if theme == "light" else 0, np.uint8)
        for row, column in np.ndindex(rows, columns):
            top, left = row * (height + _GAP), column * (width + _GAP)
            whole[top : top + height, left : left + width] = shown[row, column]
        picture = whole if shown.shape[-1] > 1 else whole[..., 0]
        axes.imshow(
            picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest", extent=extent, aspect="auto"
        )
        axes.set(xlabel=axes_names[0], ylabel=axes_names[1])
        if extent is None:
            axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return path

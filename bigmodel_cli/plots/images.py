"""Grids of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bigmodel_cli.plots import style
from bigmodel_cli.plots.style import Array, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def image_grid(
    images: Array,
    labels: Sequence[str | None] | None,
    predictions: Sequence[str],
    confidences: Sequence[float] | Array,
    path: Path,
    *,
    title: str,
    details: Sequence[str] = (),
    theme: Theme = "light",
) -> Path:
    """Draw up to 25 images, each with its predicted and its true label; wrong ones are marked.

    Args:
        images: (n, height, width, channels) uint8: grey, RGB or RGBA.
        labels: true class names; None, as a whole or for one image, where there is none.
        predictions: predicted class names.
        confidences: probability of each prediction, 0 to 1.
        path: the PNG to write.
        title: the finding.
        details: a second line for each image, such as its second class; without, the true class of the wrong.
        theme: light or dark.
    """
    count = min(25, len(images))
    columns = min(5, max(1, count))
    rows = max(1, math.ceil(count / columns))
    with style.figure(path, title, max(3.6, 1.9 * columns), 0.6 + 2.2 * rows, theme) as (figure, look):
        cells = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in cells:
            axes.set_axis_off()
        if not count:
            style.nothing(cells[0], look, "no images")
        for index, axes in enumerate(cells[:count]):
            _show(axes, images[index])
            label = None if labels is None else labels[index]
            wrong = label is not None and label != predictions[index]
            mark = "" if label is None else "✗ " if wrong else "✓ "
            lines = [f"{mark}{style.short(predictions[index], 14)} ({confidences[index]:.1%})"]
            if details:
                lines.append(style.short(details[index], 26))
            elif wrong and label is not None:
                lines.append(f"true: {style.short(label, 16)}")
            color = look.vermillion if wrong else look.ink
            axes.set_title("\n".join(lines), fontsize=9, loc="center", color=color)
            if wrong:
                axes.set_axis_on()
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set(visible=True, color=look.vermillion, linewidth=3)
    return path


def sample_grid(
    images: Array,
    captions: Sequence[Sequence[str]],
    path: Path,
    *,
    title: str,
    theme: Theme = "light",
    row_names: Sequence[str] = (),
) -> Path:
    """Draw images in rows and columns.

    Args:
        images: (rows, columns, height, width, channels) uint8: grey, RGB or RGBA; of other numbers of
            channels the first one is drawn.
        captions: of each image, above it; lines are split at line breaks.
        path: the PNG to write.
        title: the finding.
        theme: light or dark.
        row_names: beside the rows; none where there are none.
    """
    rows, columns = images.shape[:2]
    height, width = images.shape[2:4]
    side = 1.55
    tall = side * float(np.clip(height / width, 0.5, 2))
    lines = [max((text.count("\n") + 1 for text in row if text), default=0) for row in captions]
    inches = 0.7 + tall * rows + 0.16 * sum(lines) + 0.06 * rows
    with style.figure(path, title, max(3.6, 0.3 + side * columns), inches, theme) as (figure, look):
        heights = [tall + 0.16 * count for count in lines]
        grid: Any = figure.subplots(rows, columns, squeeze=False, height_ratios=heights)
        for row, column in np.ndindex(rows, columns):
            axes = grid[row, column]
            _show(axes, images[row, column])
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            text = "\n".join(style.short(line, 20) for line in captions[row][column].splitlines())
            axes.set_title(text, fontsize=8, loc="center", pad=3)
        for axes, name in zip(grid[:, 0], row_names, strict=False):
            axes.set_ylabel(style.short(name, 24), color=look.grey, fontsize=9)
    return path


def _show(axes: Axes, image: Array) -> None:
    picture = image if image.shape[-1] in (3, 4) else image[..., 0]
    small = max(picture.shape[:2]) <= 128
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest" if small else "auto")

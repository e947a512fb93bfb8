"""Grids of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bigmodel_cli.plots import style
from bigmodel_cli.plots.sheet import Sheet
from bigmodel_cli.plots.style import Array, Theme


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
    wrong = [labels is not None and labels[n] not in (None, predictions[n]) for n in range(count)]
    words = []
    for index in range(count):
        label = None if labels is None else labels[index]
        mark = "" if label is None else "✗ " if wrong[index] else "✓ "
        words.append(f"{mark}{style.short(predictions[index], 14)} ({confidences[index]:.1%})")
        if details:
            words[index] += f"\n{style.short(details[index], 26)}"
        elif wrong[index] and label is not None:
            words[index] += f"\ntrue: {style.short(label, 16)}"
    lines = [
        max(text.count("\n") + 1 for text in words[start : start + columns])
        for start in range(0, count, columns)
    ] or [0]
    tall = _tall(1.9, images)
    inches = 0.6 + Sheet.height(tall, lines)
    with style.figure(path, title, max(3.6, 1.9 * columns), inches, theme) as (figure, look):
        sheet = Sheet(figure, look, columns, (1.9, tall), lines)
        if not count:
            style.nothing(sheet.axes, look, "no images")
        for index in range(count):
            color = look.vermillion if wrong[index] else None
            sheet.show(*divmod(index, columns), images[index], words[index], color=color, frame=color)
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
    side = 1.55
    tall = _tall(side, images)
    lines = [max((text.count("\n") + 1 for text in row if text), default=0) for row in captions]
    inches = 0.6 + Sheet.height(tall, lines)
    with style.figure(path, title, max(3.6, 0.3 + side * columns), inches, theme) as (figure, look):
        sheet = Sheet(figure, look, columns, (side, tall), lines)
        for row, column in np.ndindex(rows, columns):
            words = "\n".join(style.short(line, 20) for line in captions[row][column].splitlines())
            sheet.show(row, column, images[row, column], words, size=8)
        for row, name in enumerate(row_names[:rows]):
            sheet.name_row(row, style.short(name, 24))
    return path


def _tall(wide: float, images: Array) -> float:
    """Inches that images (..., height, width, channels) are high when they are so wide; within bounds."""
    height, width = images.shape[-3:-1]
    return wide * float(np.clip(height / width, 0.5, 2))

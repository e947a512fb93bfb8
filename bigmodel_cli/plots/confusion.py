"""Which classes a classifier takes for which."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bigmodel_cli.plots import style
from bigmodel_cli.plots.style import Array, Look, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_WRITTEN = 20
_NAMED = 60
_CELLS = 250
_MISTAKES = 20


def confusion_matrix(
    counts: Array,
    class_names: Sequence[str],
    path: Path,
    *,
    title: str,
    normalised: bool = False,
    unit: str = "examples",
    theme: Theme = "light",
) -> Path:
    """Draw a confusion matrix.

    Numbers are written up to 20 classes, names up to 60; of more than 20 classes the most frequent mistakes
    are listed beside it, and of more than 250 several share a cell.

    Args:
        counts: (classes, classes), rows the true class.
        class_names: in index order.
        path: the PNG to write.
        title: the finding.
        unit: what is counted.
        normalised: shares of the true class instead of counts; a class without examples is grey.
        theme: light or dark.
    """
    k = len(class_names)
    listed = k > _WRITTEN
    side = 9.5 if listed else max(5.0, 0.48 * k + 2.2)
    with style.figure(path, title, side + (5.5 if listed else 0.8), side, theme) as (figure, look):
        if listed:
            axes, beside = figure.subplots(1, 2, width_ratios=(side, 3.0))
            _draw_mistakes(beside, look, counts, class_names, normalised=normalised, unit=unit)
        else:
            axes = figure.subplots()
        image, step = _draw_cells(axes, look, counts, normalised=normalised)
        bar = figure.colorbar(image, ax=axes, shrink=0.5, aspect=30)
        bar.set_label("share of the true class" if normalised else unit)
        bar.outline.set_visible(False)
        _name_classes(axes, class_names, side)
        absent = [name for name, row in zip(class_names, counts, strict=True) if not row.sum()]
        notes = style.listed(f"no {unit} of", absent)
        if step > 1:
            notes.append(f"each cell holds {step} x {step} classes")
        style.footnote(figure, look, notes)
    return path


def _draw_cells(axes: Axes, look: Look, counts: Array, *, normalised: bool) -> tuple[AxesImage, int]:
    """Colour the cells; returns the image and how many classes a cell is wide."""
    from matplotlib.colors import PowerNorm

    k = len(counts)
    step = math.ceil(k / _CELLS)
    cells = _pooled(counts, step)
    if normalised:
        with np.errstate(invalid="ignore"):
            cells = cells / cells.sum(axis=1, keepdims=True)
    # Among many classes the mistakes are rare in each cell, and there are no numbers to read them by. Counts
    # of classes of different size need it too.
    gamma = 1 if normalised and k <= _WRITTEN else 0.5
    norm = PowerNorm(gamma, vmin=0, vmax=1 if normalised else max(1, cells.max(initial=0)))
    edge = step * len(cells) - 0.5
    # A single mistake must be seen: only what is empty has the colour of the paper.
    values = np.ma.masked_invalid(np.where(cells == 0, -1, cells))
    image = axes.imshow(
        values, cmap=look.heat(), norm=norm, interpolation="nearest",
        extent=(-0.5, edge, edge, -0.5),
    )  # fmt: skip
    if k <= _WRITTEN:
        for (row, column), value in np.ndenumerate(cells):
            if counts[row, column]:
                color = _readable(image, value, look)
                text = f"{value:.0%}" if normalised else _written(int(value))
                if (text == "100%" and value < 1) or text == "0%":
                    text = f"{value:.1%}"
                axes.text(column, row, text, ha="center", va="center", fontsize=8, color=color)
    return image, step


def _pooled(counts: Array, step: int) -> Array:
    """Sums of blocks of `step` x `step` classes."""
    rest = -len(counts) % step
    padded = np.pad(counts, (0, rest))
    n = len(padded) // step
    return np.asarray(padded.reshape(n, step, n, step).sum(axis=(1, 3)))


def _written(count: int) -> str:
    if count < 10_000:
        return f"{count}"
    return f"{count / 1000:.3g}k" if count < 999_500 else f"{count / 1e6:.3g}M"


def _readable(image: AxesImage, value: Any, look: Look) -> str:
    """The colour of the theme that stands out more on the cell."""
    red, green, blue, _ = image.cmap(image.norm(value))
    bright = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
    # Both are nearly grey, so that their codes sort by brightness.
    return min(look.ink, look.paper) if bright else max(look.ink, look.paper)


def _name_classes(axes: Axes, class_names: Sequence[str], side: float) -> None:
    k = len(class_names)
    axes.spines[:].set_visible(False)
    index = "" if k <= _NAMED else " (index)"
    axes.set(xlabel=f"predicted class{index}", ylabel=f"true class{index}")
    if k > _NAMED:
        return
    names = [style.short(name, 22) for name in class_names]
    size = 9 if k <= _WRITTEN else 7
    # In inches: what the longest name takes against the width of a cell.
    upright = 0.009 * size * max(map(len, names)) > (side - 2.2) / k
    axes.set_xticks(range(k), names, rotation=90 if upright else 0, fontsize=size)
    axes.set_yticks(range(k), names, fontsize=size)
    axes.tick_params(length=0)


def _draw_mistakes(
    axes: Axes, look: Look, counts: Array, class_names: Sequence[str], *, normalised: bool, unit: str
) -> None:
    """The most frequent confusions, by name."""
    wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    support = counts.sum(axis=1, keepdims=True)
    values = wrong / np.maximum(support, 1) if normalised else wrong
    order = np.argsort(-values, axis=None, kind="stable")[:_MISTAKES]
    pairs = [(row, column) for row, column in zip(*np.unravel_index(order, wrong.shape), strict=True)]
    pairs = [pair for pair in pairs if wrong[pair]]
    axes.set_title("most frequent mistakes: true → predicted", fontweight="bold")
    if not pairs:
        style.nothing(axes, look, "none")
        return
    lengths = [100 * values[pair] if normalised else values[pair] for pair in pairs]
    axes.barh(range(len(pairs)), lengths, 0.4, color=look.vermillion)
    for place, (row, column) in enumerate(pairs):
        share = f"{wrong[row, column]:,} of {support[row, 0]:,}"
        names = f"{style.short(class_names[row], 20)} → {style.short(class_names[column], 20)}"
        axes.text(0, place - 0.26, f"{names}: {share}", fontsize=8, va="bottom")
    axes.set(yticks=[], ylim=(_MISTAKES - 0.5, -0.9), xlim=(0, None))
    axes.set_xlabel("share of the true class (%)" if normalised else unit)

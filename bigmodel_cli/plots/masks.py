"""Masks beside their images, and how well each class of pixels is found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bigmodel_cli.contracts import IGNORED
from bigmodel_cli.plots import style
from bigmodel_cli.plots.mask_colors import colored, mask_colors
from bigmodel_cli.plots.style import Array, Look, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IMAGES = 6
"""Drawn in a grid of masks."""
_NAMED = 40
"""Classes that the legend names."""
_SHOWN = 30


def mask_grid(
    images: Array,
    predicted: Array,
    path: Path,
    *,
    class_names: Sequence[str],
    title: str,
    true: Array | None = None,
    captions: Sequence[str] = (),
    theme: Theme = "light",
) -> Path:
    """Draw up to 6 images, a row each: image, true mask, predicted mask and where they differ.

    Args:
        images: (n, height, width, channels) uint8.
        predicted: classes (n, height, width).
        path: the PNG to write.
        class_names: in index order.
        title: the finding.
        true: classes (n, height, width); None where they are not known.
        captions: of each image, above it.
        theme: light or dark.
    """
    count, heads = min(IMAGES, len(images)), ["image", "predicted"]
    if true is not None:
        heads = ["image", "true", "predicted", "errors"]
    height, width = images.shape[1:3]
    tall = 1.7 * float(np.clip(height / width, 0.5, 2))
    size = (max(4.2, 0.2 + 1.8 * len(heads)), 1.1 + (tall + 0.3) * max(1, count))
    with style.figure(path, title, *size, theme) as (figure, look):
        grid: Any = figure.subplots(max(1, count), len(heads), squeeze=False)
        for axes in grid.ravel():
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for row in range(count):
            known = None if true is None else true[row]
            panels = _panels(images[row], predicted[row], known, class_names, look)
            for axes, panel, head in zip(grid[row], panels, heads, strict=True):
                axes.imshow(panel, interpolation="nearest" if max(height, width) <= 256 else "auto")
                axes.set_title(head if row == 0 else "", fontsize=9, loc="center", color=look.grey)
            if captions:
                grid[row, 0].set_xlabel(style.short(captions[row], 26), fontsize=8)
        seen = [predicted[:count]] if true is None else [predicted[:count], true[:count]]
        _legend(figure, look, class_names, np.unique(np.concatenate([part.ravel() for part in seen])), true)
    return path


def _panels(
    image: Array, predicted: Array, true: Array | None, class_names: Sequence[str], look: Look
) -> list[Array]:
    shown = image[..., :3] if image.shape[-1] >= 3 else np.repeat(image[..., :1], 3, axis=-1)
    if true is None:
        return [shown, colored(predicted, len(class_names))]
    # The image in faint grey, on which mistakes stand out.
    faint = np.repeat((0.35 * shown.mean(axis=-1, keepdims=True) + 150).astype(np.uint8), 3, axis=-1)
    wrong = (predicted != true) & (true != IGNORED)
    red = np.array([int(look.vermillion[place : place + 2], 16) for place in (1, 3, 5)], np.uint8)
    errors = np.where(wrong[..., None], red, np.where(true[..., None] == IGNORED, 255, faint))
    classes = len(class_names)
    return [shown, colored(true, classes), colored(predicted, classes), errors.astype(np.uint8)]


def _legend(figure: Figure, look: Look, class_names: Sequence[str], seen: Array, true: Array | None) -> None:
    from matplotlib.patches import Patch

    palette = mask_colors(len(class_names)) / 255
    present = [int(index) for index in seen if index != IGNORED]
    patches = [Patch(color=palette[index], label=style.short(class_names[index], 20)) for index in present]
    left = len(patches) - _NAMED
    patches = patches[:_NAMED]
    if IGNORED in seen:
        patches.append(Patch(facecolor="white", edgecolor=look.grey, label="ignored"))
    if true is not None:
        patches.append(Patch(color=look.vermillion, label="wrong"))
    if left > 0:
        patches.append(Patch(color="none", label=f"and {left} more"))
    figure.legend(handles=patches, loc="outside lower left", ncols=3 if true is None else 5, fontsize=8)


def mask_bars(
    scores: Array,
    support: Array,
    class_names: Sequence[str],
    path: Path,
    *,
    title: str,
    theme: Theme = "light",
) -> Path:
    """Draw the IoU of each class with its interval, and its share of the pixels; the lowest first.

    Of many classes the worst 30. A class that is neither there nor predicted has none and comes last.

    Args:
        scores: IoU and the ends of its interval (classes, 3); NaN where there is none.
        support: pixels of each class (classes,).
        class_names: in index order.
        path: the PNG to write.
        title: the finding.
        theme: light or dark.
    """
    order = np.argsort(scores[:, 0], kind="stable")[:_SHOWN]
    places = np.arange(len(order))
    with style.figure(path, title, 8.0, 1.6 + 0.34 * max(3, len(order)), theme) as (figure, look):
        axes, beside = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
        _draw_scores(axes, look, scores[order])
        axes.set_yticks(places, [style.short(class_names[index], 26) for index in order])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(max(3, len(order)) - 0.4, -0.6)
        shares = support[order] / max(1, support.sum())
        beside.barh(places, shares, 0.5, color=look.grey)
        for place, share in enumerate(shares):
            beside.annotate(
                f"{share:.1%}", (share, place), (3, 0), textcoords="offset points", va="center", fontsize=8
            )
        beside.set(xlabel="share of the pixels", xlim=(0, 1.4 * max(1e-9, shares.max(initial=0))), xticks=[])
        beside.spines.bottom.set_visible(False)
        beside.tick_params(axis="y", length=0)
        if len(order) < len(class_names):
            note = f"the {len(order)} of {len(class_names)} classes with the lowest IoU"
            style.footnote(figure, look, [note])
    return path


def _draw_scores(axes: Axes, look: Look, scores: Array) -> None:
    places, known = np.arange(len(scores)), ~np.isnan(scores[:, 0])
    values = np.nan_to_num(scores)
    around = np.abs(values[known, 1:] - values[known, :1]).T
    axes.barh(places, values[:, 0], 0.5, color=look.blue)
    axes.errorbar(values[known, 0], places[known], xerr=around, fmt="none", ecolor=look.ink, capsize=3)
    for place in places[~known]:
        axes.text(0.01, place, "neither there nor predicted", fontsize=8, va="center", color=look.grey)
    axes.set(xlim=(0, 1), xlabel="intersection over union, with 95% interval")
    axes.grid(axis="x")

"""Embeddings in the plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bigmodel_cli.plots import style
from bigmodel_cli.plots.style import Array, Look, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED = 20
"""Classes with a colour and a marker of their own."""

_MARKERS = "osv^DP*X"


def embedding_map(
    points: Array,
    classes: Array | None,
    class_names: Sequence[str],
    path: Path,
    *,
    title: str,
    axes_names: tuple[str, str] = ("", ""),
    theme: Theme = "light",
) -> Path:
    """Draw points in the plane by class; of more than 20 classes the most frequent, the others in grey.

    Args:
        points: (n, 2), such as the first two principal components or the result of t-SNE.
        classes: class indices (n,); None where they are not known.
        class_names: in index order.
        path: the PNG to write.
        title: the finding.
        axes_names: of the two directions; empty where they mean nothing.
        theme: light or dark.
    """
    known, notes = style.finite(points)
    points = points[known]
    with style.figure(path, title, 8.4, 6.2, theme) as (figure, look):
        axes = figure.subplots()
        axes.set(xlabel=style.short(axes_names[0], 60), ylabel=style.short(axes_names[1], 60))
        axes.set(xticks=[], yticks=[])
        if not len(points):
            style.nothing(axes, look, "no points")
        elif classes is None:
            style.points(axes, look, points[:, 0], points[:, 1])
            notes += style.density_note(len(points))
        else:
            size = float(np.clip(60 / len(points) ** 0.25, 5, 22))
            _draw_classes(axes, look, points, classes[known], class_names, size)
            scale = math.sqrt(40 / size)
            handles, labels = axes.get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside right upper", fontsize=9, markerscale=scale)
        style.footnote(figure, look, notes)
    return path


def _draw_classes(
    axes: Axes, look: Look, points: Array, indices: Array, class_names: Sequence[str], size: float
) -> None:
    """The most frequent classes, each named in its middle, before the others."""
    from matplotlib.patheffects import withStroke

    counts = np.bincount(indices, minlength=len(class_names))
    named = np.sort(np.argsort(-counts, kind="stable")[:NAMED])
    named = named[counts[named] > 0]
    colors = (look.blue, look.vermillion, look.green, look.orange, look.purple, look.ink)
    for place, index in enumerate(named):
        own = points[indices == index]
        axes.scatter(
            own[:, 0], own[:, 1], s=size, color=colors[place % len(colors)],
            marker=_MARKERS[place % len(_MARKERS)], alpha=0.75, linewidths=0,
            label=style.short(class_names[index], 24),
        )  # fmt: skip
        x, y = np.median(own, axis=0)
        # In grey, and beyond a few colours, the markers alone do not tell.
        axes.text(
            x, y, style.short(class_names[index], 14), fontsize=9, weight="bold", ha="center", va="center",
            zorder=4, path_effects=[withStroke(linewidth=2.5, foreground=look.paper)],
        )  # fmt: skip
    others = points[~np.isin(indices, named)]
    if len(others):
        label = f"{int((counts > 0).sum()) - len(named):,} other classes"
        x, y = others.T
        axes.scatter(x, y, s=size / 3, color=look.grey, alpha=0.3, linewidths=0, zorder=0.9, label=label)

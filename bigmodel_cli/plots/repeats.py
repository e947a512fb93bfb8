"""Metrics of repeated training: a dot a run, with their mean and deviation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bigmodel_cli.plots import style
from bigmodel_cli.plots.style import PANELS, Look, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABELS_SHOWN = 20
"""Beyond so many runs their names would run into each other."""


def repeated_scores(
    scores: Mapping[str, Sequence[float | None]],
    labels: Sequence[str],
    path: Path,
    *,
    title: str,
    member: str,
    theme: Theme = "light",
) -> Path:
    """Draw a panel for each metric, up to nine: a dot a run, the mean as a line, one standard deviation
    (n - 1 in the denominator) to either side as a band.

    Args:
        scores: metric -> value of each run, None where it is undefined.
        labels: of the runs, short.
        path: the PNG to write.
        title: the finding.
        member: what one run is called, such as `fold`.
        theme: light or dark.
    """
    shown = list(scores)[:PANELS]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    with style.figure(path, title, 2.9 * max(columns, 2), 0.9 + 2.3 * rows, theme) as (figure, look):
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
        for axes, name in zip(grid, shown, strict=False):
            _panel(axes, look, name, [np.nan if value is None else value for value in scores[name]])
            if len(labels) <= _LABELS_SHOWN:
                axes.set_xticks(range(len(labels)), [style.short(label, 12) for label in labels])
            axes.tick_params(labelbottom=True)
            axes.set_xlim(-0.6, len(labels) - 0.4)
        for axes in grid[len(shown) :]:
            axes.remove()
        notes = [f"a dot: one {member}; line and band: mean and one standard deviation of a single {member}"]
        style.footnote(figure, look, [*notes, *style.listed("not drawn", list(scores)[PANELS:])])
    return path


def _panel(axes: Axes, look: Look, name: str, values: Sequence[float]) -> None:
    known = [value for value in values if np.isfinite(value)]
    mean = float(np.mean(known))
    told = f"{name.replace('_', ' ')}\n{mean:.4g}"
    if len(known) > 1:
        deviation = float(np.std(known, ddof=1))
        told += f" ± {deviation:.2g}"
        axes.axhspan(mean - deviation, mean + deviation, color=look.blue, alpha=0.15, linewidth=0)
    axes.axhline(mean, color=look.blue, linestyle="--", linewidth=1.2)
    axes.plot(range(len(values)), values, "o", color=look.vermillion, markersize=6, zorder=3)
    axes.set_title(told)
    axes.grid(axis="y")

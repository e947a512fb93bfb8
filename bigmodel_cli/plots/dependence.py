"""How a model's outputs go with each column of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bigmodel_cli.plots import style
from bigmodel_cli.plots.style import Array, Look, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = 6
"""Columns that are drawn at most."""
ROWS = 40
"""Single rows that are drawn behind each mean."""


@dataclass(frozen=True)
class DependencePanel:
    """One column.

    Attributes:
        name: its name.
        grid: values (points,): numbers, or texts of categories.
        lines: (rows, points, series): what the model says of each row.
        dates: whether the numbers are seconds since 1970.
    """

    name: str
    grid: Array
    lines: Array
    dates: bool = False


def partial_dependence(
    panels: Sequence[DependencePanel],
    series: Sequence[str],
    path: Path,
    *,
    title: str,
    label: str,
    notes: Sequence[str] = (),
    theme: Theme = "light",
) -> Path:
    """Draw the mean over all rows for each column, and single rows faintly behind it.

    Args:
        panels: the columns; the first `PANELS` are drawn.
        series: names of what the model says, up to 5.
        path: the PNG to write.
        title: the finding.
        label: of the values.
        notes: remarks below.
        theme: light or dark.
    """
    drawn = panels[:PANELS]
    columns = min(3, max(1, len(drawn)))
    rows = max(1, math.ceil(len(drawn) / columns))
    with style.figure(path, title, 0.6 + 3.3 * columns, 0.9 + 2.7 * rows, theme) as (figure, look):
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for axes in grid.ravel()[len(drawn) :]:
            axes.set_axis_off()
        if not drawn:
            style.nothing(grid[0, 0], look, "no column has known values")
        for axes, panel in zip(grid.ravel(), drawn, strict=False):
            _panel(axes, look, panel, series)
        for axes in grid[:, 0]:
            axes.set_ylabel(style.literal(label))
        if len(series) > 1:
            handles, names = grid[0, 0].get_legend_handles_labels()
            figure.legend(handles, names, loc="outside upper right", ncols=len(series))
        style.footnote(figure, look, notes)
    return path


def _panel(axes: Axes, look: Look, panel: DependencePanel, series: Sequence[str]) -> None:
    # Evenly over all rows, which may be sorted.
    count = max(1, ROWS // len(series))
    some = np.unique(np.linspace(0, len(panel.lines) - 1, min(count, len(panel.lines))).astype(int))
    texts = panel.grid.dtype.kind in "UO"
    x = np.arange(len(panel.grid)) if texts else panel.grid
    if panel.dates:
        x = panel.grid.astype("int64").astype("datetime64[s]")
    few = len(x) <= 12
    for place, name in enumerate(series):
        color = look.series[place % len(look.series)]
        axes.plot(x, panel.lines[some, :, place].T, color=color, alpha=0.18, linewidth=0.7)
        axes.plot(
            x,
            panel.lines[:, :, place].mean(axis=0, dtype=np.float64),
            color=color,
            linestyle=style.DASHES[place % len(style.DASHES)],
            marker="o" if few else "",
            markersize=4,
            linewidth=2.4,
            label=style.short(name, 20),
        )
    if texts:
        slanted = max(map(len, panel.grid)) * len(panel.grid) > 26
        names = [style.short(str(cell), 14) for cell in panel.grid]
        axes.set_xticks(x, names, rotation=35 if slanted else 0, ha="right" if slanted else "center")
        axes.set_xlim(-0.4, len(x) - 0.6)
    axes.set_title(style.short(panel.name, 36))
    if panel.dates:
        axes.tick_params(axis="x", rotation=35)
    axes.grid(axis="y")

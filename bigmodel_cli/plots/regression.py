"""Predicted values against true ones, residuals and lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bigmodel_cli.plots import bins, style
from bigmodel_cli.plots.style import Array, Theme


def predicted_against_true(
    targets: Array,
    predictions: Array,
    target_names: Sequence[str],
    path: Path,
    *,
    title: str,
    theme: Theme = "light",
) -> Path:
    """Draw predicted against true values, one panel a target (the first 9).

    Args:
        targets: (n, targets).
        predictions: (n, targets).
        target_names: in column order.
        path: the PNG to write.
        title: the finding.
        theme: light or dark.
    """
    shown = min(style.PANELS, len(target_names))
    columns = 2 if shown == 4 else min(3, shown)
    rows = math.ceil(shown / columns)
    size = 5.0 if shown == 1 else 3.3
    with style.figure(path, title, size * columns, 0.6 + size * rows, theme) as (figure, look):
        known, notes = style.finite(targets, predictions)
        cells = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in cells[shown:]:
            axes.set_axis_off()
        for index, axes in enumerate(cells[:shown]):
            true, predicted = targets[known, index], predictions[known, index]
            if not len(true):
                style.nothing(axes, look, "no example with finite values")
                continue
            least, most = min(true.min(), predicted.min()), max(true.max(), predicted.max())
            margin = 0.04 * (most - least) or 0.5
            low, high = float(least - margin), float(most + margin)
            style.points(axes, look, true, predicted, (low, high, low, high))
            axes.plot([low, high], [low, high], color=look.ink, linewidth=1, linestyle="--")
            axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
            axes.set(xlabel="true", ylabel="predicted (dashed: equal to true)")
            axes.set_title(
                f"{style.short(target_names[index], 40 if shown == 1 else 16)}: {_r2(true, predicted)}"
            )
        notes += style.density_note(len(targets)) + style.listed("not shown", target_names[shown:])
        style.footnote(figure, look, notes)
    return path


def residuals(
    targets: Array,
    predictions: Array,
    target_names: Sequence[str],
    path: Path,
    *,
    title: str,
    theme: Theme = "light",
) -> Path:
    """Draw residuals (true - predicted) against the prediction, with their histogram.

    One row a target, for the first 9.

    Args:
        targets: (n, targets).
        predictions: (n, targets).
        target_names: in column order.
        path: the PNG to write.
        title: the finding.
        theme: light or dark.
    """
    shown = min(style.PANELS, len(target_names))
    with style.figure(path, title, 7.5, 0.6 + (3.6 if shown == 1 else 2.6) * shown, theme) as (figure, look):
        known, notes = style.finite(targets, predictions)
        grid = figure.subplots(shown, 2, squeeze=False, sharey="row", width_ratios=(3, 1))
        for index, (axes, side) in enumerate(grid):
            predicted = predictions[known, index]
            residual = targets[known, index].astype(np.float64) - predicted
            if not len(residual):
                style.nothing(axes, look, "no example with finite values")
                side.set_axis_off()
                continue
            style.points(axes, look, predicted, residual)
            side.hist(
                residual,
                bins=bins.count(residual),
                orientation="horizontal",
                color=look.blue,
                edgecolor=look.paper,
                linewidth=0.3,
            )
            for each in (axes, side):
                each.axhline(0, color=look.ink, linewidth=1, linestyle="--")
            spread = f"mean {residual.mean():.3g}, standard deviation {residual.std():.3g}"
            axes.set(xlabel="predicted", ylabel="true - predicted")
            axes.set_title(f"{style.short(target_names[index], 22)}: {spread}")
            side.set(xlabel="examples")
        notes += style.density_note(len(targets)) + style.listed("not shown", target_names[shown:])
        style.footnote(figure, look, notes)
    return path


def fitted_line(
    x: Array,
    y: Array,
    line_x: Array,
    line_y: Array,
    path: Path,
    *,
    title: str,
    theme: Theme = "light",
    extra: Sequence[tuple[str, Array, Array]] = (),
    x_name: str = "x",
    y_name: str = "y",
    points: str = "examples",
) -> Path:
    """Draw examples of one input and one target with the model's line through them.

    Args:
        x: inputs (n,).
        y: targets (n,).
        line_x: inputs (m,) of the model's line, ascending.
        line_y: the model's predictions (m,) there.
        path: the PNG to write.
        title: the finding.
        theme: light or dark.
        extra: label, x and y of further lines, such as the least-squares solution.
        x_name: name of the input.
        y_name: name of the target.
        points: what x and y are, for the legend.
    """
    with style.figure(path, title, 6.5, 4.8, theme) as (figure, look):
        axes = figure.subplots()
        known, notes = style.finite(x, y)
        style.points(axes, look, x[known], y[known], label=points)
        axes.plot(line_x, line_y, color=look.vermillion, linewidth=2.5, label="model")
        # Dashed and on top, so that a line that coincides with the model's does not hide it.
        for (label, xs, ys), color in zip(
            extra, (look.ink, look.green, look.purple, look.orange), strict=False
        ):
            axes.plot(xs, ys, color=color, linewidth=1.4, linestyle=(0, (5, 4)), label=style.literal(label))
        axes.set(xlabel=style.short(x_name, 60), ylabel=style.short(y_name, 60))
        axes.legend(loc="best")
        style.footnote(figure, look, notes + style.density_note(len(x)))
    return path


def _r2(true: Array, predicted: Array) -> str:
    if np.ptp(true) == 0:
        return "no R², constant"
    total = ((true - true.mean()) ** 2).sum()
    return f"R² = {1 - ((true - predicted) ** 2).sum() / total:.3f}"

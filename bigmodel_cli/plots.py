"""Pictures of a run: learning curves, confusion matrix, predictions, residuals.

One look for all: it reads in print and in grey, and the colours (Okabe and Ito, Color Universal Design,
2008) stay apart for colour-blind readers. Each function writes one PNG, whole or not at all. matplotlib
is imported where it is used, because most commands draw nothing.
"""

from __future__ import annotations

import contextlib
import math
import os
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[Any]

BLUE, VERMILLION, GREEN, ORANGE, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7"
GREY = "#6B6B6B"
_STYLE = {
    "figure.dpi": 150,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.formatter.useoffset": False,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "axes.axisbelow": True,
}
_PANELS = 9
_MANY_POINTS = 3000


def learning_curves(
    history: Sequence[Mapping[str, float]], path: Path, *, best_epoch: int | None, monitor: str, title: str
) -> Path:
    """Draw loss, up to two metrics and, if it varies, the learning rate against the epoch.

    Args:
        history: one mapping an epoch: `epoch` (from 1; absent: counted), `loss`, `val_loss`, `learning_rate`
            and any other `NAME` with its `val_NAME`. Values may be missing or not finite.
        path: the PNG to write.
        best_epoch: epoch of the weights that are kept; None marks none.
        monitor: the value by which it was chosen, such as `val_loss`.
        title: the finding.
    """
    from matplotlib.ticker import MaxNLocator

    epochs = [row.get("epoch", number) for number, row in enumerate(history, 1)]
    names = list(dict.fromkeys(key for row in history for key in row))
    metrics = [name for name in names if name != "loss" and f"val_{name}" in names]
    # The monitored metric first; the others as Keras lists them.
    metrics.sort(key=lambda name: name != monitor.removeprefix("val_"))
    panels: list[tuple[str, tuple[str, ...]]] = [(n, (n, f"val_{n}")) for n in ["loss", *metrics[:2]]]
    if len({row["learning_rate"] for row in history if "learning_rate" in row}) > 1:
        panels.append(("learning rate", ("learning_rate",)))
    heights = [2.6 if len(keys) == 2 else 1.3 for _, keys in panels]

    with _figure(path, title, 7.5, 0.9 + sum(heights)) as figure:
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (name, keys) in zip(grid, panels, strict=True):
            values: list[float] = []
            for key in keys:
                known = [(e, row[key]) for e, row in zip(epochs, history, strict=True) if key in row]
                points = [(epoch, value) for epoch, value in known if math.isfinite(value)]
                if points:
                    _curve(axes, points, key, markers=len(epochs) <= 30)
                    values += [value for _, value in points]
                if key == monitor and best_epoch in dict(points):
                    best = dict(points)[best_epoch]
                    axes.plot(best_epoch, best, "o", markersize=10, fillstyle="none", color="black")
                    what = key.replace("val_", "validation ").replace("_", " ")
                    grid[0].set_title(f"best: epoch {best_epoch}, {what} {best:.4g}", color=GREY)
            if (name == "loss" or len(keys) == 1) and values and 0 < min(values) < max(values) / 100:
                axes.set_yscale("log")
            if best_epoch is not None:
                axes.axvline(best_epoch, color=GREY, linewidth=0.8, linestyle=":")
            axes.set_ylabel(name.replace("_", " "))
            axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        if grid[0].get_lines():
            grid[0].legend(loc="best")
        first, last = min(epochs, default=1), max(epochs, default=1)
        margin = max(0.5, 0.02 * (last - first))
        grid[-1].set(xlabel="epoch", xlim=(first - margin, last + margin))
        grid[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return path


def _curve(axes: Axes, points: Sequence[tuple[float, float]], key: str, *, markers: bool) -> None:
    held_out = key.startswith("val_")
    axes.plot(
        *zip(*points, strict=True),
        color=VERMILLION if held_out else BLUE,
        # Told apart in grey, too.
        linestyle="-" if held_out or key == "learning_rate" else "--",
        # A line through one point is invisible, and markers on hundreds are a smear.
        marker="o" if markers else None,
        markersize=4,
        label="validation" if held_out else "training",
    )


def learning_rate_range(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    path: Path,
    *,
    chosen: float,
    title: str,
) -> Path:
    """Draw the losses of a range test against the learning rate, on a logarithmic axis.

    Args:
        rates: of each step, ascending.
        losses: of each step's batch; those far above the first are cut off.
        smoothed: the curve by which the rate was chosen.
        path: the PNG to write.
        chosen: the rate that training takes.
        title: the finding.
    """
    with _figure(path, title, 7.5, 4.2) as figure:
        axes = figure.subplots()
        axes.plot(rates, losses, ".", color=BLUE, markersize=4, label="loss of the step")
        axes.plot(rates, smoothed, color=VERMILLION, label="smoothed")
        axes.axvline(chosen, color=GREY, linestyle=":", label=f"chosen: {chosen:.2g}")
        low, high = min(*smoothed, *losses), max(smoothed[0], losses[0])
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        axes.set_ylim(low - 0.1 * (high - low), high + 0.5 * (high - low))
        axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        axes.legend(loc="upper left")
    return path


def learning_rates(
    steps: Sequence[int],
    rates: Sequence[float],
    path: Path,
    *,
    steps_per_epoch: int,
    factors: Mapping[str, float],
    title: str,
) -> Path:
    """Draw the learning rate over a training, and those of layers that differ by a factor.

    Args:
        steps: from 0, ascending.
        rates: the learning rate of each of these.
        path: the PNG to write.
        steps_per_epoch: batches in an epoch.
        factors: what to call some layers -> factor of their learning rate.
        title: the finding.
    """
    with _figure(path, title, 7.5, 4.2) as figure:
        axes = figure.subplots()
        epochs = [step / steps_per_epoch for step in steps]
        others = zip(factors.items(), [VERMILLION, GREEN, ORANGE, PURPLE] * len(factors), strict=False)
        # Told apart in grey, too.
        styles = ["--", ":", "-.", (0, (1, 3))] * len(factors)
        axes.plot(epochs, rates, color=BLUE, label="all other layers" if factors else "learning rate")
        for ((name, factor), color), style in zip(others, styles, strict=False):
            scaled = [factor * rate for rate in rates]
            label = f"{_short(name, 40)} ({factor:g} times)"
            axes.plot(epochs, scaled, color=color, linestyle=style, label=label)
        peak = max(range(len(rates)), key=lambda index: rates[index])
        axes.plot(epochs[peak], rates[peak], "o", markersize=8, fillstyle="none", color="black")
        axes.set_title(
            f"start {rates[0]:.3g}, peak {rates[peak]:.3g} at step {steps[peak] + 1:,}, end {rates[-1]:.3g}",
            color=GREY,
        )
        if sum(rate < 0.05 * rates[peak] for rate in rates) > len(rates) / 2:
            # Most of it would lie on the axis.
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.set(xlabel="epochs done", ylabel="learning rate", xlim=(0, (steps[-1] + 1) / steps_per_epoch))
        above = axes.twiny()
        above.set(xlabel="steps done", xlim=(0, steps[-1] + 1))
        above.spines.top.set_visible(True)
        above.xaxis.set_major_formatter("{x:,.0f}")
        axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        if factors:
            axes.legend(loc="best")
    return path


def confusion_matrix(counts: Array, class_names: Sequence[str], path: Path, *, title: str) -> Path:
    """Draw a confusion matrix: colour by the share of the true class.

    Counts are written up to 20 classes, names up to 60.

    Args:
        counts: (classes, classes), rows the true class.
        class_names: in index order.
        path: the PNG to write.
        title: the finding.
    """
    from matplotlib.colors import PowerNorm

    k = len(class_names)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(11.0, max(5.0, 0.48 * k + 2.2)) if k <= 20 else 11.0
    with _figure(path, title, side + 0.8, side) as figure:
        axes = figure.subplots()
        # Among many classes the mistakes are rare in each cell, and there are no counts to read them by.
        norm = PowerNorm(1 if k <= 20 else 0.5, vmin=0, vmax=1)
        image = axes.imshow(share, cmap="Blues", norm=norm, interpolation="nearest" if k <= 1000 else "auto")
        bar = figure.colorbar(
            image, ax=axes, shrink=0.6, ticks=[0, 0.05, 0.25, 0.5, 0.75, 1] if k > 20 else None
        )
        bar.set_label("share of the true class")
        bar.outline.set_visible(False)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        if k <= 60:
            names = [_short(name, 22) for name in class_names]
            size = 9 if k <= 20 else 7
            # In inches: what the longest name takes against the width of a cell.
            upright = 0.009 * size * max(map(len, names)) > (side - 2.2) / k
            axes.set_xticks(range(k), names, rotation=90 if upright else 0, fontsize=size)
            axes.set_yticks(range(k), names, fontsize=size)
            axes.tick_params(length=0)
        else:
            axes.set_xlabel("predicted class (index)")
            axes.set_ylabel("true class (index)")
        if k <= 20:
            for (row, column), count in np.ndenumerate(counts):
                if count:
                    dark = share[row, column] > 0.5
                    text = f"{count}" if count < 10_000 else f"{count / 1000:.3g}k"
                    axes.text(
                        column,
                        row,
                        text,
                        ha="center",
                        va="center",
                        fontsize=8,
                        color="white" if dark else "black",
                    )
    return path


def image_grid(
    images: Array,
    labels: Sequence[str | None] | None,
    predictions: Sequence[str],
    confidences: Sequence[float] | Array,
    path: Path,
    *,
    title: str,
) -> Path:
    """Draw up to 25 images, each with its predicted and its true label; wrong ones are marked.

    Args:
        images: (n, height, width, channels) uint8: grey, RGB or RGBA.
        labels: true class names; None, as a whole or for one image, where there is none.
        predictions: predicted class names.
        confidences: probability of each prediction, 0 to 1.
        path: the PNG to write.
        title: the finding.
    """
    count = min(25, len(images))
    columns = min(5, count)
    rows = math.ceil(count / columns)
    with _figure(path, title, max(3.6, 1.9 * columns), 0.6 + 2.2 * rows) as figure:
        cells = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in cells:
            axes.set_axis_off()
        for index, axes in enumerate(cells[:count]):
            image = images[index]
            picture = image if image.shape[-1] in (3, 4) else image[..., 0]
            small = max(picture.shape[:2]) <= 128
            axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest" if small else "auto")
            label = None if labels is None else labels[index]
            wrong = label is not None and label != predictions[index]
            mark = "" if label is None else "✗ " if wrong else "✓ "
            said = f"{mark}{_short(predictions[index], 14)} ({confidences[index]:.1%})"
            axes.set_title(
                f"{said}\ntrue: {_short(label, 16)}" if wrong and label is not None else said,
                fontsize=9,
                loc="center",
                color=VERMILLION if wrong else "black",
            )
            if wrong:
                axes.set_axis_on()
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set(visible=True, color=VERMILLION, linewidth=3)
    return path


def predicted_against_true(
    targets: Array, predictions: Array, target_names: Sequence[str], path: Path, *, title: str
) -> Path:
    """Draw predicted against true values, one panel a target (the first 9).

    Args:
        targets: (n, targets).
        predictions: (n, targets).
        target_names: in column order.
        path: the PNG to write.
        title: the finding.
    """
    shown = min(_PANELS, len(target_names))
    columns = 2 if shown == 4 else min(3, shown)
    rows = math.ceil(shown / columns)
    size = 5.0 if shown == 1 else 3.3
    with _figure(path, title, size * columns, 0.6 + size * rows) as figure:
        cells = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in cells[shown:]:
            axes.set_axis_off()
        for index, axes in enumerate(cells[:shown]):
            true, predicted = targets[:, index], predictions[:, index]
            least, most = min(true.min(), predicted.min()), max(true.max(), predicted.max())
            margin = 0.04 * (most - least) or 0.5
            low, high = float(least - margin), float(most + margin)
            _points(axes, true, predicted, (low, high, low, high))
            axes.plot([low, high], [low, high], color="black", linewidth=1, linestyle="--")
            axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
            axes.set(xlabel="true", ylabel="predicted (dashed: equal to true)")
            axes.set_title(f"{_short(target_names[index], 40 if shown == 1 else 16)}: {_r2(true, predicted)}")
        _footnote(figure, len(targets), target_names[shown:])
    return path


def residuals(
    targets: Array, predictions: Array, target_names: Sequence[str], path: Path, *, title: str
) -> Path:
    """Draw residuals (true - predicted) against the prediction, with their histogram.

    One row a target, for the first 9.

    Args:
        targets: (n, targets).
        predictions: (n, targets).
        target_names: in column order.
        path: the PNG to write.
        title: the finding.
    """
    shown = min(_PANELS, len(target_names))
    with _figure(path, title, 7.5, 0.6 + (3.6 if shown == 1 else 2.6) * shown) as figure:
        grid = figure.subplots(shown, 2, squeeze=False, sharey="row", width_ratios=(3, 1))
        for index, (axes, side) in enumerate(grid):
            predicted = predictions[:, index]
            residual = targets[:, index].astype(np.float64) - predicted
            _points(axes, predicted, residual)
            # Not "auto": one outlier would ask for millions of bins, and rounding alone has no width for any.
            constant = np.ptp(residual) <= 1e-6 * np.abs(residual).max()
            bins = 1 if constant else int(np.clip(math.sqrt(len(residual)), 8, 40))
            side.hist(
                residual, bins=bins, orientation="horizontal", color=BLUE, edgecolor="white", linewidth=0.3
            )
            for each in (axes, side):
                each.axhline(0, color="black", linewidth=1, linestyle="--")
            spread = f"mean {residual.mean():.3g}, standard deviation {residual.std():.3g}"
            axes.set(xlabel="predicted", ylabel="true - predicted")
            axes.set_title(f"{_short(target_names[index], 22)}: {spread}")
            side.set(xlabel="examples")
        _footnote(figure, len(targets), target_names[shown:])
    return path


def fitted_line(
    x: Array,
    y: Array,
    line_x: Array,
    line_y: Array,
    path: Path,
    *,
    title: str,
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
        extra: label, x and y of further lines, such as the least-squares solution.
        x_name: name of the input.
        y_name: name of the target.
        points: what x and y are, for the legend.
    """
    with _figure(path, title, 6.5, 4.8) as figure:
        axes = figure.subplots()
        _points(axes, x, y, label=points)
        axes.plot(line_x, line_y, color=VERMILLION, linewidth=2.5, label="model")
        # Dashed and on top, so that a line that coincides with the model's does not hide it.
        for (label, xs, ys), color in zip(extra, ("black", GREEN, PURPLE, ORANGE), strict=False):
            axes.plot(xs, ys, color=color, linewidth=1.4, linestyle=(0, (5, 4)), label=_literal(label))
        axes.set(xlabel=_short(x_name, 60), ylabel=_short(y_name, 60))
        axes.legend(loc="best")
        _footnote(figure, len(x))
    return path


@dataclass(frozen=True)
class ColumnPanel:
    """One column of a table, for `column_grid`: either values or bars.

    Attributes:
        name: of the column.
        note: about it, below its name.
        values: numbers, (n,), for a histogram; dates as `datetime64[s]`.
        bars: names and counts, the most frequent first.
    """

    name: str
    note: str
    values: Array | None = None
    bars: Sequence[tuple[str, int]] = ()


def sample_grid(
    images: Array, captions: Sequence[Sequence[str]], path: Path, *, title: str, row_names: Sequence[str] = ()
) -> Path:
    """Draw images in rows and columns.

    Args:
        images: (rows, columns, height, width, channels) uint8: grey, RGB or RGBA; of other numbers of
            channels the first one is drawn.
        captions: of each image, above it; lines are split at line breaks.
        path: the PNG to write.
        title: the finding.
        row_names: beside the rows; none where there are none.
    """
    rows, columns = images.shape[:2]
    height, width = images.shape[2:4]
    side = 1.55
    tall = side * float(np.clip(height / width, 0.5, 2))
    lines = [max((text.count("\n") + 1 for text in row if text), default=0) for row in captions]
    inches = 0.7 + tall * rows + 0.16 * sum(lines) + 0.06 * rows
    with _figure(path, title, max(3.6, 0.3 + side * columns), inches) as figure:
        heights = [tall + 0.16 * count for count in lines]
        grid: Any = figure.subplots(rows, columns, squeeze=False, height_ratios=heights)
        small = max(height, width) <= 128
        for row, column in np.ndindex(rows, columns):
            axes = grid[row, column]
            image = images[row, column]
            picture = image if image.shape[-1] in (3, 4) else image[..., 0]
            axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest" if small else "auto")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            text = "\n".join(_short(line, 20) for line in captions[row][column].splitlines())
            axes.set_title(text, fontsize=8, loc="center", pad=3)
        for axes, name in zip(grid[:, 0], row_names, strict=False):
            axes.set_ylabel(_short(name, 24), color=GREY, fontsize=9)
    return path


def class_balance(
    counts: Mapping[str, Sequence[int]], class_names: Sequence[str], path: Path, *, title: str
) -> Path:
    """Draw the share of each class in each split.

    Up to 40 classes as bars, in their order; more as lines, the most frequent in the first split first.

    Args:
        counts: split -> examples of each class, in index order.
        class_names: in index order.
        path: the PNG to write.
        title: the finding.
    """
    shares = {name: 100 * np.asarray(values) / max(1, sum(values)) for name, values in counts.items()}
    k, colors = len(class_names), (BLUE, ORANGE, GREEN)
    labels = {name: f"{name} ({sum(values):,})" for name, values in counts.items()}
    if k > 40:
        with _figure(path, title, 7.5, 4.4) as figure:
            axes = figure.subplots()
            order = np.argsort(-next(iter(shares.values())), kind="stable")
            # Behind the first the others, which scatter about it.
            for place, (name, share) in reversed(list(enumerate(shares.items()))):
                axes.plot(
                    np.arange(1, k + 1),
                    share[order],
                    color=colors[place % 3],
                    label=labels[name],
                    linewidth=1.8 if place == 0 else 1,
                )
            handles, texts = axes.get_legend_handles_labels()
            axes.legend(handles[::-1], texts[::-1], loc="upper right")
            axes.set(xlabel="class, the most frequent first", ylabel="share of the split (%)", ylim=(0, None))
            axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        return path
    thick = 0.8 / len(shares)
    with _figure(path, title, 6.5, 1.3 + max(1.2, k * (0.17 * len(shares) + 0.08))) as figure:
        axes = figure.subplots()
        for place, (name, share) in enumerate(shares.items()):
            offsets = np.arange(k) + (place - (len(shares) - 1) / 2) * thick
            axes.barh(offsets, share, thick * 0.9, color=colors[place % 3], label=labels[name])
        axes.set_yticks(range(k), [_short(name, 28) for name in class_names])
        axes.tick_params(axis="y", length=0)
        axes.set(xlabel="share of the split (%)", ylim=(k - 0.5, -0.5), xlim=(0, None))
        axes.grid(axis="x", color="#E5E5E5", linewidth=0.8)
        figure.legend(loc="outside lower left", ncols=len(shares))
    return path


def column_grid(
    panels: Sequence[ColumnPanel], path: Path, *, title: str, left_out: Sequence[str] = ()
) -> Path:
    """Draw the distribution of each column: a histogram of numbers, bars of categories.

    Args:
        panels: the columns, in order.
        path: the PNG to write.
        title: the finding.
        left_out: names of columns that are not drawn.
    """
    columns = {1: 1, 2: 2, 4: 2}.get(len(panels), 3 if len(panels) <= 9 else 4)
    rows = math.ceil(len(panels) / columns)
    width = 5.5 if columns == 1 else 3.3 * columns if columns < 4 else 11.5
    with _figure(path, title, width, 0.7 + 2.3 * rows) as figure:
        cells = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in cells[len(panels) :]:
            axes.set_axis_off()
        for axes, panel in zip(cells, panels, strict=False):
            limit = {1: 50, 4: 22}.get(columns, 28)
            axes.set_title(_short(panel.name, limit), fontweight="bold", pad=16)
            note = _literal(textwrap.shorten(panel.note, 70 if columns == 1 else 44, placeholder=" …"))
            axes.text(0, 1.03, note, transform=axes.transAxes, fontsize=8, color=GREY, va="bottom")
            if panel.values is not None:
                _histogram(axes, panel.values)
            else:
                _bars(axes, panel.bars)
        _footnote(figure, 0, left_out)
    return path


def target_distributions(
    targets: Mapping[str, Array], target_names: Sequence[str], path: Path, *, title: str
) -> Path:
    """Draw how the targets of a regression are distributed, one panel a target (the first 9).

    Args:
        targets: split -> (n, targets); the first is drawn as bars, the others as lines over it.
        target_names: in column order.
        path: the PNG to write.
        title: the finding.
    """
    shown = min(_PANELS, len(target_names))
    columns = {1: 1, 2: 2, 4: 2}.get(shown, 3)
    rows = math.ceil(shown / columns)
    width = 6.5 if shown == 1 else 3.6 * columns
    with _figure(path, title, width, 1.1 + (3.4 if shown == 1 else 2.5) * rows) as figure:
        cells = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in cells[shown:]:
            axes.set_axis_off()
        for index, axes in enumerate(cells[:shown]):
            values = {name: array[:, index][np.isfinite(array[:, index])] for name, array in targets.items()}
            together = np.concatenate(list(values.values()))
            bins = _bins(together)
            whole = len(together) and np.array_equal(together, np.round(together))
            edges = _edges(together, bins) if whole else np.histogram_bin_edges(together, bins)
            for place, (name, array) in enumerate(values.items()):
                # In shares: the splits differ in size.
                weights = np.full(len(array), 100 / max(1, len(array)))
                label = f"{name} ({len(array):,})"
                if place == 0:
                    axes.hist(array, edges, weights=weights, color=BLUE, alpha=0.45, label=label)
                else:
                    color, dashes = ((ORANGE, "-"), (GREEN, "--"))[(place - 1) % 2]
                    axes.hist(
                        array, edges, weights=weights, histtype="step", color=color, linestyle=dashes,
                        linewidth=1.6, label=label,
                    )  # fmt: skip
            axes.set_title(_short(target_names[index], 40 if shown == 1 else 24))
            axes.set(ylabel="share of the split (%)")
        handles, texts = cells[0].get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside lower left", ncols=len(targets))
        _footnote(figure, 0, target_names[shown:])
    return path


def _histogram(axes: Axes, values: Array) -> None:
    from matplotlib.ticker import MaxNLocator

    dates = np.issubdtype(values.dtype, np.datetime64)
    if not dates:
        values = values[np.isfinite(values)]
    if not len(values):
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", color=GREY)
        axes.set(xticks=[], yticks=[])
        return
    different = np.unique(values)
    whole = not dates and np.array_equal(different, np.round(different))
    gap = float(np.diff(different).min()) if whole and len(different) > 1 else 1.0
    if whole and len(different) <= 12 and np.ptp(different) <= 40 * gap:
        counts = [np.count_nonzero(values == value) for value in different]
        axes.bar(different, counts, 0.8 * gap, color=BLUE)
        if len(different) <= 6 or np.abs(different).max() < 100:
            axes.set_xticks(different)
        if len(different) == 1:
            axes.set_xlim(different[0] - 2, different[0] + 2)
    else:
        bins = _bins(values.astype("int64") if dates else values)
        edges: Any = _edges(values, bins) if whole else bins
        axes.hist(values, edges, color=BLUE, edgecolor="white", linewidth=0.3)
        if not dates:
            # Long numbers would run into each other.
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    if dates:
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator(minticks=2, maxticks=6)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.tick_params(labelsize=8)
    axes.set_ylabel("examples", fontsize=8)


def _bars(axes: Axes, bars: Sequence[tuple[str, int]]) -> None:
    from matplotlib.ticker import MaxNLocator

    if not bars:
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", color=GREY)
        axes.set(xticks=[], yticks=[])
        return
    axes.barh(range(len(bars)), [count for _, count in bars], 0.75, color=BLUE)
    axes.set_yticks(range(len(bars)), [_short(name, 18) for name, _ in bars], fontsize=8)
    # Few bars stay slim.
    axes.set_ylim(max(4, len(bars)) - 0.5, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    axes.set_xlabel("examples", fontsize=8)


def _edges(values: Array, bins: int) -> Array:
    """Of bins that hold as many whole numbers each: others draw a comb."""
    low, high = float(values.min()), float(values.max())
    step = max(1, round((high - low + 1) / bins))
    return low - 0.5 + step * np.arange(math.ceil((high - low + 1) / step) + 1)


def _bins(values: Array) -> int:
    """Not "auto": one outlier would ask for millions of bins, and rounding alone has no width for any."""
    if not len(values) or np.ptp(values) <= 1e-6 * np.abs(values).max():
        return 1
    return int(np.clip(math.sqrt(len(values)), 8, 40))


@contextlib.contextmanager
def _figure(path: Path, title: str, width: float, height: float) -> Iterator[Figure]:
    """A figure in our style, width x height in inches; saved to `path` when the block ends well."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # From the defaults up: the user's own matplotlibrc must not change what a run looks like.
    with style.context(["default", _STYLE]), warnings.catch_warnings():
        # A class name in a script that the font lacks is drawn as boxes; that is no reason to fail.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from", category=UserWarning)
        layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
        figure = Figure(figsize=(width, height), layout=layout)
        FigureCanvasAgg(figure)
        lines = textwrap.wrap(_literal(title), int(width * 9.5))
        figure.suptitle("\n".join(lines), fontsize=12, fontweight="bold", x=0.012, ha="left")
        yield figure
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            figure.savefig(temporary, format="png")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _points(
    axes: Axes,
    x: Array,
    y: Array,
    extent: tuple[float, float, float, float] | None = None,
    label: str = "examples",
) -> None:
    """Single points while they can be told apart, else their density."""
    from matplotlib.colors import LinearSegmentedColormap

    if len(x) > _MANY_POINTS:
        # Not from white: a cell with a single example must be seen.
        shades = LinearSegmentedColormap.from_list("density", ["#B5D5E8", BLUE, "#00243A"])
        axes.hexbin(x, y, gridsize=50, bins="log", mincnt=1, cmap=shades, linewidths=0.1, extent=extent)
    else:
        alpha = float(np.clip(30 / math.sqrt(len(x)), 0.35, 0.8))
        axes.scatter(x, y, s=18, color=BLUE, alpha=alpha, edgecolors="none", label=label, zorder=3)


def _r2(true: Array, predicted: Array) -> str:
    if np.ptp(true) == 0:
        return "no R², constant"
    total = ((true - true.mean()) ** 2).sum()
    return f"R² = {1 - ((true - predicted) ** 2).sum() / total:.3f}"


def _footnote(figure: Figure, points: int, left_out: Sequence[str] = ()) -> None:
    notes = []
    if points > _MANY_POINTS:
        notes.append(f"{points:,} examples: the darker, the more of them (logarithmic)")
    if left_out:
        notes.append(textwrap.shorten(f"not shown: {', '.join(left_out)}", 240, placeholder=" …"))
    lines = [line for note in notes for line in textwrap.wrap(note, int(figure.get_figwidth() * 12))]
    if lines:
        figure.supxlabel(_literal("\n".join(lines)), fontsize=9, color=GREY, x=0.012, ha="left")


def _short(name: str, limit: int) -> str:
    """The name on one line, its middle left out beyond `limit` characters: names differ at either end."""
    line = " ".join(name.split())
    keep = limit - 1
    return _literal(line if len(line) <= limit else f"{line[: (keep + 1) // 2]}…{line[-(keep // 2) :]}")


def _literal(text: str) -> str:
    """A class called `$5` is no mathematics."""
    return text.replace("$", r"\$")

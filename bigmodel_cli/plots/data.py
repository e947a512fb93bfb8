"""Distributions of classes, targets and columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bigmodel_cli.plots import bins, style
from bigmodel_cli.plots.style import Array, Look, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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


def class_balance(
    counts: Mapping[str, Sequence[int]],
    class_names: Sequence[str],
    path: Path,
    *,
    title: str,
    theme: Theme = "light",
) -> Path:
    """Draw the share of each class in each split.

    Up to 40 classes as bars, in their order; more as lines, the most frequent in the first split first.

    Args:
        counts: split -> examples of each class, in index order.
        class_names: in index order.
        path: the PNG to write.
        title: the finding.
        theme: light or dark.
    """
    shares = {name: 100 * np.asarray(values) / max(1, sum(values)) for name, values in counts.items()}
    look, k = style.LOOKS[theme], len(class_names)
    colors = look.blue, look.orange, look.green
    labels = {name: f"{name} ({sum(values):,})" for name, values in counts.items()}
    if k > 40:
        with style.figure(path, title, 7.5, 4.4, theme) as (figure, look):
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
            axes.grid(axis="y", color=look.grid, linewidth=0.8)
        return path
    thick = 0.8 / len(shares)
    with style.figure(path, title, 6.5, 1.3 + max(1.2, k * (0.17 * len(shares) + 0.08)), theme) as (
        figure,
        look,
    ):
        axes = figure.subplots()
        for place, (name, share) in enumerate(shares.items()):
            offsets = np.arange(k) + (place - (len(shares) - 1) / 2) * thick
            axes.barh(offsets, share, thick * 0.9, color=colors[place % 3], label=labels[name])
        axes.set_yticks(range(k), [style.short(name, 28) for name in class_names])
        axes.tick_params(axis="y", length=0)
        axes.set(xlabel="share of the split (%)", ylim=(k - 0.5, -0.5), xlim=(0, None))
        axes.grid(axis="x", color=look.grid, linewidth=0.8)
        figure.legend(loc="outside lower left", ncols=len(shares))
    return path


def column_grid(
    panels: Sequence[ColumnPanel],
    path: Path,
    *,
    title: str,
    theme: Theme = "light",
    left_out: Sequence[str] = (),
) -> Path:
    """Draw the distribution of each column: a histogram of numbers, bars of categories.

    Args:
        panels: the columns, in order.
        path: the PNG to write.
        title: the finding.
        theme: light or dark.
        left_out: names of columns that are not drawn.
    """
    columns = {1: 1, 2: 2, 4: 2}.get(len(panels), 3 if len(panels) <= 9 else 4)
    rows = math.ceil(len(panels) / columns)
    width = 5.5 if columns == 1 else 3.3 * columns if columns < 4 else 11.5
    with style.figure(path, title, width, 0.7 + 2.3 * rows, theme) as (figure, look):
        cells = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in cells[len(panels) :]:
            axes.set_axis_off()
        for axes, panel in zip(cells, panels, strict=False):
            limit = {1: 50, 4: 22}.get(columns, 28)
            axes.set_title(style.short(panel.name, limit), fontweight="bold", pad=16)
            note = style.literal(textwrap.shorten(panel.note, 70 if columns == 1 else 44, placeholder=" …"))
            axes.text(0, 1.03, note, transform=axes.transAxes, fontsize=8, color=look.grey, va="bottom")
            if panel.values is not None:
                _histogram(axes, look, panel.values)
            else:
                _bars(axes, look, panel.bars)
        style.footnote(figure, look, style.listed("not shown", left_out))
    return path


def target_distributions(
    targets: Mapping[str, Array],
    target_names: Sequence[str],
    path: Path,
    *,
    title: str,
    theme: Theme = "light",
) -> Path:
    """Draw how the targets of a regression are distributed, one panel a target (the first 9).

    Args:
        targets: split -> (n, targets); the first is drawn as bars, the others as lines over it.
        target_names: in column order.
        path: the PNG to write.
        title: the finding.
        theme: light or dark.
    """
    shown = min(style.PANELS, len(target_names))
    columns = {1: 1, 2: 2, 4: 2}.get(shown, 3)
    rows = math.ceil(shown / columns)
    width = 6.5 if shown == 1 else 3.6 * columns
    with style.figure(path, title, width, 1.1 + (3.4 if shown == 1 else 2.5) * rows, theme) as (figure, look):
        cells = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in cells[shown:]:
            axes.set_axis_off()
        for index, axes in enumerate(cells[:shown]):
            values = {name: array[:, index][np.isfinite(array[:, index])] for name, array in targets.items()}
            together = np.concatenate(list(values.values()))
            count = bins.count(together)
            whole = len(together) and np.array_equal(together, np.round(together))
            edges = bins.whole(together, count) if whole else np.histogram_bin_edges(together, count)
            for place, (name, array) in enumerate(values.items()):
                # In shares: the splits differ in size.
                weights = np.full(len(array), 100 / max(1, len(array)))
                label = f"{name} ({len(array):,})"
                if place == 0:
                    axes.hist(array, edges, weights=weights, color=look.blue, alpha=0.45, label=label)
                else:
                    color, dashes = ((look.orange, "-"), (look.green, "--"))[(place - 1) % 2]
                    axes.hist(
                        array, edges, weights=weights, histtype="step", color=color, linestyle=dashes,
                        linewidth=1.6, label=label,
                    )  # fmt: skip
            axes.set_title(style.short(target_names[index], 40 if shown == 1 else 24))
            axes.set(ylabel="share of the split (%)")
        handles, texts = cells[0].get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside lower left", ncols=len(targets))
        style.footnote(figure, look, style.listed("not shown", target_names[shown:]))
    return path


def _histogram(axes: Axes, look: Look, values: Array) -> None:
    from matplotlib.ticker import MaxNLocator

    dates = np.issubdtype(values.dtype, np.datetime64)
    if not dates:
        values = values[np.isfinite(values)]
    if not len(values):
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", color=look.grey)
        axes.set(xticks=[], yticks=[])
        return
    different = np.unique(values)
    whole = not dates and np.array_equal(different, np.round(different))
    gap = float(np.diff(different).min()) if whole and len(different) > 1 else 1.0
    if whole and len(different) <= 12 and np.ptp(different) <= 40 * gap:
        counts = [np.count_nonzero(values == value) for value in different]
        axes.bar(different, counts, 0.8 * gap, color=look.blue)
        if len(different) <= 6 or np.abs(different).max() < 100:
            axes.set_xticks(different)
        if len(different) == 1:
            axes.set_xlim(different[0] - 2, different[0] + 2)
    else:
        count = bins.count(values.astype("int64") if dates else values)
        edges: Any = bins.whole(values, count) if whole else count
        axes.hist(values, edges, color=look.blue, edgecolor=look.paper, linewidth=0.3)
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


def _bars(axes: Axes, look: Look, bars: Sequence[tuple[str, int]]) -> None:
    from matplotlib.ticker import MaxNLocator

    if not bars:
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", color=look.grey)
        axes.set(xticks=[], yticks=[])
        return
    axes.barh(range(len(bars)), [count for _, count in bars], 0.75, color=look.blue)
    axes.set_yticks(range(len(bars)), [style.short(name, 18) for name, _ in bars], fontsize=8)
    # Few bars stay slim.
    axes.set_ylim(max(4, len(bars)) - 0.5, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    axes.set_xlabel("examples", fontsize=8)

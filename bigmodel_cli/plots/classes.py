"""How well each class is found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bigmodel_cli.plots import style
from bigmodel_cli.plots.style import Array, Look, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 30


def class_bars(
    counts: Array, class_names: Sequence[str], path: Path, *, title: str, theme: Theme = "light"
) -> Path:
    """Draw recall, precision and examples of each class, the lowest F1 first; of many classes the worst 30.

    A class without examples has no recall, one that is never predicted no precision: it says so. Without
    examples there is no F1 either, and the class comes last; without predictions it is 0.

    Args:
        counts: confusion matrix (classes, classes), rows the true class.
        class_names: in index order.
        path: the PNG to write.
        title: the finding.
        theme: light or dark.
    """
    right, support, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    return _bars(right, support, predicted, class_names, path, "classes", title, theme)


def label_bars(
    targets: Array,
    predicted: Array,
    label_names: Sequence[str],
    path: Path,
    *,
    title: str,
    theme: Theme = "light",
) -> Path:
    """Draw the same of labels, of which an example may have several.

    Args:
        targets: which labels each example has, (n, labels) of 0 and 1.
        predicted: which are predicted, (n, labels) of 0 and 1.
        label_names: in column order.
        path: the PNG to write.
        title: the finding.
        theme: light or dark.
    """
    true, found = np.asarray(targets, bool), np.asarray(predicted, bool)
    right, support, times = (flags.sum(axis=0) for flags in (true & found, true, found))
    return _bars(right, support, times, label_names, path, "labels", title, theme)


def _bars(
    right: Array,
    support: Array,
    predicted: Array,
    class_names: Sequence[str],
    path: Path,
    what: str,
    title: str,
    theme: Theme,
) -> Path:
    """Of classes or labels, (n,) each: found rightly, there, and predicted."""
    with np.errstate(invalid="ignore"):
        recall, precision = right / support, right / predicted
        f1 = np.where(support > 0, 2 * right / (support + predicted), np.nan)
    # NaN last.
    order = np.argsort(f1, kind="stable")[:SHOWN]
    with style.figure(path, title, 8.0, 1.6 + 0.34 * max(3, len(order)), theme) as (figure, look):
        axes, beside = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
        _draw_rates(axes, look, recall[order], precision[order])
        axes.set_yticks(range(len(order)), [style.short(class_names[index], 26) for index in order])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(max(3, len(order)) - 0.4, -0.6)
        if len(order) < len(class_names):
            axes.set_title(
                f"the {len(order)} of {len(class_names):,} {what} with the lowest F1", color=look.grey
            )
        beside.barh(range(len(order)), support[order], 0.5, color=look.grey)
        for place, count in enumerate(support[order]):
            beside.annotate(
                f"{count:,}", (count, place), (3, 0), textcoords="offset points", va="center", fontsize=8
            )
        beside.set(xlabel="examples", xlim=(0, 1.35 * max(1, support[order].max(initial=0))), xticks=[])
        beside.spines.bottom.set_visible(False)
        beside.tick_params(axis="y", length=0)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return path


def _draw_rates(axes: Axes, look: Look, recall: Array, precision: Array) -> None:
    places = np.arange(len(recall))
    series = (
        (recall, -0.19, look.blue, None, "recall", "no examples"),
        (precision, 0.19, look.orange, "////", "precision", "never predicted"),
    )
    for values, offset, color, hatch, name, absent in series:
        lengths = np.nan_to_num(values)
        axes.barh(
            places + offset, lengths, 0.36, color=color, hatch=hatch, edgecolor=look.paper, linewidth=0,
            label=name,
        )  # fmt: skip
        for place in places[np.isnan(values)]:
            axes.text(0.01, place + offset, absent, fontsize=7, va="center", color=look.grey)
    axes.set(xlim=(0, 1), xlabel="recall and precision")
    axes.grid(axis="x")

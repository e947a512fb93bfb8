"""What a classifier does at every threshold: receiver operating characteristic, precision and recall.

Each class is told from all others, and their curves are averaged with equal weights (macro average). Of many
classes only the mean and the worst are named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bigmodel_cli.plots import style
from bigmodel_cli.plots.style import Array, Look, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 5
"""Classes with a curve of their own in the legend."""

_LINES = 100
_GRID = np.union1d(np.linspace(0, 1, 1001), np.logspace(-5, -3, 101))
_CORNER = 0.97
"""Mean area from which on curves lie in the corner."""


@dataclass(frozen=True, eq=False)
class _Curve:
    """A class against the others: the line, its heights over `_GRID`, the area below, its share."""

    name: str
    x: Array
    y: Array
    heights: Array
    area: float
    share: float


def roc_curves(
    targets: Array,
    probabilities: Array,
    class_names: Sequence[str],
    path: Path,
    *,
    title: str,
    theme: Theme = "light",
) -> Path:
    """Draw true against false positive rates (Fawcett, An introduction to ROC analysis, 2006).

    Of two classes that exclude each other the second is the positive one. The mean of several is that of
    their true positive rates at each false positive rate. Classes without positives or negatives have no
    curve. The axis of the false positive rates is logarithmic where a linear one would show a corner only.

    Args:
        targets: class indices (n,), or (n, classes) of 0 and 1, where an example may have several classes.
        probabilities: (n, classes); or (n,), of the second of two classes.
        class_names: in index order.
        path: the PNG to write.
        title: the finding.
        theme: light or dark.
    """
    curves, notes = _curves(targets, probabilities, class_names, _roc)
    with style.figure(path, title, 8.6, 5.4, theme) as (figure, look):
        axes = figure.subplots()
        _draw(axes, look, curves, "area under the curve", len(class_names))
        axes.plot(_GRID, _GRID, color=look.grey, linewidth=1, linestyle=(0, (1, 3)), label="chance, 0.5")
        if curves and np.mean([curve.area for curve in curves]) > _CORNER:
            first = min(float(curve.x[curve.x > 0][0]) for curve in curves)
            axes.set_xscale("log")
            axes.set_xlim(min(max(first / 2, 1e-5), 0.1), 1)
        axes.set(xlabel="false positive rate", ylabel="true positive rate (recall)")
        _name(figure, axes)
        style.footnote(figure, look, notes)
    return path


def precision_recall_curves(
    targets: Array,
    probabilities: Array,
    class_names: Sequence[str],
    path: Path,
    *,
    title: str,
    theme: Theme = "light",
) -> Path:
    """Draw precision against recall, in steps: between two thresholds there is nothing to interpolate.

    The area is the average precision (Davis and Goadrich, The Relationship Between Precision-Recall and ROC
    Curves, 2006, section 4, on why straight lines would flatter). The mean of several classes is that of
    their precisions at each recall. Of two classes that exclude each other the second is the positive one.

    Args:
        targets: class indices (n,), or (n, classes) of 0 and 1, where an example may have several classes.
        probabilities: (n, classes); or (n,), of the second of two classes.
        class_names: in index order.
        path: the PNG to write.
        title: the finding.
        theme: light or dark.
    """
    curves, notes = _curves(targets, probabilities, class_names, _precision_recall)
    with style.figure(path, title, 8.6, 5.4, theme) as (figure, look):
        axes = figure.subplots()
        _draw(axes, look, curves, "average precision", len(class_names))
        if curves:
            chance = float(np.mean([curve.share for curve in curves]))
            label = f"chance, {chance:.3g}" if len(curves) == 1 else f"chance, {chance:.3g} on average"
            axes.axhline(chance, color=look.grey, linewidth=1, linestyle=(0, (1, 3)), label=label)
        axes.set(xlabel="recall", ylabel="precision")
        _name(figure, axes)
        style.footnote(figure, look, notes)
    return path


def _curves(
    targets: Array,
    probabilities: Array,
    class_names: Sequence[str],
    curve_of: Callable[[str, Array, Array], _Curve | None],
) -> tuple[list[_Curve], list[str]]:
    """The curves, the worst first, and notes on what is left out."""
    scores = probabilities[:, None] if probabilities.ndim == 1 else probabilities
    known, notes = style.finite(targets, scores)
    targets, scores = targets[known], scores[known]
    exclusive = targets.ndim == 1
    shown = [len(class_names) - 1] if exclusive and len(class_names) == 2 else range(len(class_names))
    found, undefined = [], []
    for index in shown:
        positive = targets == index if exclusive else targets[:, index] > 0.5
        # A single column is that of the second class.
        curve = curve_of(class_names[index], positive, scores[:, min(index, scores.shape[1] - 1)])
        if curve is None:
            undefined.append(class_names[index])
        else:
            found.append(curve)
    notes += style.listed("no curve, as the examples lack the class or anything else", undefined)
    return sorted(found, key=lambda curve: curve.area), notes


def _roc(name: str, positive: Array, scores: Array) -> _Curve | None:
    from sklearn.metrics import auc, roc_curve

    if positive.all() or not positive.any():
        return None
    x, y, _ = roc_curve(positive, scores)
    heights = np.interp(_GRID, x, y)
    return _Curve(name, x, y, heights, float(auc(x, y)), float(positive.mean()))


def _precision_recall(name: str, positive: Array, scores: Array) -> _Curve | None:
    from sklearn.metrics import precision_recall_curve

    if not positive.any():
        return None
    precision, recall, _ = precision_recall_curve(positive, scores, drop_intermediate=True)
    area = float(-np.sum(np.diff(recall) * precision[:-1]))
    x, y = recall[::-1], precision[::-1]
    # That of the highest threshold which reaches the recall; recall 0 has none, and takes the first.
    heights = y[np.searchsorted(x, np.maximum(_GRID, np.nextafter(0, 1)), side="left")]
    return _Curve(name, x, y, heights, area, float(positive.mean()))


def _draw(axes: Axes, look: Look, curves: Sequence[_Curve], measure: str, classes: int) -> None:
    """The curves of some classes, and the mean of all."""
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.grid()
    if not curves:
        style.nothing(axes, look, "no curve: the examples are all of one class, or there are none")
        return
    drawstyle = "steps-pre" if measure == "average precision" else "default"
    if len(curves) == 1:
        (one,) = curves
        label = f"{style.short(one.name, 24)}, {one.area:.4g}"
        axes.plot(one.x, one.y, color=look.blue, drawstyle=drawstyle, linewidth=2.2, label=label)
        axes.set_title(f"{measure} {one.area:.4g}; positive: {style.short(one.name, 40)}", color=look.grey)
    else:
        mean = float(np.mean([curve.area for curve in curves]))
        heights = np.mean([curve.heights for curve in curves], axis=0)
        axes.plot(_GRID, heights, color=look.ink, linewidth=2.6, zorder=3, label=f"mean, {mean:.4g}")
        named = curves[:NAMED]
        for curve, color, dash in zip(named, look.series, style.DASHES, strict=False):
            label = f"{style.short(curve.name, 24)}, {curve.area:.4g}"
            axes.plot(
                curve.x, curve.y, color=color, linestyle=dash, drawstyle=drawstyle, linewidth=1.4, label=label
            )
        _draw_others(axes, look, curves[NAMED:])
        of = (
            f"{len(curves):,} classes"
            if len(curves) == classes
            else f"{len(curves):,} of {classes:,} classes"
        )
        which = "" if len(curves) <= NAMED else f"; named are the {NAMED} worst"
        axes.set_title(f"{measure}, mean of {of}: {mean:.4g}{which}", color=look.grey)


def _name(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside right upper", fontsize=9)


def _draw_others(axes: Axes, look: Look, curves: Sequence[_Curve]) -> None:
    """Classes without a name: thin lines, or the band that holds nine tenths of very many."""
    if len(curves) > _LINES:
        low, high = np.percentile([curve.heights for curve in curves], [5, 95], axis=0)
        label = f"90% of {len(curves):,} others"
        axes.fill_between(_GRID, low, high, color=look.grey, alpha=0.3, linewidth=0, label=label)
        return
    for index, curve in enumerate(curves):
        # matplotlib's mark of a line that the legend leaves out: one stands for all.
        label = "_" if index else f"{len(curves):,} others"
        axes.plot(_GRID, curve.heights, color=look.grey, alpha=0.45, linewidth=0.7, zorder=1.5, label=label)

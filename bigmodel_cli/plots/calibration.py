"""Whether probabilities are true: reliability diagrams."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bigmodel_cli.metrics.calibration import BINS, Bins, binned
from bigmodel_cli.plots import style
from bigmodel_cli.plots.style import Array, Look, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def reliability(
    targets: Array,
    probabilities: Array,
    path: Path,
    *,
    title: str,
    bins: int = BINS,
    theme: Theme = "light",
) -> Path:
    """Draw accuracy against confidence, the probability of the predicted class, and how often each occurs.

    The whiskers are 95% intervals of the accuracy of a bin (Wilson 1927).

    Args:
        targets: class indices (n,).
        probabilities: (n, classes).
        path: the PNG to write.
        title: the finding.
        bins: of equal width.
        theme: light or dark.
    """
    known, notes = style.finite(targets, probabilities)
    shown = probabilities[known]
    confidences = shown.max(axis=1, initial=0).astype(np.float64)
    right = shown.argmax(axis=1) == targets[known]
    found = binned(right, confidences, bins)
    with style.figure(path, title, 6.4, 7.2, theme) as (figure, look):
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        if not len(confidences):
            style.nothing(above, look, "no examples with probabilities")
            below.set_axis_off()
        else:
            _draw_accuracy(above, look, found)
            _draw_counts(below, look, found, right, confidences)
            # Outside: the bars of a modest model would lie beneath it.
            figure.legend(*above.get_legend_handles_labels(), loc="outside lower left", ncols=3, fontsize=9)
        style.footnote(figure, look, notes)
    return path


def _draw_accuracy(axes: Axes, look: Look, found: Bins) -> None:
    bins = len(found.counts)
    filled = found.counts > 0
    centers = (np.arange(bins)[filled] + 0.5) / bins
    accuracy, confidence, counts = (
        values[filled] for values in (found.accuracy, found.confidence, found.counts)
    )
    axes.bar(centers, accuracy, 1 / bins, color=look.blue, edgecolor=look.paper, label="accuracy")
    # Outlined and hatched: it lies over the bars where the model is too modest.
    axes.bar(
        centers, confidence - accuracy, 1 / bins, accuracy, color="none", edgecolor=look.vermillion,
        hatch="////", linewidth=0.9, label="gap to the confidence",
    )  # fmt: skip
    low, high = _wilson(accuracy, counts)
    whiskers = [accuracy - low, high - accuracy]
    axes.errorbar(centers, accuracy, whiskers, fmt="none", color=look.ink, linewidth=1, capsize=2)
    axes.plot([0, 1], [0, 1], color=look.ink, linewidth=1, linestyle="--", label="confidence is accuracy")
    mean = (found.counts[filled] * (confidence - accuracy)).sum() / counts.sum()
    leaning = "too confident" if mean > 0 else "too modest"
    axes.set_title(
        f"expected calibration error {found.error:.2%}; on average {abs(mean):.2%} {leaning}", color=look.grey
    )
    axes.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))


def _draw_counts(axes: Axes, look: Look, found: Bins, right: Array, confidences: Array) -> None:
    bins = len(found.counts)
    centers = (np.arange(bins) + 0.5) / bins
    axes.bar(
        centers, 100 * found.counts / found.counts.sum(), 1 / bins, color=look.grey, edgecolor=look.paper
    )
    for value, dash, name in ((right.mean(), "-", "accuracy"), (confidences.mean(), "--", "mean confidence")):
        axes.axvline(value, color=look.ink, linewidth=1.2, linestyle=dash, label=f"{name} {value:.3f}")
    axes.legend(loc="upper left", fontsize=9)
    axes.set(xlabel="confidence", ylabel="examples (%)")


def _wilson(share: Array, counts: Array) -> tuple[Array, Array]:
    """95% intervals of shares: unlike the normal ones they stay between 0 and 1."""
    z = 1.959964
    middle = (share + z**2 / (2 * counts)) / (1 + z**2 / counts)
    half = z / (1 + z**2 / counts) * np.sqrt(share * (1 - share) / counts + z**2 / (4 * counts**2))
    # Rounding may push a bound past the share itself.
    return np.minimum(middle - half, share), np.maximum(middle + half, share)

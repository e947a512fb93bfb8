"""Learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bigmodel_cli.plots import style
from bigmodel_cli.plots.style import Look, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def learning_curves(
    history: Sequence[Mapping[str, float]],
    path: Path,
    *,
    best_epoch: int | None,
    monitor: str,
    title: str,
    theme: Theme = "light",
) -> Path:
    """Draw loss, up to two metrics and, if it varies, the learning rate against the epoch.

    Of several tasks the loss of each is drawn instead of metrics, up to four, and what is monitored.

    Args:
        history: one mapping an epoch: `epoch` (from 1; absent: counted), `loss`, `val_loss`, `learning_rate`
            and any other `NAME` with its `val_NAME`. Values may be missing or not finite.
        path: the PNG to write.
        best_epoch: epoch of the weights that are kept; None marks none.
        monitor: the value by which it was chosen, such as `val_loss`.
        title: the finding.
        theme: light or dark.
    """
    from matplotlib.ticker import MaxNLocator

    epochs = [row.get("epoch", number) for number, row in enumerate(history, 1)]
    names = list(dict.fromkeys(key for row in history for key in row))
    metrics = [name for name in names if name != "loss" and f"val_{name}" in names]
    # The monitored metric first; the others as Keras lists them.
    metrics.sort(key=lambda name: name != monitor.removeprefix("val_"))
    losses = [name for name in metrics if name.endswith("_loss")]
    monitored = [name for name in metrics[:1] if name == monitor.removeprefix("val_") and name not in losses]
    drawn = ["loss", *([*monitored, *losses[:4]] if losses else metrics[:2])]
    panels: list[tuple[str, tuple[str, ...]]] = [(n, (n, f"val_{n}")) for n in drawn]
    if len({row["learning_rate"] for row in history if "learning_rate" in row}) > 1:
        panels.append(("learning rate", ("learning_rate",)))
    heights = [2.6 if len(keys) == 2 else 1.3 for _, keys in panels]

    with style.figure(path, title, 7.5, 0.9 + sum(heights), theme) as (figure, look):
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (name, keys) in zip(grid, panels, strict=True):
            values: list[float] = []
            for key in keys:
                known = [(e, row[key]) for e, row in zip(epochs, history, strict=True) if key in row]
                points = [(epoch, value) for epoch, value in known if math.isfinite(value)]
                if points:
                    _curve(axes, look, points, key, markers=len(epochs) <= 30)
                    values += [value for _, value in points]
                if key == monitor and best_epoch in dict(points):
                    best = dict(points)[best_epoch]
                    axes.plot(best_epoch, best, "o", markersize=10, fillstyle="none", color=look.ink)
                    what = key.replace("val_", "validation ").replace("_", " ")
                    grid[0].set_title(f"best: epoch {best_epoch}, {what} {best:.4g}", color=look.grey)
            if (name == "loss" or len(keys) == 1) and values and 0 < min(values) < max(values) / 100:
                axes.set_yscale("log")
            if best_epoch is not None:
                axes.axvline(best_epoch, color=look.grey, linewidth=0.8, linestyle=":")
            axes.set_ylabel(name.replace("_", " "))
            axes.grid(axis="y", color=look.grid, linewidth=0.8)
        if grid[0].get_lines():
            grid[0].legend(loc="best")
        first, last = min(epochs, default=1), max(epochs, default=1)
        margin = max(0.5, 0.02 * (last - first))
        grid[-1].set(xlabel="epoch", xlim=(first - margin, last + margin))
        grid[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return path


def _curve(axes: Axes, look: Look, points: Sequence[tuple[float, float]], key: str, *, markers: bool) -> None:
    held_out = key.startswith("val_")
    axes.plot(
        *zip(*points, strict=True),
        color=look.vermillion if held_out else look.blue,
        # Told apart in grey, too.
        linestyle="-" if held_out or key == "learning_rate" else "--",
        # A line through one point is invisible, and markers on hundreds are a smear.
        marker="o" if markers else None,
        markersize=4,
        label="validation" if held_out else "training",
    )

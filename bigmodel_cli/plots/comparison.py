"""Curves of several runs in one picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigmodel_cli.plots import style
from bigmodel_cli.plots.style import Look, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TRAINING_SHOWN = 4
"""Beyond so many runs the training curves would be a tangle."""


def compared_curves(
    histories: Mapping[str, Sequence[Mapping[str, Any]]], path: Path, *, title: str, theme: Theme = "light"
) -> Path:
    """Draw loss and up to two metrics of several runs against the epoch.

    Validation as lines, a colour a run, told apart in grey by their dashes; training thin in the same
    colour, while there are at most four runs.

    Args:
        histories: what to call a run -> its epochs, each a mapping of `epoch`, `loss`, `val_loss` and any
            other `NAME` with its `val_NAME`; values may be missing or null.
        path: the PNG to write.
        title: the finding.
        theme: light or dark.
    """
    from matplotlib.ticker import MaxNLocator

    names = ["loss", *_metrics(histories)[:2]]
    rows = -(-len(histories) // 3)
    height = 0.9 + 2.6 * len(names) + 0.25 * rows
    with style.figure(path, title, 7.5, height, theme) as (figure, look):
        grid = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(grid, names, strict=True):
            values: list[float] = []
            for number, (label, history) in enumerate(histories.items()):
                values += _run(axes, look, history, name, number, label, len(histories))
            if name == "loss" and values and 0 < min(values) < max(values) / 100:
                axes.set_yscale("log")
            axes.set_ylabel(name.replace("_", " "))
            axes.grid(axis="y")
        grid[-1].set_xlabel("epoch")
        grid[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=3, fontsize=9)
        about = "validation" + (", training thin" if len(histories) <= _TRAINING_SHOWN else "")
        grid[0].set_title(about, color=look.grey)
    return path


def _metrics(histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Metrics that validation has, those of most runs first."""
    runs_with: dict[str, int] = {}
    for history in histories.values():
        for name in dict.fromkeys(key for row in history for key in row):
            if name.startswith("val_") and name != "val_loss":
                metric = name.removeprefix("val_")
                runs_with[metric] = runs_with.get(metric, 0) + 1
    return sorted(runs_with, key=lambda name: -runs_with[name])


def _run(
    axes: Axes,
    look: Look,
    history: Sequence[Mapping[str, Any]],
    name: str,
    number: int,
    label: str,
    runs: int,
) -> list[float]:
    """Draw a run's metric; its values."""
    colours, dashes = (look.ink, *look.series), style.DASHES
    # Six colours and five dashes: thirty runs before two look alike.
    color = colours[number % len(colours)]
    marker = "o" if len(history) <= 30 else None
    held_out = _points(history, f"val_{name}")
    axes.plot(
        *held_out,
        color=color,
        linestyle=dashes[number % len(dashes)],
        marker=marker,
        markersize=4,
        label=style.short(label, 30),
    )
    if runs > _TRAINING_SHOWN:
        return held_out[1]
    training = _points(history, name)
    axes.plot(*training, color=color, linewidth=0.9, alpha=0.6)
    return held_out[1] + training[1]


def _points(history: Sequence[Mapping[str, Any]], key: str) -> tuple[list[float], list[float]]:
    """Epochs and finite values."""
    found = [(row.get("epoch", number), row.get(key)) for number, row in enumerate(history, 1)]
    known = [(epoch, value) for epoch, value in found if value is not None and math.isfinite(value)]
    return [epoch for epoch, _ in known], [value for _, value in known]

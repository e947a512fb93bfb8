"""Weights of linear models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bigmodel_cli.plots import style
from bigmodel_cli.plots.style import Array, Theme

SHOWN = 30


def linear_weights(
    weights: Array,
    names: Sequence[str],
    path: Path,
    *,
    title: str,
    intervals: Array | None = None,
    unit: str = "weight",
    note: str = "",
    theme: Theme = "light",
) -> Path:
    """Draw the weights of a linear model with their intervals, the largest first; of many the first 30.

    A weight whose interval holds 0 has an open marker.

    Args:
        weights: (features,).
        names: of the features.
        path: the PNG to write.
        title: the finding.
        intervals: lower and upper bound of each weight (features, 2); NaN where one has none.
        unit: of the weights, for the axis.
        note: a sentence below.
        theme: light or dark.
    """
    bounds = np.full((len(weights), 2), np.nan) if intervals is None else intervals
    known = np.flatnonzero(np.isfinite(weights))
    order = known[np.argsort(-np.abs(weights[known]), kind="stable")][:SHOWN]
    notes = style.listed(
        "not finite", [name for name, weight in zip(names, weights, strict=True) if not np.isfinite(weight)]
    )
    bounded = order[np.isfinite(bounds[order]).all(axis=1)]
    if intervals is not None:
        notes += style.listed(
            "without an interval", [names[index] for index in order if index not in bounded]
        )
    if len(bounded):
        notes.append("open: the interval holds 0; square: below 0")
    notes += [note] if note else []
    reach = _reach(weights[order], bounds[bounded])
    beyond = int((np.abs(bounds[bounded]) > reach).any(axis=1).sum())
    if beyond:
        notes.append(f"{beyond} interval{'s go' if beyond > 1 else ' goes'} beyond the axis")
    with style.figure(path, title, 7.5, 1.4 + 0.27 * max(3, len(order)), theme) as (figure, look):
        axes = figure.subplots()
        if not len(order):
            style.nothing(axes, look, "no finite weight")
        for place, index in enumerate(order):
            doubtful = index in bounded and bounds[index, 0] <= 0 <= bounds[index, 1]
            color = look.blue if weights[index] >= 0 else look.vermillion
            if index in bounded:
                axes.plot(bounds[index], [place, place], color=color, linewidth=2, solid_capstyle="butt")
            marker = "o" if weights[index] >= 0 else "s"
            axes.plot(
                weights[index], place, marker, color=color, markersize=6,
                markerfacecolor=look.paper if doubtful else color,
            )  # fmt: skip
        if len(order):
            axes.axvline(0, color=look.ink, linewidth=1, linestyle="--")
            axes.set_yticks(range(len(order)), [style.short(names[index], 28) for index in order])
            axes.set(xlabel=unit, ylim=(max(3, len(order)) - 0.4, -0.6))
            if beyond:
                axes.set_xlim(-reach, reach)
            axes.tick_params(axis="y", length=0)
            axes.grid(axis="x")
        if len(order) < len(known):
            axes.set_title(f"the {len(order)} largest of {len(known):,} weights", color=look.grey)
        style.footnote(figure, look, notes)
    return path


def _reach(weights: Array, bounds: Array) -> float:
    """How far the axis goes at least: a few wild intervals must not press the weights together.

    Args:
        weights: those that are drawn (n,).
        bounds: of those that have an interval (m, 2).
    """
    largest = float(np.abs(weights).max(initial=0.0))
    typical = float(np.median(np.abs(bounds).max(axis=1))) if len(bounds) else 0.0
    return max(4 * largest, 1.25 * typical)

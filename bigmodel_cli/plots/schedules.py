"""The learning rate: over a training, and how it was found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from bigmodel_cli.plots import style
from bigmodel_cli.plots.style import Theme


def learning_rate_range(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    path: Path,
    *,
    chosen: float,
    title: str,
    theme: Theme = "light",
) -> Path:
    """Draw the losses of a range test against the learning rate, on a logarithmic axis.

    Args:
        rates: of each step, ascending.
        losses: of each step's batch, the first finite; those far above the first are cut off.
        smoothed: the curve by which the rate was chosen.
        path: the PNG to write.
        chosen: the rate that training takes.
        title: the finding.
        theme: light or dark.
    """
    with style.figure(path, title, 7.5, 4.2, theme) as (figure, look):
        axes = figure.subplots()
        axes.plot(rates, losses, ".", color=look.blue, markersize=4, label="loss of the step")
        axes.plot(rates, smoothed, color=look.vermillion, label="smoothed")
        axes.axvline(chosen, color=look.grey, linestyle=":", label=f"chosen: {chosen:.2g}")
        low = min(value for value in (*smoothed, *losses) if math.isfinite(value))
        high = max(smoothed[0], losses[0])
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        axes.set_ylim(low - 0.1 * (high - low), high + 0.5 * (high - low))
        axes.grid(axis="y", color=look.grid, linewidth=0.8)
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
    theme: Theme = "light",
) -> Path:
    """Draw the learning rate over a training, and those of layers that differ by a factor.

    Args:
        steps: from 0, ascending.
        rates: the learning rate of each of these.
        path: the PNG to write.
        steps_per_epoch: batches in an epoch.
        factors: what to call some layers -> factor of their learning rate.
        title: the finding.
        theme: light or dark.
    """
    with style.figure(path, title, 7.5, 4.2, theme) as (figure, look):
        axes = figure.subplots()
        epochs = [step / steps_per_epoch for step in steps]
        others = zip(
            factors.items(),
            [look.vermillion, look.green, look.orange, look.purple] * len(factors),
            strict=False,
        )
        dashes = style.DASHES[1:] * len(factors)
        axes.plot(epochs, rates, color=look.blue, label="all other layers" if factors else "learning rate")
        for ((name, factor), color), dash in zip(others, dashes, strict=False):
            scaled = [factor * rate for rate in rates]
            label = f"{style.short(name, 40)} ({factor:g} times)"
            axes.plot(epochs, scaled, color=color, linestyle=dash, label=label)
        peak = max(range(len(rates)), key=lambda index: rates[index])
        axes.plot(epochs[peak], rates[peak], "o", markersize=8, fillstyle="none", color=look.ink)
        axes.set_title(
            f"start {rates[0]:.3g}, peak {rates[peak]:.3g} at step {steps[peak] + 1:,}, end {rates[-1]:.3g}",
            color=look.grey,
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
        axes.grid(axis="y", color=look.grid, linewidth=0.8)
        if factors:
            axes.legend(loc="best")
    return path

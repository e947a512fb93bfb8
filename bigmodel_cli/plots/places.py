"""Loss of a language model by the place of a token in its text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bigmodel_cli.plots import style
from bigmodel_cli.plots.style import Theme


def loss_by_place(
    places: Sequence[tuple[int, int, float]],
    baseline: float | None,
    path: Path,
    *,
    title: str,
    theme: Theme = "light",
) -> Path:
    """Draw how the loss falls as a model sees more of a text.

    Args:
        places: first place, last place (from 1) and mean loss, nats.
        baseline: loss of the frequencies of the tokens; None leaves it out.
        path: the PNG to write.
        title: the finding.
        theme: light or dark.
    """
    with style.figure(path, title, 7.4, 4.6, theme) as (figure, look):
        axes = figure.subplots()
        axes.set(xlabel="place of the token in its text", ylabel="loss (nats a token)")
        middles = [(first * last) ** 0.5 for first, last, _ in places]
        losses = [loss for _, _, loss in places]
        axes.plot(middles, losses, color=look.blue, marker="o", markersize=4, label="model")
        if baseline is not None:
            axes.axhline(
                baseline, color=look.vermillion, linestyle="--", label="frequencies of the tokens alone"
            )
        if len(places) > 1:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
        axes.set_ylim(bottom=0)
        axes.legend(loc="lower left")
    return path

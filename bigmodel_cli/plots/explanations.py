"""What speaks for a prediction and what against it: over images, texts and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bigmodel_cli.plots import style
from bigmodel_cli.plots.style import Array, Look, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

BARS = 20
"""Columns that are drawn at most."""
WORDS = 250
"""Of a text that are drawn at most."""

_LINE = 78
"""Characters in a line of text."""
_CLIPPED = 0.995
"""Of the pixels, whose strongest ones would make the others pale."""
_OUTLIER = 1.5
"""Times as strong as the others must the strongest pixels be to be clipped."""
_STRONGEST = 0.85
_DARKEST = 0.45
"""Of the pale image, from grey to paper."""


def image_attribution(
    image: Array,
    values: Array,
    path: Path,
    *,
    title: str,
    label: str,
    notes: Sequence[str] = (),
    theme: Theme = "light",
) -> Path:
    """Draw an image, and beside it what its pixels are worth, over a pale copy.

    Args:
        image: (height, width, channels) uint8: grey, RGB or RGBA; of other numbers of channels the first.
        values: (height, width); above 0 speaks for the class, below against it.
        path: the PNG to write.
        title: the finding.
        label: what the values are.
        notes: remarks below.
        theme: light or dark.
    """
    picture = image if image.shape[-1] in (3, 4) else image[..., 0]
    height, width = image.shape[:2]
    tall = 3.1 * float(np.clip(height / width, 0.4, 2))
    small = "nearest" if max(height, width) <= 128 else "auto"
    with style.figure(path, title, 7.6, tall + 0.75 + 0.2 * len(notes), theme) as (figure, look):
        original, overlay = figure.subplots(1, 2, sharex=True, sharey=True)
        for axes in (original, overlay):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        original.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation=small)
        original.set_title("what the model sees")
        pale = picture[..., :3].mean(axis=2) if picture.ndim == 3 else picture
        _pale(overlay, look, pale, small)
        overlay.set_title(label)
        colors, norm, beyond = _scale(values, look)
        heat = overlay.imshow(values, cmap=colors, norm=norm, interpolation=small)
        figure.colorbar(heat, ax=[original, overlay], fraction=0.04, pad=0.02, extend=beyond)
        style.footnote(figure, look, notes)
    return path


def _pale(axes: Axes, look: Look, grey: Array, interpolation: Any) -> None:
    """The image in a few shades next to the paper, so that colours are seen on it and it behind them."""
    from matplotlib.colors import LinearSegmentedColormap

    whole = LinearSegmentedColormap.from_list("pale", [look.grey, look.paper])
    colors = LinearSegmentedColormap.from_list("pale", whole([_DARKEST, 1.0]))
    axes.imshow(grey, cmap=colors, vmin=0, vmax=255, interpolation=interpolation)


def _scale(values: Array, look: Look) -> tuple[Colormap, Normalize, str]:
    """Colours of values around 0, the weaker the more transparent, their range, and its open ends."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgba

    strength = np.abs(values)
    largest = float(strength.max(initial=0.0)) or 1.0
    # An empty text has no words.
    most = float(np.quantile(strength, _CLIPPED)) if strength.size else 0.0
    top = most if 0 < most * _OUTLIER < largest else largest

    def shade(color: str, alpha: float) -> Any:
        return (*to_rgba(color)[:3], alpha)

    below = [shade(look.blue, _STRONGEST), shade(look.blue, 0.0)]
    above = [shade(look.vermillion, 0.0), shade(look.vermillion, _STRONGEST)]
    signed = bool((values < 0).any())
    # Twice at 0, where the colour changes unseen.
    places = [0.0, 0.5, 0.5, 1.0] if signed else [0.0, 1.0]
    stops = list(zip(places, [*below, *above] if signed else above, strict=True))
    colors = LinearSegmentedColormap.from_list("signed", stops)
    beyond = "neither" if top == largest else "both" if signed else "max"
    return colors, Normalize(-top if signed else 0.0, top), beyond


def text_attribution(
    texts: Mapping[str, tuple[Sequence[str], Array]],
    path: Path,
    *,
    title: str,
    label: str,
    notes: Sequence[str] = (),
    theme: Theme = "light",
) -> Path:
    """Draw texts with each word on a colour that says what it is worth.

    Args:
        texts: name -> words, each with the white space behind it, and their scores (words,).
        path: the PNG to write.
        title: the finding.
        label: what the scores are.
        notes: remarks below.
        theme: light or dark.
    """
    cut = {name: (words[:WORDS], scores[:WORDS]) for name, (words, scores) in texts.items()}
    left = sum(len(words) for words, _ in texts.values()) - sum(len(words) for words, _ in cut.values())
    notes = [*notes, *([f"the last {left:,} words are not drawn"] if left else [])]
    laid = {name: _lines([" ".join(word.split()) for word in words]) for name, (words, _) in cut.items()}
    rows = sum(places[-1][0] + 1 if places else 1 for places in laid.values())
    rows += len(laid) if len(laid) > 1 else 0
    height = 0.75 + 0.3 * rows + 0.7 + 0.2 * len(notes)
    with style.figure(path, title, 8.4, height, theme) as (figure, look):
        axes = figure.subplots()
        axes.set(xlim=(0, _LINE), ylim=(rows, 0), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        scores = np.concatenate([some for _, some in cut.values()])
        colors, norm, beyond = _scale(np.append(scores, -np.abs(scores)), look)
        top = 0
        for name, places in laid.items():
            if len(laid) > 1:
                axes.text(0, top + 0.5, style.short(name, 60), color=look.grey, va="center")
                top += 1
            words, values = cut[name]
            for (row, start), word, value in zip(places, words, values, strict=True):
                _word(axes, " ".join(word.split()), start, top + row, colors(norm(value)), look)
            top += places[-1][0] + 1 if places else 1
        _bar(figure, axes, colors, norm, beyond, label)
        style.footnote(figure, look, notes)
    return path


def _lines(words: Sequence[str]) -> list[tuple[int, int]]:
    """Line and first character of each word."""
    found, row, start = [], 0, 0
    for word in words:
        size = min(len(word), _LINE)
        if start and start + size > _LINE:
            row, start = row + 1, 0
        found.append((row, start))
        start += size + 1
    return found


def _word(axes: Axes, word: str, start: int, row: int, color: Any, look: Look) -> None:
    from matplotlib.patches import Rectangle

    shown = word if len(word) <= _LINE else word[: _LINE - 1] + "…"
    axes.add_patch(Rectangle((start - 0.4, row + 0.08), len(shown) + 0.8, 0.84, color=color, linewidth=0))
    # A character has 0.602 of the size in width; the axes are about 8.2 inches wide.
    axes.text(
        start, row + 0.5, style.literal(shown), family="monospace", fontsize=12, va="center", color=look.ink
    )


def _bar(figure: Figure, axes: Axes, colors: Colormap, norm: Normalize, beyond: str, label: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.ticker import MaxNLocator

    mapped = ScalarMappable(norm, colors)
    bar = figure.colorbar(mapped, ax=axes, location="bottom", fraction=0.06, aspect=50, extend=beyond)
    bar.ax.xaxis.set_major_locator(MaxNLocator(5))
    bar.set_label(style.literal(label))


def column_bars(
    names: Sequence[str],
    values: Array,
    path: Path,
    *,
    title: str,
    label: str,
    deviations: Array | None = None,
    notes: Sequence[str] = (),
    theme: Theme = "light",
) -> Path:
    """Draw a bar for each column, the strongest first.

    Args:
        names: of the columns, with their cells where there is one row.
        values: (columns,).
        path: the PNG to write.
        title: the finding.
        label: what the values are.
        deviations: (columns,), drawn as whiskers.
        notes: remarks below.
        theme: light or dark.
    """
    order = np.argsort(-np.abs(values), kind="stable")
    notes = [*notes, *style.listed("not drawn", [names[place] for place in order[BARS:]])]
    order = order[:BARS]
    with style.figure(path, title, 7.6, 1.3 + 0.3 * len(order) + 0.2 * len(notes), theme) as (figure, look):
        axes = figure.subplots()
        for row, place in enumerate(order):
            above = values[place] >= 0
            # In grey the hatch tells what the colour tells.
            axes.barh(
                row,
                values[place],
                height=0.7,
                color=look.vermillion if above else look.blue,
                hatch="" if above else "///",
                edgecolor=look.paper,
                linewidth=0,
                xerr=None if deviations is None else deviations[place],
                ecolor=look.ink,
                capsize=2,
            )
        axes.axvline(0, color=look.ink, linewidth=0.8)
        axes.set_yticks(range(len(order)), [style.short(names[place], 40) for place in order])
        axes.set(ylim=(len(order) - 0.4, -0.6), xlabel=style.literal(label))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        style.footnote(figure, look, notes)
    return path

"""One look for all pictures, in a light and a dark theme.

It reads in print and in grey, and the colours (Okabe and Ito, Color Universal Design, 2008) stay apart for
colour-blind readers; what colour tells, a dash, a marker or a hatch tells too. A picture is written whole or
not at all. matplotlib is imported where it is used, because most commands draw nothing.
"""

from __future__ import annotations

import contextlib
import math
import os
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

Array = NDArray[Any]
Theme = Literal["light", "dark"]

PANELS = 9
"""Targets that are drawn at most."""

DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (6, 2, 1, 2, 1, 2)))
"""Of lines that must be told apart in grey."""

_MANY_POINTS = 3000


@dataclass(frozen=True)
class Look:
    """The colours of a theme.

    Attributes:
        paper: behind everything.
        ink: text and what must stand out.
        grey: axes and remarks.
        grid: grid lines, and areas that hold nothing.
        blue: of the first series.
        vermillion: of the second, and of mistakes.
        green: of the third.
        orange: of the fourth.
        purple: of the fifth.
        shades: from few to many; the first can still be told from the paper.
    """

    paper: str
    ink: str
    grey: str
    grid: str
    blue: str
    vermillion: str
    green: str
    orange: str
    purple: str
    shades: tuple[str, ...]

    @property
    def series(self) -> tuple[str, ...]:
        """Colours of lines in one picture, in order."""
        return self.vermillion, self.blue, self.green, self.orange, self.purple

    def density(self) -> Colormap:
        """From one example to many."""
        from matplotlib.colors import LinearSegmentedColormap

        return LinearSegmentedColormap.from_list("density", self.shades)

    def heat(self) -> Colormap:
        """From few to all; below the range, where nothing is, the paper; what is undefined is grey."""
        from matplotlib.colors import LinearSegmentedColormap

        heat = LinearSegmentedColormap.from_list("heat", self.shades)
        return heat.with_extremes(bad=self.grid, under=self.paper)


LOOKS: dict[Theme, Look] = {
    "light": Look(
        paper="#FFFFFF",
        ink="#000000",
        grey="#6B6B6B",
        grid="#E5E5E5",
        blue="#0072B2",
        vermillion="#D55E00",
        green="#009E73",
        orange="#E69F00",
        purple="#CC79A7",
        shades=("#B5D5E8", "#0072B2", "#00243A"),
    ),
    # The brighter ones of the same palette.
    "dark": Look(
        paper="#15191E",
        ink="#F2F2F2",
        grey="#A3A9B0",
        grid="#343B43",
        blue="#56B4E9",
        vermillion="#E8702A",
        green="#1FB98D",
        orange="#E6B422",
        purple="#D98BB5",
        shades=("#274E68", "#56B4E9", "#E8F5FD"),
    ),
}


def _settings(look: Look) -> dict[str, Any]:
    """matplotlib's settings."""
    return {
        "figure.dpi": 150,
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.formatter.useoffset": False,
        "legend.frameon": False,
        "lines.linewidth": 1.8,
        "axes.axisbelow": True,
        "hatch.linewidth": 0.8,
        "axes.edgecolor": look.grey,
        "grid.color": look.grid,
        "grid.linewidth": 0.8,
        **dict.fromkeys(("figure.facecolor", "axes.facecolor"), look.paper),
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), look.ink),
    }


@contextlib.contextmanager
def figure(
    path: Path, title: str, width: float, height: float, theme: Theme
) -> Iterator[tuple[Figure, Look]]:
    """A figure in our style, width x height in inches; saved to `path` when the block ends well."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    look = LOOKS[theme]
    # From the defaults up: the user's own matplotlibrc must not change what a run looks like.
    with style.context(["default", _settings(look)]), warnings.catch_warnings():
        # A class name in a script that the font lacks is drawn as boxes; that is no reason to fail.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from", category=UserWarning)
        layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
        drawn = Figure(figsize=(width, height), layout=layout)
        canvas = FigureCanvasAgg(drawn)
        lines = textwrap.wrap(literal(title), int(width * 9.5))
        drawn.suptitle("\n".join(lines), fontsize=12, fontweight="bold", x=0.012, ha="left")
        yield drawn, look
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            # `savefig` draws everything twice: once to lay it out, though drawing lays it out itself.
            canvas.print_png(temporary)  # type: ignore[no-untyped-call]
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def points(
    axes: Axes,
    look: Look,
    x: Array,
    y: Array,
    extent: tuple[float, float, float, float] | None = None,
    label: str = "examples",
) -> None:
    """Single points while they can be told apart, else their density."""
    if len(x) > _MANY_POINTS:
        # Not from the paper: a cell with a single example must be seen.
        axes.hexbin(
            x, y, gridsize=50, bins="log", mincnt=1, cmap=look.density(), linewidths=0.1, extent=extent
        )
    else:
        alpha = float(np.clip(30 / math.sqrt(max(1, len(x))), 0.35, 0.8))
        axes.scatter(x, y, s=18, color=look.blue, alpha=alpha, edgecolors="none", label=label, zorder=3)


def nothing(axes: Axes, look: Look, reason: str) -> None:
    """Say in place of a drawing why there is none."""
    axes.text(0.5, 0.5, literal(reason), transform=axes.transAxes, ha="center", va="center", color=look.grey)
    axes.set(xticks=[], yticks=[])


def finite(*arrays: Array) -> tuple[NDArray[np.bool_], list[str]]:
    """The examples that can be drawn, and what to say about the others.

    Args:
        arrays: (n, ...) each, of the same n; class indices count as finite.

    Returns:
        Whether every value of an example is finite (n,), and the notes: none or one.
    """
    known = np.ones(len(arrays[0]), bool)
    for array in arrays:
        known &= np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
    left = len(known) - int(known.sum())
    return known, [f"{left:,} of {len(known):,} examples left out: not finite"] if left else []


def density_note(count: int) -> list[str]:
    """What the shades of `points` mean, if there are any."""
    if count <= _MANY_POINTS:
        return []
    return [f"{count:,} examples: the stronger the colour, the more of them (logarithmic)"]


def listed(what: str, names: Sequence[str], limit: int = 240) -> list[str]:
    """A note about some names, or none."""
    return [textwrap.shorten(f"{what}: {', '.join(names)}", limit, placeholder=" …")] if names else []


def footnote(figure: Figure, look: Look, notes: Sequence[str]) -> None:
    """Write remarks below a figure."""
    lines = [line for note in notes for line in textwrap.wrap(note, int(figure.get_figwidth() * 12))]
    if lines:
        figure.supxlabel(literal("\n".join(lines)), fontsize=9, color=look.grey, x=0.012, ha="left")


def short(name: str, limit: int) -> str:
    """The name on one line, its middle left out beyond `limit` characters: names differ at either end."""
    line = " ".join(name.split())
    keep = limit - 1
    return literal(line if len(line) <= limit else f"{line[: (keep + 1) // 2]}…{line[-(keep // 2) :]}")


def literal(text: str) -> str:
    """A class called `$5` is no mathematics."""
    return text.replace("$", r"\$")

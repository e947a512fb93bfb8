"""Images in rows and columns with words above them, all on one pair of axes.

Axes for each image would take several times as long: matplotlib lays out the ticks and spines of all of them,
seen or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bigmodel_cli.plots.style import Array, Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINE = 0.15
"""Inches of a line of words."""
_SMALL = 128
"""Pixels up to which an image is enlarged without smoothing."""


class Sheet:
    """Cells of one size, each with an image in the middle and words above it.

    Attributes:
        axes: all of it, in inches from the upper left corner.
    """

    def __init__(
        self, figure: Figure, look: Look, columns: int, cell: tuple[float, float], lines: Sequence[int]
    ):
        """Draw nothing yet.

        Args:
            figure: for which this is all, but for its title and remarks.
            look: its colours.
            columns: in each row.
            cell: width and height of an image in inches, with the room around it.
            lines: of words above each row.
        """
        self._look, self._cell = look, cell
        ends = np.cumsum([_above(count) + cell[1] for count in lines])
        self._tops = ends - cell[1]
        self.axes = figure.subplots()
        self.axes.set_axis_off()
        self.axes.set(xlim=(0, columns * cell[0]), ylim=(ends[-1], 0), aspect="equal", anchor="N")

    @staticmethod
    def height(row: float, lines: Sequence[int]) -> float:
        """Inches that rows of this height take with so many lines of words above each."""
        return sum(row + _above(count) for count in lines)

    def show(
        self, row: int, column: int, image: Array, words: str = "", *, size: float = 9,
        color: str | None = None, frame: str | None = None,
    ) -> None:  # fmt: skip
        """Draw an image as large as its cell allows.

        Args:
            row: from the top.
            column: from the left.
            image: (height, width, channels) uint8: grey, RGB or RGBA; of other numbers of channels the first.
            words: above it, up to as many lines as the row has.
            size: of the words, in points.
            color: of the words.
            frame: colour of a frame around it.
        """
        from matplotlib.patches import Rectangle

        width, height = self._cell[0] - 0.1, self._cell[1] - 0.1
        scale = min(width / image.shape[1], height / image.shape[0])
        wide, tall = scale * image.shape[1], scale * image.shape[0]
        left = (column + 0.5) * self._cell[0] - wide / 2
        top = self._tops[row] + (height - tall) / 2
        picture = image if image.shape[-1] in (3, 4) else image[..., 0]
        small = max(image.shape[:2]) <= _SMALL
        limits = self.axes.axis()
        self.axes.imshow(
            picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest" if small else "auto",
            extent=(left, left + wide, top + tall, top),
        )  # fmt: skip
        # `imshow` zooms in on what it draws.
        self.axes.axis(limits)
        if frame is not None:
            self.axes.add_patch(Rectangle((left, top), wide, tall, fill=False, edgecolor=frame, linewidth=3))
        if words:
            self.axes.text(
                left + wide / 2, top - 0.05, words, ha="center", va="bottom", fontsize=size,
                color=color or self._look.ink,
            )  # fmt: skip

    def name_row(self, row: int, name: str) -> None:
        """Write a name beside a row, upwards."""
        middle = self._tops[row] + (self._cell[1] - 0.1) / 2
        self.axes.text(
            -0.05, middle, name, rotation=90, ha="right", va="center", fontsize=9, color=self._look.grey
        )


def _above(lines: int) -> float:
    return _LINE * lines + 0.05 * bool(lines)

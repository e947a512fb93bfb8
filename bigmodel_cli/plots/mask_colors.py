"""The colours in which masks are shown, written and laid over their images."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.contracts import IGNORED
from bigmodel_cli.plots.style import Array

_APART = (
    (64, 64, 64), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0),
    (204, 121, 167),
)  # fmt: skip
"""Okabe and Ito, Color Universal Design, 2008, with a dark grey for the background in place of black: eight
colours that colour-blind readers can tell apart. There are no more; further classes have colours that differ
in hue and brightness."""
_UNKNOWN = (255, 255, 255)
_GOLDEN = 0.618033988749895
"""Share of the circle of hues by which colours follow one another: any number of them lie far apart."""


def mask_colors(classes: int) -> NDArray[np.uint8]:
    """A palette (256, 3) uint8: the colours of the classes by index, white for `IGNORED`."""
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(_APART)] = _APART
    for index in range(len(_APART), classes):
        hue, light = index * _GOLDEN % 1, (0.35, 0.5, 0.65)[index % 3]
        palette[index] = [round(255 * part) for part in colorsys.hls_to_rgb(hue, light, 0.7)]
    palette[IGNORED] = _UNKNOWN
    return palette


def colored(masks: Array, classes: int) -> NDArray[np.uint8]:
    """Masks (..., height, width) as RGB images (..., height, width, 3) uint8."""
    return mask_colors(classes)[masks]


def overlaid(images: Array, masks: Array, classes: int, strength: float = 0.55) -> NDArray[np.uint8]:
    """Images with the colours of their masks laid over them.

    Args:
        images: (..., height, width, channels) uint8: grey, RGB or RGBA.
        masks: (..., height, width) uint8.
        classes: how many.
        strength: of the mask's colour, 0 to 1.

    Returns:
        (..., height, width, 3) uint8.
    """
    colors = images[..., :3] if images.shape[-1] >= 3 else np.repeat(images[..., :1], 3, axis=-1)
    return np.rint((1 - strength) * colors + strength * colored(masks, classes)).astype(np.uint8)

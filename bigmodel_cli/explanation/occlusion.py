"""Occlusion (Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bigmodel_cli.assembly import BATCH_SIZE

GREY = 128
"""Of the patch, as in the paper; there is no image that says nothing."""

_PATCHES_A_SIDE = 8


@dataclass(frozen=True)
class Occlusion:
    """How much of an output is lost where an image is covered.

    Attributes:
        values: (height, width) float64, the mean loss over the patches that cover a pixel; negative where
            the output grows.
        patches: the loss by each patch, (rows, columns).
        output: of the whole image.
        patch: side of the patch in pixels.
        stride: pixels from one patch to the next.
    """

    values: np.ndarray
    patches: np.ndarray
    output: float
    patch: int
    stride: int


def sizes(height: int, width: int) -> tuple[int, int]:
    """Patch and stride for an image, in pixels: an eighth of the shorter side, and half of that.

    At least 2: a model gets over the loss of any one pixel.
    """
    patch = min(height, width, max(2, round(min(height, width) / _PATCHES_A_SIDE)))
    return patch, max(1, patch // 2)


def occlude(predict: Callable[[np.ndarray], np.ndarray], image: np.ndarray, index: int) -> Occlusion:
    """Cover an image patch by patch with grey, and see what that costs.

    Args:
        predict: (n, height, width, channels) uint8 -> probabilities or values (n, outputs).
        image: (height, width, channels) uint8.
        index: of the class or target.
    """
    height, width = image.shape[:2]
    patch, stride = sizes(height, width)
    tops, lefts = (_starts(size, patch, stride) for size in (height, width))
    corners = [(top, left) for top in tops for left in lefts]
    output = float(predict(image[None])[0, index])
    losses: list[float] = []
    for start in range(0, len(corners), BATCH_SIZE):
        some = corners[start : start + BATCH_SIZE]
        covered = np.repeat(image[None], len(some), axis=0)
        for picture, (top, left) in zip(covered, some, strict=True):
            picture[top : top + patch, left : left + patch] = GREY
        losses += (output - predict(covered)[:, index].astype(np.float64)).tolist()
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for (top, left), loss in zip(corners, losses, strict=True):
        total[top : top + patch, left : left + patch] += loss
        count[top : top + patch, left : left + patch] += 1
    return Occlusion(total / count, np.reshape(losses, (len(tops), len(lefts))), output, patch, stride)


def _starts(size: int, patch: int, stride: int) -> list[int]:
    """Where patches begin, so that all pixels are covered: the last one ends at the border."""
    starts = list(range(0, size - patch + 1, stride))
    return starts if starts[-1] == size - patch else [*starts, size - patch]

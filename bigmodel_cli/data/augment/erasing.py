"""Augmentation that hides a part of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bigmodel_cli.contracts import Augmentation
from bigmodel_cli.data.augment.draws import LowHigh, uniform, whole
from bigmodel_cli.data.augment.pixels import rectangles

if TYPE_CHECKING:
    import tensorflow as tf


def random_erasing(
    *,
    area: Annotated[Sequence[Annotated[float, Field(gt=0, le=1)]], *LowHigh] = (0.02, 0.4),
    aspect: Annotated[float, Field(gt=0, le=1)] = 0.3,
    fill: Literal["noise", "zero"] = "noise",
) -> Augmentation:
    """Hide one rectangle of each image.

    Zhong et al. 2017 (arXiv:1708.04896, section 3 and algorithm 1), who erase with probability 0.5. Cutout
    (DeVries and Taylor 2017, arXiv:1708.04552, section 3) is `area: [0.25, 0.25], aspect: 1, fill: zero`,
    which hides a square of 16 x 16 pixels in an image of 32 x 32; here the rectangle always lies inside the
    image as a whole.

    Args:
        area: smallest and largest share of the image that is hidden, more than 0 and at most 1.
        aspect: smallest ratio of the rectangle's shorter side to its longer one, more than 0 and at most 1,
            where 1 is a square; drawn on a logarithmic scale among those at which the rectangle fits into the
            image.
        fill: noise (each value at random from 0 to 255), or zero (black).
    """

    def erase(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        _, height, width, _ = images.shape
        count = tf.shape(images)[0]
        share = uniform(count, area[0], area[1], tf.random.fold_in(seed, 1))
        pixels = share * (height * width)
        # Ratios of height to width: of the flattest and the tallest rectangle of this area that fit.
        flattest, tallest = share * (height / width), (height / width) / share
        low, high = (
            tf.math.log(tf.minimum(tf.maximum(limit, flattest), tallest)) for limit in (aspect, 1 / aspect)
        )
        ratio = tf.exp(uniform(count, low, high, tf.random.fold_in(seed, 2)))
        rows = tf.clip_by_value(tf.round(tf.sqrt(pixels * ratio)), 1, height)
        columns = tf.cast(tf.clip_by_value(tf.round(pixels / rows), 1, width), tf.int32)
        rows = tf.cast(rows, tf.int32)
        top = whole(count, height + 1 - rows, tf.random.fold_in(seed, 3))
        left = whole(count, width + 1 - columns, tf.random.fold_in(seed, 4))
        hidden = rectangles(top, top + rows, left, left + columns, images)
        if fill == "zero":
            # Faster than tf.where.
            return images * tf.cast(~hidden, tf.uint8)
        levels = tf.random.stateless_uniform(tf.shape(images), tf.random.fold_in(seed, 5), 0, 256, tf.int32)
        return tf.where(hidden, tf.cast(levels, tf.uint8), images)

    return erase

"""Augmentations that change pixel values where they are: color and noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from bigmodel_cli.contracts import Augmentation
from bigmodel_cli.data.augment.draws import uniform
from bigmodel_cli.data.augment.pixels import on_colors, rounded
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import tensorflow as tf

Amount = Annotated[float, Field(ge=0, le=1)]
"""A factor is drawn uniformly from 1 - amount to 1 + amount."""

SATURATION, HUE = 0.2, 0.02
"""What color_jitter does to colors unless it is told otherwise: about as visible as its brightness."""

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in the perceived brightness (ITU-R BT.601, section 2.5.1)."""

# Luma and two axes of color, orthogonal to no color at all: rows of NTSC's YIQ. Turning the last two about
# the first changes the hue and leaves the luma.
_YIQ = (LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


def color_jitter(
    *,
    brightness: Amount = 0.2,
    contrast: Amount = 0.2,
    saturation: Amount | None = None,
    hue: Annotated[float, Field(ge=0, le=0.5)] | None = None,
) -> Augmentation:
    """Change brightness, contrast, saturation and hue of each image at random.

    All four are one linear map of an image's colors, which is rounded and cut to 0 to 255 at the end. The hue
    turns about the grey axis in the YIQ color space, which leaves the luma of a pixel as it is (Haeberli
    1993, "Matrix operations for image processing"); a turn in HSV space, as other libraries make it, leaves
    the largest of red, green and blue.

    Args:
        brightness: the image is multiplied by a factor from 1 - brightness to 1 + brightness; 0 to 1.
        contrast: distances to the image's mean luma are multiplied by a factor from 1 - contrast to 1 +
            contrast; 0 to 1.
        saturation: distances to a pixel's grey are multiplied by a factor from 1 - saturation to 1 +
            saturation; 0 to 1. Unset means 0.2 for images with colors and 0 for others, which have no
            saturation.
        hue: largest turn of the color circle in either direction, 0 to 0.5, of which 0.5 is half a turn: red
            becomes cyan. Unset means 0.02 (7 degrees) for images with colors and 0 for others, which have no
            hue.
    """

    def jitter(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        channels, count = images.shape[-1], tf.shape(images)[0]
        for name, value in (("saturation", saturation), ("hue", hue)):
            if channels not in (3, 4) and value:
                raise DataError(
                    f"color_jitter: {name} {value:g} needs images of 3 channels (4 with opacity), these have "
                    f"{channels}; leave {name} out"
                )

        def factors(place: int, amount: float) -> tf.Tensor:
            return uniform(count, 1 - amount, 1 + amount, tf.random.fold_in(seed, place))

        turn = 2 * math.pi * (HUE if hue is None else hue)
        return recolored(
            images,
            brightness=factors(1, brightness),
            contrast=factors(2, contrast),
            saturation=factors(3, SATURATION if saturation is None else saturation),
            hue=uniform(count, -turn, turn, tf.random.fold_in(seed, 4)),
        )

    return jitter


def random_contrast(*, amount: Amount = 0.3) -> Augmentation:
    """Raise or lower the contrast of each image: the distances of its values to its mean luma.

    Args:
        amount: distances are multiplied by a factor from 1 - amount to 1 + amount; 0 to 1.
    """

    def contrast(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return recolored(images, contrast=uniform(tf.shape(images)[0], 1 - amount, 1 + amount, seed))

    return contrast


def gaussian_noise(*, deviation: Annotated[float, Field(ge=0, le=255)] = 8.0) -> Augmentation:
    """Add normally distributed noise, drawn for every value of every pixel.

    Args:
        deviation: standard deviation in pixel levels, 0 to 255.
    """

    def add_noise(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        def noisy(colors: tf.Tensor) -> tf.Tensor:
            noise = tf.random.stateless_normal(tf.shape(colors), seed, stddev=deviation)
            return rounded(tf.cast(colors, tf.float32) + noise)

        return on_colors(noisy, images)

    return add_noise


def recolored(
    images: tf.Tensor,
    *,
    brightness: tf.Tensor | None = None,
    contrast: tf.Tensor | None = None,
    saturation: tf.Tensor | None = None,
    hue: tf.Tensor | None = None,
) -> tf.Tensor:
    """Images with colors changed by amounts of their own, in one linear map of each image's colors.

    Args:
        images: (batch, h, w, c) uint8. Saturation and hue leave images of other than 3 or 4 channels as they
            are.
        brightness: factors (batch,) of all values; 1 changes nothing.
        contrast: factors (batch,) of the distances to the mean luma; 1 changes nothing.
        saturation: factors (batch,) of the distances to a pixel's grey; 1 changes nothing.
        hue: angles (batch,) in radians.

    Returns:
        (batch, h, w, c) uint8.
    """

    def linear(colors: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        channels, count = colors.shape[-1], tf.shape(colors)[0]
        one = tf.ones([count])
        weights = tf.constant(LUMA if channels == 3 else [1 / channels] * channels, tf.float32)
        gain = one if contrast is None else contrast
        light = one if brightness is None else brightness
        matrices = (gain * light)[:, None, None] * _chroma_maps(channels, count, saturation, hue)
        flat = tf.reshape(colors, [count, -1, channels])
        mapped = tf.matmul(tf.cast(flat, tf.float32), matrices, transpose_b=True)
        if contrast is not None:
            # Summed as whole numbers, of which any order of the sum gives the same.
            total = tf.cast(tf.reduce_sum(tf.cast(flat, tf.int32), 1), tf.float32)
            mean = tf.linalg.matvec(total, weights) / (colors.shape[1] * colors.shape[2])
            mapped += ((1 - gain) * light * mean)[:, None, None]
        return tf.reshape(rounded(mapped), tf.shape(colors))

    return on_colors(linear, images)


def _chroma_maps(
    channels: int, count: tf.Tensor, saturation: tf.Tensor | None, hue: tf.Tensor | None
) -> tf.Tensor:
    """Matrices (batch, c, c) that change saturation and hue of a pixel (c,)."""
    import tensorflow as tf

    if channels != 3 or (saturation is None and hue is None):
        return tf.eye(channels, batch_shape=[count])
    radius = tf.ones([count]) if saturation is None else saturation
    angle = tf.zeros([count]) if hue is None else hue
    cosine, sine = radius * tf.cos(angle), radius * tf.sin(angle)
    zero = tf.zeros_like(cosine)
    turned = tf.stack(
        [
            tf.stack([tf.ones_like(cosine), zero, zero], -1),
            tf.stack([zero, cosine, -sine], -1),
            tf.stack([zero, sine, cosine], -1),
        ],
        -2,
    )
    to_yiq = tf.constant(_YIQ, tf.float32)
    return tf.linalg.inv(to_yiq) @ turned @ to_yiq

"""The operations that augmentation policies choose from.

Each takes images (batch, h, w, c) uint8, levels (batch,) float32 from 0 (weakest) to 1 (strongest) and signs
(batch,), -1 or 1, the direction for those that have two; and gives images of the same shape, uint8. The
strongest forms are those of AutoAugment (Cubuk et al. 2018, arXiv:1805.09501, table 6).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bigmodel_cli.data.augment.color import recolored
from bigmodel_cli.data.augment.geometry import rotations, transformed
from bigmodel_cli.data.augment.pixels import on_colors, per_image, rounded

if TYPE_CHECKING:
    import tensorflow as tf

Operation = Callable[["tf.Tensor", "tf.Tensor", "tf.Tensor"], "tf.Tensor"]


def applied(
    operations: Sequence[Operation],
    chosen: tf.Tensor,
    images: tf.Tensor,
    levels: tf.Tensor,
    signs: tf.Tensor,
) -> tf.Tensor:
    """Apply to each image the operation chosen for it.

    Args:
        operations: what there is to choose from.
        chosen: positions in `operations`, (batch,) int32.
        images: (batch, h, w, c) uint8.
        levels: (batch,) float32, 0 to 1.
        signs: (batch,) float32, -1 or 1.
    """
    import tensorflow as tf

    # Images with the same operation go through it together: each goes through one only.
    groups = tf.dynamic_partition(tf.range(tf.shape(images)[0]), chosen, len(operations))
    results = [
        operation(tf.gather(images, group), tf.gather(levels, group), tf.gather(signs, group))
        for operation, group in zip(operations, groups, strict=True)
    ]
    return tf.reshape(tf.dynamic_stitch(groups, results), tf.shape(images))


def identity(images: tf.Tensor, levels: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    """Leave the images as they are."""
    return images


def auto_contrast(images: tf.Tensor, levels: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    """Stretch each channel so that its darkest value becomes 0 and its lightest 255; has no levels."""

    def stretched(colors: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        low, high = (
            tf.cast(reduce(colors, (1, 2), keepdims=True), tf.float32)
            for reduce in (tf.reduce_min, tf.reduce_max)
        )
        # A channel of one value stays as it is.
        start = tf.where(high > low, low, 0)
        gain = tf.where(high > low, tf.math.divide_no_nan(255.0, high - low), 1)
        return rounded((tf.cast(colors, tf.float32) - start) * gain)

    return on_colors(stretched, images)


def equalize(images: tf.Tensor, levels: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    """Spread the values of each channel so that all levels are about equally frequent; has no levels.

    The whole-number arithmetic of Pillow's ImageOps.equalize.
    """

    def equalized(colors: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        count, channels = tf.shape(colors)[0], colors.shape[-1]
        # One histogram, in which every channel of every image has 256 bins of its own.
        start = 256 * tf.reshape(tf.range(count * channels), [count, 1, 1, channels])
        bins = start + tf.cast(colors, tf.int32)
        histogram = tf.raw_ops.DenseBincount(
            input=tf.reshape(bins, [-1]),
            size=256 * count * channels,
            weights=tf.constant([], tf.int32),
            binary_output=False,
        )
        histogram = tf.reshape(histogram, [-1, 256])
        below = tf.cumsum(histogram, axis=1, exclusive=True)
        lightest = tf.reduce_max(tf.where(histogram > 0, tf.range(256), 0), 1, keepdims=True)
        others = colors.shape[1] * colors.shape[2] - tf.gather(histogram, lightest, batch_dims=1)
        step = others // 255
        # With fewer pixels than levels there is nothing to spread.
        table = tf.where(step > 0, (below + step // 2) // tf.maximum(step, 1), tf.range(256))
        table = tf.cast(tf.minimum(table, 255), tf.uint8)
        return tf.gather(tf.reshape(table, [-1]), bins)

    return on_colors(equalized, images)


def solarize(images: tf.Tensor, levels: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    """Invert the values from 256 * (1 - level) up: none at level 0, all at level 1."""

    def inverted(colors: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        threshold = per_image(tf.round(256 * (1 - levels)))
        light = tf.cast(tf.cast(colors, tf.float32) >= threshold, tf.uint8)
        # All bits turned over; tf.where takes three times as long.
        return tf.bitwise.bitwise_xor(colors, 255 * light)

    return on_colors(inverted, images)


def posterize(most_bits: int) -> Operation:
    """Keep the highest bits of each value: so many at level 0, four fewer, but at least one, at level 1."""

    def reduced(images: tf.Tensor, levels: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        def masked(colors: tf.Tensor) -> tf.Tensor:
            bits = tf.maximum(most_bits - tf.cast(tf.round(4 * levels), tf.int32), 1)
            mask = 256 - tf.bitwise.left_shift(1, 8 - bits)
            return tf.bitwise.bitwise_and(colors, tf.cast(per_image(mask), tf.uint8))

        return on_colors(masked, images)

    return reduced


def rotate(images: tf.Tensor, levels: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    """Rotate by up to 30 degrees in either direction."""
    return transformed(images, rotations(signs * levels * math.radians(30)), fill="zero")


def shear_x(images: tf.Tensor, levels: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    """Shift rows sideways, in proportion to their distance from the middle: by up to 0.3 of it."""
    import tensorflow as tf

    amount = 0.3 * signs * levels
    zero, one = tf.zeros_like(amount), tf.ones_like(amount)
    return transformed(images, _matrices(one, amount, zero, one), fill="zero")


def shear_y(images: tf.Tensor, levels: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    """Shift columns up or down, in proportion to their distance from the middle: by up to 0.3 of it."""
    import tensorflow as tf

    amount = 0.3 * signs * levels
    zero, one = tf.zeros_like(amount), tf.ones_like(amount)
    return transformed(images, _matrices(one, zero, amount, one), fill="zero")


def translate(axis: int, share: float) -> Operation:
    """Shift by up to a share of the image's height (axis 1) or width (axis 2), in either direction."""

    def shift(images: tf.Tensor, levels: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        pixels = signs * levels * (share * images.shape[axis])
        zero = tf.zeros_like(pixels)
        shifts = tf.stack([pixels, zero] if axis == 2 else [zero, pixels], -1)
        return transformed(images, tf.eye(2, batch_shape=[tf.shape(images)[0]]), shifts, fill="zero")

    return shift


def saturation(images: tf.Tensor, levels: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    """Multiply the distances to a pixel's grey by 0.1 to 1.9."""
    return recolored(images, saturation=_factors(levels, signs))


def contrast(images: tf.Tensor, levels: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    """Multiply the distances to the image's mean luma by 0.1 to 1.9."""
    return recolored(images, contrast=_factors(levels, signs))


def brightness(images: tf.Tensor, levels: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    """Multiply all values by 0.1 to 1.9."""
    return recolored(images, brightness=_factors(levels, signs))


def sharpness(images: tf.Tensor, levels: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    """Multiply the distances to the smoothed image by 0.1 to 1.9.

    Smoothed by Pillow's ImageFilter.SMOOTH: a weight of 5 for a pixel and 1 for each of its eight neighbors;
    border pixels are left alone.
    """

    def sharpened(colors: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        _, height, width, _ = colors.shape
        values = tf.cast(colors, tf.float32)
        smooth = (9 * tf.nn.avg_pool2d(values, 3, 1, "SAME") + 4 * values) / 13
        blended = rounded(smooth + per_image(_factors(levels, signs)) * (values - smooth))
        inside = [
            [0 < row < height - 1 and 0 < column < width - 1 for column in range(width)]
            for row in range(height)
        ]
        return tf.where(tf.constant(inside)[..., None], blended, colors)

    return on_colors(sharpened, images)


def _factors(levels: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    return 1 + 0.9 * signs * levels


def _matrices(a: tf.Tensor, b: tf.Tensor, c: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
    """[[a, b], [c, d]] for each image."""
    import tensorflow as tf

    return tf.reshape(tf.stack([a, b, c, d], -1), [-1, 2, 2])

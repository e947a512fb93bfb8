"""What several augmentations do with pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def rounded(images: tf.Tensor) -> tf.Tensor:
    """Nearest pixel levels, uint8; what lies outside of 0 to 255 becomes the limit."""
    import tensorflow as tf

    return tf.cast(tf.clip_by_value(tf.round(images), 0, 255), tf.uint8)


def per_image(values: tf.Tensor) -> tf.Tensor:
    """One number for each image, (batch,), in a form that multiplies images: (batch, 1, 1, 1)."""
    import tensorflow as tf

    return tf.reshape(values, [-1, 1, 1, 1])


def on_colors(function: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor) -> tf.Tensor:
    """Apply a function to the colors alone: of four channels the last is opacity, and stays as it is."""
    import tensorflow as tf

    if images.shape[-1] != 4:
        return function(images)
    return tf.concat([function(images[..., :3]), images[..., 3:]], -1)


def rectangles(
    top: tf.Tensor, bottom: tf.Tensor, left: tf.Tensor, right: tf.Tensor, images: tf.Tensor
) -> tf.Tensor:
    """Masks (batch, h, w, 1) that are true inside of one rectangle in each image.

    Args:
        top: first row inside, (batch,) int32.
        bottom: first row below, (batch,) int32.
        left: first column inside, (batch,) int32.
        right: first column beyond, (batch,) int32.
        images: (batch, h, w, c), whose height and width count.
    """
    import tensorflow as tf

    _, height, width, _ = images.shape
    row, column = tf.range(height), tf.range(width)
    rows = (row >= top[:, None]) & (row < bottom[:, None])
    columns = (column >= left[:, None]) & (column < right[:, None])
    return (rows[:, :, None] & columns[:, None, :])[..., None]

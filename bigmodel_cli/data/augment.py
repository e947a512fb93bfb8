"""Augmentations: random changes of training images that keep their class.

Each image of a batch has a draw of its own. All are stateless: the same seed gives the same result, which an
exact resume depends on. Images are uint8 and stay so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bigmodel_cli.contracts import Augmentation
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import tensorflow as tf


def random_flip(*, mode: Literal["horizontal", "vertical", "both"] = "horizontal") -> Augmentation:
    """Mirror each image with probability 1/2.

    Args:
        mode: horizontal swaps left and right, vertical swaps top and bottom, both draws for each of the two.
    """
    axes = {"horizontal": (2,), "vertical": (1,), "both": (1, 2)}[mode]

    def flip(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        count = tf.shape(images)[0]
        for axis in axes:
            flipped = tf.random.stateless_uniform([count], tf.random.fold_in(seed, axis), 0, 2, tf.int32)
            # Picking whole images from both forms takes a third of the time of tf.where.
            both = tf.concat([images, _mirrored(images, axis)], 0)
            images = tf.gather(both, tf.range(count) + flipped * count)
        return images

    return flip


def random_crop(
    *, padding: Annotated[int, Field(ge=1, le=256)] = 4, fill: Literal["zero", "reflect"] = "zero"
) -> Augmentation:
    """Pad each image on all sides and cut a window of its own size out at a random place.

    The augmentation of He et al. 2016 for CIFAR (arXiv:1512.03385, section 4.2), with horizontal flips.

    Args:
        padding: pixels added on each side; the image moves by at most as many in each direction.
        fill: what the padding holds: zero (black), or reflect (the image mirrored at its border).
    """

    def crop(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        _, height, width, _ = images.shape
        if fill == "reflect" and padding >= min(height, width):
            raise DataError(
                f"random_crop: padding {padding} with fill `reflect` needs images of more than {padding} "
                f"pixels in height and width, these have {height} x {width}; take a smaller padding or fill "
                "`zero`"
            )
        count = tf.shape(images)[0]
        padded = _padded(images, padding, fill)
        places = tf.random.stateless_uniform([count, 2], seed, 0, 2 * padding + 1, tf.int32)
        rows = tf.gather(padded, places[:, :1] + tf.range(height), batch_dims=1)
        # Columns are cut for all images with the same place at once: 2 * padding + 1 slices are faster than a
        # gather of single pixels.
        groups = tf.dynamic_partition(tf.range(count), places[:, 1], 2 * padding + 1)
        cut = [tf.gather(rows, group)[:, :, left : left + width] for left, group in enumerate(groups)]
        return tf.reshape(tf.dynamic_stitch(groups, cut), [-1, *images.shape[1:]])

    return crop


def _mirrored(images: tf.Tensor, axis: int) -> tf.Tensor:
    import tensorflow as tf

    if axis == 1:
        return tf.reverse(images, [1])
    # tf.reverse is several times faster on the middle axis of three.
    rows = tf.reverse(tf.reshape(images, [-1, *images.shape[2:]]), [1])
    return tf.reshape(rows, tf.shape(images))


def _padded(images: tf.Tensor, padding: int, fill: Literal["zero", "reflect"]) -> tf.Tensor:
    import tensorflow as tf

    if fill == "zero":
        return tf.pad(images, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    # tf.pad's own REFLECT mode takes four times as long.
    for axis in (1, 2):
        first, last = (slice(1, padding + 1), slice(-padding - 1, -1))
        index = (slice(None),) * axis
        images = tf.concat(
            [tf.reverse(images[*index, first], [axis]), images, tf.reverse(images[*index, last], [axis])],
            axis,
        )
    return images

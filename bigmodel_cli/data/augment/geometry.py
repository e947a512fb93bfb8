"""Augmentations that move pixels: flips, shifts, rotation, zoom."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bigmodel_cli.contracts import IGNORED, Moving
from bigmodel_cli.data.augment.draws import LowHigh, uniform, whole
from bigmodel_cli.data.augment.pixels import rounded
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import tensorflow as tf

Fill = Literal["zero", "reflect", "nearest"]
"""What comes in from outside: zero (black), the image mirrored at its border, or the nearest border pixel."""


def random_flip(*, mode: Literal["horizontal", "vertical", "both"] = "horizontal") -> Moving:
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

    return Moving(flip, flip)


def random_crop(
    *, padding: Annotated[int, Field(ge=1, le=256)] = 4, fill: Literal["zero", "reflect"] = "zero"
) -> Moving:
    """Pad each image on all sides and cut a window of its own size out at a random place.

    The augmentation of He et al. 2016 for CIFAR (arXiv:1512.03385, section 4.2), with horizontal flips.

    Args:
        padding: pixels added on each side; the image moves by at most as many in each direction.
        fill: what the padding holds: zero (black), or reflect (the image mirrored at its border).
    """

    def crop(images: tf.Tensor, seed: tf.Tensor, outside: int = 0) -> tf.Tensor:
        _, height, width, _ = images.shape
        if fill == "reflect" and padding >= min(height, width):
            raise DataError(
                f"random_crop: padding {padding} with fill `reflect` needs images of more than {padding} "
                f"pixels in height and width, these have {height} x {width}; take a smaller padding or fill "
                "`zero`"
            )
        return _window(images, (padding, padding), fill, seed, outside)

    return _moving(crop)


def random_translation(
    *,
    height: Annotated[float, Field(ge=0, le=0.5)] = 0.1,
    width: Annotated[float, Field(ge=0, le=0.5)] = 0.1,
    fill: Fill = "zero",
) -> Moving:
    """Shift each image up or down and to the left or right by a random number of whole pixels.

    Whole pixels, because a shift by a fraction of one would blur the image as well.

    Args:
        height: largest vertical shift in either direction, as a fraction of the image's height; 0 for none.
        width: largest horizontal shift in either direction, as a fraction of the image's width; 0 for none.
        fill: what comes in from outside: zero (black), reflect (the image mirrored at its border), or nearest
            (the border pixel).
    """

    def translate(images: tf.Tensor, seed: tf.Tensor, outside: int = 0) -> tf.Tensor:
        sizes = {"height": (height, images.shape[1]), "width": (width, images.shape[2])}
        pixels = {name: round(fraction * size) for name, (fraction, size) in sizes.items()}
        for name, (fraction, size) in sizes.items():
            if fraction > 0 and pixels[name] == 0:
                raise DataError(
                    f"random_translation: {name} {fraction:g} of {size} pixels is less than half a pixel; "
                    f"take 0 for no shift, or at least {1 / size:.2g} for one of a pixel"
                )
        return _window(images, (pixels["height"], pixels["width"]), fill, seed, outside)

    return _moving(translate)


def random_rotation(*, degrees: Annotated[float, Field(ge=0, le=180)] = 10.0, fill: Fill = "zero") -> Moving:
    """Rotate each image about its center by a random angle, with bilinear interpolation.

    Args:
        degrees: largest angle in either direction, 0 to 180.
        fill: what comes in from outside: zero (black), reflect (the image mirrored at its border), or nearest
            (the border pixel).
    """

    def rotate(images: tf.Tensor, seed: tf.Tensor, outside: int | None = None) -> tf.Tensor:
        import tensorflow as tf

        limit = math.radians(degrees)
        matrices = rotations(uniform(tf.shape(images)[0], -limit, limit, seed))
        return transformed(images, matrices, fill=fill, outside=outside)

    return _moving(rotate)


def random_zoom(
    *,
    factor: Annotated[Sequence[Annotated[float, Field(ge=0.1, le=10)]], *LowHigh] = (0.8, 1.25),
    keep_aspect: bool = True,
    fill: Fill = "zero",
) -> Moving:
    """Enlarge or shrink each image about its center in a frame of the same size, by bilinear interpolation.

    Args:
        factor: smallest and largest magnification, 0.1 to 10; 2 shows objects at twice their size. Drawn
            uniformly on a logarithmic scale, on which 0.5 and 2 are equally far from 1.
        keep_aspect: one factor for height and width; false draws one for each, which stretches the image.
        fill: what comes in from outside when an image shrinks: zero (black), reflect (the image mirrored at
            its border), or nearest (the border pixel).
    """

    def zoom(images: tf.Tensor, seed: tf.Tensor, outside: int | None = None) -> tf.Tensor:
        import tensorflow as tf

        count = tf.shape(images)[0]
        low, high = (math.log(limit) for limit in factor)
        across = tf.exp(-uniform(count, low, high, seed))
        down = across if keep_aspect else tf.exp(-uniform(count, low, high, tf.random.fold_in(seed, 1)))
        matrices = tf.linalg.diag(tf.stack([across, down], -1))
        return transformed(images, matrices, fill=fill, outside=outside)

    return _moving(zoom)


def _moving(move: Callable[..., tf.Tensor]) -> Moving:
    """Of a function of images and seed whose `outside` is the class of what comes in, for masks."""
    return Moving(move, lambda masks, seed: move(masks, seed, outside=IGNORED))


def rotations(angles: tf.Tensor) -> tf.Tensor:
    """Matrices (batch, 2, 2) for `transformed` that rotate counterclockwise by angles (batch,) in radians."""
    import tensorflow as tf

    cosine, sine = tf.cos(angles), tf.sin(angles)
    return tf.stack([tf.stack([cosine, -sine], -1), tf.stack([sine, cosine], -1)], -2)


def transformed(
    images: tf.Tensor,
    matrices: tf.Tensor,
    shifts: tf.Tensor | None = None,
    *,
    fill: Fill,
    outside: int | None = None,
) -> tf.Tensor:
    """Images under an affine map of their own, with bilinear interpolation; masks to the nearest pixel.

    A pixel of the result at (x, y), counted in pixels from the center to the right and down, shows what the
    image has at matrix @ (x, y) + shift.

    Args:
        images: (batch, h, w, c) uint8.
        matrices: (batch, 2, 2) float32.
        shifts: (batch, 2) float32, in pixels to the right and down; None for none.
        fill: what lies outside of the image.
        outside: of masks, their value there where `fill` is zero; None for images.

    Returns:
        (batch, h, w, c) uint8.
    """
    import tensorflow as tf

    _, height, width, _ = images.shape
    center = tf.constant([(width - 1) / 2, (height - 1) / 2], tf.float32)
    # The operation counts from the upper left corner.
    corner = center - tf.linalg.matvec(matrices, center) + (0.0 if shifts is None else shifts)
    rows = tf.reshape(tf.concat([matrices, corner[..., None]], -1), [-1, 6])
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        # Of uint8 the operation would cut the fractions off instead of rounding them.
        images=tf.cast(images, tf.float32),
        transforms=tf.pad(rows, [[0, 0], [0, 2]]),
        output_shape=[height, width],
        fill_value=float(outside or 0),
        interpolation="BILINEAR" if outside is None else "NEAREST",
        fill_mode={"zero": "CONSTANT", "reflect": "REFLECT", "nearest": "NEAREST"}[fill],
    )
    return rounded(moved)


def _mirrored(images: tf.Tensor, axis: int) -> tf.Tensor:
    import tensorflow as tf

    if axis == 1:
        return tf.reverse(images, [1])
    # tf.reverse is several times faster on the middle axis of three.
    rows = tf.reverse(tf.reshape(images, [-1, *images.shape[2:]]), [1])
    return tf.reshape(rows, tf.shape(images))


def _window(
    images: tf.Tensor, padding: tuple[int, int], fill: Fill, seed: tf.Tensor, outside: int
) -> tf.Tensor:
    """A window of the image's own size, at a random place in the image padded by so many rows and columns."""
    import tensorflow as tf

    _, height, width, _ = images.shape
    count = tf.shape(images)[0]
    padded = _padded(images, padding, fill, outside)
    top = whole(count, 2 * padding[0] + 1, tf.random.fold_in(seed, 1))
    left = whole(count, 2 * padding[1] + 1, tf.random.fold_in(seed, 2))
    rows = tf.gather(padded, top[:, None] + tf.range(height), batch_dims=1)
    # Columns are cut for all images with the same place at once: 2 * padding + 1 slices are faster than a
    # gather of single pixels.
    groups = tf.dynamic_partition(tf.range(count), left, 2 * padding[1] + 1)
    cut = [tf.gather(rows, group)[:, :, first : first + width] for first, group in enumerate(groups)]
    return tf.reshape(tf.dynamic_stitch(groups, cut), [-1, *images.shape[1:]])


def _padded(images: tf.Tensor, padding: tuple[int, int], fill: Fill, outside: int) -> tf.Tensor:
    import tensorflow as tf

    if fill == "zero":
        return tf.pad(images, [[0, 0], [padding[0]] * 2, [padding[1]] * 2, [0, 0]], constant_values=outside)
    for axis, pixels in zip((1, 2), padding, strict=True):
        index = (slice(None),) * axis
        if fill == "nearest":
            first, last = (images[*index, edge] for edge in (slice(0, 1), slice(-1, None)))
            before, after = (tf.repeat(edge, pixels, axis=axis) for edge in (first, last))
        else:
            # tf.pad's own REFLECT mode takes four times as long.
            first, last = (images[*index, edge] for edge in (slice(1, pixels + 1), slice(-pixels - 1, -1)))
            before, after = (tf.reverse(edge, [axis]) for edge in (first, last))
        images = tf.concat([before, images, after], axis)
    return images

"""Augmentations that mix images of a batch, and their targets in the same proportion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bigmodel_cli.contracts import Mixing
from bigmodel_cli.data.augment.draws import Concentration, shares, whole
from bigmodel_cli.data.augment.pixels import per_image, rectangles, rounded

if TYPE_CHECKING:
    import tensorflow as tf


def mix_up(*, alpha: Concentration = 0.2) -> Mixing:
    """Average each image with another one of the batch, and their targets with the same weights.

    Zhang et al. 2018 (arXiv:1710.09412, section 2). Partners are a random permutation of the batch, in which
    an image may meet itself. Images are rounded to whole levels, targets are exact.

    Args:
        alpha: the weights are drawn from Beta(alpha, alpha); more than 0 and at most 100. Below 1 one of the
            two images nearly always prevails; the paper takes 0.2 to 0.4 for ImageNet, 1 for CIFAR.
    """

    def mix(images: tf.Tensor, targets: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        import tensorflow as tf

        count = tf.shape(images)[0]
        partners = _permutation(count, tf.random.fold_in(seed, 1))
        weight = shares(count, 2, alpha, tf.random.fold_in(seed, 2))[:, 0]
        levels = tf.cast(images, tf.float32)
        own, other = per_image(weight), per_image(1 - weight)
        mixed = rounded(own * levels + other * tf.gather(levels, partners))
        return mixed, _mixed_targets(targets, partners, weight)

    return Mixing(mix)


def cut_mix(*, alpha: Concentration = 1.0) -> Mixing:
    """Paste a rectangle of another image of the batch into each image, and mix their targets by its area.

    Yun et al. 2019 (arXiv:1905.04899, section 3.1): the rectangle has the image's aspect ratio and its center
    anywhere in the image; what reaches beyond the border is cut off. Targets are mixed by the pixels that
    were really pasted. Partners are a random permutation of the batch, in which an image may meet itself.

    Args:
        alpha: the share of the image that is kept, before the rectangle is cut off, is drawn from Beta(alpha,
            alpha); more than 0 and at most 100. At 1, the paper's choice, all shares are equally likely.
    """

    def mix(images: tf.Tensor, targets: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        import tensorflow as tf

        _, height, width, _ = images.shape
        count = tf.shape(images)[0]
        partners = _permutation(count, tf.random.fold_in(seed, 1))
        side = tf.sqrt(shares(count, 2, alpha, tf.random.fold_in(seed, 2))[:, 1])

        def span(size: int, key: int) -> tuple[tf.Tensor, tf.Tensor]:
            pixels = tf.cast(tf.round(side * size), tf.int32)
            first = whole(count, size, tf.random.fold_in(seed, key)) - pixels // 2
            return tf.maximum(first, 0), tf.minimum(first + pixels, size)

        (top, bottom), (left, right) = span(height, 3), span(width, 4)
        pasted = rectangles(top, bottom, left, right, images)
        kept = 1 - tf.cast((bottom - top) * (right - left), tf.float32) / (height * width)
        mixed = tf.where(pasted, tf.gather(images, partners), images)
        return mixed, _mixed_targets(targets, partners, kept)

    return Mixing(mix)


def _permutation(count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.random.experimental.stateless_shuffle(tf.range(count), seed)


def _mixed_targets(targets: tf.Tensor, partners: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return weight[:, None] * targets + (1 - weight)[:, None] * tf.gather(targets, partners)

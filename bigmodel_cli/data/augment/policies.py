"""Augmentations that choose among many operations: RandAugment and AugMix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from bigmodel_cli.contracts import Moving
from bigmodel_cli.data.augment import operations
from bigmodel_cli.data.augment.draws import Concentration, shares, signs, uniform, whole
from bigmodel_cli.data.augment.operations import Operation
from bigmodel_cli.data.augment.pixels import per_image, rounded

if TYPE_CHECKING:
    import tensorflow as tf

Level = Annotated[float, Field(ge=0, le=10)]
"""On the scale of AutoAugment: 10 is each operation's strongest form."""

_RAND_AUGMENT: tuple[Operation, ...] = (
    operations.identity,
    operations.auto_contrast,
    operations.equalize,
    operations.rotate,
    operations.solarize,
    operations.posterize(8),
    operations.contrast,
    operations.brightness,
    operations.sharpness,
    operations.shear_x,
    operations.shear_y,
    # AutoAugment's 150 pixels of an image of 331.
    operations.translate(1, 150 / 331),
    operations.translate(2, 150 / 331),
)

# Without those that the ImageNet-C benchmark counts among its corruptions; strengths as in the authors' code
# (github.com/google-research/augmix, augmentations.py).
_AUG_MIX: tuple[Operation, ...] = (
    operations.auto_contrast,
    operations.equalize,
    operations.posterize(4),
    operations.rotate,
    operations.solarize,
    operations.shear_x,
    operations.shear_y,
    operations.translate(1, 1 / 3),
    operations.translate(2, 1 / 3),
)


def rand_augment(*, num_ops: Annotated[int, Field(ge=1, le=14)] = 2, magnitude: Level = 5.0) -> Moving:
    """Apply a few operations, drawn for each image, one after the other and all with the same magnitude.

    RandAugment, Cubuk et al. 2019 (arXiv:1909.13719, section 3): identity, auto-contrast, equalize, rotate,
    solarize, color (saturation), posterize, contrast, brightness, sharpness, shear and translate in x and y;
    color only for images that have any. What has a direction goes either way with probability 1/2.

    Args:
        num_ops: operations an image, 1 to 14; the paper's N.
        magnitude: strength on a scale from 0 to 10, the paper's M: at 10 shears by 0.3, translations by 45%
            of the side, rotations by 30 degrees, posterize to 4 bits, solarize from 0, and color, contrast,
            brightness and sharpness by factors of 0.1 or 1.9. Auto-contrast and equalize have no strength and
            act at 0, too.
    """

    def augment(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        choice = (*_RAND_AUGMENT, operations.saturation) if images.shape[-1] in (3, 4) else _RAND_AUGMENT
        levels = tf.fill([tf.shape(images)[0]], magnitude / 10)
        for place in range(num_ops):
            images = _changed(images, choice, levels, tf.random.fold_in(seed, place))
        return images

    return Moving(augment, None)


def aug_mix(
    *,
    severity: Level = 3.0,
    width: Annotated[int, Field(ge=1, le=10)] = 3,
    depth: Annotated[int, Field(ge=1, le=10)] = 3,
    alpha: Concentration = 1.0,
) -> Moving:
    """Mix each image with several chains of random operations on it.

    AugMix, Hendrycks et al. 2020 (arXiv:1912.02781, section 3 and algorithm 1), for robustness against
    corrupted inputs: auto-contrast, equalize, posterize, rotate, solarize, shear and translate in x and y.
    The images alone; the paper's additional loss, which compares predictions for two such mixtures, is not
    part of it.

    Args:
        severity: each operation draws its strength from 0.1 to this, on a scale from 0 to 10 where 10 is
            strongest: shears by 0.3, translations by a third of the side, rotations by 30 degrees, posterize
            to 1 bit, solarize from 0.
        width: chains that are mixed, 1 to 10; the paper's k.
        depth: longest chain, 1 to 10 operations; each chain's length is drawn from 1 to this.
        alpha: of the Dirichlet distribution of the chains' weights and the Beta distribution of the
            original's; more than 0 and at most 100.
    """

    def augment(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        count = tf.shape(images)[0]
        every = width * count
        # All chains of all images go through the operations together.
        chains = tf.tile(images, [width, 1, 1, 1])
        lengths = 1 + whole(every, depth, tf.random.fold_in(seed, 1))
        for place in range(depth):
            key = tf.random.fold_in(seed, 4 + place)
            levels = uniform(every, 0.01 * min(1.0, severity), severity / 10, tf.random.fold_in(key, 2))
            chains = _changed(chains, _AUG_MIX, levels, key, skipped=lengths <= place)
        weights = tf.transpose(shares(count, width, alpha, tf.random.fold_in(seed, 2)))
        original = shares(count, 2, alpha, tf.random.fold_in(seed, 3))[:, 0]
        mixed = per_image(original) * tf.cast(images, tf.float32)
        for chain, weight in zip(tf.split(chains, width), tf.unstack(weights, width), strict=True):
            mixed += per_image((1 - original) * weight) * tf.cast(chain, tf.float32)
        return rounded(mixed)

    return Moving(augment, None)


def _changed(
    images: tf.Tensor,
    choice: Sequence[Operation],
    levels: tf.Tensor,
    seed: tf.Tensor,
    skipped: tf.Tensor | None = None,
) -> tf.Tensor:
    """One random operation for each image, but for those to be skipped."""
    import tensorflow as tf

    count = tf.shape(images)[0]
    chosen = whole(count, len(choice), tf.random.fold_in(seed, 0))
    if skipped is not None:
        chosen = tf.where(skipped, len(choice), chosen)
        choice = (*choice, operations.identity)
    return operations.applied(choice, chosen, images, levels, signs(count, tf.random.fold_in(seed, 1)))

"""Augmentations: random changes of training images that keep their class, or mix it in a known proportion.

All are stateless: the same images and seed give the same result to the bit, also in a parallel `tf.data` map,
which an exact resume depends on. Each image of a batch has a draw of its own. Images are uint8 and stay so;
any number of channels will do, where nothing else is said. Of four channels the last is opacity: it moves
with the image, but its values are left alone by what changes colors.

They are written with stateless TensorFlow operations. Of Keras' preprocessing layers RandomColorJitter,
RandAugment and AugMix draw from state of their own even when they are handed a seed, and RandAugment and
AugMix choose their operations once a batch, AugMix once for all batches.
"""

from bigmodel_cli.data.augment.color import color_jitter, gaussian_noise, random_contrast
from bigmodel_cli.data.augment.erasing import random_erasing
from bigmodel_cli.data.augment.geometry import (
    random_crop,
    random_flip,
    random_rotation,
    random_translation,
    random_zoom,
)
from bigmodel_cli.data.augment.mixing import cut_mix, mix_up
from bigmodel_cli.data.augment.policies import aug_mix, rand_augment

__all__ = [
    "aug_mix",
    "color_jitter",
    "cut_mix",
    "gaussian_noise",
    "mix_up",
    "rand_augment",
    "random_contrast",
    "random_crop",
    "random_erasing",
    "random_flip",
    "random_rotation",
    "random_translation",
    "random_zoom",
]

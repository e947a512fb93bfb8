"""Masks move with their images."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.contracts import IGNORED
from bigmodel_cli.data import augment
from bigmodel_cli.data.pipeline import Scheduled

KEY = tf.constant([3, 5], tf.int32)
EPOCH = tf.constant(0, tf.int64)


@pytest.fixture(scope="module")
def pair():
    """Images whose value tells the class of each pixel, 1 to 3, in large areas; and the masks."""
    random = np.random.default_rng(0)
    masks = np.kron(random.integers(1, 4, (6, 3, 4)), np.ones((8, 8))).astype(np.uint8)
    return tf.constant(masks[..., None] * 60), tf.constant(masks)


EXACT = [
    augment.random_flip(mode="both"),
    augment.random_crop(padding=5),
    augment.random_crop(padding=5, fill="reflect"),
    augment.random_translation(height=0.3, width=0.2, fill="nearest"),
    augment.random_translation(height=0.3, width=0.2),
]


@pytest.mark.parametrize("moving", EXACT)
@pytest.mark.parametrize("probability", [1.0, 0.5])
def test_whole_pixels_move_alike(moving, probability, pair):
    images, masks = pair
    moved, followed = Scheduled(moving, probability)(images, masks, EPOCH, KEY)
    assert followed.dtype == tf.uint8
    assert followed.shape == masks.shape
    expected = moved.numpy()[..., 0] // 60
    # What comes in from outside is black in the image.
    assert (followed.numpy() == np.where(expected == 0, IGNORED, expected)).all()
    assert (moved.numpy() != images.numpy()).any()


@pytest.mark.parametrize(
    "moving", [augment.random_rotation(degrees=40), augment.random_zoom(factor=(0.6, 1.6), keep_aspect=False)]
)
def test_others_to_the_nearest_pixel(moving, pair):
    _, masks = pair
    one_hot = tf.cast(tf.one_hot(tf.cast(masks, tf.int32), 4) * 255, tf.uint8)
    moved, followed = Scheduled(moving)(one_hot, masks, EPOCH, KEY)
    shares, classes = moved.numpy() / 255, followed.numpy()
    sure = shares.max(axis=-1) > 0.9
    assert sure.mean() > 0.4
    assert (classes[sure] == shares.argmax(axis=-1)[sure]).all()
    outside = shares.sum(axis=-1) < 0.05
    assert outside.any()
    assert (classes[outside] == IGNORED).all()
    assert set(np.unique(classes)) <= {1, 2, 3, IGNORED}


def test_colours_leave_masks_alone(pair):
    images, masks = pair
    changed, followed = Scheduled(augment.gaussian_noise(deviation=30))(images, masks, EPOCH, KEY)
    assert (followed.numpy() == masks.numpy()).all()
    assert (changed.numpy() != images.numpy()).any()


def test_class_indices_are_no_masks(pair):
    images, _ = pair
    labels = tf.constant([1, 2, 3, 1, 2, 3])
    _, same = Scheduled(augment.random_flip())(images, labels, EPOCH, KEY)
    assert same.numpy().tolist() == [1, 2, 3, 1, 2, 3]


def test_policies_cannot_be_followed():
    assert augment.rand_augment().masks is None
    assert augment.aug_mix().masks is None

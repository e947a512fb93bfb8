import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.data.augment import random_crop, random_flip
from bigmodel_cli.errors import DataError

SEED = tf.constant([3, 4])


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (200, 8, 10, 3), np.uint8)


@pytest.mark.parametrize(
    ("mode", "forms"),
    [
        ("horizontal", [(1, 1), (1, -1)]),
        ("vertical", [(1, 1), (-1, 1)]),
        ("both", [(1, 1), (1, -1), (-1, 1), (-1, -1)]),
    ],
)
def test_flip_draws_for_every_image(images, mode, forms):
    flipped = random_flip(mode=mode)(tf.constant(images), SEED).numpy()
    counts = [
        sum((a == b[::down, ::right]).all() for a, b in zip(flipped, images, strict=True))
        for down, right in forms
    ]
    assert sum(counts) == len(images)
    expected = len(images) / len(forms)
    assert all(abs(count - expected) < 4 * np.sqrt(expected) for count in counts)


@pytest.mark.parametrize(("fill", "numpy_mode"), [("zero", "constant"), ("reflect", "reflect")])
def test_crop_is_a_window_of_the_padded_image(images, fill, numpy_mode):
    cropped = random_crop(padding=2, fill=fill)(tf.constant(images), SEED).numpy()
    assert cropped.shape == images.shape
    places = []
    for before, after in zip(images, cropped, strict=True):
        padded = np.pad(before, ((2, 2), (2, 2), (0, 0)), mode=numpy_mode)
        windows = np.lib.stride_tricks.sliding_window_view(padded, before.shape)[:, :, 0]
        matches = np.argwhere((windows == after).all(axis=(2, 3, 4)))
        assert len(matches) == 1
        places.append(tuple(matches[0]))
    # 25 places, 8 images each on average.
    assert len(set(places)) == 25


@pytest.mark.parametrize(
    "augmentation", [random_flip(), random_crop(), random_crop(padding=2, fill="reflect")]
)
def test_same_seed_same_result_in_uint8(images, augmentation):
    first = augmentation(tf.constant(images), SEED)
    assert first.dtype == tf.uint8
    assert (first.numpy() == augmentation(tf.constant(images), SEED).numpy()).all()
    assert (first.numpy() != augmentation(tf.constant(images), SEED + 1).numpy()).any()


@pytest.mark.parametrize("augmentation", [random_flip(mode="both"), random_crop()])
def test_the_static_shape_is_kept(images, augmentation):
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(7).map(lambda batch: augmentation(batch, SEED))
    assert dataset.element_spec.shape.as_list() == [None, 8, 10, 3]
    assert sum(len(batch) for batch in dataset) == 200


def test_reflecting_more_than_the_image_has():
    with pytest.raises(DataError, match="padding 8 with fill `reflect` needs images of more than 8"):
        random_crop(padding=8, fill="reflect")(tf.zeros((1, 8, 10, 3), tf.uint8), SEED)

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.data.augment.geometry import (
    random_crop,
    random_flip,
    random_rotation,
    random_translation,
    random_zoom,
    rotations,
    transformed,
)
from bigmodel_cli.errors import DataError

SEED = tf.constant([3, 4])


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (200, 8, 10, 3), np.uint8)


def windows(image, pads, mode):
    """Every window of the image's own size in the padded image, (rows, columns, h, w, c)."""
    padded = np.pad(image, (*((pad, pad) for pad in pads), (0, 0)), mode=mode)
    return np.lib.stride_tricks.sliding_window_view(padded, image.shape)[:, :, 0]


def places(before, after, pads, mode):
    """Where the window of each image lies."""
    found = []
    for old, new in zip(before, after, strict=True):
        matches = np.argwhere((windows(old, pads, mode) == new).all(axis=(2, 3, 4)))
        assert len(matches) == 1
        found.append(tuple(matches[0]))
    return found


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
    # 25 places, 8 images each on average.
    assert len(set(places(images, cropped, (2, 2), numpy_mode))) == 25


def test_reflecting_more_than_the_image_has():
    with pytest.raises(DataError, match="padding 8 with fill `reflect` needs images of more than 8"):
        random_crop(padding=8, fill="reflect")(tf.zeros((1, 8, 10, 3), tf.uint8), SEED)


@pytest.mark.parametrize(
    ("fill", "numpy_mode"), [("zero", "constant"), ("reflect", "reflect"), ("nearest", "edge")]
)
def test_translation_is_by_whole_pixels_in_each_direction(images, fill, numpy_mode):
    # 0.25 of 8 rows and 0.3 of 10 columns.
    shifted = random_translation(height=0.25, width=0.3, fill=fill)(tf.constant(images), SEED).numpy()
    found = places(images, shifted, (2, 3), numpy_mode)
    assert {row for row, _ in found} == set(range(5))
    assert {column for _, column in found} == set(range(7))


def test_translation_along_one_axis(images):
    shifted = random_translation(height=0.0, width=0.2)(tf.constant(images), SEED).numpy()
    found = places(images, shifted, (0, 2), "constant")
    assert {row for row, _ in found} == {0}
    assert {column for _, column in found} == set(range(5))


def test_translation_by_less_than_half_a_pixel():
    with pytest.raises(DataError, match=r"height 0.04 of 8 pixels .* take 0 .*, or at least 0.12"):
        random_translation(height=0.04)(tf.zeros((1, 8, 10, 1), tf.uint8), SEED)


@pytest.mark.parametrize("turns", range(4))
def test_rotation_by_right_angles_is_exact_and_counterclockwise(images, turns):
    square = images[:, :, :8]
    matrices = rotations(tf.fill([len(square)], turns * math.pi / 2))
    rotated = transformed(tf.constant(square), matrices, fill="nearest").numpy()
    # Interpolation weights are off by the last bits of a float.
    assert abs(rotated.astype(int) - np.rot90(square, turns, (1, 2))).max() <= 1


def test_rotation_stays_within_its_angle_in_both_directions():
    # A bar from the center to the right.
    bar = np.zeros((300, 41, 41, 1), np.uint8)
    bar[:, 19:22, 20:] = 255
    rotated = random_rotation(degrees=30.0)(tf.constant(bar), SEED).numpy()[..., 0].astype(float)
    rows, columns = np.mgrid[-20:21, -20:21]
    near = np.hypot(rows, columns) < 19
    weights = rotated * near
    angles = np.degrees(np.arctan2((weights * rows).sum((1, 2)), (weights * columns).sum((1, 2))))
    assert abs(angles).max() < 30.5
    assert angles.min() < -27
    assert angles.max() > 27
    assert abs(angles.mean()) < 4


def test_what_rotation_brings_in():
    bright = tf.fill([50, 9, 9, 1], tf.constant(200, tf.uint8))
    assert random_rotation(degrees=45.0)(bright, SEED).numpy().min() == 0
    for fill in ("reflect", "nearest"):
        rotated = random_rotation(degrees=45.0, fill=fill)(bright, SEED).numpy()
        assert (rotated == 200).all()


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_zoom_scales_what_is_in_the_middle(factor):
    square = np.zeros((4, 40, 40, 1), np.uint8)
    square[:, 12:28, 15:25] = 255
    zoomed = random_zoom(factor=(factor, factor))(tf.constant(square), SEED).numpy() / 255
    assert zoomed[0, :, 20, 0].sum() == pytest.approx(16 * factor, abs=0.6)
    assert zoomed[0, 20, :, 0].sum() == pytest.approx(10 * factor, abs=0.6)


@pytest.mark.parametrize("keep_aspect", [True, False])
def test_zoom_draws_within_its_range_and_keeps_the_aspect_on_request(keep_aspect):
    square = np.zeros((200, 61, 61, 1), np.uint8)
    square[:, 20:41, 20:41] = 255
    zoomed = random_zoom(factor=(0.5, 2.0), keep_aspect=keep_aspect)(tf.constant(square), SEED).numpy() / 255
    down, across = zoomed[:, :, 30, 0].sum(1) / 21, zoomed[:, 30, :, 0].sum(1) / 21
    for sizes in (down, across):
        assert 0.45 < sizes.min() < 0.55
        assert 1.9 < sizes.max() < 2.1
        # On a logarithmic scale as many shrink as grow.
        assert abs((sizes > 1).mean() - 0.5) < 0.15
    assert (abs(down - across) < 0.05).all() == keep_aspect


def test_transformed_takes_pixels_from_where_the_shift_says():
    batch = np.random.default_rng(1).integers(0, 256, (2, 5, 6, 3), np.uint8)
    unit = tf.eye(2, batch_shape=[2])
    shifted = transformed(
        tf.constant(batch), unit, tf.constant([[1.0, 0.0], [0.0, -2.0]]), fill="zero"
    ).numpy()
    np.testing.assert_array_equal(shifted[0, :, :-1], batch[0, :, 1:])
    np.testing.assert_array_equal(shifted[1, 2:], batch[1, :-2])
    assert not shifted[0, :, -1].any()
    assert not shifted[1, :2].any()


def test_between_pixels_the_values_are_interpolated_and_rounded():
    row = tf.constant([[[[10], [13], [255]]]], tf.uint8)
    shifted = transformed(row, tf.eye(2, batch_shape=[1]), tf.constant([[0.25, 0.0]]), fill="nearest").numpy()
    # 10.75, 73.5 (to even) and the border.
    assert shifted.ravel().tolist() == [11, 74, 255]

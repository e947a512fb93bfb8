from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.data.augment.erasing import random_erasing

SEED = tf.constant([3, 4])


def hidden(count=300, shape=(32, 32, 1), **parameters):
    """Masks (count, h, w) of what was erased from white images."""
    white = tf.fill([count, *shape], tf.constant(255, tf.uint8))
    return random_erasing(fill="zero", **parameters)(white, SEED).numpy()[..., 0] == 0


def sides(masks):
    """Height and width of each erased rectangle, having seen that it is one."""
    rows, columns = masks.any(2), masks.any(1)
    np.testing.assert_array_equal(masks, rows[:, :, None] & columns[:, None, :])
    for line in (*rows, *columns):
        inside = np.flatnonzero(line)
        assert len(inside) == inside[-1] - inside[0] + 1
    return rows.sum(1), columns.sum(1)


def test_cutout_hides_a_square_of_fixed_size_anywhere():
    masks = hidden(count=2000, area=(0.25, 0.25), aspect=1.0)
    height, width = sides(masks)
    assert (height == 16).all()
    assert (width == 16).all()
    assert set(masks.any(2).argmax(1)) == set(range(17))
    assert set(masks.any(1).argmax(1)) == set(range(17))


@pytest.mark.parametrize("shape", [(32, 32, 1), (40, 25, 1)])
def test_area_and_aspect_are_drawn_within_their_limits(shape):
    height, width = sides(hidden(count=1000, shape=shape, area=(0.1, 0.3), aspect=0.4))
    share = height * width / (shape[0] * shape[1])
    # Sides are whole pixels: half a column of 20 rows is 1% of the image.
    assert 0.08 < share.min() < 0.12
    assert 0.28 < share.max() < 0.32
    assert share.mean() == pytest.approx(0.2, abs=0.01)
    ratio = height / width
    assert ratio.min() > 0.33
    assert ratio.max() < 3
    assert 0.4 < (ratio > 1).mean() < 0.6


def test_a_rectangle_that_must_be_flat_to_fit():
    height, width = sides(hidden(shape=(4, 60, 1), area=(0.5, 0.5), aspect=1.0))
    assert (height <= 4).all()
    np.testing.assert_array_equal(height * width, 120)


def test_the_whole_image_can_be_hidden():
    assert hidden(area=(1.0, 1.0)).all()


def test_zero_is_black_and_noise_is_anything():
    white = tf.fill([200, 16, 16, 3], tf.constant(255, tf.uint8))
    noisy = random_erasing(area=(1.0, 1.0))(white, SEED).numpy()
    histogram = np.bincount(noisy.ravel(), minlength=256)
    # 600 each on average.
    assert histogram.min() > 480
    assert histogram.max() < 720


def test_outside_of_the_rectangle_nothing_changes():
    batch = np.random.default_rng(0).integers(1, 256, (50, 16, 16, 3), np.uint8)
    erased = random_erasing(area=(0.2, 0.2), fill="zero")(tf.constant(batch), SEED).numpy()
    gone = (erased == 0).all(-1)
    np.testing.assert_array_equal(erased[~gone], batch[~gone])
    assert gone.mean() == pytest.approx(0.2, abs=0.02)

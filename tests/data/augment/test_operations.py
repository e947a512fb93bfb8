"""The operations against Pillow, which the papers' own code uses."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from bigmodel_cli.data.augment import operations

ONES = tf.ones([3])


@pytest.fixture(params=[1, 3])
def batch(request):
    """Three images of different ranges of values."""
    generator = np.random.default_rng(0)
    limits = ((0, 256), (90, 160), (40, 41))
    return np.stack(
        [generator.integers(low, high, (20, 24, request.param), np.uint8) for low, high in limits]
    )


def with_pillow(batch, function):
    pictures = [Image.fromarray(image.squeeze()) for image in batch]
    return np.stack([np.asarray(function(picture)).reshape(batch.shape[1:]) for picture in pictures])


def on(operation, batch, levels=ONES, signs=ONES):
    return operation(tf.constant(batch), tf.constant(levels), tf.constant(signs)).numpy()


def test_auto_contrast(batch):
    got = on(operations.auto_contrast, batch).astype(int)
    # Pillow cuts fractions off, we round.
    assert abs(got - with_pillow(batch, ImageOps.autocontrast)).max() <= 1
    assert (got[2] == 40).all()
    for image in got[:2]:
        assert (image.min((0, 1)) == 0).all()
        assert (image.max((0, 1)) == 255).all()


def test_equalize(batch):
    np.testing.assert_array_equal(on(operations.equalize, batch), with_pillow(batch, ImageOps.equalize))


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_solarize(batch, level):
    expected = with_pillow(batch, lambda picture: ImageOps.solarize(picture, round(256 * (1 - level))))
    np.testing.assert_array_equal(on(operations.solarize, batch, [level] * 3), expected)


@pytest.mark.parametrize(
    ("most", "level", "bits"), [(8, 0.0, 8), (8, 0.5, 6), (8, 1.0, 4), (4, 0.3, 3), (4, 1.0, 1)]
)
def test_posterize(batch, most, level, bits):
    expected = with_pillow(batch, lambda picture: ImageOps.posterize(picture, bits))
    np.testing.assert_array_equal(on(operations.posterize(most), batch, [level] * 3), expected)


@pytest.mark.parametrize(("level", "sign"), [(0.0, 1.0), (0.5, 1.0), (1.0, 1.0), (1.0, -1.0)])
@pytest.mark.parametrize(
    ("operation", "enhancer"),
    [
        (operations.brightness, ImageEnhance.Brightness),
        (operations.contrast, ImageEnhance.Contrast),
        (operations.saturation, ImageEnhance.Color),
        (operations.sharpness, ImageEnhance.Sharpness),
    ],
)
def test_enhancements(batch, operation, enhancer, level, sign):
    factor = 1 + 0.9 * sign * level
    expected = with_pillow(batch, lambda picture: enhancer(picture).enhance(factor))
    got = on(operation, batch, [level] * 3, [sign] * 3)
    # Pillow rounds the grey or smooth image first, and cuts fractions off at the end.
    assert abs(got.astype(int) - expected).max() <= 2


def test_sharpness_at_its_weakest_is_nearly_smooth(batch):
    got = on(operations.sharpness, batch, [1.0] * 3, [-1.0] * 3).astype(float)
    smooth = with_pillow(batch, lambda picture: picture.filter(ImageFilter.SMOOTH)).astype(float)
    np.testing.assert_allclose(got, 0.9 * smooth + 0.1 * batch, atol=1.5)


def test_translations_by_whole_pixels(batch):
    # 0.25 of 20 rows and of 24 columns.
    down = on(operations.translate(1, 0.25), batch, signs=[-1.0] * 3)
    np.testing.assert_array_equal(down[:, 5:], batch[:, :-5])
    left = on(operations.translate(2, 0.25), batch)
    np.testing.assert_array_equal(left[:, :, :-6], batch[:, :, 6:])
    assert not left[:, :, -6:].any()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_shears_move_rows_and_columns_in_proportion_to_their_distance_from_the_middle(sign):
    line = np.zeros((1, 41, 41, 1), np.uint8)
    line[:, :, 20] = 255
    distance = np.arange(-20, 21)
    sheared = on(operations.shear_x, line, [1.0], [sign])[0, ..., 0].astype(float)
    np.testing.assert_allclose(sheared @ distance / 255, -sign * 0.3 * distance, atol=0.02)
    across = on(operations.shear_y, line.transpose(0, 2, 1, 3), [1.0], [sign])[0, ..., 0].astype(float)
    np.testing.assert_allclose(distance @ across / 255, -sign * 0.3 * distance, atol=0.02)


def test_rotate_is_by_30_degrees_at_most():
    bar = np.zeros((2, 41, 41, 1), np.uint8)
    bar[:, 19:22, 20:] = 255
    turned = on(operations.rotate, bar, [1.0, 0.5], [1.0, -1.0])[..., 0].astype(float)
    rows, columns = np.mgrid[-20:21, -20:21]
    turned *= np.hypot(rows, columns) < 19
    angles = np.degrees(np.arctan2((turned * rows).sum((1, 2)), (turned * columns).sum((1, 2))))
    np.testing.assert_allclose(abs(angles), [30, 15], atol=0.5)
    assert angles[0] * angles[1] < 0


def test_applied_gives_each_image_its_own_operation_level_and_sign():
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 7, 3), np.uint8)
    choice = [operations.identity, operations.solarize, operations.brightness, operations.equalize]
    # The last operation is chosen for none.
    chosen = np.random.default_rng(1).integers(0, 3, 40)
    levels, signs = np.linspace(0, 1, 40, dtype=np.float32), np.tile([1.0, -1.0], 20).astype(np.float32)
    got = operations.applied(
        choice, tf.constant(chosen, tf.int32), tf.constant(images), tf.constant(levels), tf.constant(signs)
    ).numpy()
    for place in range(40):
        one = slice(place, place + 1)
        expected = on(choice[chosen[place]], images[one], levels[one], signs[one])
        np.testing.assert_array_equal(got[one], expected)

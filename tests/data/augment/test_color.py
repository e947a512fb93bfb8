from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.data.augment.color import LUMA, color_jitter, gaussian_noise, random_contrast, recolored
from bigmodel_cli.errors import DataError

SEED = tf.constant([3, 4])


def photos(count=40, low=0, high=256):
    return np.random.default_rng(0).integers(low, high, (count, 9, 7, 3), np.uint8)


def each(value, count):
    return tf.fill([count], float(value))


def alone(**amounts):
    """color_jitter with nothing but this."""
    return color_jitter(**{**dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0), **amounts})


def test_brightness_multiplies_every_value():
    batch = photos(high=100)
    brighter = recolored(tf.constant(batch), brightness=each(1.5, 40)).numpy()
    np.testing.assert_allclose(brighter, batch * 1.5, atol=0.501)


def test_brightness_is_cut_at_white():
    batch = photos(low=200)
    assert (recolored(tf.constant(batch), brightness=each(1.5, 40)).numpy() == 255).all()


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_contrast_stretches_about_the_mean_luma(channels):
    batch = photos(low=100, high=150)[..., :channels]
    changed = recolored(tf.constant(batch), contrast=each(1.8, 40)).numpy()
    weights = LUMA if channels == 3 else [1 / channels] * channels
    mean = (batch @ np.array(weights)).mean((1, 2))[:, None, None, None]
    np.testing.assert_allclose(changed, mean + 1.8 * (batch - mean), atol=0.51)


def test_without_saturation_a_photo_is_grey():
    batch = photos()
    grey = recolored(tf.constant(batch), saturation=each(0, 40)).numpy()
    np.testing.assert_allclose(grey, np.repeat((batch @ np.array(LUMA))[..., None], 3, -1), atol=0.51)


def test_brightness_and_contrast_together_are_one_after_the_other():
    batch = photos(low=60, high=100)
    together = recolored(tf.constant(batch), brightness=each(1.5, 40), contrast=each(1.3, 40)).numpy()
    mean = (batch @ np.array(LUMA)).mean((1, 2))[:, None, None, None]
    np.testing.assert_allclose(together, 1.5 * (mean + 1.3 * (batch - mean)), atol=0.51)


def test_hue_and_saturation_leave_grey_pixels():
    grey = np.repeat(photos()[..., :1], 3, -1)
    changed = alone(saturation=1.0, hue=0.5)(tf.constant(grey), SEED).numpy()
    np.testing.assert_array_equal(changed, grey)


def test_hue_turns_all_colors_of_an_image_by_one_angle_and_keeps_their_luma():
    # Colors too pale to leave 0 to 255.
    batch = photos(count=300, low=100, high=156)
    turned = alone(hue=0.1)(tf.constant(batch), SEED).numpy()
    np.testing.assert_allclose(turned @ np.array(LUMA), batch @ np.array(LUMA), atol=0.6)

    def chroma(values):
        in_phase = values @ np.array([0.596, -0.274, -0.322])
        return in_phase + 1j * (values @ np.array([0.211, -0.523, 0.312]))

    ratio = (chroma(turned) * chroma(batch).conj()).sum((1, 2))
    turns = np.angle(ratio) / (2 * np.pi)
    assert abs(turns).max() < 0.102
    assert turns.min() < -0.09
    assert turns.max() > 0.09
    rest = chroma(turned) - chroma(batch) * np.exp(2j * np.pi * turns)[:, None, None]
    assert abs(rest).max() < 1


def test_half_a_turn_makes_red_a_kind_of_cyan():
    red = tf.constant([[[[160, 100, 100]]]], tf.uint8)
    turned = recolored(red, hue=tf.constant([np.pi], tf.float32)).numpy()[0, 0, 0]
    luma = np.array([160, 100, 100]) @ np.array(LUMA)
    np.testing.assert_allclose(turned, 2 * luma - np.array([160, 100, 100]), atol=0.6)


def test_jitter_draws_factors_over_the_whole_range():
    flat = np.full((400, 2, 2, 3), 100, np.uint8)
    values = alone(brightness=0.4)(tf.constant(flat), SEED).numpy()[:, 0, 0, 0]
    assert values.min() >= 60
    assert values.max() <= 140
    histogram, _ = np.histogram(values, 4, (60, 140))
    # 100 each on average.
    assert histogram.min() > 60


@pytest.mark.parametrize(("channels", "changes"), [(1, False), (2, False), (3, True), (4, True)])
def test_colors_change_unless_told_otherwise_where_there_are_any(channels, changes):
    batch = np.random.default_rng(0).integers(50, 200, (20, 6, 6, channels), np.uint8)
    changed = color_jitter(brightness=0.0, contrast=0.0)(tf.constant(batch), SEED).numpy()
    assert (changed != batch).any() == changes


@pytest.mark.parametrize("name", ["saturation", "hue"])
@pytest.mark.parametrize("channels", [1, 2])
def test_asking_for_colors_that_are_not_there(name, channels):
    with pytest.raises(
        DataError, match=f"{name} 0.1 needs images of 3 channels .* have {channels}; leave {name} out"
    ):
        color_jitter(**{name: 0.1})(tf.zeros((1, 4, 4, channels), tf.uint8), SEED)


def test_random_contrast_keeps_the_mean_and_changes_the_spread():
    batch = photos(count=300, low=80, high=176)
    changed = random_contrast(amount=0.5)(tf.constant(batch), SEED).numpy()
    factors = changed.std((1, 2, 3)) / batch.std((1, 2, 3))
    assert 0.49 < factors.min() < 0.55
    assert 1.45 < factors.max() < 1.51
    np.testing.assert_allclose(changed @ np.array(LUMA), batch @ np.array(LUMA), atol=40)
    assert abs((changed @ np.array(LUMA)).mean((1, 2)) - (batch @ np.array(LUMA)).mean((1, 2))).max() < 0.2


def test_noise_has_the_given_deviation_in_every_channel_and_no_bias():
    grey = np.full((50, 20, 20, 3), 128, np.uint8)
    noise = gaussian_noise(deviation=12.0)(tf.constant(grey), SEED).numpy().astype(float) - 128
    # 20,000 values a channel: the deviation is known to 0.5%.
    np.testing.assert_allclose(noise.std((0, 1, 2)), 12, rtol=0.03)
    np.testing.assert_allclose(noise.mean((0, 1, 2)), 0, atol=0.4)
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.03


def test_noise_stays_within_the_levels():
    black = gaussian_noise(deviation=50.0)(tf.zeros((10, 8, 8, 1), tf.uint8), SEED).numpy()
    # Half of the draws are below black and are cut there, none goes round to white.
    assert 0.4 < (black == 0).mean() < 0.6
    assert black.max() < 250

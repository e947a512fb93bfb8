from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.data.augment import operations
from bigmodel_cli.data.augment.policies import aug_mix, rand_augment

SEED = tf.constant([3, 4])


def photo(channels=3):
    """One image with few black pixels and no even spread of values, on which every operation shows."""
    generator = np.random.default_rng(0)
    return (30 + 180 * generator.beta(2, 5, (16, 18, channels))).astype(np.uint8)


def forms(operation, image, level):
    """The results that an operation can have, by what they hold."""
    batch, levels = tf.constant(np.stack([image] * 2)), tf.constant([level] * 2)
    return {result.tobytes() for result in operation(batch, levels, tf.constant([-1.0, 1.0])).numpy()}


OPERATIONS = {
    "identity": operations.identity,
    "auto_contrast": operations.auto_contrast,
    "equalize": operations.equalize,
    "rotate": operations.rotate,
    "solarize": operations.solarize,
    "saturation": operations.saturation,
    "posterize": operations.posterize(8),
    "contrast": operations.contrast,
    "brightness": operations.brightness,
    "sharpness": operations.sharpness,
    "shear_x": operations.shear_x,
    "shear_y": operations.shear_y,
    "translate_y": operations.translate(1, 150 / 331),
    "translate_x": operations.translate(2, 150 / 331),
}
TWO_WAYS = 9


@pytest.mark.parametrize("channels", [1, 3])
def test_one_operation_of_rand_augment_is_one_of_the_papers_fourteen(channels):
    image = photo(channels)
    expected = {name: forms(operation, image, 0.7) for name, operation in OPERATIONS.items()}
    if channels == 1:
        del expected["saturation"]
    batch = tf.constant(np.stack([image] * 600))
    results = [result.tobytes() for result in rand_augment(num_ops=1, magnitude=7.0)(batch, SEED).numpy()]
    assert set(results) == set().union(*expected.values())
    counts = {name: sum(results.count(form) for form in found) for name, found in expected.items()}
    # 43 each on average.
    assert min(counts.values()) > 15


def test_rand_augment_at_magnitude_zero_only_does_what_has_no_strength():
    image = photo()
    batch = tf.constant(np.stack([image] * 200))
    results = {result.tobytes() for result in rand_augment(num_ops=1, magnitude=0.0)(batch, SEED).numpy()}
    allowed = [forms(OPERATIONS[name], image, 0.0) for name in ("identity", "auto_contrast", "equalize")]
    assert results == set().union(*allowed)


def test_rand_augment_applies_as_many_operations_as_asked_for():
    image = photo()
    batch = tf.constant(np.stack([image] * 300))
    unchanged = [
        (rand_augment(num_ops=count)(batch, SEED).numpy() == image).all(axis=(1, 2, 3)).mean()
        for count in (1, 3)
    ]
    # Identity is one of fourteen.
    assert 0.02 < unchanged[0] < 0.14
    assert unchanged[1] < 0.02


def test_aug_mix_is_a_mean_that_keeps_some_of_the_original():
    image = photo()
    batch = tf.constant(np.stack([image] * 400))
    mixed = aug_mix()(batch, SEED).numpy().astype(float)
    correlation = [np.corrcoef(image.ravel(), result.ravel())[0, 1] for result in mixed]
    # Noise keeps nothing of itself under a shift, so a small correlation means a small share of the original.
    assert np.mean(correlation) > 0.5
    assert min(correlation) < 0.5
    assert max(correlation) > 0.99


def test_one_chain_of_one_operation_lies_between_the_original_and_the_operation():
    # Auto-contrast alone makes the middle lighter: it stretches 100 and 150 to 0 and 255. Posterize to 3 or 4
    # bits gives 96 and 128 or 144, solarize leaves values below 179 alone, equalize so few pixels.
    image = np.full((16, 16, 1), 100, np.uint8)
    image[4:12, 4:12] = 150
    batch = tf.constant(np.stack([image] * 300))
    mixed = aug_mix(width=1, depth=1)(batch, SEED).numpy()
    middle, corner = mixed[:, 8, 8, 0].astype(int), mixed[:, 0, 0, 0].astype(int)
    stretched = middle > 150
    # The share of the original by which both values moved is the same.
    np.testing.assert_allclose((255 - middle[stretched]) / 105, corner[stretched] / 100, atol=0.011)
    assert 0.05 < stretched.mean() < 0.35


def test_aug_mix_without_severity_leaves_what_auto_contrast_and_equalize_leave():
    # All values are there, as often as each other, in 4 bits: nothing to stretch, spread or cut off.
    values = np.repeat(np.arange(16, dtype=np.uint8) * 16, 16)
    image = np.random.default_rng(0).permutation(values).reshape(16, 16, 1)
    batch = tf.constant(np.stack([image] * 50))
    mixed = aug_mix(severity=0.0)(batch, SEED).numpy().astype(int)
    # Only auto-contrast does anything: it stretches 240 to 255.
    assert (mixed >= image).all()
    assert (mixed <= np.ceil(image * (255 / 240))).all()


@pytest.mark.parametrize("policy", [rand_augment(num_ops=1), aug_mix(severity=5.0, depth=1)])
def test_opacity_only_moves(policy):
    images = np.random.default_rng(0).integers(0, 256, (300, 16, 16, 4), np.uint8)
    images[..., 3] = 255
    opacity = policy(tf.constant(images), SEED).numpy()[..., 3]
    # No shift reaches the middle, and elsewhere what comes in from outside is transparent.
    assert (opacity[:, 7:9, 7:9] == 255).all()
    assert opacity.min() < 100

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.data.augment.mixing import cut_mix, mix_up

SEED = tf.constant([3, 4])
COUNT = 120


def mixed(mixing, images):
    """Images and targets; each image is a class of its own, so that the targets say who was mixed."""
    out, targets = mixing.function(tf.constant(images), tf.eye(len(images)), SEED)
    return out.numpy(), targets.numpy()


def partners(targets):
    """For each image the other one mixed into it, or itself."""
    others = targets.copy()
    np.fill_diagonal(others, 0)
    own = np.arange(len(targets))
    return np.where(others.any(1), others.argmax(1), own)


@pytest.mark.parametrize("mixing", [mix_up(), mix_up(alpha=1.0), mix_up(alpha=0.001), cut_mix()])
def test_targets_are_shares_of_at_most_two(mixing):
    _, targets = mixed(mixing, np.zeros((COUNT, 4, 4, 1), np.uint8))
    np.testing.assert_allclose(targets.sum(1), 1, atol=1e-6)
    assert targets.min() >= 0
    assert ((targets > 0).sum(1) <= 2).all()


def test_mix_up_weighs_images_as_it_weighs_targets():
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 5, 6, 3), np.uint8)
    out, targets = mixed(mix_up(alpha=1.0), images)
    expected = np.einsum("ij,jhwc->ihwc", targets.astype(np.float64), images.astype(np.float64))
    np.testing.assert_allclose(out, expected, atol=0.501)
    assert (np.diag(targets) < 1).sum() > 100


@pytest.mark.parametrize(("alpha", "extreme"), [(0.2, 0.7), (1.0, 0.2)])
def test_mix_up_draws_its_weights_from_the_beta_distribution(alpha, extreme):
    # Shares within 0.1 of 0 or 1: 0.71 of Beta(0.2, 0.2), 0.2 of Beta(1, 1).
    _, targets = mixed(mix_up(alpha=alpha), np.zeros((2000, 1, 1, 1), np.uint8))
    own = np.diag(targets)
    assert own.mean() == pytest.approx(0.5, abs=0.05)
    assert ((own < 0.1) | (own > 0.9)).mean() == pytest.approx(extreme, abs=0.04)


@pytest.mark.parametrize("shape", [(16, 16, 1), (11, 23, 3)])
def test_cut_mix_targets_are_the_share_of_pixels_really_pasted(shape):
    # Image i holds i alone, so each pixel says where it comes from.
    images = np.broadcast_to(np.arange(COUNT, dtype=np.uint8)[:, None, None, None], (COUNT, *shape))
    out, targets = mixed(cut_mix(), images)
    pixels = shape[0] * shape[1]
    for image, (own, target) in zip(out, enumerate(targets), strict=True):
        counts = np.bincount(image[..., 0].ravel(), minlength=COUNT)
        np.testing.assert_allclose(target, counts / pixels, atol=1e-6)
        other = (image != own).all(-1)
        rows, columns = np.flatnonzero(other.any(1)), np.flatnonzero(other.any(0))
        # One rectangle, and the same place in every channel.
        assert other.sum() == len(rows) * len(columns) == (image != own).any(-1).sum()


def test_cut_mix_pastes_from_the_same_place_of_the_other_image():
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 9, 3), np.uint8)
    out, targets = mixed(cut_mix(), images)
    others = images[partners(targets)]
    assert ((out == images) | (out == others)).all(-1).all()
    assert ((out == others) & (out != images)).any(axis=(1, 2, 3)).sum() > 80


def test_cut_mix_reaches_the_corners_as_well_as_the_middle():
    images = np.broadcast_to(np.arange(200, dtype=np.uint8)[:, None, None, None], (200, 16, 16, 1))
    out, _ = mixed(cut_mix(), images)
    pasted = (out != images)[..., 0].mean(0)
    assert pasted.min() > 0.1
    assert pasted[8, 8] > pasted[0, 0]


@pytest.mark.parametrize("mixing", [mix_up(), cut_mix()])
def test_a_batch_of_one_meets_itself(mixing):
    image = np.random.default_rng(0).integers(0, 256, (1, 6, 6, 3), np.uint8)
    out, targets = mixed(mixing, image)
    np.testing.assert_array_equal(out, image)
    np.testing.assert_allclose(targets, [[1]], atol=1e-6)


def test_soft_targets_are_mixed_too():
    targets = tf.constant(np.random.default_rng(0).dirichlet([1, 1, 1], 50), tf.float32)
    _, out = mix_up().function(tf.zeros((50, 2, 2, 1), tf.uint8), targets, SEED)
    np.testing.assert_allclose(out.numpy().sum(1), 1, atol=1e-5)
    assert out.numpy().min() >= targets.numpy().min()
    assert out.numpy().max() <= targets.numpy().max()

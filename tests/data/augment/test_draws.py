from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.data.augment.draws import shares, signs, uniform, whole

SEED = tf.constant([3, 4])
COUNT = tf.constant(20_000)


def test_uniform_between_limits_of_each_image():
    high = tf.linspace(1.0, 2.0, 20_000)
    drawn = uniform(COUNT, -1.0, high, SEED).numpy()
    assert drawn.min() >= -1
    assert (drawn < high.numpy()).all()
    assert drawn.mean() == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("stop", [1, 2, 7])
def test_whole_numbers_are_equally_frequent(stop):
    counts = np.bincount(whole(COUNT, stop, SEED).numpy(), minlength=stop)
    assert len(counts) == stop
    np.testing.assert_allclose(counts, 20_000 / stop, rtol=0.08)


def test_whole_numbers_below_a_stop_of_each_image():
    stops = np.arange(20_000) % 5 + 1
    drawn = whole(COUNT, tf.constant(stops, tf.int32), SEED).numpy()
    assert (drawn < stops).all()
    assert set(drawn[stops == 5]) == set(range(5))


def test_signs_are_fair():
    drawn = signs(COUNT, SEED).numpy()
    assert set(drawn) == {-1.0, 1.0}
    assert abs(drawn.mean()) < 0.03


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0, 5.0])
def test_shares_have_the_moments_of_the_dirichlet_distribution(alpha, parts):
    drawn = shares(COUNT, parts, alpha, SEED).numpy()
    np.testing.assert_allclose(drawn.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(drawn.mean(0), 1 / parts, atol=0.015)
    variance = (parts - 1) / (parts**2 * (parts * alpha + 1))
    np.testing.assert_allclose(drawn.var(0), variance, rtol=0.05)


def test_shares_of_the_smallest_alpha_are_numbers():
    drawn = shares(COUNT, 3, 1e-4, SEED).numpy()
    assert np.isfinite(drawn).all()
    np.testing.assert_allclose(np.sort(drawn, 1)[:, -1].mean(), 1, atol=1e-3)

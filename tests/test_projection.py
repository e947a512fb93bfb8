"""Points in the plane."""

from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli.projection import project


def test_principal_components_are_those_of_the_covariance() -> None:
    points = np.random.default_rng(0).normal(size=(50, 4)) * [3, 2, 1, 0.5]
    found, axes = project(points, "pca", seed=0)
    values, vectors = np.linalg.eigh(np.cov(points.T))
    expected = (points - points.mean(axis=0)) @ vectors[:, ::-1][:, :2]
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-9)
    shares = values[::-1][:2] / values.sum()
    assert axes == tuple(f"component {i + 1}: {share:.0%} of the variance" for i, share in enumerate(shares))


@pytest.mark.parametrize("points", [np.ones((5, 3)), np.arange(5.0)[:, None]])
def test_points_of_fewer_dimensions(points) -> None:
    found, axes = project(points, "pca", seed=0)
    assert found.shape == (5, 2) and np.isfinite(found).all() and "nan" not in "".join(axes)


def test_neighbours_stay_together() -> None:
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.eye(3) * 20, 12, axis=0)
    points = np.concatenate([clusters, np.zeros((36, 57))], axis=1) + rng.normal(size=(36, 60)) * 0.1
    found, axes = project(points, "tsne", seed=1)
    assert axes == ("", "")
    distances = np.linalg.norm(found[:, None] - found[None], axis=2) + np.diag([np.inf] * 36)
    assert (distances.argmin(axis=1) // 12 == np.arange(36) // 12).all()
    np.testing.assert_array_equal(found, project(points, "tsne", seed=1)[0])

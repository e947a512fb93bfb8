"""Intervals of weights against other ways to compute them."""

from __future__ import annotations

import numpy as np
from scipy import stats

from bigmodel_cli.linear_weights import classification_weights, regression_weights


def test_a_line_has_the_interval_of_scipy() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 1))
    y = 2 * x + 1 + rng.normal(size=(40, 1))
    fit = stats.linregress(x[:, 0], y[:, 0])
    found = regression_weights(x, y, np.array([[fit.slope]]), np.array([fit.intercept]), ["x"], ["y"], "unit")
    reach = stats.t.ppf(0.975, 38) * fit.stderr
    np.testing.assert_allclose(found.values, [fit.slope])
    np.testing.assert_allclose(found.intervals, [[fit.slope - reach, fit.slope + reach]])
    assert (found.names, found.unit) == (("x",), "unit")


def test_collinear_features_have_weights_of_least_norm() -> None:
    rng = np.random.default_rng(1)
    one = rng.integers(0, 2, size=(60, 1)).astype(float)
    features = np.concatenate([one, 1 - one], axis=1)
    targets = 3 * one + rng.normal(size=(60, 1)) * 0.1
    # Both say the same: the second moves the first's weight into the intercept.
    a = regression_weights(
        features, targets, np.array([[3.0], [0.0]]), np.array([0.0]), ["a", "b"], ["y"], ""
    )
    b = regression_weights(
        features, targets, np.array([[0.0], [-3.0]]), np.array([3.0]), ["a", "b"], ["y"], ""
    )
    np.testing.assert_allclose(a.values, b.values, atol=1e-9)
    np.testing.assert_allclose(a.values, [2, -1], atol=1e-9)
    np.testing.assert_allclose(a.intervals, b.intervals, atol=1e-9)
    assert (np.diff(a.intervals) < 1).all()


def test_several_targets_have_a_weight_each() -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(30, 2))
    weights = np.array([[1.0, 2.0], [3.0, 4.0]])
    targets = features @ weights + rng.normal(size=(30, 2)) * [0.1, 1]
    found = regression_weights(features, targets, weights, np.zeros(2), ["a", "b"], ["y", "z"], "")
    assert found.names == ("a: y", "a: z", "b: y", "b: z")
    np.testing.assert_allclose(found.values, [1, 2, 3, 4])
    widths = np.diff(found.intervals)[:, 0]
    assert widths[1] > 5 * widths[0]
    assert found.to_json()["weights"][1]["name"] == "a: z"


def _softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def test_two_classes_have_the_interval_of_binary_logistic_regression() -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(200, 2))
    kernel, intercepts = np.array([[-0.4, 0.6], [0.1, 0.1]]), np.array([0.2, 0.0])
    shares = _softmax(features @ kernel + intercepts)
    found = classification_weights(features, shares, kernel, intercepts, ["a", "b"], ["no", "yes"])
    design = np.concatenate([features, np.ones((200, 1))], axis=1)
    positive = shares[:, 1]
    covariance = np.linalg.inv(design.T @ (design * (positive * (1 - positive))[:, None]))
    reach = stats.norm.ppf(0.975) * np.sqrt(np.diag(covariance))[:2]
    np.testing.assert_allclose(found.values, [1.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(np.diff(found.intervals)[:, 0], 2 * reach, rtol=1e-6)
    assert found.unit == "log-odds of yes"


def test_several_classes_against_the_numerical_curvature() -> None:
    rng = np.random.default_rng(4)
    features = rng.normal(size=(80, 2))
    kernel, intercepts = rng.normal(size=(2, 3)), rng.normal(size=3)
    shares = _softmax(features @ kernel + intercepts)
    found = classification_weights(features, shares, kernel, intercepts, ["a", "b"], ["r", "s", "t"])
    centred = kernel - kernel.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found.values, centred.reshape(-1), atol=1e-9)

    # Free parameters: two classes against the third; their covariance carried over to centred weights.
    def loss(free: np.ndarray) -> float:
        table = np.concatenate([free.reshape(2, 3), np.zeros((1, 3))])
        logits = features @ table[:, :2].T + table[:, 2]
        return float(-(shares * np.log(_softmax(logits))).sum())

    whole = np.concatenate([kernel, intercepts[None]]).T
    start, step = (whole[:2] - whole[2]).reshape(-1), 1e-4
    hessian = np.empty((6, 6))
    for i, one in enumerate(np.eye(6) * step):
        for j, other in enumerate(np.eye(6) * step):
            hessian[i, j] = (
                loss(start + one + other) - loss(start + one - other)
                - loss(start - one + other) + loss(start - one - other)
            ) / (4 * step**2)  # fmt: skip
    spread = np.kron(np.array([[2, -1], [-1, 2], [-1, -1]]) / 3, np.eye(3))
    errors = np.sqrt(np.diag(spread @ np.linalg.inv(hessian) @ spread.T)).reshape(3, 3)[:, :2]
    reach = stats.norm.ppf(0.975) * errors.T.reshape(-1)
    np.testing.assert_allclose(np.diff(found.intervals)[:, 0] / 2, reach, rtol=1e-3)

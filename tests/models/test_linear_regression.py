from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.linear_regression import coefficients, linear_regression


def least_squares(x, y):
    """Slopes (features, targets) and intercepts (targets,) in closed form."""
    solution, *_ = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)
    return solution[:-1], solution[-1]


def spec_of(table, x, y):
    return table(tuple(x.mean(0).tolist()), tuple(x.var(0).tolist()), targets=tuple(y.mean(0).tolist()))


def test_plain_sgd_comes_within_one_percent_of_least_squares(table):
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (200, 1)).astype("float32")
    y = (3 * x + 2 + rng.uniform(0, 1, (200, 1))).astype("float32")
    train, test = slice(0, 80), slice(80, None)
    model = linear_regression(spec_of(table, x[train], y[train]))
    model.compile(keras.optimizers.SGD(0.01), "mse")
    # 100 epochs in one, which costs a tenth of the time.
    model.fit(np.tile(x[train], (100, 1)), np.tile(y[train], (100, 1)), batch_size=16, verbose=0)

    slopes, intercepts = least_squares(x[train], y[train])
    closed_form = np.mean((x[test] @ slopes + intercepts - y[test]) ** 2)
    assert model.evaluate(x[test], y[test], verbose=0) < 1.01 * closed_form
    ours, ours_0 = coefficients(model)
    assert ours[0, 0] == pytest.approx(slopes[0, 0], rel=0.02)
    assert ours_0[0] == pytest.approx(intercepts[0], rel=0.02)


def test_columns_of_very_different_size_converge(table):
    rng = np.random.default_rng(0)
    x = (rng.normal(0, 1, (400, 3)) * (1, 1000, 0.01) + (5, 2000, 0)).astype("float32")
    y = (x @ np.array([[2, 1], [0.01, 0], [300, -50]]) + (7, -1)).astype("float32")
    model = linear_regression(spec_of(table, x, y))
    model.compile(keras.optimizers.SGD(0.05), "mse")
    model.fit(np.tile(x, (40, 1)), np.tile(y, (40, 1)), batch_size=40, verbose=0)
    weights, intercepts = coefficients(model)
    np.testing.assert_allclose(weights, [[2, 1], [0.01, 0], [300, -50]], rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(intercepts, (7, -1), atol=0.5)


@pytest.mark.parametrize("standardize", [True, False])
def test_coefficients_are_in_raw_units(table, standardize):
    rng = np.random.default_rng(0)
    data = table((5.0, 2000.0, 0.1), (4.0, 1e4, 0.0), targets=(1.0, 2.0))
    model = linear_regression(data, standardize=standardize)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    weights, intercepts = coefficients(model)
    assert weights.shape == (3, 2) and intercepts.shape == (2,)
    x = (rng.normal(0, 1, (10, 3)) * (2, 100, 1) + (5, 2000, 0)).astype("float32")
    np.testing.assert_allclose(model(x), x @ weights + intercepts, rtol=1e-4, atol=1e-4)


def test_pixels_of_images_are_features_on_request(images, table):
    data = replace(images(2, 3, 1), task="regression", target=table((0,), (1,), targets=(4.0,)).target)
    with pytest.raises(ModelError, match=r"model\.flatten: true"):
        linear_regression(data)
    model = linear_regression(data, flatten=True)
    x = np.arange(0, 120, 10, "uint8").reshape(2, 2, 3, 1)
    weights, intercepts = coefficients(model)
    np.testing.assert_allclose(model(x), x.reshape(2, 6) @ weights + intercepts, rtol=1e-5)


def test_classes_are_refused(table):
    with pytest.raises(ModelError, match=r"`linear_regression` is for regression.*use `logistic_regression`"):
        linear_regression(table((0,), (1,), classes=3))


def test_penalties_enter_the_loss(table):
    model = linear_regression(table((0, 0), (1, 1), targets=(0.0,)), l1=0.5, l2=0.25)
    model.get_layer("outputs").kernel.assign([[1.0], [-2.0]])
    assert float(sum(model.losses)) == pytest.approx(0.5 * 3 + 0.25 * 5)


@pytest.mark.usefixtures("bfloat16")
def test_everything_stays_float32(table):
    model = linear_regression(table((0,), (1,), targets=(0.0,)))
    assert {layer.compute_dtype for layer in model.layers[1:]} == {"float32"}

from __future__ import annotations

import keras
import numpy as np
import pytest

from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.logistic_regression import logistic_regression


def test_learns_what_scikit_learn_learns(table):
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    x, y = load_iris(return_X_y=True)
    x = x.astype("float32")
    keras.utils.set_random_seed(0)
    model = logistic_regression(table(tuple(x.mean(0).tolist()), tuple(x.var(0).tolist()), classes=3))
    model.compile(keras.optimizers.Adam(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(np.tile(x, (60, 1)), np.tile(y, 60), batch_size=50, verbose=0)
    ours = np.argmax(model.predict(x, verbose=0), -1)
    theirs = LogisticRegression(max_iter=1000).fit(x, y).predict(x)
    assert np.mean(ours == theirs) > 0.96


def test_one_logit_a_class(images):
    model = logistic_regression(images(28, 28, 1), flatten=True)
    assert model.layers[-1].name == "logits"
    assert model.output_shape == (None, 10)
    assert model.count_params() == 784 * 10 + 10


def test_regression_targets_are_refused(table):
    with pytest.raises(ModelError, match=r"`columns` is for regression; use `linear_regression`"):
        logistic_regression(table((0,), (1,), targets=(1.0,)))


def test_images_need_flatten(images):
    with pytest.raises(ModelError, match=r"model\.flatten: true"):
        logistic_regression(images(8, 8, 1))

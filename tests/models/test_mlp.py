from __future__ import annotations

import keras
import numpy as np
import pytest

from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.mlp import mlp


@pytest.fixture
def ten_inputs(table):
    return table((0.0,) * 10, (1.0,) * 10, classes=5)


def test_textbook_classifier(ten_inputs):
    model = mlp(ten_inputs, hidden=[20])
    assert model.count_params() == 10 * 20 + 20 + 20 * 5 + 5
    assert model.output_shape == (None, 5)
    assert model.layers[-1].name == "logits"


def test_textbook_regression(table):
    model = mlp(table((0.0,) * 10, (1.0,) * 10, targets=(0.0, 0.0, 0.0)), hidden=[20], activation="sigmoid")
    assert model.output_shape == (None, 3)
    assert model.layers[-1].name == "outputs"


def test_depth_dropout_and_batch_norm(ten_inputs):
    model = mlp(ten_inputs, hidden=[8, 7, 6], dropout=0.5, batch_norm=True, activation="tanh")
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds[2:-1] == ["Dense", "BatchNormalization", "Activation", "Dropout"] * 3
    # The batch normalization has the bias.
    assert len(model.trainable_weights) == 3 * (1 + 2) + 2


def test_no_hidden_layer_is_allowed(ten_inputs):
    assert mlp(ten_inputs, hidden=[]).count_params() == 55


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "HeNormal"),
        ({"activation": "sigmoid"}, "GlorotUniform"),
        ({"initializer": "orthogonal"}, "Orthogonal"),
    ],
)
def test_initializer(ten_inputs, parameters, expected):
    assert type(mlp(ten_inputs, **parameters).layers[2].kernel_initializer).__name__ == expected


def test_hidden_layers_of_one_shape_start_differently(ten_inputs):
    _, first, second, *_ = (layer for layer in mlp(ten_inputs, hidden=[9, 9, 9]).layers if layer.weights)
    assert not np.allclose(first.kernel[:9], second.kernel)


def test_penalties_enter_the_loss(ten_inputs):
    model = mlp(ten_inputs, l1=0.5, l2=0.25)
    kernels = [w.numpy() for w in model.trainable_weights if w.name == "kernel"]
    assert float(sum(model.losses)) == pytest.approx(
        sum(0.5 * np.abs(k).sum() + 0.25 * (k**2).sum() for k in kernels), rel=1e-5
    )


def test_images_need_flatten(images):
    with pytest.raises(ModelError, match=r"model\.flatten: true"):
        mlp(images(8, 8, 1))
    assert mlp(images(8, 8, 3), flatten=True, hidden=[4]).count_params() == 192 * 4 + 4 + 4 * 10 + 10


@pytest.mark.usefixtures("bfloat16")
def test_hidden_layers_follow_the_precision_and_the_output_is_float32(ten_inputs):
    model = mlp(ten_inputs)
    assert model.layers[2].compute_dtype == "bfloat16"
    assert keras.backend.standardize_dtype(model.output.dtype) == "float32"


def test_learns_exclusive_or(table):
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
    y = np.array([0, 1, 1, 0])
    keras.utils.set_random_seed(0)
    model = mlp(table((0.5, 0.5), (0.25, 0.25), classes=2), hidden=[16])
    model.compile(keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(np.tile(x, (100, 1)), np.tile(y, 100), batch_size=4, verbose=0)
    np.testing.assert_array_equal(np.argmax(model(x), -1), y)

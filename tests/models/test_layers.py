from __future__ import annotations

import subprocess
import sys
from typing import get_args

import keras
import numpy as np
import pytest

from bigmodel_cli.errors import ModelError
from bigmodel_cli.models import layers


def test_activations_are_those_of_the_installed_keras():
    from keras.src.activations import ALL_OBJECTS_DICT

    assert set(get_args(layers.Activation)) == set(ALL_OBJECTS_DICT) - {"glu", "threshold"}


@pytest.mark.parametrize("activation", get_args(layers.Activation))
def test_activations_keep_the_width(activation):
    assert keras.activations.get(activation)(np.ones((2, 6), "float32")).shape == (2, 6)


def test_initializers_exist():
    for name in set(get_args(layers.Initializer)) - {"auto"}:
        assert isinstance(keras.initializers.get(name), keras.initializers.Initializer)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [("relu", "he_normal"), ("selu", "lecun_normal"), ("tanh", "glorot_uniform")],
)
def test_auto_initializer_goes_by_the_activation(activation, expected):
    assert layers.initializer_for(activation) == expected


def test_initializer_that_was_asked_for_is_taken():
    assert layers.initializer_for("relu", "orthogonal") == "orthogonal"


@pytest.mark.usefixtures("bfloat16")
def test_images_are_scaled_in_float32(images):
    inputs = layers.raw_input(images(1, 256, 1))
    model = keras.Model(inputs, layers.scaled_image(inputs, -1, 1))
    pixels = np.arange(256, dtype="uint8").reshape(1, 1, 256, 1)
    np.testing.assert_allclose(np.asarray(model(pixels)).ravel(), np.linspace(-1, 1, 256), rtol=0, atol=1e-6)


def test_features_are_standardized(table):
    rng = np.random.default_rng(0)
    x = rng.normal((5, -300), (0.01, 40), (1000, 2)).astype("float32")
    data = table(tuple(x.mean(0).tolist()), tuple(x.var(0).tolist()), classes=2)
    inputs = layers.raw_input(data)
    y = np.asarray(keras.Model(inputs, layers.standardized(inputs, data))(x))
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(y.std(0), 1, atol=1e-3)


@pytest.mark.parametrize("variance", [0.0, 1e-18])
def test_constant_features_are_only_shifted(table, variance):
    data = table((0.1, 0.0), (variance, 0.0), classes=2)
    inputs = layers.raw_input(data)
    y = np.asarray(keras.Model(inputs, layers.standardized(inputs, data))(np.array([[0.1, 0], [3.1, 2]])))
    np.testing.assert_allclose(y, [[0, 0], [3, 2]], atol=1e-6)


@pytest.mark.usefixtures("bfloat16")
def test_raw_table_values_are_never_rounded_to_bfloat16(table):
    data = table((2001.5,), (1.25,), classes=2)
    inputs = layers.raw_input(data)
    years = np.array([[2000], [2001], [2002], [2003]], "float32")
    y = np.asarray(keras.Model(inputs, layers.standardized(inputs, data))(years))
    np.testing.assert_allclose(y.ravel(), (years.ravel() - 2001.5) / np.sqrt(1.25), rtol=1e-5)


def test_images_into_a_vector_model_need_flatten(images):
    with pytest.raises(ModelError, match=r"`mlp`.*`pictures` gives 28x28x1 images.*`model.flatten: true`"):
        layers.features(images(28, 28, 1), "mlp", flatten=False)
    _, x = layers.features(images(28, 28, 1), "mlp", flatten=True)
    assert x.shape == (None, 784)


def test_wrong_kind_names_model_dataset_and_remedy(images, table):
    with pytest.raises(
        ModelError, match=r"`cnn` takes images.*`columns` gives 2 tabular features; use `mlp`"
    ):
        layers.require_kind(table((0, 0), (1, 1), classes=2), "cnn", "image")
    layers.require_kind(images(8, 8, 1), "cnn", "image")


def test_regression_starts_at_the_mean_of_the_targets(table):
    data = table((0,), (1,), targets=(150.0, -2.0))
    inputs, x = layers.features(data, "mlp", flatten=False)
    model = keras.Model(inputs, layers.output_head(x, data))
    np.testing.assert_allclose(np.asarray(model(np.zeros((1, 1), "float32"))), [[150, -2]])


def test_regularizer_is_the_penalty_it_says():
    assert layers.regularizer(0.0, 0.0) is None
    penalty = layers.regularizer(0.1, 0.01)(keras.ops.convert_to_tensor([1.0, -2.0]))
    assert float(penalty) == pytest.approx(0.1 * 3 + 0.01 * 5)


def normalizing_model(shape: tuple[int, ...]) -> tuple[keras.Model, keras.Model]:
    """Batch normalization as the models use it, and the same layer of plain Keras."""
    inputs = keras.Input(shape)
    ours = keras.Model(inputs, layers.batch_normalization(inputs))
    config = ours.layers[-1].get_config()
    inputs = keras.Input(shape)
    plain = keras.Model(inputs, keras.layers.BatchNormalization.from_config(config)(inputs))
    rng = np.random.default_rng(1)
    weights = [rng.uniform(0.5, 2, w.shape) for w in ours.get_weights()]
    ours.set_weights(weights)
    plain.set_weights(weights)
    return ours, plain


@pytest.mark.parametrize("shape", [(4, 5, 3), (3,)])
def test_fused_batch_normalization_is_that_of_keras(shape):
    import tensorflow as tf

    ours, plain = normalizing_model(shape)
    x = tf.constant(np.random.default_rng(2).normal(3, 2, (6, *shape)), "float32")
    factor = tf.constant(np.random.default_rng(3).normal(0, 1, (6, *shape)), "float32")
    np.testing.assert_allclose(ours(x), plain(x), atol=1e-5)

    results = []
    for model in (ours, plain):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x, training=True)
            loss = tf.reduce_sum(y * factor)
        gradients = tape.gradient(loss, [x, *(v.value for v in model.trainable_variables)])
        results.append([y, *gradients, *model.get_weights()])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_frozen_batch_normalization_keeps_its_statistics():
    ours, plain = normalizing_model((4, 5, 3))
    ours.trainable = False
    before = ours.get_weights()
    x = np.random.default_rng(2).normal(3, 2, (6, 4, 5, 3)).astype("float32")
    np.testing.assert_allclose(ours(x, training=True), plain(x, training=False), atol=1e-5)
    for one, other in zip(before, ours.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("bfloat16")
def test_batch_normalization_gives_bfloat16_and_keeps_float32_statistics():
    ours, _ = normalizing_model((4, 5, 3))
    y = ours(np.ones((2, 4, 5, 3), "float32"), training=True)
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    assert {w.dtype.name for w in ours.get_weights()} == {"float32"}


TWO_REPLICAS = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np, tensorflow as tf
from bigmodel_cli.models.layers import batch_normalization
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    inputs = keras.Input((2, 2, 1))
    model = keras.Model(inputs, batch_normalization(inputs))
halves = iter([np.zeros((1, 2, 2, 1), "float32"), np.ones((1, 2, 2, 1), "float32")])
x = strategy.experimental_distribute_values_from_function(lambda context: tf.constant(next(halves)))
@tf.function
def step(x):
    return strategy.run(lambda x: model(x, training=True), (x,))
outputs = [y.numpy() for y in step(x).values]
print([round(float(y.mean()), 2) for y in outputs])
"""


def test_batch_normalization_covers_the_batch_of_all_replicas():
    done = subprocess.run([sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True, check=False)
    # Each replica on its own would give 0.
    assert done.stdout.strip().splitlines()[-1:] == ["[-1.0, 1.0]"], done.stderr

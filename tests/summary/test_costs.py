"""Memory and time of a step as they follow from a model's graph."""

from __future__ import annotations

import math

import keras
import pytest
from keras import layers

from bigmodel_cli.devices import choose
from bigmodel_cli.flops import count_flops
from bigmodel_cli.stand_in import stand_in
from bigmodel_cli.summary import activations, cost
from bigmodel_cli.summary.calibration import Throughput, calibrate

SLOW = Throughput(1e9, {16: 1e9, 64: 3e9}, 1e8, 1e9, 1e-6, 0.0)


def through(*steps: keras.Layer) -> keras.Model:
    inputs = x = keras.Input((4, 4, 2))
    for step in steps:
        x = step(x)
    return keras.Model(inputs, x)


def test_what_the_backward_pass_keeps() -> None:
    size = 4 * 4 * 4 * 2
    # The input of a convolution; of the rectifier in it, what it gives.
    assert activations.kept(through(layers.Conv2D(2, 1))) == size
    assert activations.kept(through(layers.Conv2D(2, 1, activation="relu"))) == 2 * size
    assert activations.kept(through(layers.Conv2D(2, 1), layers.ReLU())) == 2 * size
    assert activations.kept(through(layers.Flatten())) == 0
    # Of dropout the mask, a byte a number.
    assert activations.kept(through(layers.Dropout(0.5))) == size // 4


def test_a_tensor_that_two_need_counts_once() -> None:
    inputs = keras.Input((10,))
    both = layers.Concatenate()([layers.Dense(3)(inputs), layers.Dense(3)(inputs)])
    assert activations.kept(keras.Model(inputs, both)) == 4 * 10


def test_nested_models_count() -> None:
    inner = through(layers.Conv2D(2, 1, activation="relu"))
    inputs = keras.Input((4, 4, 2))
    assert activations.kept(keras.Model(inputs, inner(inputs))) == activations.kept(inner)
    assert activations.live(keras.Model(inputs, inner(inputs))) >= activations.live(inner)


def test_what_is_live_in_a_forward_pass() -> None:
    size = 4 * 4 * 4 * 2
    # Only the input and the output of one layer at a time, however deep the model is.
    assert activations.live(through(*[layers.Conv2D(2, 1) for _ in range(5)])) == 2 * size
    # A shortcut keeps its tensor alive.
    inputs = keras.Input((4, 4, 2))
    x = layers.ReLU()(layers.ReLU()(inputs))
    assert activations.live(keras.Model(inputs, layers.Add()([x, inputs]))) == 3 * size


def test_attention_keeps_the_weights_of_all_pairs() -> None:
    def kept(length: int) -> int:
        inputs = keras.Input((length, 8))
        return activations.kept(keras.Model(inputs, layers.MultiHeadAttention(2, 4)(inputs, inputs)))

    vectors = 4 * (8 + 4 * 8)
    assert kept(6) == 6 * vectors + 4 * 2 * 6 * 6
    assert kept(60) == 60 * vectors + 4 * 2 * 60 * 60


@pytest.mark.parametrize(
    ("name", "slots"), [("sgd", 0), ("rmsprop", 1), ("adam", 2), ("lion", 1)]
)  # fmt: skip
def test_memory_by_what_it_is_for(name: str, slots: int) -> None:
    model = keras.Sequential([keras.Input((10,)), layers.Dense(20), layers.Dense(5)])
    optimizer = keras.optimizers.get(name)
    optimizer.build(model.trainable_variables)
    found = cost.memory(model, optimizer, stand_in((10,), 5), 8, choose("cpu"))
    weights = 10 * 20 + 20 + 20 * 5 + 5
    assert (found.weights, found.gradients) == (4 * weights, 4 * weights)
    # And the number of steps and the learning rate.
    assert 4 * slots * weights < found.optimizer <= 4 * slots * weights + 32
    assert found.batch == 8 * 4 * (10 + 1)
    parts = (found.weights, found.gradients, found.optimizer, found.activations, found.batch, found.engine)
    assert found.total == sum(parts)


def test_frozen_weights_have_no_gradients() -> None:
    model = keras.Sequential([keras.Input((10,)), layers.Dense(20), layers.Dense(5)])
    model.layers[0].trainable = False
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    found = cost.memory(model, optimizer, stand_in((10,), 5), 8, choose("cpu"))
    assert found.gradients == 4 * (20 * 5 + 5)
    assert found.weights == 4 * (10 * 20 + 20 + 20 * 5 + 5)


def test_the_time_of_a_step_is_that_of_its_products_and_grows_with_the_batch() -> None:
    model = keras.Sequential([keras.Input((1000,)), layers.Dense(1000, use_bias=False)])
    optimizer = keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)
    small, large = (cost.step_seconds(model, optimizer, count_flops(model), n, SLOW) for n in (100, 200))
    # 2 million operations of an example forward and twice as many back, at a thousand million in a second.
    assert large - small == pytest.approx(100 * 3 * 2e6 / 1e9, rel=0.02)


def test_what_a_model_has_is_measured() -> None:
    dense = keras.Sequential([keras.Input((10,)), layers.Dense(20)])
    both = through(layers.Conv2D(2, 1), layers.DepthwiseConv2D(1))
    assert cost.kernels(dense) == {"product"}
    assert cost.kernels(both) == {"convolution", "depthwise"}
    found = calibrate(choose("cpu"), "float32", cost.kernels(dense))
    assert (found.products > 0, found.convolutions, math.isnan(found.depthwise)) == (True, {}, True)
    found = calibrate(choose("cpu"), "float32", cost.kernels(both))
    assert min(found.products, found.depthwise, *found.convolutions.values()) > 0


def test_rates_of_convolutions_lie_between_the_measured_ones() -> None:
    measured = {16: 1.0, 64: 3.0}
    assert [cost.interpolated(measured, n) for n in (1, 16, 32, 64, 500)] == pytest.approx([1, 1, 2, 3, 3])

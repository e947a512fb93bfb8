"""Evaluation weights are in the model for evaluation, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bigmodel_cli.config.schema import Config

TEXT = "name: c\ndataset: iris\nmodel: mlp\n"


@pytest.fixture
def compiled(config: Callable[..., Config]) -> Callable[..., Any]:
    """`compiled("{name: sgd, ema: 0.5}")`: a small model with that optimizer."""

    def make(optimizer: str, *, wrapped: bool = False) -> Any:
        import keras

        from bigmodel_cli.training.optimizer import build_optimizer

        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        built = build_optimizer(config(TEXT, f"optimizer={optimizer}"), model, 4)
        if wrapped:
            built = keras.optimizers.LossScaleOptimizer(built, initial_scale=4.0)
        model.compile(built, "mse", run_eagerly=True)
        built.build(model.trainable_variables)
        return model

    return make


def data() -> tuple[Any, Any]:
    import numpy as np

    generator = np.random.default_rng(0)
    return generator.normal(size=(16, 4)).astype("float32"), generator.normal(size=(16, 2)).astype("float32")


def history_of(model: Any) -> list[list[Any]]:
    """Train an epoch of 4 steps; the weights after each of them."""
    import keras

    seen: list[list[Any]] = []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(model.get_weights())
    )
    model.fit(*data(), batch_size=4, shuffle=False, verbose=0, callbacks=[watch])
    return seen


def same(found: Any, expected: Any) -> bool:
    import numpy as np

    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("wrapped", [False, True])
def test_averages_are_those_of_the_weights(compiled: Callable[..., Any], wrapped: bool) -> None:
    """The first step's weights begin the average; each later step counts 1 - momentum."""
    import numpy as np

    from bigmodel_cli.training.averaging import evaluation_weights

    model = compiled("{name: sgd, learning_rate: 0.1, ema: 0.75}", wrapped=wrapped)
    seen = history_of(model)
    expected = seen[0]
    for weights in seen[1:]:
        expected = [0.75 * average + 0.25 * value for average, value in zip(expected, weights, strict=True)]
    with evaluation_weights(model):
        inside = model.get_weights()
    for found, value in zip(inside, expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-5)
    assert same(model.get_weights(), seen[-1])


def test_averages_under_gradient_accumulation_move_at_every_batch(compiled: Callable[..., Any]) -> None:
    """As Keras has it: batches without an update count, too, except before the first update."""
    import numpy as np

    from bigmodel_cli.training.averaging import evaluation_weights

    model = compiled("{name: sgd, learning_rate: 0.1, ema: 0.75, gradient_accumulation_steps: 2}")
    seen = history_of(model)
    assert same(seen[1], seen[2])
    expected = seen[1]
    for weights in seen[2:]:
        expected = [0.75 * average + 0.25 * value for average, value in zip(expected, weights, strict=True)]
    with evaluation_weights(model):
        inside = model.get_weights()
    for found, value in zip(inside, expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-5)


def test_schedule_free_evaluates_the_average_of_its_iterates(compiled: Callable[..., Any]) -> None:
    """z and x computed anew as in Defazio et al. 2024, algorithm 1, with the mean of z_1 to z_t as x_t; the
    decay, of the kernel alone, is a part of the step of z."""
    import numpy as np

    from bigmodel_cli.training.averaging import evaluation_weights

    model = compiled(
        "{name: schedulefreeadamw, learning_rate: 0.1, beta_1: 0.8, beta_2: 0.9, weight_decay: 0.05, "
        "weight_decay_exclude: '*bias'}"
    )
    inputs, targets = data()
    y = z = x = model.get_weights()[0].astype("float64")
    bias_y = bias_z = bias_x = model.get_weights()[1].astype("float64")
    v, bias_v = np.zeros_like(y), np.zeros_like(bias_y)
    for step in range(1, 5):
        part = slice(4 * step - 4, 4 * step)
        error = 2 * (inputs[part] @ y + bias_y - targets[part]) / targets[part].size
        gradient, bias_gradient = inputs[part].T @ error, error.sum(axis=0)
        v = 0.9 * v + 0.1 * gradient**2
        bias_v = 0.9 * bias_v + 0.1 * bias_gradient**2
        z = z - 0.1 * (gradient / (np.sqrt(v / (1 - 0.9**step)) + 1e-8) + 0.05 * y)
        bias_z = bias_z - 0.1 * bias_gradient / (np.sqrt(bias_v / (1 - 0.9**step)) + 1e-8)
        x, bias_x = x + (z - x) / step, bias_x + (bias_z - bias_x) / step
        y, bias_y = 0.2 * z + 0.8 * x, 0.2 * bias_z + 0.8 * bias_x
    seen = history_of(model)
    np.testing.assert_allclose(seen[-1][0], y, rtol=1e-4, atol=1e-6)
    with evaluation_weights(model):
        np.testing.assert_allclose(model.get_weights()[0], x, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(model.get_weights()[1], bias_x, rtol=1e-4, atol=1e-6)
    assert same(model.get_weights(), seen[-1])


@pytest.mark.parametrize("optimizer", ["{name: adam, ema: 0.9}", "schedulefreeadamw"])
def test_validation_takes_them_and_training_goes_on_as_without(
    compiled: Callable[..., Any], optimizer: str
) -> None:
    from bigmodel_cli.training.averaging import EvaluationWeights, evaluation_weights

    model, plain = compiled(optimizer), compiled(optimizer)
    fit = {"batch_size": 4, "shuffle": False, "verbose": 0, "epochs": 2, "validation_data": data()}
    history = model.fit(*data(), callbacks=[EvaluationWeights()], **fit).history
    without = plain.fit(*data(), **fit).history
    assert same(model.get_weights(), plain.get_weights())
    assert same(
        [v.numpy() for v in model.optimizer.variables], [v.numpy() for v in plain.optimizer.variables]
    )
    assert history["loss"] == without["loss"]
    with evaluation_weights(plain):
        assert plain.evaluate(*data(), verbose=0, batch_size=4) == history["val_loss"][-1]
    assert history["val_loss"][-1] != without["val_loss"][-1]


@pytest.mark.parametrize("optimizer", ["adam", "{name: sgd, ema: 0.9}", "schedulefreeadamw"])
def test_nothing_is_put_in_where_there_is_nothing(compiled: Callable[..., Any], optimizer: str) -> None:
    """Without averages, and before the first step, when Keras' are zeros."""
    from bigmodel_cli.training.averaging import evaluation_weights

    model = compiled(optimizer)
    if optimizer == "adam":
        history_of(model)
    before = model.get_weights()
    with evaluation_weights(model):
        assert same(model.get_weights(), before)


def test_training_weights_come_back_after_a_validation_that_broke_off(compiled: Callable[..., Any]) -> None:
    from bigmodel_cli.training.averaging import EvaluationWeights, evaluation_weights

    model = compiled("{name: sgd, ema: 0.9}")
    after = history_of(model)[-1]
    with pytest.raises(RuntimeError), evaluation_weights(model):
        raise RuntimeError
    assert same(model.get_weights(), after)
    callback = EvaluationWeights()
    callback.set_model(model)
    callback.on_test_begin()
    assert not same(model.get_weights(), after)
    callback.on_test_begin()
    callback.on_test_end()
    assert same(model.get_weights(), after)

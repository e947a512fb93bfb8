"""Each part against plain Keras optimizers."""

from __future__ import annotations

from typing import Any

import pytest

from bigmodel_cli import components

STEPS = 4


def gradients(step: int, which: int) -> Any:
    import numpy as np

    return np.random.default_rng([step, which]).normal(size=(4, 3)).astype("float32")


def updated(optimizer: Any, variables: list[Any], numbers: list[int]) -> list[Any]:
    """The variables' values after some steps with the gradients of these numbers."""
    import keras

    optimizer.build(variables)
    for step in range(STEPS):
        found = [keras.ops.convert_to_tensor(gradients(step, number)) for number in numbers]
        optimizer.apply(found, variables)
    return [variable.numpy() for variable in variables]


def variables() -> list[Any]:
    import keras

    return [keras.Variable(gradients(9, number), name=f"v{number}") for number in (0, 1)]


@pytest.mark.parametrize("scheduled", [False, True])
@pytest.mark.parametrize("name", components.names("optimizers"))
def test_a_factor_is_another_rate(name: str, scheduled: bool) -> None:
    """Weight decay, which is a share of the rate, included; 0.5 of all, and 0.1 of the second beside it."""
    import keras
    import numpy as np

    from bigmodel_cli.training.optimizer_parts import RateFactors

    keras_class = getattr(keras.optimizers, str(components.find("optimizers", name).keras_class))

    def rate(factor: float) -> Any:
        values = [0.1 * factor, 0.05 * factor]
        return keras.optimizers.schedules.PiecewiseConstantDecay([1], values) if scheduled else 0.1 * factor

    first, second = variables()
    attributes = {"rate_factor": 0.5, "layer_factors": {id(second): 0.1}}
    optimizer = type("Own", (RateFactors, keras_class), attributes)(learning_rate=rate(1), weight_decay=0.1)
    found = updated(optimizer, [first, second], [0, 1])
    expected = []
    for number, factor in ((0, 0.5), (1, 0.05)):
        plain = keras_class(learning_rate=rate(factor), weight_decay=0.1)
        expected += updated(plain, [variables()[number]], [number])
        assert not np.array_equal(expected[-1], gradients(9, number))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5, atol=1e-6)


def test_the_whole_gradient_is_clipped_over_all_rates() -> None:
    """Keras' MultiOptimizer would clip each group of layers by a norm of its own."""
    import keras
    import numpy as np

    from bigmodel_cli.training.optimizer_parts import RateFactors

    first, second = variables()
    before = [first.numpy(), second.numpy()]
    own = type("Own", (RateFactors, keras.optimizers.SGD), {"layer_factors": {id(second): 0.1}})
    optimizer = own(learning_rate=1.0, global_clipnorm=0.5)
    optimizer.build([first, second])
    found = [gradients(0, 0), gradients(0, 1)]
    optimizer.apply([keras.ops.convert_to_tensor(item) for item in found], [first, second])
    scale = 0.5 / np.sqrt(sum((item**2).sum() for item in found))
    np.testing.assert_allclose(first.numpy(), before[0] - scale * found[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(second.numpy(), before[1] - 0.1 * scale * found[1], rtol=1e-5, atol=1e-6)


def test_the_rate_can_be_set_and_is_kept_without_its_factor() -> None:
    import keras

    from bigmodel_cli.training.optimizer import current_learning_rate
    from bigmodel_cli.training.optimizer_parts import RateFactors

    own = type("Own", (RateFactors, keras.optimizers.SGD), {"rate_factor": 0.1})
    optimizer = own(learning_rate=0.5)
    optimizer.build(variables())
    assert current_learning_rate(optimizer) == pytest.approx(0.05)
    assert len(optimizer.variables) == len(keras.optimizers.SGD().variables)
    (kept,) = [item for item in optimizer.variables if item.name == "learning_rate"]
    assert float(kept.numpy()) == pytest.approx(0.5)
    # As the callback ReduceLROnPlateau does it.
    optimizer.learning_rate = current_learning_rate(optimizer) * 0.1
    assert current_learning_rate(optimizer) == pytest.approx(0.005)
    assert current_learning_rate(keras.optimizers.LossScaleOptimizer(optimizer)) == pytest.approx(0.005)
    assert float(kept.numpy()) == pytest.approx(0.05)


def test_fit_leaves_the_training_weights() -> None:
    import keras
    import numpy as np

    from bigmodel_cli.training.optimizer_parts import AveragesKeptApart

    def trained(*parts: type, **parameters: Any) -> Any:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        own = type("SGD", (*parts, keras.optimizers.SGD), {})
        model.compile(own(0.01, **parameters), "mse", run_eagerly=True)
        model.fit(np.ones((8, 4)), np.ones((8, 1)), batch_size=4, verbose=0)
        return model.get_weights()[0]

    plain, averaged = trained(), trained(use_ema=True)
    kept = trained(AveragesKeptApart, use_ema=True)
    assert np.array_equal(kept, plain)
    assert not np.array_equal(kept, averaged)

"""The learning rate that `auto` becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import UsageError

IRIS = """\
name: iris
dataset: iris
model: {name: mlp, hidden: [8]}
optimizer: {name: adam, learning_rate: auto}
training: {batch_size: 32}
"""


@pytest.fixture
def search(config: Callable[..., Config]) -> Callable[..., tuple[Any, Any, list[Any]]]:
    """`search("model.dropout=0.5")`: a plan, what its range test finds, and the models that it trained."""

    def run(*overrides: str) -> tuple[Any, Any, list[Any]]:
        from bigmodel_cli import assembly
        from bigmodel_cli.devices import Choice
        from bigmodel_cli.training import compiling, planning
        from bigmodel_cli.training.range_test import find_learning_rate

        asked = config(IRIS, *overrides)
        number = asked.optimizer.model_copy(update={"learning_rate": 0.001})
        plan = planning.prepare(asked.model_copy(update={"optimizer": number}))
        trained = []

        def compiled(changed: Config) -> Any:
            model = assembly.build_model(changed, plan.data.spec)
            choices = {**plan.choices, "steps_per_execution": Choice(1, "a rate for each step")}
            compiling.compile_model(replace(plan, config=changed, model=model, choices=choices))
            trained.append(model)
            return model

        found = find_learning_rate(asked, plan.pipeline, compiled, plan.class_weights)
        return plan, found, trained

    return run


def test_the_rate_is_found_and_nothing_else_is_touched(search: Callable[..., Any]) -> None:
    import keras

    from bigmodel_cli import assembly
    from bigmodel_cli.training.optimizer import current_learning_rate

    plan, found, (model,) = search("model.dropout=0.3")
    assert 1e-3 < found.rate < 0.1
    assert found.rate == pytest.approx(0.1 * found.rates[int(np.argmin(found.smoothed))], rel=0.05)
    assert len(found.rates) == len(found.losses) == len(found.smoothed) <= 100
    assert found.rates[0] == pytest.approx(1e-7)
    # The rates are those at which it trained.
    growth = found.rates[1] / found.rates[0]
    assert current_learning_rate(model.optimizer) == pytest.approx(found.rates[-1] * growth, rel=1e-3)
    assert max(found.losses) < np.inf
    fresh = assembly.build_model(plan.config, plan.data.spec)
    for then, now in zip(fresh.variables, plan.model.variables, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(then), keras.ops.convert_to_numpy(now))
    assert int(plan.pipeline.epoch) == 0 and float(plan.pipeline.waited) == 0
    again = search("model.dropout=0.3")[1]
    assert again == found
    assert found.to_json()["rate"] == found.rate


def test_losses_are_those_of_the_single_steps(search: Callable[..., Any]) -> None:
    weights = "dataset.class_weights={setosa: 0.5, versicolor: 1.0, virginica: 2.0}"
    plan, found, _ = search(weights, "model.l2=0.01")
    expected = []
    penalty = float(sum(plan.model.losses))
    for epoch in (0, 1):
        plan.pipeline.epoch.assign(epoch)
        for inputs, targets in islice(plan.pipeline.batches(), 4):
            classes = targets.numpy()
            of_target = plan.serving.predict(inputs, verbose=0)[np.arange(len(classes)), classes]
            each = -np.log(of_target) * np.take([0.5, 1.0, 2.0], classes)
            expected.append(each.mean() + penalty)
    # The rates of the first steps are far too small to change anything; the fourth batch is smaller.
    assert found.losses[:8] == pytest.approx(expected, rel=1e-3)


def test_updates_count_where_gradients_are_accumulated(search: Callable[..., Any]) -> None:
    _, found, _ = search("optimizer.gradient_accumulation_steps=2")
    assert 100 < len(found.rates) <= 200
    assert found.rates[-1] <= 10.001
    assert 1e-3 < found.rate < 0.1


def test_a_gaussian_does_not_lag_behind() -> None:
    from bigmodel_cli.training.range_test import smoothed

    np.testing.assert_allclose(smoothed(np.full(20, 3.0), 3.0), 3.0)
    valley = np.abs(np.arange(41.0) - 20)
    curve = smoothed(valley, 3.0)
    assert curve.argmin() == 20
    np.testing.assert_allclose(curve, curve[::-1])
    noise = np.random.default_rng(0).normal(size=2000)
    # The mean of n values has 1 / sqrt(n) of their deviation; a Gaussian counts 2 sqrt(pi) width of them.
    assert smoothed(noise, 4.0).std() == pytest.approx((2 * np.pi**0.5 * 4) ** -0.5, rel=0.15)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([], "in 0 steps at the first step already the loss is not finite"),
        ([3.0] * 4, "in 4 steps up to a rate of 1.0e-04 the loss went from 3 to no less than 3"),
        (list(np.linspace(1, 5, 60)), "in 60 steps .* the loss went from 1 to no less than 1; give a number"),
        (list(1 + np.random.default_rng(1).normal(size=100) / 10), "such as 0.001"),
    ],
    ids=["not a number", "short", "rising", "noise"],
)
def test_a_loss_that_never_falls(losses: list[float], message: str) -> None:
    from bigmodel_cli.training.range_test import _chosen

    rates = [1e-7 * 10**step for step in range(len(losses))]
    with pytest.raises(UsageError, match=f"optimizer.learning_rate: `auto` found none: .*{message}"):
        _chosen(rates, losses, 3.0, 0.001)


def test_a_tenth_of_the_rate_of_the_smallest_loss() -> None:
    from bigmodel_cli.training.range_test import _chosen

    rates = list(np.geomspace(1e-6, 10, 100))
    exponents = np.log10(rates)
    losses = list(1 / (1 + np.exp(3 * (exponents + 2.5))) + np.maximum(0, exponents + 1) ** 2 + 0.1)
    found = _chosen(rates, losses, 3.0, 0.01)
    best = rates[int(np.argmin(losses))]
    # What lies beyond the smallest loss is steeper, which moves the smoothed valley a little to the left.
    assert best / 15 < found.rate <= best / 10
    assert found.reason.startswith("range test: a tenth of ")

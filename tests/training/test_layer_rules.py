"""Frozen layers and learning rates of their own: which weights a rule covers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import UsageError

TEXT = "name: c\ndataset: iris\nmodel: mlp\n"


@pytest.fixture
def rules(config: Callable[..., Config]) -> Callable[[str], Config]:
    return lambda text: config(TEXT, f"optimizer.layers=[{text}]")


def network() -> Any:
    """stem, normalization and a block that holds two layers."""
    import keras

    inner = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(4, name="first"), keras.layers.Dense(4, name="second")],
        name="block",
    )
    inputs = keras.Input((4,))
    tensor = keras.layers.Dense(4, name="stem")(inputs)
    tensor = keras.layers.BatchNormalization(name="normalized")(tensor)
    tensor = keras.layers.Activation("relu", name="relu")(inner(tensor))
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(tensor))


def trained(model: Any) -> set[str]:
    return {variable.path.rpartition("/")[0].rpartition("/")[2] for variable in model.trainable_variables}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("{match: stem, frozen: true}", {"normalized", "first", "second", "head"}),
        ("{match: 'st*', frozen: true}", {"normalized", "first", "second", "head"}),
        ("{match: [stem, normalized], frozen: true}", {"first", "second", "head"}),
        ("{match: block, frozen: true}", {"stem", "normalized", "head"}),
        ("{match: second, frozen: true}", {"stem", "normalized", "first", "head"}),
        # The first rule that matches counts, within another layer, too.
        (
            "{match: first, learning_rate_factor: 0.5}, {match: block, frozen: true}",
            {"stem", "normalized", "first", "head"},
        ),
        ("{match: head, learning_rate_factor: 2.0}, {match: '*', frozen: true}", {"head"}),
    ],
)
def test_what_is_frozen(text: str, left: set[str], rules: Callable[[str], Config]) -> None:
    from bigmodel_cli.training.layer_rules import freeze

    model = network()
    # A second call changes nothing: training that is rolled back is compiled again.
    for _ in range(2):
        freeze(rules(text), model)
        assert trained(model) == left


def test_frozen_weights_stay_and_statistics_too(rules: Callable[[str], Config]) -> None:
    import numpy as np

    from bigmodel_cli.training.layer_rules import freeze
    from bigmodel_cli.training.optimizer import build_optimizer

    config = rules("{match: [stem, normalized], frozen: true}")
    model = network()
    freeze(config, model)
    model.compile(build_optimizer(config, model, 1), "mse", run_eagerly=True)
    before = {weight.path: weight.numpy() for weight in model.weights}
    model.fit(np.ones((8, 4)) * np.arange(8)[:, None], np.ones((8, 2)), verbose=0)
    kept = {weight.path for weight in model.weights if np.array_equal(weight.numpy(), before[weight.path])}
    # The second layer's bias has a gradient, and so has everything that is not frozen.
    assert kept == {path for path in before if path.startswith(("stem/", "normalized/"))}
    assert {path.rpartition("/")[2] for path in kept} >= {"moving_mean", "moving_variance", "kernel"}


def test_what_was_not_trained_before_is_not_trained_now(rules: Callable[[str], Config]) -> None:
    from bigmodel_cli.training.layer_rules import freeze

    model = network()
    model.get_layer("head").trainable = False
    freeze(rules("{match: stem, frozen: true}"), model)
    assert trained(model) == {"normalized", "first", "second"}


def test_factors(rules: Callable[[str], Config]) -> None:
    from bigmodel_cli.training.layer_rules import freeze, learning_rate_factors

    config = rules(
        "{match: 's*', learning_rate_factor: 0.1}, {match: head, learning_rate_factor: 1.0}, "
        "{match: block, learning_rate_factor: 0.5}, {match: normalized, frozen: true}"
    )
    model = network()
    freeze(config, model)
    factors = learning_rate_factors(config, model)
    found = {variable.path: factors.get(id(variable)) for variable in model.trainable_variables}
    assert found == {
        "stem/kernel": 0.1, "stem/bias": 0.1,
        "block/first/kernel": 0.5, "block/first/bias": 0.5,
        "block/second/kernel": 0.1, "block/second/bias": 0.1,
        "head/kernel": None, "head/bias": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{match: haed, frozen: true}",
         r"optimizer\.layers\[0\]\.match: no layer of the model is called `haed`; did you mean `head`\?; the "
         "layers with weights are stem, normalized, block"),
        ("{match: [stem, stage1_*], frozen: true}", r"layers\[0\]\.match: no layer .* called `stage1_\*`"),
        ("{match: relu, frozen: true}", r"layers\[0\]\.match: relu has no weights; leave the rule out"),
        ("{match: block, frozen: true}, {match: second, learning_rate_factor: 0.1}",
         r"layers\[1\]\.match: second falls under an earlier rule, and the first one counts"),
        ("{match: '*', frozen: true}", r"optimizer\.layers: nothing is left to train"),
    ],
)  # fmt: skip
def test_rules_without_effect_are_refused(text: str, message: str, rules: Callable[[str], Config]) -> None:
    from bigmodel_cli.training.layer_rules import freeze

    with pytest.raises(UsageError, match=message):
        freeze(rules(text), network())

"""The optimizer section of a config as a Keras optimizer."""

from __future__ import annotations

from typing import Any

import keras

from bigmodel_cli import components
from bigmodel_cli.config.schema import Component, Config
from bigmodel_cli.errors import UsageError


def build_optimizer(config: Config, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """The config's optimizer, its schedule laid over the whole training.

    Args:
        config: complete.
        steps_per_epoch: optimizer steps in an epoch.

    Raises:
        UsageError: Keras refuses the parameters.
    """
    definition = components.find("optimizers", config.optimizer.name)
    rate = config.optimizer.learning_rate
    if isinstance(rate, Component):
        rate = _schedule(rate, config.training.epochs * steps_per_epoch, steps_per_epoch)
    try:
        return getattr(keras.optimizers, str(definition.keras_class))(
            learning_rate=rate, **config.optimizer.parameters
        )
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"optimizer: Keras refuses these parameters of `{config.optimizer.name}`: {error}"
        ) from error


def _schedule(component: Component, total_steps: int, steps_per_epoch: int) -> Any:
    definition = components.find("schedules", component.name)
    try:
        if definition.builder is not None:
            return definition.builder(total_steps, steps_per_epoch, **component.parameters)
        return getattr(keras.optimizers.schedules, str(definition.keras_class))(**component.parameters)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"optimizer.learning_rate: Keras refuses these parameters of `{component.name}`: {error}"
        ) from error


def current_learning_rate(optimizer: keras.optimizers.Optimizer) -> float:
    """The learning rate of the next step."""
    # A LossScaleOptimizer (mixed float16) wraps the one that holds the rate.
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return float(keras.ops.convert_to_numpy(inner.learning_rate))

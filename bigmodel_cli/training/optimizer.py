"""The optimizer section of a config as a Keras optimizer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import keras

from bigmodel_cli import components
from bigmodel_cli.config.rules import CLIPPING
from bigmodel_cli.config.schema import Component, Config
from bigmodel_cli.errors import UsageError
from bigmodel_cli.training.layer_rules import learning_rate_factors
from bigmodel_cli.training.optimizer_parts import (
    AveragesKeptApart,
    RateFactors,
    ScheduleFreeIterates,
    WholeGradientClipping,
)


def build_optimizer(
    config: Config, model: keras.Model, steps_per_epoch: int, *, rate_factor: float = 1.0
) -> keras.optimizers.Optimizer:
    """The config's optimizer, its schedule laid over the whole training.

    Args:
        config: complete; `optimizer.learning_rate` is a number or a schedule.
        model: to be compiled with it; made ready by `layer_rules.freeze`.
        steps_per_epoch: batches in an epoch.
        rate_factor: of the learning rate throughout, smaller than 1 after training was rolled back. It is no
            part of the optimizer's variables: restoring them keeps it.

    Raises:
        UsageError: Keras refuses the parameters, or they name weights that are not there.
    """
    settings = config.optimizer
    keras_class = getattr(keras.optimizers, str(components.find("optimizers", settings.name).keras_class))
    parameters = dict(settings.parameters)
    if settings.ema is not None:
        parameters |= {"use_ema": True, "ema_momentum": settings.ema}
    if settings.loss_scale != "auto":
        parameters |= {"loss_scale_factor": settings.loss_scale}
    _check_accumulation(parameters, model)
    rate = learning_rate(config, steps_per_epoch)
    try:
        optimizer = _with_parts(keras_class, config, model, rate_factor)(learning_rate=rate, **parameters)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"optimizer: Keras refuses these parameters of `{settings.name}`: {error}"
        ) from error
    if settings.weight_decay_exclude:
        matched = _weights(
            model, settings.weight_decay_exclude, "optimizer.weight_decay_exclude", fnmatchcase
        )
        optimizer.exclude_from_weight_decay(var_list=matched)
    if parameters.get("exclude_layers"):
        _weights(
            model,
            parameters["exclude_layers"],
            "optimizer.exclude_layers",
            lambda path, pattern: re.search(pattern, path) is not None,
        )
    return optimizer


def learning_rate(
    config: Config, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The config's learning rate: a number, or a schedule over the whole training.

    Args:
        config: complete.
        steps_per_epoch: batches in an epoch.

    Raises:
        UsageError: the schedule does not take its parameters.
    """
    rate = config.optimizer.learning_rate
    if not isinstance(rate, Component):
        return rate
    definition = components.find("schedules", rate.name)
    try:
        if definition.builder is not None:
            total = config.training.epochs * steps_per_epoch
            return definition.builder(total, steps_per_epoch, **rate.parameters)
        return getattr(keras.optimizers.schedules, str(definition.keras_class))(**rate.parameters)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"optimizer.learning_rate: `{rate.name}` refuses these parameters: {error}"
        ) from error


def current_learning_rate(optimizer: keras.optimizers.Optimizer) -> float:
    """The learning rate of the next step, of the layers without a factor of their own."""
    # A LossScaleOptimizer (mixed float16) wraps the one that holds the rate.
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return float(keras.ops.convert_to_numpy(inner.learning_rate))


def _with_parts(keras_class: type, config: Config, model: keras.Model, rate_factor: float) -> type:
    """Keras' class with what it lacks for this config; as it is where it lacks nothing."""
    factors = learning_rate_factors(config, model)
    parts: list[type] = []
    if factors or rate_factor != 1.0:
        parts.append(RateFactors)
    if issubclass(keras_class, keras.optimizers.ScheduleFreeAdamW):
        parts.append(ScheduleFreeIterates)
    if config.optimizer.ema is not None:
        parts.append(AveragesKeptApart)
    if _devices(model) > 1 and any(config.optimizer.parameters.get(key) is not None for key in CLIPPING):
        parts.append(WholeGradientClipping)
    if not parts:
        return keras_class
    attributes = {"rate_factor": rate_factor, "layer_factors": factors}
    return type(keras_class.__name__, (*parts, keras_class), attributes)


def _devices(model: keras.Model) -> int:
    """Devices that the model's weights are copied to; on JAX the arithmetic is that of one."""
    strategy = getattr(model, "distribute_strategy", None)
    return strategy.num_replicas_in_sync if strategy else 1


def _check_accumulation(parameters: dict[str, Any], model: keras.Model) -> None:
    if parameters.get("gradient_accumulation_steps") and _devices(model) > 1:
        raise UsageError(
            "optimizer.gradient_accumulation_steps: does not work with several devices in this Keras; raise "
            "training.batch_size instead"
        )


def _weights(
    model: keras.Model, patterns: Sequence[str], where: str, match: Callable[[str, str], bool]
) -> list[Any]:
    """The trained weights whose path matches any of the patterns.

    Raises:
        UsageError: a pattern matches none.
    """
    paths = [variable.path for variable in model.trainable_variables]
    for pattern in patterns:
        if not any(match(path, pattern) for path in paths):
            near = components.suggestion(pattern, paths)
            shown = ", ".join(paths[:8]) + (", ..." if len(paths) > 8 else "")
            raise UsageError(
                f"{where}: no trained weight has a path like `{pattern}`{near}; the paths are {shown}"
            )
    return [
        variable
        for variable in model.trainable_variables
        if any(match(variable.path, pattern) for pattern in patterns)
    ]

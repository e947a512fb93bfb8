"""Losses and metrics of several tasks at once."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from bigmodel_cli import components
from bigmodel_cli.config.schema import Config, Loss
from bigmodel_cli.contracts import DataSpec, OneOfSeveral
from bigmodel_cli.errors import UsageError
from bigmodel_cli.training.objective import Objective, build_objective, fits


def whole_objective(config: Config, data: DataSpec, *, mixing: bool = False) -> Objective:
    """The loss and metrics of a config for this data, whether it has one task or several.

    Each of several tasks has its own, as if it were the only one: of `metrics` those that are for it, and
    smoothed targets where they are classes. The loss is the weighted sum (Caruana 1997, section 2).

    Args:
        config: complete.
        data: what is learned.
        mixing: whether augmentations mix targets.

    Raises:
        UsageError: as `build_objective`, or something that is for none of the tasks.
    """
    if not data.target.tasks:
        return build_objective(config, data, mixing=mixing)
    if mixing:
        raise UsageError("dataset.augment: images are mixed for classification only, not for several tasks")
    unfit = [
        item.name
        for item in ([] if config.metrics == "auto" else config.metrics)
        if not any(fits(components.find("metrics", item.name).name, part.task) for part in data.parts)
    ]
    if unfit:
        raise UsageError(f"metrics: `{unfit[0]}` is for none of the tasks of {data.name}; leave it out")
    smoothing = config.loss.label_smoothing
    if smoothing and all(part.task != "classification" for part in data.parts):
        raise UsageError(
            f"loss.label_smoothing: got {smoothing}, but no task of {data.name} has classes to smooth; set "
            "it to 0"
        )
    found = {
        one.key: _objective_of(config, one, part)
        for one, part in zip(data.target.tasks, data.parts, strict=True)
    }

    def encode(targets: Any) -> dict[str, Any]:
        encoded = {}
        for place, (part, objective) in enumerate(zip(data.parts, found.values(), strict=True)):
            own = tf.reshape(tf.cast(targets[:, place], part.target.dtype), (-1, *part.target.shape))
            encoded[data.target.tasks[place].key] = objective.encode(own) if objective.encode else own
        return encoded

    return Objective(
        {key: one.loss for key, one in found.items()},
        ", ".join(f"{key}: {one.loss_name}" for key, one in found.items()),
        {key: list(one.metrics) for key, one in found.items()},
        encode,
        {one.key: one.weight for one in data.target.tasks},
    )


def _objective_of(config: Config, one: OneOfSeveral, part: DataSpec) -> Objective:
    try:
        return build_objective(_alone(config, one), part)
    except UsageError as error:
        # The loss stands in the target's line.
        raise UsageError(str(error).replace("loss:", f"dataset.target.{one.name}.loss:", 1)) from None


def _alone(config: Config, one: OneOfSeveral) -> Config:
    """The config of one of several tasks."""
    smoothing = config.loss.label_smoothing if one.task == "classification" else 0.0
    definition = None if one.loss == "auto" else components.find("losses", one.loss)
    defaults = {} if definition is None else definition.parameters().model_dump()
    metrics = config.metrics
    if metrics != "auto":
        metrics = [item for item in metrics if fits(components.find("metrics", item.name).name, one.task)]
    loss = Loss.model_construct(name=one.loss, label_smoothing=smoothing, **defaults)
    return config.model_copy(update={"loss": loss, "metrics": metrics})

"""From a model to one that `fit` takes: optimizer, loss, metrics, and how its steps are run."""

from __future__ import annotations

from typing import Literal

import keras
import tensorflow as tf

from bigmodel_cli import assembly
from bigmodel_cli.config.schema import Config
from bigmodel_cli.data.sharing import Share
from bigmodel_cli.devices import Devices
from bigmodel_cli.errors import UsageError
from bigmodel_cli.training import remainder
from bigmodel_cli.training.layer_rules import freeze
from bigmodel_cli.training.optimizer import build_optimizer
from bigmodel_cli.training.plan import Plan
from bigmodel_cli.training.several_objectives import whole_objective


def compile_model(plan: Plan, rate_factor: float = 1.0) -> None:
    """Compile a plan's model, and try it on a validation batch.

    Args:
        plan: whose model it is.
        rate_factor: of the learning rate, which a schedule is multiplied by.
    """
    _compile(plan, plan.model, plan.config, plan.choices["steps_per_execution"].value, rate_factor)
    with plan.devices.running():
        _try_out(plan.model, plan.validation)


def compiled_copy(plan: Plan, config: Config) -> keras.Model:
    """A model like the plan's with fresh weights, compiled with one step an execution.

    Args:
        plan: whose model it is like.
        config: the plan's but for the optimizer.
    """
    model = assembly.build_model(
        config, plan.data.spec, plan.choices["precision"].value, plan.devices.scope()
    )
    plan.beginning.prepare(model)
    share_batches(plan, model)
    _compile(plan, model, config, 1, 1.0)
    return model


def share_batches(plan: Plan, model: keras.Model) -> None:
    """Make a model's steps work on batches as `plan.pipeline` shares them between devices."""
    devices, size = plan.devices, plan.pipeline.batch_size
    if devices.backend != "jax" or devices.count == 1:
        return
    share = Share(devices.rank, devices.processes, devices.count)
    remainder.cut_off_filling(
        model,
        devices.strategy,
        training=share.uneven(plan.pipeline.size, size),
        validation=share.uneven(plan.data.splits["validation"].size, size),
    )


def _compile(
    plan: Plan, model: keras.Model, config: Config, steps_per_execution: int, rate_factor: float
) -> None:
    devices = plan.devices
    freeze(config, model)
    with devices.scope():
        # On JAX they are those of the whole batch in any case.
        if devices.count > 1 and devices.backend == "tensorflow":
            for layer in model._flatten_layers():
                if isinstance(layer, keras.layers.BatchNormalization):
                    # Statistics of one device's share of the batch would be silently wrong.
                    layer.synchronized = True
        # Those of the plan's own objective belong to an earlier compilation after the first one.
        objective = whole_objective(config, plan.data.spec, mixing=plan.mixing)
        model.compile(
            optimizer=build_optimizer(config, model, plan.pipeline.steps, rate_factor=rate_factor),
            loss=objective.loss,
            loss_weights=objective.weights,
            metrics=objective.metrics,
            steps_per_execution=steps_per_execution,
            jit_compile=_jit(config, devices),
            # A fixed loss scale is the optimizer's own; Keras would put its dynamic one in its place.
            auto_scale_loss=config.optimizer.loss_scale == "auto",
        )
        # Also for what is frozen now and trained later.
        freeze(config, model, epoch=None)
        model.optimizer.build(model.trainable_variables)
        freeze(config, model)


def _jit(config: Config, devices: Devices) -> Literal["auto"] | bool:
    if devices.count == 1:
        return config.training.jit
    if devices.backend == "jax":
        if config.training.jit is False:
            raise UsageError(
                f"training.jit: JAX shares a step between devices ({devices.description}) only when it is "
                "compiled; use `auto`"
            )
        return config.training.jit
    if config.training.jit is True:
        raise UsageError(
            f"training.jit: XLA does not work on {devices.description} in this Keras; use `auto`"
        )
    return False


def _try_out(model: keras.Model, validation: tf.data.Dataset) -> None:
    """Measure one batch: a loss or metric that cannot take it fails here, before the run is made.

    It also makes the variables of the metrics, which a checkpoint holds.
    """
    model.evaluate(validation.take(1), verbose=0)
    model.reset_metrics()

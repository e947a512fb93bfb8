"""Everything that training needs, built and checked before a run directory is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import keras
import tensorflow as tf

from bigmodel_cli import build
from bigmodel_cli.build import Data
from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import Mixing
from bigmodel_cli.data.pipeline import TrainingPipeline, evaluation_batches
from bigmodel_cli.data.reading import data_errors_told
from bigmodel_cli.devices import Choice, Devices, choose
from bigmodel_cli.errors import DataError, UsageError
from bigmodel_cli.flops import count_flops
from bigmodel_cli.training.objective import Objective, build_objective
from bigmodel_cli.training.optimizer import build_optimizer

STEPS_PER_EXECUTION = 32


@dataclass(frozen=True)
class Plan:
    """Everything that training needs, built and checked; nothing is written yet.

    Attributes:
        config: complete.
        data: what to train on.
        devices: what to train on, in hardware.
        choices: what every `auto` became, and why.
        model: compiled, in the chosen precision.
        serving: float32, with probabilities or values as output; what model.keras holds.
        objective: loss and metrics.
        pipeline: the training examples.
        validation: batches of the validation split.
        class_weights: of each class in the loss, by index; None for equal ones.
        parameters: number of weights.
        flops: floating-point operations of one example's forward pass.
    """

    config: Config
    data: Data
    devices: Devices
    choices: Mapping[str, Choice]
    model: keras.Model
    serving: keras.Model
    objective: Objective
    pipeline: TrainingPipeline
    validation: tf.data.Dataset
    class_weights: Mapping[int, float] | None
    parameters: int
    flops: int


def prepare(config: Config) -> Plan:
    """Load the data, choose the device, build the model and pull one batch.

    Raises:
        BigmodelError: anything that would make training fail at its first step.
    """
    if config.training.deterministic:
        tf.config.experimental.enable_op_determinism()
    devices = choose(config.training.devices)
    data = build.load_data(config)
    train = data.splits["train"]
    batch_size = config.training.batch_size
    if batch_size > train.size:
        raise DataError(
            f"training.batch_size: {batch_size} is larger than the training split of {data.spec.name}, which "
            f"has {train.size} examples; use at most that"
        )
    model = build.build_model(config, data.spec)
    flops = count_flops(model).total
    precision = _precision(config, devices, model)
    serving = build.serving_model(model, data.spec)
    if precision.value != "float32" or devices.count > 1:
        model = build.build_model(config, data.spec, precision.value, devices.scope())
    augmentations = build.augmentations(config)
    if augmentations and data.spec.input.kind != "image":
        raise DataError(
            f"dataset.augment: is for images, but {data.spec.name} gives {data.spec.input.kind} inputs; "
            "leave it out"
        )
    mixing = any(isinstance(item.function, Mixing) for item in augmentations)
    objective = build_objective(config, data.spec, mixing=mixing)
    weights = build.class_weights(config, data.spec)
    counts = build.resampling(config, train, data.spec)
    with data_errors_told():
        pipeline = TrainingPipeline(
            train,
            batch_size=batch_size,
            seed=config.seed,
            keeping=data.keeping,
            augmentations=augmentations,
            encode=objective.encode,
            counts=counts,
            timed=not config.training.deterministic,
        )
        validation_batches = evaluation_batches(
            data.splits["validation"], batch_size=batch_size, keeping=data.keeping, encode=objective.encode
        )
    _check_first_batch(pipeline, data)
    steps = _steps_per_execution(config, devices, pipeline.steps)
    _compile(config, devices, model, objective, pipeline.steps, steps.value)
    _try_out(model, validation_batches)
    return Plan(
        config=config,
        data=data,
        devices=devices,
        choices={
            "devices": Choice(devices.description, devices.reason),
            "precision": precision,
            "steps_per_execution": steps,
            "data_kept": data.storage,
            "shuffle": Choice(pipeline.shuffle, f"examples kept: {data.storage.value}"),
            "loss": Choice(
                objective.loss_name, "auto: from the task" if config.loss.name == "auto" else "asked for"
            ),
        },
        model=model,
        serving=serving,
        objective=objective,
        pipeline=pipeline,
        validation=validation_batches,
        class_weights=weights,
        parameters=model.count_params(),
        flops=flops,
    )


def _precision(config: Config, devices: Devices, model: keras.Model) -> Choice:
    asked = config.training.precision
    if asked == "float16" and devices.kind == "cpu":
        raise UsageError("training.precision: float16 is many times slower than float32 on a CPU; use `auto`")
    if asked != "auto":
        return Choice(asked, "asked for")
    heavy = any(
        "Conv" in type(layer).__name__ or "Attention" in type(layer).__name__ for layer in model.layers
    )
    if not heavy:
        return Choice("float32", "auto: no convolutions or attention")
    if not devices.bfloat16:
        return Choice("float32", "auto: no fast bfloat16 here")
    return Choice("bfloat16", f"auto: {devices.bfloat16}")


def _steps_per_execution(config: Config, devices: Devices, steps: int) -> Choice:
    asked = config.training.steps_per_execution
    if devices.count > 1:
        if asked not in ("auto", 1):
            raise UsageError(
                "training.steps_per_execution: must be 1 or `auto` on "
                f"{devices.description}: Keras fails with more"
            )
        return Choice(1, "auto: several devices")
    if asked == "auto":
        return Choice(min(STEPS_PER_EXECUTION, steps), "auto")
    if asked > steps:
        return Choice(steps, f"an epoch has no more, asked for {asked}")
    return Choice(asked, "asked for")


def _jit(config: Config, devices: Devices) -> Literal["auto"] | bool:
    if devices.count == 1:
        return config.training.jit
    if config.training.jit is True:
        raise UsageError(
            f"training.jit: XLA does not work on {devices.description} in this Keras; use `auto`"
        )
    return False


def _compile(
    config: Config, devices: Devices, model: keras.Model, objective: Objective, steps: int, per_execution: int
) -> None:
    with devices.scope():
        if devices.count > 1:
            for layer in model._flatten_layers():
                if isinstance(layer, keras.layers.BatchNormalization):
                    # Statistics of one device's share of the batch would be silently wrong.
                    layer.synchronized = True
        model.compile(
            optimizer=build_optimizer(config, steps),
            loss=objective.loss,
            metrics=list(objective.metrics),
            steps_per_execution=per_execution,
            jit_compile=_jit(config, devices),
        )
        model.optimizer.build(model.trainable_variables)


def _check_first_batch(pipeline: TrainingPipeline, data: Data) -> None:
    with data_errors_told():
        inputs, _ = next(iter(pipeline.batches()))
    if data.spec.input.kind == "image" and tuple(inputs.shape[1:]) != data.spec.input.shape:
        raise DataError(
            f"dataset.augment: gives inputs of shape {tuple(inputs.shape[1:])}, but the model takes "
            f"{data.spec.input.shape}"
        )


def _try_out(model: keras.Model, validation: tf.data.Dataset) -> None:
    """Measure one batch: a loss or metric that cannot take it fails here, before the run is made.

    It also makes the variables of the metrics, which a checkpoint holds.
    """
    model.evaluate(validation.take(1), verbose=0)
    model.reset_metrics()

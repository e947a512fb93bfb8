"""Everything that training needs, built and checked before a run directory is made."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from bigmodel_cli import assembly, catalogue
from bigmodel_cli.assembly import Data
from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import Mixing
from bigmodel_cli.data.pipeline import Scheduled, TrainingPipeline, evaluation_batches
from bigmodel_cli.data.reading import data_errors_told
from bigmodel_cli.data.sharing import Share
from bigmodel_cli.devices import Choice, Devices, choose
from bigmodel_cli.engine import out_of_memory
from bigmodel_cli.errors import DataError, TrainingFailedError, UsageError
from bigmodel_cli.flops import count_flops
from bigmodel_cli.models import pretrained
from bigmodel_cli.rundir import Run
from bigmodel_cli.training import agreement, batch_size
from bigmodel_cli.training.beginning import Beginning, beginning
from bigmodel_cli.training.compiling import compile_model, compiled_copy, share_batches
from bigmodel_cli.training.layer_rules import add_lora, releases
from bigmodel_cli.training.objective import Objective
from bigmodel_cli.training.plan import Plan
from bigmodel_cli.training.precision import choose_precision
from bigmodel_cli.training.range_test import find_learning_rate
from bigmodel_cli.training.several_objectives import whole_objective
from bigmodel_cli.training.trackers import check_trackers

STEPS_PER_EXECUTION = 32


def prepare(config: Config, resumed: Run | None = None, backend: Choice | None = None) -> Plan:
    """Load the data, choose the device, build the model and pull one batch.

    Args:
        config: complete.
        resumed: the run that goes on, whose data must be what it was.
        backend: the engine that Keras runs on, and why that one.

    Raises:
        BigmodelError: anything that would make training fail at its first step.
    """
    # A run that goes on has its weights in its checkpoint; those that it began with may be gone.
    with pretrained.left_out() if resumed is not None else nullcontext():
        return _prepared(config, resumed, backend)


def _prepared(config: Config, resumed: Run | None, backend: Choice | None) -> Plan:
    if config.training.deterministic:
        tf.config.experimental.enable_op_determinism()
    devices = choose(config.training.devices)
    data = (
        assembly.load_data(config)
        if resumed is None
        else assembly.recorded_data(resumed, config, resumed.read_data())
    )
    backend = backend or Choice(devices.backend, "that of this process")
    if agreement.chief():
        check_trackers(config)
    begun = beginning(config, data.spec, resumed=resumed is not None)
    if config.optimizer.learning_rate != "auto":
        return _with_batch_size(config, devices, data, backend, begun)
    # Some rate is needed before the one that is looked for.
    some = _with_rate(config, catalogue.learning_rate(config.optimizer.name))
    plan = _with_batch_size(some, devices, data, backend, begun)
    with devices.running():
        found = find_learning_rate(
            _with_rate(plan.config, "auto"),
            plan.pipeline,
            lambda changed: compiled_copy(plan, changed),
            plan.class_weights,
        )
    choices = {**plan.choices, "learning_rate": Choice(found.rate, f"auto: {found.reason}")}
    plan = replace(plan, config=_with_rate(plan.config, found.rate), choices=choices, range_test=found)
    compile_model(plan)
    return plan


def _with_rate(config: Config, rate: Any) -> Config:
    return config.model_copy(
        update={"optimizer": config.optimizer.model_copy(update={"learning_rate": rate})}
    )


def _with_batch_size(config: Config, devices: Devices, data: Data, backend: Choice, begun: Beginning) -> Plan:
    """A plan with the batch size that is asked for, or the largest that fits."""
    asked = config.training.batch_size
    if asked != "auto":
        return _plan(config, devices, data, Choice(asked, "asked for"), backend, begun)
    size, reason = batch_size.first_try(
        assembly.build_model(config, data.spec), devices, data.splits["train"].size
    )
    # Processes on different machines have different memory.
    size = -agreement.largest(-size)
    tried: list[int] = []
    while True:
        failed = f"; {', '.join(map(str, tried))} ran out of memory" if tried else ""
        batch = Choice(size, f"auto: {reason}{failed}")
        plan = _plan(_with(config, batch_size=size), devices, data, batch, backend, begun)
        if _has_memory(plan):
            return plan
        tried.append(size)
        if len(tried) > batch_size.HALVINGS or size < 2 * devices.count:
            raise TrainingFailedError(
                f"training.batch_size: auto: {', '.join(map(str, tried))} all ran out of memory on "
                f"{devices.description}; use a smaller model or a smaller training.batch_size"
            )
        size //= 2


def _with(config: Config, **training: Any) -> Config:
    return config.model_copy(update={"training": config.training.model_copy(update=training)})


def _plan(
    config: Config, devices: Devices, data: Data, batch: Choice, backend: Choice, begun: Beginning
) -> Plan:
    train, size = data.splits["train"], batch.value
    if size > train.size:
        raise DataError(
            f"training.batch_size: {size} is larger than the training split of {data.spec.name}, which "
            f"has {train.size} examples; use at most that"
        )
    _check_divisible(size, devices)
    share = Share(devices.rank, devices.processes, devices.count) if devices.backend == "jax" else None
    model = assembly.build_model(config, data.spec)
    flops = count_flops(model).total
    precision = choose_precision(config, devices, model)
    serving = assembly.serving_model(model, data.spec)
    if precision.value != "float32" or devices.count > 1:
        model = assembly.build_model(config, data.spec, precision.value, devices.scope())
        # It takes the weights of the model one by one.
        add_lora(config, serving)
    if devices.backend == "jax" and releases(config):
        raise UsageError(
            "optimizer.layers: `until_epoch` needs the TensorFlow backend: on JAX an optimizer takes all its "
            "weights at every step; train in two runs, the second with `initialize`"
        )
    with devices.scope():
        taken = begun.prepare(model)
    augmentations = _augmentations(config, data)
    mixing = any(isinstance(item.function, Mixing) for item in augmentations)
    objective = whole_objective(config, data.spec, mixing=mixing)
    weights = assembly.class_weights(config, data.spec)
    with data_errors_told():
        pipeline = TrainingPipeline(
            train,
            batch_size=size,
            seed=config.seed,
            keeping=data.keeping,
            augmentations=augmentations,
            encode=objective.encode,
            counts=assembly.resampling(config, train, data.spec),
            timed=not config.training.deterministic,
            share=share,
            # Tokens are hidden anew in every epoch (Liu et al. 2019, "RoBERTa", section 4.1); what is
            # reconstructed is the image as it was augmented.
            last=assembly.last_step(data.spec),
        )
        validation_batches = evaluation_batches(
            data.splits["validation"],
            batch_size=size,
            keeping=data.keeping,
            encode=objective.encode,
            share=share,
            hide=assembly.last_step(data.spec),
        )
    _check_first_batch(pipeline, data)
    steps = _steps_per_execution(config, devices, pipeline.steps)
    plan = Plan(
        config=config,
        data=data,
        devices=devices,
        choices={
            "backend": backend,
            "devices": Choice(devices.description, devices.reason),
            "precision": precision,
            "batch_size": batch,
            "steps_per_execution": steps,
            "data_kept": data.storage,
            "shuffle": Choice(pipeline.shuffle, f"examples kept: {data.storage.value}"),
            "loss": Choice(
                objective.loss_name, "auto: from the task" if config.loss.name == "auto" else "asked for"
            ),
            **({"initialize": taken} if taken else {}),
        },
        model=model,
        beginning=begun,
        serving=serving,
        mixing=mixing,
        pipeline=pipeline,
        validation=validation_batches,
        class_weights=weights,
        range_test=None,
        chance=_chance(objective, data, config.loss.label_smoothing),
        parameters=model.count_params(),
        flops=flops,
    )
    agreement.check(_facts(plan))
    share_batches(plan, plan.model)
    compile_model(plan)
    return plan


def _check_divisible(size: int, devices: Devices) -> None:
    """Devices that had to do with parts of different sizes would wait for the one with the largest."""
    if size % devices.count:
        smaller = size - size % devices.count
        near = f"{smaller} or {smaller + devices.count}" if smaller else str(devices.count)
        raise UsageError(
            f"training.batch_size: {size} cannot be shared equally by {devices.count} devices "
            f"({devices.description}); use {near}"
        )


def _facts(plan: Plan) -> dict[str, Any]:
    """What all processes of a job must have in common."""
    return {
        "config": plan.config.model_dump(mode="json"),
        "examples": {name: assembly.split_record(part) for name, part in plan.data.splits.items()},
        "dataset.cache": plan.data.storage.value,
        "training.precision": plan.choices["precision"].value,
        "training.batch_size": plan.choices["batch_size"].value,
        "variables of the model": [(item.path, tuple(item.shape)) for item in plan.model.variables],
    }


def _augmentations(config: Config, data: Data) -> list[Scheduled]:
    augmentations = assembly.augmentations(config)
    if augmentations and data.spec.input.kind != "image":
        what = f"{data.spec.input.kind} inputs"
        if any(column.kind == "image" for column in data.spec.input.columns):
            what += ", of which images are a part only"
        raise DataError(f"dataset.augment: is for images, but {data.spec.name} gives {what}; leave it out")
    return augmentations


def _chance(objective: Objective, data: Data, smoothing: float) -> float | None:
    """The entropy of the classes, which is the loss of a model that knows nothing but their shares."""
    if objective.weights is not None or not objective.loss_name.endswith("categorical_crossentropy"):
        return None
    counts = data.spec.target.counts
    shares = [(1 - smoothing) * count / sum(counts) + smoothing / len(counts) for count in counts]
    return -sum(share * math.log(share) for share in shares if share)


def _has_memory(plan: Plan) -> bool:
    """Whether a training step and a validation step fit; the model is left as it was."""
    model = plan.model
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    before = [keras.ops.convert_to_numpy(variable) for variable in variables]
    try:
        # The very function that training calls, so that nothing is traced twice.
        with plan.devices.running():
            model.fit(
                plan.pipeline.batches().take(1),
                class_weight=plan.class_weights,
                epochs=1,
                verbose=0,
                shuffle=False,
            )
            model.evaluate(plan.validation.take(1), verbose=0)
    except Exception as error:
        if out_of_memory(error):
            return False
        raise
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)
    return True


def _steps_per_execution(config: Config, devices: Devices, steps: int) -> Choice:
    asked = config.training.steps_per_execution
    if devices.count > 1 and devices.backend == "tensorflow":
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


def _check_first_batch(pipeline: TrainingPipeline, data: Data) -> None:
    with data_errors_told():
        inputs, _ = next(iter(pipeline.batches()))
    if data.spec.input.kind == "image" and tuple(inputs.shape[1:]) != data.spec.input.shape:
        raise DataError(
            f"dataset.augment: gives inputs of shape {tuple(inputs.shape[1:])}, but the model takes "
            f"{data.spec.input.shape}"
        )

"""What a config's model consists of, and what it costs on this device."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

import keras
import tensorflow as tf

from bigmodel_cli import assembly, catalogue
from bigmodel_cli.assembly import Precision
from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.devices import Choice, Devices, choose
from bigmodel_cli.flops import Flops, count_flops
from bigmodel_cli.models import pretrained
from bigmodel_cli.summary import activations, cost
from bigmodel_cli.summary.calibration import calibrate
from bigmodel_cli.summary.cost import Memory
from bigmodel_cli.summary.graph_picture import picture
from bigmodel_cli.summary.measuring import Measured, measure
from bigmodel_cli.training import batch_size
from bigmodel_cli.training.layer_rules import add_lora, freeze
from bigmodel_cli.training.optimizer import build_optimizer
from bigmodel_cli.training.precision import choose_precision


@dataclass(frozen=True)
class LayerSummary:
    """One layer.

    Attributes:
        name: within the model.
        kind: Keras class.
        output_shape: with the batch axis as None.
        parameters: number of weights.
        trainable: those that training changes.
        flops: of one example's forward pass; 0 for element-wise layers.
    """

    name: str
    kind: str
    output_shape: tuple[int | None, ...]
    parameters: int
    trainable: int
    flops: int


@dataclass(frozen=True)
class TrainingCost:
    """A training step on this device, predicted.

    Attributes:
        device: what trains.
        precision: what it computes in.
        precision_reason: why.
        batch_size: examples in a step.
        batch_size_reason: why.
        optimizer: its name.
        memory: bytes, by what they are for; on one device.
        memory_total: their sum.
        step_seconds: of a step, without reading data.
        calibration_seconds: that measuring the device took.
    """

    device: str
    precision: Precision
    precision_reason: str
    batch_size: int
    batch_size_reason: str
    optimizer: str
    memory: Memory
    memory_total: int
    step_seconds: float
    calibration_seconds: float


@dataclass(frozen=True)
class ModelSummary:
    """A model as a whole.

    Attributes:
        model: its name.
        dataset: what it is built for.
        layers: in order.
        parameters: number of weights.
        trainable: those that training changes in its first epoch.
        released: those that it changes in its last one; more where layers are frozen for some epochs.
        flops: of one example's forward pass, a multiply-add counting 2.
        uncounted: layers whose operations `flops` lacks.
        inference_memory: the most bytes of one example's activations at a time, in float32.
        training: what training costs here.
        measured: the same, really run; None where it was not asked for.
        picture: the graph as SVG; empty where it was not asked for.
    """

    model: str
    dataset: str
    layers: tuple[LayerSummary, ...]
    parameters: int
    trainable: int
    released: int
    flops: int
    uncounted: tuple[str, ...]
    inference_memory: int
    training: TrainingCost
    measured: Measured | None = None
    picture: str = ""

    def to_json(self) -> dict[str, Any]:
        """As plain lists, numbers and strings; the picture is a file of its own."""
        return {key: value for key, value in asdict(self).items() if key != "picture"}


def summarize(
    config: Config, data: DataSpec | None = None, *, measured: bool = False, drawn: bool = False
) -> ModelSummary:
    """Build a config's model without values for its weights, count, and predict what training costs.

    Args:
        config: complete.
        data: what to build it for; None for the config's dataset, which is read.
        measured: whether to train for a few seconds, too.
        drawn: whether to draw the graph, too.

    Raises:
        BigmodelError: the data is not there, the model does not fit it, or cannot be trained here.
    """
    spec = data or assembly.load_data(config).spec
    devices = choose(config.training.devices)
    # To build a large model takes seconds, so it is built twice only where the guess is wrong.
    likely = _likely_precision(config, devices)
    model = _bare_model(config, spec, likely)
    precision = choose_precision(config, devices, model)
    if precision.value != likely:
        model = _bare_model(config, spec, precision.value)
    flops, inference = count_flops(model), activations.live(model)
    # Its low-rank factors come without values, too.
    with keras.StatelessScope(initialize_variables=False):
        add_lora(config, model)
    freeze(config, model, epoch=None)
    released = _count(model.trainable_weights)
    batch = _batch_size(config, model, devices, spec, data is None)
    config = _with_rate(config)
    training = _training(config, spec, model, flops, devices, precision, batch)
    freeze(config, model)
    summary = ModelSummary(
        model.name,
        spec.name,
        tuple(_layer(layer, flops) for layer in model.layers),
        model.count_params(),
        _count(model.trainable_weights),
        released,
        flops.total,
        flops.uncounted,
        inference,
        training,
        picture=picture(model) if drawn else "",
    )
    # Keras would give the weights values at the end of the next scope.
    keras.utils.clear_session(free_memory=False)
    if not measured:
        return summary
    return replace(summary, measured=measure(config, spec, batch.value, precision.value, devices))


def _likely_precision(config: Config, devices: Devices) -> Precision:
    """What `choose_precision` will most likely say of the model, which is not built yet."""
    if config.training.precision != "auto":
        return config.training.precision
    # Architectures mostly convolve or attend; of layers written down, the names say it.
    if config.model.name == "layers":
        written = str(config.model.parameters).lower()
        heavy = "conv" in written or "attention" in written
    else:
        heavy = config.model.name not in ("mlp", "linear_regression", "logistic_regression")
    return "bfloat16" if heavy and devices.bfloat16 else "float32"


def _bare_model(config: Config, data: DataSpec, precision: Precision) -> keras.Model:
    # Weights that are made in this scope have a shape and no values: a billion of them take no memory.
    scope = keras.StatelessScope(initialize_variables=False)
    with pretrained.left_out():
        return assembly.build_model(config, data, precision, scope)


def _training(
    config: Config,
    spec: DataSpec,
    model: keras.Model,
    flops: Flops,
    devices: Devices,
    precision: Choice,
    batch: Choice,
) -> TrainingCost:
    """The cost of a step; `model` is as it is when all that is ever trained is."""
    freeze(config, model)
    optimizer = _bare_optimizer(config, model)
    # Devices share a batch.
    share = math.ceil(batch.value / devices.count)
    needed = cost.memory(model, optimizer, spec, share, devices)
    speed = calibrate(devices, precision.value, cost.kernels(model))
    return TrainingCost(
        devices.description,
        precision.value,
        precision.reason,
        batch.value,
        batch.reason,
        config.optimizer.name,
        needed,
        needed.total,
        cost.step_seconds(model, optimizer, flops, share, speed),
        speed.seconds,
    )


def _bare_optimizer(config: Config, model: keras.Model) -> keras.optimizers.Optimizer:
    """The config's optimizer with its slots, which have shapes and no values."""
    # Patterns of weights are looked up by their values, which these have not got.
    settings = config.optimizer.model_copy(update={"weight_decay_exclude": None})
    optimizer = build_optimizer(config.model_copy(update={"optimizer": settings}), model, steps_per_epoch=1)
    # As in training, also for what is frozen now and trained later.
    freeze(config, model, epoch=None)
    with keras.StatelessScope(initialize_variables=False):
        # Keras asks a weight for its value to put the slots beside it, and would draw it for that.
        blanks = [
            keras.Variable(_empty, shape=weight.shape, dtype=weight.dtype, name=weight.name)
            for weight in model.trainable_variables
        ]
        optimizer.build(blanks)
    freeze(config, model)
    return optimizer


def _empty(shape: tuple[int, ...], dtype: str) -> tf.Variable:
    """An initial value without numbers, of any shape: nobody writes to it."""
    return _nothing(dtype)


@cache
def _nothing(dtype: str) -> tf.Variable:
    """Made once: thousands of them would take longer than the layers."""
    return tf.Variable(tf.zeros([0], dtype))


def _batch_size(config: Config, model: keras.Model, devices: Devices, spec: DataSpec, known: bool) -> Choice:
    asked = config.training.batch_size
    if asked != "auto":
        return Choice(asked, "asked for")
    examples = spec.sizes["train"] if known else batch_size.LARGEST * batch_size.FEWEST_STEPS
    size, reason = batch_size.first_try(model, devices, examples)
    return Choice(size, f"auto: {reason if known else 'the most that fits'}")


def _with_rate(config: Config) -> Config:
    """With a learning rate where it is to be found: the cost does not depend on it."""
    if config.optimizer.learning_rate != "auto":
        return config
    rate = catalogue.learning_rate(config.optimizer.name)
    return config.model_copy(
        update={"optimizer": config.optimizer.model_copy(update={"learning_rate": rate})}
    )


def _layer(layer: keras.Layer, flops: Flops) -> LayerSummary:
    output = layer.output
    return LayerSummary(
        layer.name,
        type(layer).__name__,
        tuple((output[0] if isinstance(output, list | tuple) else output).shape),
        layer.count_params(),
        _count(layer.trainable_weights),
        flops.layers.get(layer.name, 0),
    )


def _count(weights: list[Any]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)

"""What a training step takes on a device, in memory and time, predicted from the model's graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.devices import Devices
from bigmodel_cli.flops import Flops, nodes
from bigmodel_cli.summary import activations
from bigmodel_cli.summary.calibration import Kernel, Throughput

_ENGINE = 15_000_000
"""Bytes; measured with the smallest of models."""

_PASSES = 2
"""The backward pass of an element-wise operation reads and writes about as much as its forward pass."""

_GELU, _NORMALIZATION, _SCORES = 16, 4, 16
"""Times that operations put together of many others move what they take and give: the power in GELU alone is
as slow as ten additions. Fitted, as all numbers here, to steps measured on 2 CPU cores."""

_DRAWN = 16
"""Bytes moved in the time that a number of dropout is drawn."""

_OPERATIONS = 10
"""Of the engine for one of the model, both ways."""

_UPDATE_OPERATIONS = 6
"""Of the engine to update a weight, and 4 more for each slot."""

_STEP_OPERATIONS = 150
"""Of the engine in a step whatever the model: loss, metrics, the next batch."""


@dataclass(frozen=True)
class Memory:
    """Bytes that a training step needs.

    Attributes:
        weights: of the model, as they are kept.
        gradients: of the trained ones.
        optimizer: its slots, averages and accumulated gradients.
        activations: kept for the backward pass, and the gradients of the largest operation.
        batch: inputs and targets.
        engine: what TensorFlow takes for itself with the first step; of a process on the CPU.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    batch: int
    engine: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.batch + self.engine


def memory(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    data: DataSpec,
    batch: int,
    devices: Devices,
) -> Memory:
    """The memory of a training step.

    Args:
        model: in the precision of training, made ready by `layer_rules.freeze`.
        optimizer: built on its trained weights.
        data: that it learns.
        batch: examples in a step of one device.
        devices: that train.
    """
    trained = sum(_numbers(weight) for weight in model.trainable_weights)
    mixed = any(layer.compute_dtype != "float32" for layer in model.layers)
    # Products take a copy of a kernel in their own precision, which is kept for the backward pass.
    copies = 2 * trained if mixed else 0
    kept = activations.kept(model) + activations.largest(model)
    if mixed and devices.kind == "cpu":
        # Measured: TensorFlow's kernels for CPUs keep as much as in float32.
        kept *= 2
    inputs = sum(map(activations.size_of, model.inputs))
    return Memory(
        weights=4 * sum(_numbers(weight) for weight in model.weights),
        gradients=4 * trained,
        optimizer=sum(_numbers(variable) * _width(variable) for variable in optimizer.variables),
        activations=batch * kept + copies,
        batch=batch * (inputs + 4 * math.prod(data.target.shape)),
        engine=_ENGINE if devices.kind == "cpu" else 0,
    )


def step_seconds(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, flops: Flops, batch: int, speed: Throughput
) -> float:
    """Seconds of a training step.

    Products count at their rates, element-wise operations and the optimizer's update at the bandwidth, and
    every operation has to be started. Reading and augmenting the data is left out.

    Args:
        model: as in `memory`.
        optimizer: as in `memory`.
        flops: of the forward pass of one example.
        batch: examples in a step of one device.
        speed: of that device.
    """
    graph = list(_every_node(model))
    rates = {node.operation.name: _rate(node.operation, speed) for node in graph}
    products = sum(
        3 * batch * count / rates.get(name, speed.products) for name, count in flops.layers.items()
    )
    moved = _PASSES * batch * sum(map(_moved, graph))
    weights = model.trainable_weights
    slots = len(optimizer.variables) / max(1, len(weights))
    updated = 4 * (3 + 2 * slots) * sum(map(_numbers, weights))
    operations = _STEP_OPERATIONS + _OPERATIONS * len(graph) + (_UPDATE_OPERATIONS + 4 * slots) * len(weights)
    return products + (moved + updated) / speed.bandwidth + operations * speed.operation


def _every_node(model: keras.Model) -> list[Any]:
    """Uses of operations, those in models inside it included."""
    found = []
    for node in nodes(model) or ():
        inner = isinstance(node.operation, keras.Model)
        found += _every_node(node.operation) if inner else [node]
    return found


def kernels(model: keras.Model) -> frozenset[Kernel]:
    """Kernels whose rates tell how fast a model is."""
    return frozenset(_kernel(node.operation) for node in _every_node(model))


def _kernel(operation: Any) -> Kernel:
    name = type(operation).__name__
    if name.startswith("DepthwiseConv"):
        return "depthwise"
    return "convolution" if "Conv" in name and getattr(operation, "kernel", None) is not None else "product"


def _rate(operation: Any, speed: Throughput) -> float:
    """FLOP/s of an operation: that of convolutions of as many channels, between the measured numbers."""
    match _kernel(operation):
        case "depthwise":
            return speed.depthwise
        case "convolution":
            # Of the two numbers of channels the smaller one leaves a vector unit idle.
            return interpolated(speed.convolutions, min(operation.kernel.shape[-2:]))
        case _:
            return speed.products


def interpolated(measured: Mapping[int, float], place: int) -> float:
    """A value between the nearest two measured ones, in the logarithm of the place; outside, the end's."""
    places = sorted(measured)
    below = max((item for item in places if item <= place), default=places[0])
    above = min((item for item in places if item >= place), default=places[-1])
    if below >= above:
        return measured[above if place < places[0] else below]
    share = math.log(place / below) / math.log(above / below)
    return measured[below] + share * (measured[above] - measured[below])


def _moved(node: Any) -> int:
    """Bytes that an operation reads and writes beyond what its products' rate holds."""
    inputs: Sequence[Any] = node.arguments.keras_tensors
    name = type(node.operation).__name__
    if isinstance(node.operation, keras.layers.MultiHeadAttention):
        # Scaled, masked, softmax in two steps, and dropped.
        return _SCORES * activations.scores(node)
    if "Conv" in name or "Dense" in name:
        activated = getattr(node.operation, "activation", None) not in (None, keras.activations.linear)
        # The bias, and the activation.
        return (2 + 2 * activated) * sum(map(activations.size_of, node.outputs))
    if name in ("Reshape", "Flatten", "Identity"):
        return 0
    both = sum(map(activations.size_of, (*inputs, *node.outputs)))
    if "Dropout" in name:
        return both + _DRAWN * activations.numbers(node.outputs[0])
    if "Normalization" in name and not activations.fused(node.operation):
        return _NORMALIZATION * both
    return _GELU * both if "gelu" in activations.activation(node.operation) else both


def _numbers(variable: Any) -> int:
    return math.prod(variable.shape)


def _width(variable: Any) -> int:
    return 8 if variable.dtype.endswith("64") else 2 if variable.dtype.endswith("16") else 4

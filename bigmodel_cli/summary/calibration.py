"""What a device does in a second, measured on a few small kernels."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import tensorflow as tf

from bigmodel_cli.assembly import Precision
from bigmodel_cli.devices import Devices

REPEATS = 20
"""Of each kernel, of which the fastest counts: what else runs on a machine only ever makes it slower."""

SECONDS = 0.06
"""For the repeats of one kernel, but for the first three."""

_CHAIN = 200
"""Operations in the chain that tells what starting one takes."""


Kernel = Literal["product", "convolution", "depthwise"]


@dataclass(frozen=True)
class Throughput:
    """Of a device at one precision; forward and backward pass together.

    Attributes:
        products: FLOP/s of matrix products.
        convolutions: FLOP/s of 3x3 convolutions by their number of channels, ascending; empty where they were
            not asked for.
        depthwise: FLOP/s of depthwise 3x3 convolutions; NaN where they were not asked for.
        bandwidth: bytes/s of element-wise operations, read and written.
        operation: seconds to start an operation.
        seconds: that measuring took.
    """

    products: float
    convolutions: Mapping[int, float]
    depthwise: float
    bandwidth: float
    operation: float
    seconds: float


def calibrate(devices: Devices, precision: Precision, kernels: frozenset[Kernel]) -> Throughput:
    """Measure a device; a fraction of a second.

    Args:
        devices: of which one is measured.
        precision: of products and convolutions.
        kernels: that a model has; products are measured in any case.
    """
    started = time.perf_counter()
    dtype = tf.float32 if precision == "float32" else tf.as_dtype(precision)
    # An accelerator is not busy with what is enough for a CPU.
    scale = 1 if devices.kind == "cpu" else 8
    with tf.device("CPU:0" if devices.kind == "cpu" else "GPU:0"):
        side = 512 * scale
        product = _both_ways(tf.linalg.matmul, (side, side), (side, side), dtype)
        convolutions = {
            channels: _convolution(_dense_convolution, batch * scale, size, channels, dtype)
            for channels, batch, size in ((16, 16, 32), (128, 8, 16))
            if "convolution" in kernels
        }
        depthwise = math.nan
        if "depthwise" in kernels:
            depthwise = _convolution(_depthwise_convolution, 16 * scale, 16, 64, dtype)
        elements = tf.ones([2**20 * scale], tf.float32)
        bandwidth = 8 * elements.shape[0] / _fastest(lambda x: x + 1.0, elements)
        operation = _fastest(_chain, tf.zeros([8])) / _CHAIN
    return Throughput(
        3 * 2 * side**3 / product,
        convolutions,
        depthwise,
        bandwidth,
        operation,
        time.perf_counter() - started,
    )


def _convolution(
    function: Callable[..., Any], batch: int, size: int, channels: int, dtype: tf.DType
) -> float:
    """FLOP/s of a 3x3 convolution of as many channels as filters."""
    depthwise = function is _depthwise_convolution
    kernel = (3, 3, channels, 1 if depthwise else channels)
    flops = 3 * 2 * batch * size**2 * 9 * channels * kernel[3]
    return flops / _both_ways(function, (batch, size, size, channels), kernel, dtype)


def _dense_convolution(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.nn.conv2d(x, kernel, 1, "SAME")


def _depthwise_convolution(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME")


def _both_ways(
    function: Callable[..., Any], shape: tuple[int, ...], kernel: tuple[int, ...], dtype: tf.DType
) -> float:
    """Seconds of a product's forward pass and of its gradients for both factors."""

    def step(x: tf.Tensor, weights: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch((x, weights))
            y = function(x, weights)
        return y, tape.gradient(y, (x, weights), output_gradients=y)

    return _fastest(step, tf.ones(shape, dtype), tf.ones(kernel, dtype))


def _chain(x: tf.Tensor) -> tf.Tensor:
    for _ in range(_CHAIN):
        x = tf.sin(x)
    return x


def _fastest(function: Callable[..., Any], *arguments: tf.Tensor) -> float:
    """Seconds of one call, traced and warm."""
    # AutoGraph looks for control flow to rewrite; there is none.
    traced = tf.function(function, autograph=False)
    _wait(traced(*arguments))
    taken: list[float] = []
    while len(taken) < 3 or (len(taken) < REPEATS and sum(taken) < SECONDS):
        before = time.perf_counter()
        _wait(traced(*arguments))
        taken.append(time.perf_counter() - before)
    return min(taken)


def _wait(results: Any) -> None:
    """Until the device is done: a value of each result is fetched."""
    for result in tf.nest.flatten(results):
        result[(0,) * result.shape.rank].numpy()

"""A few training steps, really run: time and memory beside what was predicted."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bigmodel_cli import assembly
from bigmodel_cli.assembly import Precision
from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.devices import Devices
from bigmodel_cli.engine import out_of_memory
from bigmodel_cli.errors import TrainingFailedError
from bigmodel_cli.training.layer_rules import add_lora, freeze
from bigmodel_cli.training.optimizer import build_optimizer
from bigmodel_cli.training.several_objectives import whole_objective

SECONDS = 3.0
"""That steps are run for, after the first."""

STEPS = 200
"""No more are run."""


@dataclass(frozen=True)
class Measured:
    """Training steps on one batch, again and again: what reading and augmenting data takes is left out.

    Attributes:
        step_seconds: of one step, the median.
        quiet_seconds: the tenth percentile, as it would be if nothing else ran on the machine.
        steps: that were run.
        memory: bytes that the process, or the accelerator, held at its peak beyond what it held before.
    """

    step_seconds: float
    quiet_seconds: float
    steps: int
    memory: int


def measure(config: Config, spec: DataSpec, batch: int, precision: Precision, devices: Devices) -> Measured:
    """Train for a few seconds on a batch of random numbers.

    Args:
        config: complete; `optimizer.learning_rate` is a number or a schedule.
        spec: of the data.
        batch: examples in a step.
        precision: of training.
        devices: that train.

    Raises:
        TrainingFailedError: the memory does not suffice.
    """
    before = _Memory(devices)
    try:
        with devices.scope():
            model = assembly.build_model(config, spec, precision)
            add_lora(config, model)
            freeze(config, model)
            objective = whole_objective(config, spec)
            model.compile(
                optimizer=build_optimizer(config, model, STEPS),
                loss=objective.loss,
                loss_weights=objective.weights,
                metrics=objective.metrics,
                jit_compile=config.training.jit if devices.count == 1 else False,
            )
        targets = _targets(spec, batch)
        if objective.encode is not None:
            targets = objective.encode(targets)
        data = tf.data.Dataset.from_tensors((_inputs(model, batch), targets)).repeat(STEPS)
        clock = _Clock()
        model.fit(data, verbose=0, callbacks=[clock], shuffle=False)
    except Exception as error:
        if out_of_memory(error):
            raise TrainingFailedError(
                f"--measure: a step with {batch} examples ran out of memory on {devices.description}; use a "
                "smaller training.batch_size or model"
            ) from None
        raise
    quiet, middle = np.percentile(clock.seconds, [10, 50])
    return Measured(float(middle), float(quiet), len(clock.seconds), before.peak())


class _Clock(keras.callbacks.Callback):
    """Times steps, and stops training when it is enough."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._last = self._started = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Reading the loss waits for the device."""
        now = time.perf_counter()
        if batch:
            self.seconds.append(now - self._last)
        else:
            # The first one traces.
            self._started = now
        self._last = now
        if len(self.seconds) > 2 and now - self._started > SECONDS:
            self.model.stop_training = True


class _Memory:
    """Memory of the device from here on."""

    def __init__(self, devices: Devices):
        self._gpu = devices.kind == "gpu"
        if self._gpu:
            tf.config.experimental.reset_memory_stats("GPU:0")
        else:
            with suppress(OSError):
                # Linux: the peak begins anew.
                Path("/proc/self/clear_refs").write_text("5")
        self._before = self._held("VmRSS")

    def _held(self, field: str) -> int:
        if self._gpu:
            info = tf.config.experimental.get_memory_info("GPU:0")
            return int(info["current" if field == "VmRSS" else "peak"])
        status = Path("/proc/self/status")
        if not status.exists():
            import resource

            # Kilobytes on Linux, bytes on macOS, which has no /proc.
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
                1 if os.uname().sysname == "Darwin" else 1024
            )
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields[field].split()[0]) * 1024

    def peak(self) -> int:
        """Bytes at the peak beyond those at the beginning."""
        return max(0, self._held("VmHWM") - self._before)


def _inputs(model: keras.Model, batch: int) -> Any:
    """Random numbers of the shapes and dtypes that a model takes, in its own structure."""
    generator = np.random.default_rng(0)

    def draw(tensor: Any) -> np.ndarray:
        shape = (batch, *tensor.shape[1:])
        if tensor.dtype.startswith(("int", "uint")):
            # Of images a grey, of tokens known ones: every vocabulary has so many.
            return generator.integers(0, 2, shape).astype(tensor.dtype)
        return generator.normal(size=shape).astype(tensor.dtype)

    return keras.tree.map_structure(draw, model.input)


def _targets(spec: DataSpec, batch: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    shape = (batch, *spec.target.shape)
    if spec.task == "regression":
        return generator.normal(size=shape).astype(np.float32)
    # Of several tasks a number each, which is a class as well.
    high = 2 if spec.task in ("multi_label", "multi_task") else spec.outputs
    return generator.integers(0, high, shape).astype(spec.target.dtype)

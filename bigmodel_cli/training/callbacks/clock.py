"""Where training stands."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from bigmodel_cli.data.pipeline import TrainingPipeline


@dataclass
class Clock:
    """Where training stands, kept by `Course` and read by the others.

    Attributes:
        epoch: from 0.
        step: steps done in it.
        first_step: the step at which this process entered the epoch.
        seconds_before: training time of earlier sittings.
    """

    epoch: int
    step: int
    first_step: int
    seconds_before: float = 0.0

    def __post_init__(self) -> None:
        self.started = time.perf_counter()
        self.epoch_started = self.started

    def set(self, epoch: int, step: int) -> None:
        """Go on from there."""
        self.epoch, self.step, self.first_step = epoch, step, step

    @property
    def seconds(self) -> float:
        """Training time over all sittings."""
        return self.seconds_before + time.perf_counter() - self.started


class Course(keras.callbacks.Callback):
    """Keeps the clock, gives each epoch its order of examples and restores metrics in mid-epoch."""

    def __init__(self, clock: Clock, pipeline: TrainingPipeline):
        super().__init__()
        self._clock = clock
        self._pipeline = pipeline
        self._restored_metrics: list[Any] | None = None

    def restore_metrics(self, values: list[Any]) -> None:
        """Put these back into the metrics' variables once `fit` has reset them."""
        self._restored_metrics = values

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Set the epoch before `fit` makes its iterator."""
        if epoch != self._clock.epoch:
            self._clock.set(epoch, 0)
        self._clock.epoch_started = time.perf_counter()
        self._pipeline.epoch.assign(epoch)
        if self._restored_metrics is not None:
            # `fit` has just reset them.
            for variable, value in zip(self.model.metrics_variables, self._restored_metrics, strict=True):
                variable.assign(value)
            self._restored_metrics = None

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Count the steps; the last execution of an epoch may hold fewer than the others."""
        self._clock.step = min(self._clock.first_step + batch + 1, self._pipeline.steps)
        if keras.backend.backend() == "jax":
            # While `fit` runs, the variables are empty: the values travel from step to step outside of them.
            self.model.jax_state_sync()

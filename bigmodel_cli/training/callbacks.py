"""What happens around the steps of `fit`; one concern each, in the order of `trainer.callbacks`."""

from __future__ import annotations

import csv
import json
import math
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

import keras

from bigmodel_cli.data.pipeline import TrainingPipeline
from bigmodel_cli.errors import TrainingFailedError
from bigmodel_cli.rundir import Run, write_atomically
from bigmodel_cli.training.objective import higher_is_better
from bigmodel_cli.training.optimizer import current_learning_rate
from bigmodel_cli.training.reporter import EpochRecord, Reporter

WAIT_LIMIT = 0.1
"""Share of an epoch that training may wait for data before it says what to change."""

SHORT_EPOCH_SECONDS = 2.0
"""Up to here the start of the iterator is a visible share of any epoch."""


class StopRequestedError(Exception):
    """A signal asked training to stop; raised between two steps, when the state is whole."""


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

    @property
    def seconds(self) -> float:
        """Training time over all sittings."""
        return self.seconds_before + time.perf_counter() - self.started


class Course(keras.callbacks.Callback):
    """Keeps the clock, gives each epoch its order of examples and restores metrics in mid-epoch."""

    def __init__(self, clock: Clock, pipeline: TrainingPipeline, restored_metrics: list[Any] | None):
        super().__init__()
        self._clock = clock
        self._pipeline = pipeline
        self._restored_metrics = restored_metrics

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Set the epoch before `fit` makes its iterator."""
        if epoch != self._clock.epoch:
            self._clock.epoch, self._clock.step, self._clock.first_step = epoch, 0, 0
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


class DivergenceGuard(keras.callbacks.Callback):
    """Stops when the loss is no longer a finite number."""

    def __init__(self, clock: Clock):
        super().__init__()
        self._clock = clock
        self._sound = clock.step

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """The loss is a mean over the epoch, so one bad step shows in all that follow."""
        if logs and not math.isfinite(logs["loss"]):
            first, last = self._sound + 1, self._clock.step
            where = f"step {last}" if first == last else f"one of the steps {first} to {last}"
            raise TrainingFailedError(
                f"diverged: the loss became {logs['loss']} at {where} of epoch {self._clock.epoch + 1}; "
                f"the learning rate was {current_learning_rate(self.model.optimizer):.3g}: try a tenth of "
                "it, or `optimizer.global_clipnorm=1`; check that the inputs are finite and scaled"
            )
        self._sound = self._clock.step

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Steps count from the beginning of the epoch."""
        self._sound = self._clock.step

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Weights that overflow in validation are no use either."""
        if logs and not math.isfinite(logs.get("val_loss", 0.0)):
            raise TrainingFailedError(
                f"diverged: the validation loss became {logs['val_loss']} after epoch {epoch + 1}; try a "
                "tenth of the learning rate, or `optimizer.global_clipnorm=1`"
            )


class BestModel(keras.callbacks.Callback):
    """Keeps model.keras at the best epoch, or at the last one.

    Attributes:
        best_epoch: from 1; None before the first.
        best: the monitored value of that epoch.
        improved: whether the epoch that has just ended is the best so far.
        stored_epoch: from 1; the epoch whose weights model.keras holds.
    """

    def __init__(self, run: Run, serving: keras.Model, monitor: str, keep_last: bool):
        super().__init__()
        self._run = run
        self._serving = serving
        self._monitor = monitor
        self._keep_last = keep_last
        self._sign = -1.0 if higher_is_better(monitor) else 1.0
        self.best_epoch: int | None = None
        self.best: float | None = None
        self.stored_epoch: int | None = None
        self.improved = False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write the model when it is the best so far (or whenever the last one is wanted)."""
        value = float((logs or {})[self._monitor])
        # A value that is not a number (an undefined metric) improves on nothing and is no obstacle.
        best = self.best
        self.improved = best is None or math.isnan(best) or self._sign * value < self._sign * best
        if self.improved:
            self.best, self.best_epoch = value, epoch + 1
        if self.improved or self._keep_last:
            self._serving.set_weights(self.model.get_weights())
            write_atomically(self._run.model, self._serving.save)
            self.stored_epoch = epoch + 1

    def state(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {"best": self.best, "best_epoch": self.best_epoch, "stored_epoch": self.stored_epoch}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.best, self.best_epoch, self.stored_epoch = (
            state[key] for key in ("best", "best_epoch", "stored_epoch")
        )


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras' early stopping, able to go on where it was: Keras' own begins anew with every `fit`."""

    _KEPT = ("wait", "best", "best_epoch", "stopped_epoch")

    def __init__(self, monitor: str, patience: int, min_delta: float):
        super().__init__(
            monitor=monitor,
            patience=patience,
            min_delta=min_delta,
            mode="max" if higher_is_better(monitor) else "min",
        )
        super().on_train_begin()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Keep what is known; `__init__` has begun it."""

    def state(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {key: None if (value := getattr(self, key)) is None else float(value) for key in self._KEPT}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; a larger patience than before revives a run that was stopped."""
        for key in self._KEPT:
            setattr(self, key, state[key])
        if self.wait < self.patience:
            self.stopped_epoch = 0


class Recorder(keras.callbacks.Callback):
    """Tells the reporter how it goes and writes metrics.jsonl and metrics.csv, a line an epoch.

    Attributes:
        records: the epochs so far, over all sittings.
    """

    def __init__(
        self,
        run: Run,
        reporter: Reporter,
        clock: Clock,
        best: BestModel,
        epochs: int,
        pipeline: TrainingPipeline,
        batch_size: int,
        *,
        measure_wait: bool,
    ):
        super().__init__()
        self._run = run
        self._reporter = reporter
        self._clock = clock
        self._best = best
        self._epochs = epochs
        self._pipeline = pipeline
        self._steps = pipeline.steps
        self._batch_size = batch_size
        self._measure_wait = measure_wait
        self.records: list[dict[str, Any]] = []
        self._rate = 0.0
        self._wait: float | None = None
        self._advised = False

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Announce the epoch."""
        self._pipeline.waited.assign(0.0)
        self._reporter.epoch_begins(epoch + 1, self._epochs, self._steps, self._clock.first_step)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Report the steps done and the speed so far."""
        done = (
            min(self._clock.step * self._batch_size, self._pipeline.size)
            - self._clock.first_step * self._batch_size
        )
        took = max(1e-9, time.perf_counter() - self._clock.epoch_started)
        self._rate = done / took
        self._reporter.step_done(self._clock.step, self._rate, _ordered(logs or {}))
        if self._clock.step == self._steps:
            if self._measure_wait:
                self._wait = min(1.0, float(self._pipeline.waited) / took)
            self._reporter.validation_begins()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write the epoch down."""
        record = EpochRecord(
            epoch=epoch + 1,
            metrics=_ordered(logs or {}),
            learning_rate=current_learning_rate(self.model.optimizer),
            seconds=time.perf_counter() - self._clock.epoch_started,
            examples_per_second=self._rate,
            best=self._best.improved,
            data_wait=self._wait,
        )
        self.records.append(record.to_json())
        self.write()
        self._reporter.epoch_done(record)
        self._advise(record)

    def _advise(self, record: EpochRecord) -> None:
        """Say once what to change when training waits for data; a short epoch waits for its first batch
        alone."""
        slow = self._wait is not None and self._wait > WAIT_LIMIT
        if slow and not self._advised and record.seconds > SHORT_EPOCH_SECONDS:
            self._advised = True
            self._reporter.note(
                f"{self._wait:.0%} of the epoch went into waiting for data; {self._pipeline.remedy}"
            )

    def write(self) -> None:
        """Both files, whole: an epoch that is trained again after a crash stands in them once."""
        lines = "".join(json.dumps(record) + "\n" for record in self.records)
        write_atomically(self._run.metrics, lambda path: _write(path, lines))

        def table(path: Any) -> None:
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(self.records[0]) if self.records else ["epoch"])
                writer.writeheader()
                writer.writerows(self.records)

        write_atomically(self._run.metrics_csv, table)


def _ordered(logs: Mapping[str, Any]) -> dict[str, float]:
    """The loss before other metrics, training before validation."""
    keys = sorted(logs, key=lambda key: (key.startswith("val_"), key.removeprefix("val_") != "loss"))
    return {key: float(logs[key]) for key in keys}


def _write(path: Any, text: str) -> None:
    path.write_text(text, encoding="utf-8")


class SignalWatch(keras.callbacks.Callback):
    """Turns SIGINT and SIGTERM into a stop between two steps; a second signal stops at once."""

    def __init__(self, clock: Clock, reporter: Reporter, steps: int, epochs: int):
        super().__init__()
        self._clock = clock
        self._reporter = reporter
        self._steps = steps
        self._epochs = epochs
        self._received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> SignalWatch:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None:
            raise KeyboardInterrupt
        self._received = number

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Stop here when asked to; after an epoch's last step its validation is awaited."""
        if self._clock.step < self._steps:
            self._stop_when_asked()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Stop between two epochs when asked to."""
        if epoch + 1 < self._epochs and not self.model.stop_training:
            self._stop_when_asked()

    def _stop_when_asked(self) -> None:
        if self._received is not None:
            raise StopRequestedError(signal.Signals(self._received).name)

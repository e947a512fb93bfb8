"""What is told and written down of an epoch."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping
from typing import Any

import keras

from bigmodel_cli.data.pipeline import TrainingPipeline
from bigmodel_cli.rundir import Run, write_atomically
from bigmodel_cli.training import agreement
from bigmodel_cli.training.callbacks.best_model import BestModel
from bigmodel_cli.training.callbacks.clock import Clock
from bigmodel_cli.training.optimizer import current_learning_rate
from bigmodel_cli.training.reporter import EpochRecord, Reporter

WAIT_LIMIT = 0.1
"""Share of an epoch that training may wait for data before it says what to change."""

SHORT_EPOCH_SECONDS = 2.0
"""Up to here the start of the iterator is a visible share of any epoch."""


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
        self._batch_size = pipeline.batch_size
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
        if not agreement.chief():
            return
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

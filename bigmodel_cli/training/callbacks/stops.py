"""What ends training between two steps, when the state is whole."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any

import keras

from bigmodel_cli.training import agreement
from bigmodel_cli.training.callbacks.clock import Clock


class StopRequestedError(Exception):
    """A signal asked training to stop."""


class TimeIsUpError(Exception):
    """The time budget is used up."""


class SignalWatch(keras.callbacks.Callback):
    """Turns SIGINT and SIGTERM into a stop between two steps; a second signal stops at once."""

    def __init__(self, clock: Clock, steps: int, epochs: int):
        super().__init__()
        self._clock = clock
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
        # A process that stopped alone would leave the others waiting in their next step.
        received = agreement.largest(self._received or 0)
        if received:
            raise StopRequestedError(signal.Signals(received).name)


class TimeBudget(keras.callbacks.Callback):
    """Ends training when it has taken so long; an epoch whose last step is done is validated first."""

    def __init__(self, minutes: float, clock: Clock, steps: int, epochs: int):
        super().__init__()
        self._minutes = minutes
        self._clock = clock
        self._steps = steps
        self._epochs = epochs

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Stop in mid-epoch."""
        if self._clock.step < self._steps:
            self._stop_when_up()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Stop between two epochs."""
        if epoch + 1 < self._epochs and not self.model.stop_training:
            self._stop_when_up()

    def _stop_when_up(self) -> None:
        if agreement.largest(int(time.perf_counter() - self._clock.started >= 60 * self._minutes)):
            raise TimeIsUpError

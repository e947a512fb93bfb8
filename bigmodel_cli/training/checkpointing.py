"""When a checkpoint is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import keras

from bigmodel_cli.config.schema import Checkpoint
from bigmodel_cli.rundir import Run
from bigmodel_cli.training import checkpoint
from bigmodel_cli.training.callbacks import Clock
from bigmodel_cli.training.checkpoint import Position


class Checkpoints(keras.callbacks.Callback):
    """Saves every n epochs, steps and minutes; must stand after all callbacks whose state it saves."""

    def __init__(
        self,
        run: Run,
        settings: Checkpoint,
        clock: Clock,
        position: Callable[[int, int], Position],
        steps: int,
    ):
        super().__init__()
        self._run = run
        self._settings = settings
        self._clock = clock
        self._position = position
        self._steps = steps
        self._saved_at = time.monotonic()
        self._saved_step = clock.step
        self._between_epochs: int | None = None

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """A new epoch is under way."""
        self._between_epochs = None
        self._saved_step = self._clock.step

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Save in mid-epoch when steps or minutes ask for it."""
        if self._clock.step >= self._steps:
            return
        every_steps, every_minutes = self._settings.every_steps, self._settings.every_minutes
        due = every_steps is not None and self._clock.step // every_steps > self._saved_step // every_steps
        due = due or (every_minutes is not None and time.monotonic() - self._saved_at >= 60 * every_minutes)
        if due:
            self.save_now()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Save between two epochs."""
        self._between_epochs = epoch + 1
        every = self._settings.every_epochs
        if every is not None and (epoch + 1) % every == 0:
            self.save_now()

    def save_now(self) -> None:
        """Write a checkpoint of this moment."""
        if self._between_epochs is None:
            position = self._position(self._clock.epoch, self._clock.step)
        else:
            position = self._position(self._between_epochs, 0)
        checkpoint.save(self._run, self.model, position, self._settings.keep)
        self._saved_at = time.monotonic()
        self._saved_step = self._clock.step

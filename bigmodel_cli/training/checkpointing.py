"""When a checkpoint is written."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras

from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import TrainingFailedError
from bigmodel_cli.rundir import Run
from bigmodel_cli.training import agreement, checkpoint
from bigmodel_cli.training.callbacks.best_model import BestModel
from bigmodel_cli.training.callbacks.clock import Clock
from bigmodel_cli.training.checkpoint import Position

RESERVE = 32 * 2**20
"""Bytes of disk that are left alone: for logs, summaries and whoever else writes there."""


class DiskNearlyFullError(TrainingFailedError):
    """The next checkpoint would not fit."""


def disk_needed(model: keras.Model) -> int:
    """Bytes that a checkpoint and model.keras take while they are written beside the old ones."""
    return checkpoint.size(model) + 4 * model.count_params()


class Checkpoints(keras.callbacks.Callback):
    """Saves every n epochs, steps and minutes; must stand after all callbacks whose state it saves."""

    def __init__(
        self,
        run: Run,
        config: Config,
        clock: Clock,
        best: BestModel,
        position: Callable[[int, int], Position],
        steps: int,
    ):
        super().__init__()
        self._run = run
        self._config = config
        self._settings = config.training.checkpoint
        self._clock = clock
        self._best = best
        self._position = position
        self._steps = steps
        self._saved_at = time.monotonic()
        self._saved_step = clock.step
        self._between_epochs: int | None = None
        self._saved: tuple[int, int] | None = None

    def go_to(self, position: Position) -> None:
        """Training stands there now."""
        self._between_epochs = None if position.step else position.epoch

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
        due = every is not None and (epoch + 1) % every == 0
        # Whoever rolls back to a checkpoint must find model.keras as it was then.
        due = due or (self._best.improved and self._config.training.divergence.action == "roll_back")
        if due:
            self.save_now()

    def save_now(self) -> None:
        """Write a checkpoint of this moment.

        Raises:
            DiskNearlyFullError: there is no room for another one after it, or not even for this one.
        """
        if not agreement.chief():
            return
        free, needed = shutil.disk_usage(self._run.path).free, disk_needed(self.model)
        if free >= checkpoint.size(self.model) + 2**20:
            self._save()
        if free < 2 * needed + RESERVE:
            saved = f"epoch {self._saved[0] + 1}, step {self._saved[1]}" if self._saved else "none"
            raise DiskNearlyFullError(
                f"{self._run}: the disk is nearly full: {free / 2**20:,.0f} MiB were left, less than the "
                f"{(2 * needed + RESERVE) / 2**20:,.0f} MiB that the next checkpoint and the model want; "
                f"training has stopped, saved state: {saved}\n"
                f"free some space, then   bigmodel train --resume {self._run}"
            )

    def _save(self) -> None:
        if self._between_epochs is None:
            position = self._position(self._clock.epoch, self._clock.step)
        else:
            position = self._position(self._between_epochs, 0)
        checkpoint.save(self._run, self.model, self._config, position, self._settings.keep)
        self._saved = (position.epoch, position.step)
        self._saved_at = time.monotonic()
        self._saved_step = self._clock.step

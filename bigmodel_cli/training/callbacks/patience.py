"""Callbacks of Keras that wait for an improvement, able to go on where they were.

Keras' own begin anew with every `fit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from bigmodel_cli.config import schema
from bigmodel_cli.training.objective import higher_is_better
from bigmodel_cli.training.optimizer import current_learning_rate
from bigmodel_cli.training.reporter import Reporter


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras' early stopping, resumable."""

    _KEPT = ("wait", "best", "best_epoch", "stopped_epoch")

    def __init__(self, settings: schema.EarlyStopping):
        super().__init__(
            monitor=settings.monitor,
            patience=settings.patience,
            min_delta=settings.min_delta,
            start_from_epoch=settings.start_from_epoch,
            mode="max" if higher_is_better(settings.monitor) else "min",
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


class ReduceOnPlateau(keras.callbacks.ReduceLROnPlateau):
    """Keras' ReduceLROnPlateau, resumable; the rate itself is a variable of the optimizer."""

    _KEPT = ("wait", "best", "cooldown_counter")

    def __init__(self, settings: schema.ReduceOnPlateau, reporter: Reporter):
        super().__init__(
            monitor=settings.monitor,
            factor=settings.factor,
            patience=settings.patience,
            min_delta=settings.min_delta,
            cooldown=settings.cooldown,
            min_lr=settings.min_learning_rate,
            mode="max" if higher_is_better(settings.monitor) else "min",
        )
        self._reporter = reporter
        self._reset()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Keep what is known; `__init__` has begun it."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Lower the rate where it is time, and say so."""
        before = current_learning_rate(self.model.optimizer)
        # Keras adds the learning rate to the logs, which are not ours to change.
        super().on_epoch_end(epoch, dict(logs or {}))
        after = current_learning_rate(self.model.optimizer)
        if after < before:
            self._reporter.note(
                f"{self.monitor} has not improved for {self.patience} "
                f"epoch{'s' if self.patience > 1 else ''}: the learning rate goes from {before:.3g} "
                f"to {after:.3g}"
            )

    def state(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {key: None if (value := getattr(self, key)) is None else float(value) for key in self._KEPT}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        for key in self._KEPT:
            setattr(self, key, state[key])

"""The model that a run gives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras

from bigmodel_cli.rundir import Run, write_atomically
from bigmodel_cli.training import agreement
from bigmodel_cli.training.averaging import evaluation_weights
from bigmodel_cli.training.objective import higher_is_better


class BestModel(keras.callbacks.Callback):
    """Keeps model.keras at the best epoch, or at the last one.

    Attributes:
        best_epoch: from 1; None before the first.
        best: the monitored value of that epoch.
        improved: whether the epoch that has just ended is the best so far.
        stored_epoch: from 1; the epoch whose weights model.keras holds.
        monitor: the name of that value.
    """

    def __init__(self, run: Run, serving: keras.Model, monitor: str, keep_last: bool):
        super().__init__()
        self._run = run
        self._serving = serving
        self.monitor = monitor
        self._keep_last = keep_last
        self._sign = -1.0 if higher_is_better(monitor) else 1.0
        self.best_epoch: int | None = None
        self.best: float | None = None
        self.stored_epoch: int | None = None
        self.improved = False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write the model when it is the best so far (or whenever the last one is wanted)."""
        value = float((logs or {})[self.monitor])
        # A value that is not a number (an undefined metric) improves on nothing and is no obstacle.
        best = self.best
        self.improved = best is None or math.isnan(best) or self._sign * value < self._sign * best
        if self.improved:
            self.best, self.best_epoch = value, epoch + 1
        if self.improved or self._keep_last:
            # The two models may share their weights.
            with evaluation_weights(self.model):
                self._serving.set_weights(self.model.get_weights())
                if agreement.chief():
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

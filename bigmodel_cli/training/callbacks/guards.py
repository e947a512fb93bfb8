"""What watches whether training gets anywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from bigmodel_cli.errors import TrainingFailedError
from bigmodel_cli.training.callbacks.clock import Clock
from bigmodel_cli.training.optimizer import current_learning_rate
from bigmodel_cli.training.reporter import Reporter


class DivergedError(TrainingFailedError):
    """The loss is no longer a finite number."""


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
            raise DivergedError(
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
            raise DivergedError(
                f"diverged: the validation loss became {logs['val_loss']} after epoch {epoch + 1}; try a "
                "tenth of the learning rate, or `optimizer.global_clipnorm=1`"
            )


class StallGuard(keras.callbacks.Callback):
    """Says it when the loss does not move from where it began, with the likely cause.

    It looks at the first steps of a run only: later a loss may stand still because it is as small as it gets.
    """

    STEPS = 300
    """After so many steps it looks for the first time, or at the end of the first epoch if that is sooner and
    has at least `FEWEST_STEPS`."""

    FEWEST_STEPS = 50
    EPOCHS = 5
    """It looks again at the end of each of these."""

    MOVED = 0.01
    """Share of the first loss by which it must have changed; batches of a few dozen differ by less on average
    over the steps of a look."""

    SAMPLE = 4_000_000
    """Weights that are compared with what they were, at most."""

    def __init__(self, clock: Clock, reporter: Reporter, chance: float | None):
        """Prepare.

        Args:
            clock: where training stands.
            reporter: hears the note.
            chance: loss of always predicting the shares of the classes; None where it has no such value.
        """
        super().__init__()
        self._clock = clock
        self._reporter = reporter
        self._chance = chance
        self._looking = clock.epoch == 0 and clock.step == 0
        self._first: float | None = None
        self._sums = (0, 0.0)
        self._steps = 0
        self._rate = 0.0
        self._weights: dict[int, np.ndarray] = {}

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Remember the weights."""
        if not self._looking or self._weights:
            return
        left = self.SAMPLE
        for index, variable in enumerate(self.model.trainable_variables):
            size = math.prod(variable.shape)
            # Biases begin at 0, of which no share can be told.
            if len(variable.shape) > 1 and size <= left:
                self._weights[index] = keras.ops.convert_to_numpy(variable).copy()
                left -= size

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """The mean that Keras gives begins anew."""
        self._sums = (0, 0.0)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Remember the first loss; look after `STEPS` steps."""
        if not self._looking or not logs:
            return
        if self._first is None:
            self._first = logs["loss"]
            self._rate = current_learning_rate(self.model.optimizer)
        before = self._steps
        self._steps += self._clock.step - self._sums[0]
        recent = self._recent(logs["loss"])
        if before < self.STEPS <= self._steps:
            self._look(recent)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Look again."""
        if not self._looking or not logs or self._first is None:
            return
        if self._steps >= self.FEWEST_STEPS:
            self._look(logs["loss"])
        self._looking = self._looking and epoch + 1 < self.EPOCHS

    def _recent(self, mean: float) -> float:
        """Mean loss of the steps since the last call, from Keras' mean over the epoch."""
        steps, total = self._sums
        self._sums = (self._clock.step, mean * self._clock.step)
        return (self._sums[1] - total) / max(1, self._clock.step - steps)

    def _look(self, recent: float) -> None:
        assert self._first is not None
        if not abs(recent - self._first) < self.MOVED * abs(self._first):
            self._looking, self._weights = False, {}
            return
        rate = current_learning_rate(self.model.optimizer)
        if rate > self._rate:
            # A warm-up is under way.
            self._rate = rate
            return
        self._reporter.note(
            f"the loss does not move: {self._first:.4g} in the first steps, {recent:.4g} "
            f"after {self._steps}; " + self._cause(recent, rate)
        )
        self._looking, self._weights = False, {}

    def _cause(self, loss: float, rate: float) -> str:
        variables = self.model.trainable_variables
        changes = [
            float(np.linalg.norm(keras.ops.convert_to_numpy(variables[index]) - before) / norm)
            for index, before in self._weights.items()
            if (norm := float(np.linalg.norm(before)))
        ]
        if changes and max(changes) < 1e-3:
            return (
                f"the weights hardly change (by {max(changes):.1g} of their size), so the learning rate of "
                f"{rate:.3g} is too small: try a hundred times as much, or `optimizer.learning_rate=auto`"
            )
        if self._chance is not None and abs(loss - self._chance) < 0.05 * self._chance:
            return (
                "it is that of guessing by the shares of the classes, although the weights change: either "
                f"the learning rate of {rate:.3g} is too large and the units are dead (try a tenth), or the "
                "inputs tell nothing about the targets (`bigmodel data` shows both)"
            )
        return (
            f"the weights change, so either the learning rate of {rate:.3g} is too large (try a tenth, or "
            "`optimizer.learning_rate=auto`), or the inputs tell nothing about the targets"
        )

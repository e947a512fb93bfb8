"""The learning rate that `auto` stands for, found by a range test before training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bigmodel_cli import catalogue
from bigmodel_cli.config.schema import Component, Config
from bigmodel_cli.data.pipeline import TrainingPipeline
from bigmodel_cli.errors import UsageError

STEPS = 100
"""Updates of the weights in a whole test."""

HIGHEST = 10.0
"""No optimizer of Keras learns at a higher rate."""

BELOW_DEFAULT = 1e-4
"""The test begins at this share of the rate that Keras gives the optimizer by default."""

STOP_RATIO = 4.0
"""The test ends where the smoothed loss is so many times its smallest value."""

SMOOTHING = 0.9
"""Of the running mean by which the end of the test is found."""

SHARE = 0.1
"""Of the rate at which the loss is smallest: there it is about to grow."""

WIDTH = 3.0
"""Standard deviation of the Gaussian that smooths the curve on which the rate is chosen, in updates."""


@dataclass(frozen=True)
class RangeTest:
    """What a range test found.

    Attributes:
        rate: the chosen learning rate, rounded to two digits.
        rates: of each step, ascending.
        losses: of each step's batch, before the step.
        smoothed: the curve on which the rate was chosen.
        reason: how it was chosen, for the user's eyes.
    """

    rate: float
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    reason: str

    def to_json(self) -> dict[str, Any]:
        """As plain lists, numbers and strings."""
        return {
            "rate": self.rate,
            "reason": self.reason,
            "rates": list(self.rates),
            "losses": list(self.losses),
            "smoothed": list(self.smoothed),
        }


def find_learning_rate(
    config: Config,
    pipeline: TrainingPipeline,
    compiled: Callable[[Config], keras.Model],
    class_weights: Mapping[int, float] | None = None,
) -> RangeTest:
    """Train a copy of the model for about a hundred steps at a rising rate, and see where the loss falls.

    Range test of Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3, in the
    form that fastai has made common. The rate rises exponentially, from 1e-4 of Keras' default rate of the
    optimizer to 10, over 100 updates of the weights; small data are gone through several times. The test ends
    early where the running mean of the loss is not finite or 4 times its smallest value. The losses of
    the steps are then smoothed by a Gaussian of 3 updates; the rate is a tenth of that at which this curve is
    smallest. (The rate of the steepest descent depends more on noise: on the shipped configs it was between a
    sixth and three times that one, and trained no better.)

    Args:
        config: complete, with `auto` as learning rate.
        pipeline: the training examples; it stands at its first epoch afterwards.
        compiled: a config -> the model that training will use, with fresh weights of its own, compiled with
            one step an execution.
        class_weights: of each class in the loss, by index.

    Raises:
        UsageError: the loss does not fall at any rate.
    """
    name = config.optimizer.name
    lowest = BELOW_DEFAULT * catalogue.learning_rate(name)
    accumulated = config.optimizer.parameters.get("gradient_accumulation_steps") or 1
    steps = STEPS * accumulated
    growth = (HIGHEST / lowest) ** (1 / (steps - 1))
    rising = Component.model_validate(
        {
            "name": "exponential_decay",
            "initial_learning_rate": lowest,
            "decay_steps": 1,
            "decay_rate": growth,
            "staircase": False,
        }
    )
    optimizer = config.optimizer.model_copy(update={"learning_rate": rising})
    model = compiled(config.model_copy(update={"optimizer": optimizer}))
    losses = _Losses(pipeline, steps, SMOOTHING ** (1 / accumulated))
    steps_an_epoch = min(steps, pipeline.steps)
    try:
        model.fit(
            pipeline.batches().take(steps_an_epoch),
            epochs=math.ceil(steps / steps_an_epoch),
            callbacks=[losses],
            class_weight=class_weights,
            verbose=0,
            shuffle=False,
        )
    finally:
        pipeline.epoch.assign(0)
        pipeline.waited.assign(0.0)
    rates = [lowest * growth**step for step in range(len(losses.found))]
    return _chosen(rates, losses.found, WIDTH * accumulated, catalogue.learning_rate(name))


class _Losses(keras.callbacks.Callback):
    """Collects the loss of each step, and ends the test where it has grown.

    Attributes:
        found: the losses so far, all finite.
    """

    def __init__(self, pipeline: TrainingPipeline, steps: int, smoothing: float):
        super().__init__()
        self._pipeline = pipeline
        self._steps = steps
        self._smoothing = smoothing
        self._mean = self._smallest = math.nan
        self._total, self._seen = 0.0, 0
        self.found: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Another order of the examples; `fit` begins its means anew."""
        self._pipeline.epoch.assign(epoch)
        self._total, self._seen = 0.0, 0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """The step's own loss out of the mean over the epoch's examples, which is what Keras tells."""
        seen = min((batch + 1) * self._pipeline.batch_size, self._pipeline.size)
        total = float((logs or {})["loss"]) * seen
        loss = (total - self._total) / (seen - self._seen)
        self._total, self._seen = total, seen
        if not math.isfinite(loss):
            self.model.stop_training = True
            return
        self.found.append(loss)
        self._mean = (
            loss if math.isnan(self._mean) else self._smoothing * self._mean + (1 - self._smoothing) * loss
        )
        # `min` keeps its first argument where the second is not a number.
        self._smallest = min(self._mean, self._smallest)
        # A loss that may be negative, such as the cosine similarity, is bounded and never ends the test.
        grown = self._smallest > 0 and self._mean > STOP_RATIO * self._smallest
        if grown or len(self.found) == self._steps:
            self.model.stop_training = True


def _chosen(rates: list[float], losses: list[float], width: float, default: float) -> RangeTest:
    """A tenth of the rate of the smallest loss.

    Raises:
        UsageError: the loss does not fall, or not more than its noise.
    """
    raw = np.asarray(losses)
    if len(raw) > 2 * width:
        curve = smoothed(raw, width)
        lowest = int(curve.argmin())
        noise = float((raw - curve)[: lowest + 1].std())
        if lowest > 0 and curve[0] - curve[lowest] > max(noise, 1e-3 * abs(curve[0])):
            rate = float(f"{SHARE * rates[lowest]:.1e}")
            reason = (
                f"range test: a tenth of {rates[lowest]:.1e}, where the loss was smallest in {len(raw)} "
                f"steps from {rates[0]:.1e} to {rates[-1]:.1e}"
            )
            return RangeTest(rate, tuple(rates), tuple(losses), tuple(curve.tolist()), reason)
    reached = f"up to a rate of {rates[-1]:.1e}" if rates else "at the first step already"
    what = f"went from {losses[0]:.4g} to no less than {min(losses):.4g}" if losses else "is not finite"
    raise UsageError(
        f"optimizer.learning_rate: `auto` found none: in {len(losses)} steps {reached} the loss {what}; give "
        f"a number, such as {default:g}, and see that inputs and targets are finite and belong together"
    )


def smoothed(values: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Means weighted by a Gaussian of this standard deviation around each value, (n,) -> (n,).

    Unlike a running mean it does not lag behind, which would shift the choice to higher rates.
    """
    distances = np.arange(len(values))[:, np.newaxis] - np.arange(len(values))
    weights = np.exp(-0.5 * (distances / width) ** 2)
    means: NDArray[np.float64] = weights @ values / weights.sum(axis=1)
    return means

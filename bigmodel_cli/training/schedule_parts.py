"""What Keras' schedules lack to make the schedules of configs: one after another."""

from __future__ import annotations

from typing import Any, Self

import keras
from keras.optimizers.schedules import ExponentialDecay, LearningRateSchedule, PolynomialDecay


@keras.saving.register_keras_serializable(package="bigmodel")
class Then(LearningRateSchedule):
    """One schedule for some steps, then another, whose steps count from there.

    Attributes:
        first: for the steps 0 to `steps` - 1.
        steps: how many these are.
        second: for the steps from `steps` on, which to it are the steps from 0 on.
    """

    def __init__(self, first: LearningRateSchedule, steps: int, second: LearningRateSchedule):
        super().__init__()
        self.first = first
        self.steps = steps
        self.second = second

    def __call__(self, step: Any) -> Any:
        """The learning rate of a step: an int or a scalar integer tensor, from 0; a float32 scalar."""
        step = keras.ops.convert_to_tensor(step)
        # Both are computed, so neither may be asked for a step before its own first one.
        later = self.second(keras.ops.maximum(step - self.steps, 0))
        return keras.ops.where(step < self.steps, self.first(step), later)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` makes the same schedule of."""
        return {
            "first": keras.saving.serialize_keras_object(self.first),
            "steps": self.steps,
            "second": keras.saving.serialize_keras_object(self.second),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Inverse of `get_config`."""
        first, second = (keras.saving.deserialize_keras_object(config[key]) for key in ("first", "second"))
        return cls(first, config["steps"], second)


def flat(rate: float) -> LearningRateSchedule:
    """The same learning rate at every step, for which Keras has no schedule of its own."""
    return ExponentialDecay(rate, decay_steps=1, decay_rate=1.0)


def straight(first: float, last: float, steps: int) -> LearningRateSchedule:
    """On a straight line from one learning rate at step 0 to another at step `steps`, and there from then."""
    return PolynomialDecay(first, steps, last, power=1.0)


def warmed_up(start: float, peak: float, steps: int, then: LearningRateSchedule) -> LearningRateSchedule:
    """A schedule that begins at `peak` after a linear rise from `start` (Goyal et al. 2017, section 2.2)."""
    return Then(straight(start, peak, steps), steps, then) if steps else then

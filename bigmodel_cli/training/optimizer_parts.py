"""What Keras' optimizers lack, each to be mixed into one of them.

They override what Keras keeps to itself (names with an underscore), because its own MultiOptimizer, which
would give layers their learning rates, clips each group of layers by a norm of its own and has no learning
rate to show; the package is tied to one series of Keras, and tests hold each part against plain optimizers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras


class RateFactors:
    """Multiplies the learning rate: of all weights by one factor, and of some by a factor of their own.

    The optimizer's variables hold the rate without the factors, so that a checkpoint does not carry them on.

    Attributes:
        rate_factor: of all weights.
        layer_factors: `id` of a variable -> its factor beside that; 1 for those not named.
    """

    rate_factor: ClassVar[float] = 1.0
    layer_factors: ClassVar[Mapping[int, float]] = {}
    _current = 1.0

    def build(self, variables: Sequence[Any]) -> None:
        """Make the optimizer's variables for these of the model."""
        super().build(variables)  # type: ignore[misc]
        self._factors = tuple(self.layer_factors.get(id(variable), 1.0) for variable in variables)

    @property
    def learning_rate(self) -> Any:
        """That of the next step, of weights without a factor of their own."""
        return self._get_current_learning_rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if not callable(value):
            value = value / self.rate_factor
        super(RateFactors, type(self)).learning_rate.fset(self, value)  # type: ignore[misc]

    def _get_current_learning_rate(self) -> Any:
        rate = super()._get_current_learning_rate()  # type: ignore[misc]
        factor = self.rate_factor * self._current
        return rate if factor == 1.0 else rate * factor

    def _factor(self, variable: Any) -> float:
        return self._factors[self._get_variable_index(variable)]  # type: ignore[attr-defined]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable at its own rate."""
        factor = self._factor(variable)
        rate = learning_rate if factor == 1.0 else learning_rate * factor
        super().update_step(gradient, variable, rate)  # type: ignore[misc]

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """The decay is a share of the rate, which Keras asks for once for all variables."""
        for factor in dict.fromkeys(map(self._factor, variables)):
            self._current = factor
            group = [variable for variable in variables if self._factor(variable) == factor]
            super()._apply_weight_decay(group)  # type: ignore[misc]
        self._current = 1.0


class AveragesKeptApart:
    """Leaves the training weights in the model when `fit` ends.

    Keras would overwrite them with their averages, and a second `fit`, or training gone on with, would start
    from these; `averaging` puts them into the model where they are wanted.
    """

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """Change nothing."""


class ScheduleFreeIterates:
    """ScheduleFreeAdamW as it is published (Defazio et al. 2024, algorithm 1).

    On TensorFlow, Keras 3.15 takes z of after the update for z of before it, and on every engine it applies
    the weight decay to the average x, where it belongs into the step of z.
    """

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Nothing yet: the decay is a part of the step."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update z, and from it the average x and the point y that is trained, which the variable holds."""
        z = self._momentums[self._get_variable_index(variable)]  # type: ignore[attr-defined]
        beta: float = self.beta_1  # type: ignore[attr-defined]
        step = keras.ops.cast(self.iterations + 1, variable.dtype)  # type: ignore[attr-defined]
        # A copy: on TensorFlow the variable is no snapshot, which is what misleads Keras as well.
        y = keras.ops.copy(variable)
        x = (y - (1 - beta) * z) / beta
        super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]
        if self.weight_decay and self._use_weight_decay(variable):  # type: ignore[attr-defined]
            warmup = self.warmup_steps  # type: ignore[attr-defined]
            share = keras.ops.minimum(step / warmup, 1.0) if warmup else 1.0
            self.assign_sub(z, learning_rate * share * self.weight_decay * y)  # type: ignore[attr-defined]
        x = x + (z - x) / step
        self.assign(variable, (1 - beta) * z + beta * x)  # type: ignore[attr-defined]


class WholeGradientClipping:
    """Clips the gradient of the whole batch on several devices, where Keras clips each device's share."""

    def _clip_gradients(self, grads: Sequence[Any]) -> Sequence[Any]:
        return grads

    def _all_reduce_sum_gradients(self, grads_and_vars: Sequence[Any]) -> list[Any]:
        gradients, variables = zip(*super()._all_reduce_sum_gradients(grads_and_vars), strict=True)  # type: ignore[misc]
        clipped = super()._clip_gradients(list(gradients))  # type: ignore[misc]
        return list(zip(clipped, variables, strict=True))

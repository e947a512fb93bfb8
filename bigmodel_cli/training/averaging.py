"""The weights that a model is evaluated and kept with, where these are not the ones it is trained with.

Averages (`optimizer.ema`; Polyak and Juditsky 1992) and the sequence x of ScheduleFreeAdamW (Defazio et al.
2024, section 2) lie in the optimizer. Keras' SwapEMAWeights exchanges them with the model's by adding and
subtracting, which leaves other training weights than before, and does not know the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

Kept = list[tuple[Any, np.ndarray]]
"""Variables of the model and the values they had."""


class EvaluationWeights(keras.callbacks.Callback):
    """Validates with the evaluation weights; the training weights come back afterwards, to the bit.

    Does nothing where the two are the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: Kept = []

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Put the evaluation weights in."""
        # Of a validation that broke off.
        _put_back(self._kept)
        self._kept = _put_in(self.model)

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Put the training weights back."""
        _put_back(self._kept)
        self._kept = []


@contextmanager
def evaluation_weights(model: keras.Model) -> Iterator[None]:
    """The evaluation weights are in the model inside the block, and its training weights afterwards.

    Does nothing where the two are the same.

    Args:
        model: compiled.
    """
    kept = _put_in(model)
    try:
        yield
    finally:
        _put_back(kept)


def _put_in(model: keras.Model) -> Kept:
    kept = []
    for variable, value in _evaluation_values(model.optimizer):
        kept.append((variable, _copy(variable)))
        # JAX gives the model's memory to the step that is run next: the averages must keep their own.
        variable.assign(_copy(value))
    return kept


def _copy(value: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(value))


def _put_back(kept: Kept) -> None:
    for variable, value in kept:
        variable.assign(value)


def _evaluation_values(optimizer: keras.optimizers.Optimizer) -> Iterator[tuple[Any, Any]]:
    """Variables of the model, and the values that they are evaluated with where these are others."""
    # A LossScaleOptimizer (mixed float16) wraps the one that holds them.
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    # Before the first update there are no averages.
    if not inner.built or not int(keras.ops.convert_to_numpy(inner.iterations)):
        return
    if inner.use_ema:
        values = inner._model_variables_moving_average
        yield from ((v, a) for v, a in zip(inner._trainable_variables, values, strict=True) if a is not None)
    elif isinstance(inner, keras.optimizers.ScheduleFreeAdamW):
        # Trained is y = (1 - beta_1) * z + beta_1 * x.
        for y, z in zip(inner._trainable_variables, inner._momentums, strict=True):
            if z is not None:
                yield y, (keras.ops.convert_to_tensor(y) - (1 - inner.beta_1) * z) / inner.beta_1

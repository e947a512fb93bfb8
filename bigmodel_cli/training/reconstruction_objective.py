"""Losses and metrics of a model that reconstructs its input, on the scale of `reconstruction.scaled`.

The targets of a batch are its raw inputs, such as uint8 pixels: nothing is moved to the device twice as large
as it must be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.errors import UsageError
from bigmodel_cli.reconstruction import Likelihood, as_values, negative_log_likelihood, scaled
from bigmodel_cli.training.adapters import Adapted

LOSSES = frozenset({"binary_crossentropy", "huber", "log_cosh", "mean_absolute_error", "mean_squared_error"})
METRICS = frozenset({"mean_absolute_error", "mean_squared_error", "root_mean_squared_error"})


def require_auto(config: Config) -> None:
    """Refuse a loss of one's own where the model has a likelihood.

    Raises:
        UsageError: another loss than `auto`.
    """
    if config.loss.name != "auto" or config.loss.label_smoothing:
        what = "loss.label_smoothing" if config.loss.label_smoothing else "loss"
        raise UsageError(
            f"{what}: the loss of `{config.model.name}` is the likelihood that model.likelihood names; leave "
            "`loss` out"
        )


def reconstruction_loss(
    kind: type[Any], name: str, parameters: Mapping[str, Any], data: DataSpec
) -> keras.losses.Loss:
    """A Keras loss, as the mean over pixels or features and examples.

    Args:
        kind: its class.
        name: its name.
        parameters: its own.
        data: of a reconstruction.

    Raises:
        UsageError: a cross-entropy of what is no pixel.
    """
    if name != "binary_crossentropy":
        return OfScaledInputs(kind(**parameters), data, probabilities=True)
    if data.input.kind != "image":
        raise UsageError(
            f"loss: `{name}` is for pixels, and {data.name} has standardized features; use `auto`"
        )
    return OfScaledInputs(kind(**{**parameters, "from_logits": True}), data, probabilities=False)


class OfScaledInputs(keras.losses.Loss):
    """A loss of reconstructions.

    Args:
        inner: the Keras loss, on the scale of `scaled`.
        data: of a reconstruction.
        probabilities: whether it takes pixels from 0 to 1 rather than their logits.
    """

    def __init__(self, inner: keras.losses.Loss, data: DataSpec, probabilities: bool):
        super().__init__(name=inner.name)
        self.inner = inner
        self._data = data
        self._probabilities = probabilities

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss (batch, ...) of raw inputs and what the model gives, both (batch, *input.shape)."""
        found = as_values(y_pred, self._data) if self._probabilities else y_pred
        return self.inner.call(scaled(y_true, self._data), found)


class OnScaledInputs(Adapted):
    """A metric of reconstructions.

    Args:
        inner: the Keras metric, on the scale of `scaled`.
        data: of a reconstruction.
    """

    def __init__(self, inner: keras.metrics.Metric, data: DataSpec):
        super().__init__(inner)
        self._data = data

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Count a batch: raw inputs, and what the model gives, both (batch, *input.shape)."""
        y_true, y_pred = (keras.ops.cast(values, "float32") for values in (y_true, y_pred))
        return self.inner.update_state(
            scaled(y_true, self._data), as_values(y_pred, self._data), sample_weight
        )


class NegativeLogLikelihood(keras.losses.Loss):
    """Minus the log-likelihood of an input, nats, given its reconstruction: summed over its values.

    Kingma and Welling 2014, equation 10 (second term) and appendix C.
    """

    def __init__(self, likelihood: Likelihood, data: DataSpec):
        super().__init__(name="negative_log_likelihood")
        self._likelihood = likelihood
        self._data = data

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Of each example, (batch,), from raw inputs and what the model gives (batch, *input.shape)."""
        return negative_log_likelihood(y_true, y_pred, self._likelihood, self._data)


def likelihood_metrics(likelihood: Likelihood, data: DataSpec) -> list[keras.metrics.Metric]:
    """The reconstruction's part of the loss; the other, `kl`, is measured by the layer that adds it."""

    def measure(y_true: Any, y_pred: Any) -> Any:
        return negative_log_likelihood(keras.ops.cast(y_true, "float32"), y_pred, likelihood, data)

    return [keras.metrics.MeanMetricWrapper(measure, name="reconstruction")]

"""Losses and metrics of Keras on what our models and pipelines give."""

from __future__ import annotations

from typing import Any

import keras

from bigmodel_cli.contracts import IGNORED, TargetSpec
from bigmodel_cli.targets import original_units


class OnProbabilities(keras.losses.Loss):
    """A loss that wants probabilities, on a model that gives logits."""

    def __init__(self, inner: keras.losses.Loss):
        super().__init__(name=inner.name)
        self.inner = inner

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each example, (batch,), from the targets that `inner` takes and logits (batch, classes)."""
        return self.inner.call(y_true, _softmax(y_pred))


class OnMasks(keras.losses.Loss):
    """A loss of overlaps, which wants one-hot targets and probabilities, on masks and logits.

    Args:
        inner: the Keras loss, which sums over batch, height and width.
        classes: how many.
    """

    def __init__(self, inner: keras.losses.Loss, classes: int):
        super().__init__(name=inner.name)
        self.inner = inner
        self._classes = classes

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each class, (classes,), from masks (batch, h, w) and logits (batch, h, w, classes)."""
        counted = keras.ops.expand_dims(keras.ops.not_equal(y_true, IGNORED), -1)
        # The one-hot row of an ignored pixel is all zeros: its index is that of no class.
        one_hot = keras.ops.one_hot(keras.ops.cast(y_true, "int32"), self._classes, dtype=y_pred.dtype)
        # Neither sum of an overlap then holds the pixel.
        shares = _softmax(y_pred) * keras.ops.cast(counted, y_pred.dtype)
        # Exchanged: Keras 3.15 counts in its Tversky loss what is true and not predicted as false positives.
        return self.inner.call(shares, one_hot)


def _softmax(logits: Any) -> Any:
    """Softmax; that of Keras hangs the logits on its result, where the binary losses find and misuse them."""
    return keras.ops.exp(keras.ops.log_softmax(logits))


def _sigmoid(logits: Any) -> Any:
    """Sigmoid, without the logits hung on it."""
    return keras.ops.exp(keras.ops.log_sigmoid(logits))


class Adapted(keras.metrics.Metric):
    """A metric that another one computes."""

    def __init__(self, inner: keras.metrics.Metric):
        super().__init__(name=inner.name)
        self.inner = inner

    def result(self) -> Any:
        """The inner metric's result; a value for each class or label is averaged over them."""
        result = self.inner.result()
        return keras.ops.mean(result) if len(result.shape) else result

    def reset_state(self) -> None:
        """Begin anew."""
        self.inner.reset_state()


class InOriginalUnits(Adapted):
    """A metric of a regression whose targets are learned on another scale.

    Args:
        inner: the Keras metric, over targets and predictions in their original units.
        target: says how they are scaled.
    """

    def __init__(self, inner: keras.metrics.Metric, target: TargetSpec):
        super().__init__(inner)
        self._target = target

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Count a batch: scaled targets and predictions, (batch, targets)."""
        y_true, y_pred = (original_units(values, self._target) for values in (y_true, y_pred))
        return self.inner.update_state(y_true, y_pred, sample_weight)

    def result(self) -> Any:
        """The inner metric's result."""
        return self.inner.result()


class LabelMetric(Adapted):
    """A metric of labels, which do not exclude each other, on logits.

    Args:
        inner: the Keras metric.
        probabilities: whether it wants probabilities rather than logits.
    """

    def __init__(self, inner: keras.metrics.Metric, probabilities: bool):
        super().__init__(inner)
        self._probabilities = probabilities

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Count a batch: targets (batch, labels) of 0 and 1, logits (batch, labels)."""
        y_pred = keras.ops.cast(y_pred, "float32")
        if self._probabilities:
            y_pred = _sigmoid(y_pred)
        return self.inner.update_state(y_true, y_pred, sample_weight)


class ClassMetric(Adapted):
    """A classification metric on logits and on targets as indices or one-hot.

    Args:
        inner: the Keras metric.
        one_hot: number of classes when the metric wants one-hot targets, else None.
        probabilities: whether it wants probabilities rather than logits.
    """

    def __init__(self, inner: keras.metrics.Metric, one_hot: int | None, probabilities: bool):
        super().__init__(inner)
        self._one_hot = one_hot
        self._probabilities = probabilities

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Count a batch: targets (batch,) or (batch, classes), logits (batch, classes)."""
        encoded = len(y_true.shape) == 2 and y_true.shape[-1] != 1
        if self._one_hot is None and encoded:
            y_true = keras.ops.argmax(y_true, axis=-1)
        elif self._one_hot is not None and not encoded:
            y_true = keras.ops.one_hot(keras.ops.reshape(y_true, (-1,)), self._one_hot)
        y_pred = keras.ops.cast(y_pred, "float32")
        if self._probabilities:
            y_pred = _softmax(y_pred)
        return self.inner.update_state(y_true, y_pred, sample_weight)


class MaskMetric(Adapted):
    """A metric of class indices and logits, over the pixels of masks that are not ignored.

    Args:
        inner: the Keras metric.
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Count a batch: masks (batch, h, w), logits (batch, h, w, classes)."""
        counted = keras.ops.not_equal(y_true, IGNORED)
        true = keras.ops.where(counted, y_true, keras.ops.zeros_like(y_true))
        weight = keras.ops.cast(counted, "float32")
        if sample_weight is not None:
            weight = weight * keras.ops.reshape(sample_weight, (-1, 1, 1))
        return self.inner.update_state(true, _softmax(keras.ops.cast(y_pred, "float32")), weight)

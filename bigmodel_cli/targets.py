"""The scale on which a regression's targets are learned, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np

from bigmodel_cli.contracts import TargetSpec


def scaled(targets: Any, spec: TargetSpec) -> Any:
    """Targets (batch, targets) in their original units -> what the model learns, float32.

    Works inside tf.data, whatever engine Keras runs on.
    """
    import tensorflow as tf

    if spec.scaling == "log":
        targets = tf.sign(targets) * tf.math.log1p(tf.abs(targets))
    return (targets - _row(spec.shift)) * _row(spec.factor)


def original_units(outputs: Any, spec: TargetSpec) -> Any:
    """The inverse of `scaled`, of tensors or of a model's symbolic outputs (batch, targets)."""
    from keras import ops

    values = outputs / _row(spec.factor) + _row(spec.shift)
    return ops.sign(values) * ops.expm1(ops.absolute(values)) if spec.scaling == "log" else values


def _row(numbers: tuple[float, ...]) -> np.ndarray:
    return np.asarray(numbers, np.float32)

"""What targets are besides arrays: the scale on which a regression's are learned, labels as texts, and one
of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bigmodel_cli.contracts import DataSpec, TargetSpec


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


def one_target(part: DataSpec, targets: np.ndarray, place: int) -> np.ndarray:
    """One of the targets (n, targets) of several tasks, as if it were the only one.

    Args:
        part: of `DataSpec.parts`.
        targets: class indices and values, float32.
        place: of the part among the targets.

    Returns:
        Class indices (n,) int32, or values (n, 1) float32.
    """
    column = targets[:, place : place + 1].astype(part.target.dtype)
    return np.asarray(column.reshape(-1, *part.target.shape))


def one_output(spec: DataSpec, outputs: np.ndarray, place: int) -> np.ndarray:
    """What a model of several tasks says of one, of its outputs (n, outputs) side by side."""
    widths = [part.outputs for part in spec.parts]
    start = sum(widths[:place])
    return outputs[:, start : start + widths[place]]


LABEL_THRESHOLD = 0.5
"""Probability from which a label is predicted."""

LABEL_SEPARATOR = "|"
"""Between the labels of an example, where they are one text."""


def predicted_labels(probabilities: np.ndarray) -> np.ndarray:
    """Which labels are predicted, (n, labels) bool, from their probabilities (n, labels)."""
    return np.asarray(probabilities >= LABEL_THRESHOLD)


def joined_labels(flags: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The labels of each example as one text, such as `comedy|drama`; empty for none.

    Args:
        flags: (n, labels) of 0 and 1.
        names: of the labels.

    Returns:
        (n,) of `str` objects.
    """
    # Many examples have the same labels: each set is joined once.
    sets, place = np.unique(np.asarray(flags, bool), axis=0, return_inverse=True)
    texts = [LABEL_SEPARATOR.join(names[index] for index in np.flatnonzero(row).tolist()) for row in sets]
    return np.array([*texts, ""], object)[place.reshape(-1)]


def _row(numbers: tuple[float, ...]) -> np.ndarray:
    return np.asarray(numbers, np.float32)

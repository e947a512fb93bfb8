"""What is explained, as a function that can be differentiated: a class's logit, or a regression's value."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bigmodel_cli.assembly import Restored
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.errors import UsageError

BATCH = 64
"""Points of a path that are computed at a time."""


class Score:
    """One output of a model, with its gradient."""

    def __init__(self, outputs: Callable[..., Any], method: str):
        """Build it.

        Args:
            outputs: (n, ...) float32 -> (n, outputs); takes what `beside` is given as second argument.
            method: for messages.
        """
        self._outputs, self._method = outputs, method
        self._beside: tuple[Any, ...] = ()
        # One for all classes and numbers of points.
        self._compiled = tf.function(self._compute, autograph=False, reduce_retracing=True)

    def beside(self, others: Any) -> Score:
        """The same, where its function takes further tensors that stay as they are, in any structure."""
        found = copy(self)
        found._beside = (others,)
        return found

    def _compute(
        self, points: tf.Tensor, index: tf.Tensor, others: tuple[Any, ...]
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(points)
            scores = tf.gather(self._outputs(points, *others), index, axis=1)
        return scores, tape.gradient(scores, points)

    def __call__(self, points: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores (n,) and their gradients (n, ...) by the points, both float64.

        Args:
            points: (n, ...).
            index: of the class or target.

        Raises:
            UsageError: no gradient reaches the inputs.
        """
        scores, gradients = [], []
        for start in range(0, len(points), BATCH):
            some = tf.constant(points[start : start + BATCH], tf.float32)
            score, gradient = self._compiled(some, tf.constant(index), self._beside)
            if gradient is None:
                raise UsageError(
                    f"--explain {self._method}: a step of this model has no gradient by its inputs; take "
                    "another method"
                )
            scores.append(np.asarray(score, np.float64))
            gradients.append(np.asarray(gradient, np.float64))
        return np.concatenate(scores), np.concatenate(gradients)


def logits(model: keras.Model) -> keras.KerasTensor:
    """What the probabilities are made of; the values of a regression.

    The class probabilities of a sure model have gradients near 0 everywhere: Simonyan et al. 2013
    (arXiv:1312.6034, section 3) take the unnormalised scores, and so do Selvaraju et al. 2017.
    """
    names = {layer.name for layer in model.layers}
    return model.get_layer("probabilities").input if "probabilities" in names else model.outputs[0]


def on_floats(restored: Restored, outputs: Any) -> keras.Model:
    """The same layers, with the same weights, behind an input of float32: whole pixels have no gradient.

    Args:
        restored: a run on images or vectors.
        outputs: tensors of its model, in any structure.
    """
    model = restored.model
    given = keras.Input(tuple(model.input.shape[1:]), dtype="float32", name="float_input")
    part = keras.Model(model.input, outputs)
    return keras.models.clone_model(part, input_tensors=given, clone_function=lambda layer: layer)


def name_of(spec: DataSpec, index: int) -> str:
    """What the score is, for people: `logit of cat`, or the target's name."""
    name = spec.target.names[index]
    return name if spec.task == "regression" else f"logit of {name}"

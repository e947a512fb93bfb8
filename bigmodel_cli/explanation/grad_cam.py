"""Grad-CAM (Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from bigmodel_cli.assembly import Restored
from bigmodel_cli.errors import UsageError
from bigmodel_cli.explanation.scores import logits, on_floats

_PASSING = (
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.Dropout,
    keras.layers.SpatialDropout2D,
)
"""Layers that hand on what those before them found, in fewer places."""


@dataclass(frozen=True)
class Map:
    """Where in an image a layer finds what speaks for a class.

    Attributes:
        coarse: in the places of the layer, (h, w) float64, at least 0.
        values: the same in the image's size, (height, width), bilinear.
        score: of the class or target.
    """

    coarse: np.ndarray
    values: np.ndarray
    score: float


def find_layer(model: keras.Model, name: str | None) -> keras.layers.Layer:
    """The layer whose feature maps are weighed.

    Args:
        model: of images.
        name: None for the last one with a place in the image, poolings aside (section 3: the last
            convolutional layer has the best compromise between meaning and place).

    Raises:
        UsageError: there is none, or it is not of this kind.
    """
    layers = model.layers
    weighted = [place for place, layer in enumerate(layers) if layer.weights]
    spatial = [layer for layer in layers[weighted[0] if weighted else len(layers) :] if _spatial(layer)]
    found = [layer for layer in spatial if not isinstance(layer, _PASSING)]
    if name is None:
        if not found:
            raise UsageError(
                "--explain grad_cam: this model has no layer with weights whose outputs have places in the "
                "image, as a convolution's have; take integrated_gradients or occlusion"
            )
        return found[-1]
    named = [layer for layer in spatial if layer.name == name]
    if not named:
        known = [layer.name for layer in spatial]
        raise UsageError(
            f"--layer {name}: there is no such layer with places in the image; there "
            f"{'are ' + ', '.join(known) if known else 'is none'}"
        )
    return named[0]


def _spatial(layer: keras.layers.Layer) -> bool:
    try:
        shape = layer.output.shape
    except (AttributeError, ValueError):
        return False
    return len(shape) == 4 and None not in shape[1:] and shape[1] * shape[2] > 1


def mapper(restored: Restored, layer: str | None = None) -> Callable[[np.ndarray, int], Map]:
    """Grad-CAM of a run.

    Args:
        restored: a run on images.
        layer: see `find_layer`.

    Returns:
        (one image (height, width, channels), index of the class or target) -> its map.

    Raises:
        UsageError: it has no such layer.
    """
    features = find_layer(restored.model, layer).output
    model = on_floats(restored, [features, logits(restored.model)])
    height, width = restored.spec.input.shape[:2]

    def compute(image: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            # Of the image, because the features come about inside.
            tape.watch(image)
            found, outputs = model(image[None], training=False)
            score = outputs[0, index]
        weights = tf.reduce_mean(tape.gradient(score, found), axis=(1, 2), keepdims=True)
        coarse = tf.nn.relu(tf.reduce_sum(weights * found, axis=-1, keepdims=True))
        return score, coarse[0, ..., 0], tf.image.resize(coarse, (height, width))[0, ..., 0]

    compiled = tf.function(compute, autograph=False)

    def of(image: np.ndarray, index: int) -> Map:
        found = compiled(tf.constant(image, tf.float32), tf.constant(index))
        score, coarse, values = (np.asarray(tensor, np.float64) for tensor in found)
        return Map(coarse, values, float(score))

    return of

"""Stateless draws, one for each image, that several augmentations need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

if TYPE_CHECKING:
    import tensorflow as tf


def ascending(limits: Any) -> Any:
    """Check of a parameter that is a range.

    Raises:
        ValueError: the lower limit comes last.
    """
    if limits[0] > limits[1]:
        raise ValueError(f"the lower limit comes first; write [{limits[1]}, {limits[0]}]")
    return limits


LowHigh = (Field(min_length=2, max_length=2), AfterValidator(ascending))
"""What the annotation of a range adds to `Sequence[float]`: two numbers, the lower one first."""

Concentration = Annotated[float, Field(gt=0, le=100)]
"""Of a Beta or Dirichlet distribution: below 1 nearly all weight goes to one image, above 1 it is spread."""


def uniform(count: tf.Tensor, low: float | tf.Tensor, high: float | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Numbers between two limits, (count,) float32; the limits may be (count,) too."""
    import tensorflow as tf

    return low + (high - low) * tf.random.stateless_uniform([count], seed)


def whole(count: tf.Tensor, stop: int | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Whole numbers from 0 to stop - 1, (count,) int32; stop may be (count,) too."""
    import tensorflow as tf

    drawn = tf.random.stateless_uniform([count], seed) * tf.cast(stop, tf.float32)
    # The product of a number just below 1 may be rounded up to stop itself.
    return tf.minimum(tf.cast(drawn, tf.int32), stop - 1)


def signs(count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """-1 or 1, (count,) float32."""
    import tensorflow as tf

    return tf.cast(whole(count, 2, seed) * 2 - 1, tf.float32)


def shares(count: tf.Tensor, parts: int, alpha: float, seed: tf.Tensor) -> tf.Tensor:
    """Shares of a whole, (count, parts) float32, Dirichlet-distributed; with two parts Beta-distributed.

    A Dirichlet draw is a set of Gamma(alpha) draws divided by their sum. For a small alpha all of them would
    underflow to zero, so they are drawn as logarithms: Gamma(alpha) is Gamma(alpha + 1) * uniform ** (1 /
    alpha) (Marsaglia and Tsang 2000, section 6).
    """
    import tensorflow as tf

    gamma = tf.random.stateless_gamma([count, parts], tf.random.fold_in(seed, 1), alpha + 1.0)
    # From (0, 1]: the logarithm of zero is not a number to go on with.
    power = 1.0 - tf.random.stateless_uniform([count, parts], tf.random.fold_in(seed, 2))
    return tf.nn.softmax(tf.math.log(gamma) + tf.math.log(power) / alpha)

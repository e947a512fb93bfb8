"""The layer that draws the latents of a variational autoencoder while it is trained."""

from __future__ import annotations

from typing import Any

import keras


class LatentDraw(keras.layers.Layer):
    """A draw from the normal distribution of the latents in training, its mean elsewhere.

    Mean + deviation * noise, so that gradients reach both (Kingma and Welling 2014, section 2.4). The
    divergence from the standard normal distribution is added to the loss, times `beta`, as its mean over the
    batch, and is measured as `kl`. Only training needs the layer: what is saved takes the mean alone.
    """

    def __init__(self, beta: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.beta = beta
        # Its state is among `model.variables`, so that a resumed run goes on with the same noise.
        self.seed_generator = keras.random.SeedGenerator()
        self.divergence = keras.metrics.Mean(name="kl")

    def call(self, mean: Any, log_variance: Any, training: bool = False) -> Any:
        """Latents (batch, latents) from their means and the logarithms of their variances, of that shape."""
        divergence = divergence_from_standard_normal(mean, log_variance)
        self.add_loss(self.beta * keras.ops.mean(divergence))
        self.divergence.update_state(divergence)
        if not training:
            return mean
        noise = keras.random.normal(keras.ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        return mean + keras.ops.exp(0.5 * log_variance) * noise

    def compute_output_shape(self, mean_shape: Any, log_variance_shape: Any) -> Any:
        """That of the means."""
        return mean_shape


def divergence_from_standard_normal(mean: Any, log_variance: Any) -> Any:
    """KL(N(mean, diag(exp(log_variance))) || N(0, 1)) of each example, nats (n,).

    Kingma and Welling 2014, appendix B.

    Args:
        mean: (n, latents).
        log_variance: (n, latents).
    """
    each = 1.0 + log_variance - keras.ops.square(mean) - keras.ops.exp(log_variance)
    return -0.5 * keras.ops.sum(each, axis=-1)

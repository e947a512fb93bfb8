"""Variational autoencoder: latents with a distribution that can be drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bigmodel_cli.contracts import DataSpec, Units, self_supervised
from bigmodel_cli.models.coding import Coding
from bigmodel_cli.models.layers import Activation
from bigmodel_cli.reconstruction import DRAW, LATENT, MOMENTS, likelihood_of

if TYPE_CHECKING:
    import keras


@self_supervised
def vae(
    data: DataSpec,
    *,
    latent: Units = 16,
    filters: Sequence[Units] | None = None,
    dense: Sequence[Units] | None = None,
    activation: Activation = "relu",
    beta: Annotated[float, Field(gt=0)] = 1.0,
    likelihood: Literal["auto", "bernoulli", "gaussian"] = "auto",
    deviation: Annotated[float, Field(gt=0)] | None = None,
) -> keras.Model:
    """Variational autoencoder of images or of vectors of numbers, without labels; it can draw new ones.

    Kingma and Welling 2014 (arXiv:1312.6114): the encoder gives mean and variance of a normal distribution of
    the latents, of which training takes one draw for each example (section 2.4, L = 1) and everything else
    the mean. The loss is the negative of the bound on log p(x) (equation 10), in nats an example: minus the
    log-likelihood of the input, summed over its values, plus the divergence of the latents from a standard
    normal distribution (appendix B). Encoder and decoder are those of `autoencoder`, where the paper has one
    hidden layer. Labels of the dataset are not learned; `evaluate` colours its picture of the latents with
    them, and draws new inputs.

    Args:
        latent: Numbers in the narrow place; with 2 `evaluate` draws what lies where.
        filters: Of images, filters of each convolution from the image inwards, each of which halves height
            and width; may be empty; null is [32, 64].
        dense: Units of the dense layers before the latents, inwards; may be empty; null is [128] for images
            and [64, 32] for vectors.
        activation: Activation after each convolution and dense layer, a Keras name.
        beta: Factor of the divergence (Higgins et al. 2017, beta-VAE): above 1 fewer latents tell more each,
            below 1 the reconstruction is sharper.
        likelihood: Of an input, given its reconstruction: `bernoulli` for each pixel, or `gaussian` about the
            reconstruction; `auto` is `bernoulli` for images, and `gaussian` for vectors or with a deviation.
        deviation: Standard deviation of the Gaussian, of pixels from 0 to 1 or of standardized features; null
            is 0.1 for pixels and 0.5 for features.
    """
    import keras

    from bigmodel_cli.latent_draw import LatentDraw

    # Refuses what does not fit; the loss itself is the objective's.
    likelihood_of({"likelihood": likelihood, "deviation": deviation}, data)
    coding = Coding.of(data, filters, dense, activation)
    inputs, x = coding.encoded()
    # float32: the divergence is a sum of squares and exponentials.
    moments = keras.layers.Dense(2 * latent, dtype="float32", name=MOMENTS)(x)
    mean = keras.layers.Identity(dtype="float32", name=LATENT)(moments[:, :latent])
    drawn = LatentDraw(beta, dtype="float32", name=DRAW)(mean, moments[:, latent:])
    return keras.Model(inputs, coding.decoded(drawn), name="vae")
